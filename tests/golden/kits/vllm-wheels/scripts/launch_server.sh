#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: vLLM from wheels, variant ar (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8001}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-1}"
export HF_HOME="${HF_HOME:-$HOME/.cache/huggingface}"

args=(
    serve owner/Model-FP8
    --revision v1
    --served-model-name model
    --host "${HOST}"
    --port "${PORT}"
    --max-num-seqs "${MAX_NUM_SEQS}"
)

exec vllm "${args[@]}" "$@"
