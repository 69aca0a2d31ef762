#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Atlas from an image, variant ar (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
MAX_SEQ_LEN="${MAX_SEQ_LEN:-8192}"

args=(
    serve
    --model-from-path "${MODELS_DIR}"/Target-NVFP4
    --model-name target
    --port "${PORT}"
    --max-seq-len "${MAX_SEQ_LEN}"
    --kv-cache-dtype bf16
)

exec spark "${args[@]}" "$@"
