#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Qwen3.6-35B-A3B NVFP4 with a DFlash drafter, variant ar-fp8kv-flashinfer (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
GPU_MEMORY_UTILIZATION="${GPU_MEMORY_UTILIZATION:-0.92}"
MAX_MODEL_LEN="${MAX_MODEL_LEN:-262144}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-1}"
[[ -n "${THINK_KWARGS:-}" ]] || THINK_KWARGS='{"enable_thinking":true}'

args=(
    serve "${MODELS_DIR}"/Qwen3.6-35B-A3B-NVFP4
    --served-model-name qwen36-35b-a3b
    --host "${HOST}"
    --port "${PORT}"
    --tensor-parallel-size 1
    --gpu-memory-utilization "${GPU_MEMORY_UTILIZATION}"
    --max-model-len "${MAX_MODEL_LEN}"
    --max-num-batched-tokens 4096
    --max-num-seqs "${MAX_NUM_SEQS}"
    --trust-remote-code
    --load-format fastsafetensors
    --attention-backend flashinfer
    --enable-prefix-caching
    --seed 0
    --default-chat-template-kwargs "${THINK_KWARGS}"
    --kv-cache-dtype fp8_e4m3
)

exec vllm "${args[@]}" "$@"
