#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Qwen3.6-27B Q4_K_M on llama.cpp, variant ar-think-off (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8200}"
CTX="${CTX:-1024}"
PARALLEL="${PARALLEL:-1}"

args=(
    --model "${MODELS_DIR}"/Qwen3.6-27B-GGUF/Qwen3.6-27B-Q4_K_M.gguf
    --alias qwen36-27b-q4km
    --host "${HOST}"
    --port "${PORT}"
    --ctx-size "${CTX}"
    --cache-type-k f16
    --cache-type-v f16
    --parallel "${PARALLEL}"
    --no-warmup
    --jinja
    --reasoning-format deepseek
    --reasoning-budget 0
    --chat-template-kwargs '{"enable_thinking":false}'
)

exec llama-server "${args[@]}" "$@"
