#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Qwen3.6-35B-A3B NVFP4 with a DFlash drafter, variant dflash-gmu050 (DFlash).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
GPU_MEMORY_UTILIZATION="${GPU_MEMORY_UTILIZATION:-0.5}"
MAX_MODEL_LEN="${MAX_MODEL_LEN:-262144}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-1}"

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
    --attention-backend flash_attn
    --enable-prefix-caching
    --seed 0
    --speculative-config '{"method":"dflash","num_speculative_tokens":15,"model":"'"${MODELS_DIR}"'/Qwen3.6-35B-A3B-DFlash"}'
)

exec vllm "${args[@]}" "$@"
