#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: MiniMax-M2.7 UD-IQ4_XS on llama.cpp with n-gram speculation, variant ar (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8012}"
THREADS="${THREADS:-20}"
CTX="${CTX:-32768}"
PARALLEL="${PARALLEL:-1}"

args=(
    --model "${MODELS_DIR}"/MiniMax-M2.7-GGUF/UD-IQ4_XS/MiniMax-M2.7-UD-IQ4_XS-00001-of-00004.gguf
    --alias MiniMax-M2.7-UD-IQ4_XS
    --host "${HOST}"
    --port "${PORT}"
    --jinja
    --flash-attn on
    --no-warmup
    --threads "${THREADS}"
    --ctx-size "${CTX}"
    --cache-type-k q8_0
    --cache-type-v q8_0
    --parallel "${PARALLEL}"
)

exec llama-server "${args[@]}" "$@"
