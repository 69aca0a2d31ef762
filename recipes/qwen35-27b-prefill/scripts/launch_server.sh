#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Qwen3.5-27B NVFP4 for prefill, CUTLASS GEMM, no drafter, variant prefill (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
MAX_MODEL_LEN="${MAX_MODEL_LEN:-4096}"
GPU_MEMORY_UTILIZATION="${GPU_MEMORY_UTILIZATION:-0.9}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-1}"
export VLLM_NVFP4_GEMM_BACKEND="${VLLM_NVFP4_GEMM_BACKEND:-cutlass}"

args=(
    serve "${MODELS_DIR}"/AxionML-Qwen3.5-27B-NVFP4
    --served-model-name qwen35-27b-axionml-nvfp4
    --host "${HOST}"
    --port "${PORT}"
    --trust-remote-code
    --max-model-len "${MAX_MODEL_LEN}"
    --generation-config vllm
    --load-format fastsafetensors
    --attention-backend FLASH_ATTN
    --gpu-memory-utilization "${GPU_MEMORY_UTILIZATION}"
    --enable-prefix-caching
    --max-num-batched-tokens 8192
    --max-num-seqs "${MAX_NUM_SEQS}"
    --enable-chunked-prefill
)

exec vllm "${args[@]}" "$@"
