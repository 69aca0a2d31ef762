#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Qwen3.6-27B AEON NVFP4 with a DFlash drafter, public AEON image, variant ar (AR).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
MAX_MODEL_LEN="${MAX_MODEL_LEN:-262144}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-64}"
GPU_MEMORY_UTILIZATION="${GPU_MEMORY_UTILIZATION:-0.85}"
export VLLM_ALLOW_LONG_MAX_MODEL_LEN="${VLLM_ALLOW_LONG_MAX_MODEL_LEN:-1}"
export TORCH_MATMUL_PRECISION="${TORCH_MATMUL_PRECISION:-high}"
export ENABLE_NVFP4_SM100="${ENABLE_NVFP4_SM100:-0}"
export VLLM_USE_FLASHINFER_MOE_FP4="${VLLM_USE_FLASHINFER_MOE_FP4:-0}"
export VLLM_TEST_FORCE_FP8_MARLIN="${VLLM_TEST_FORCE_FP8_MARLIN:-0}"
export VLLM_USE_FLASHINFER_SAMPLER="${VLLM_USE_FLASHINFER_SAMPLER:-1}"
export VLLM_NVFP4_GEMM_BACKEND="${VLLM_NVFP4_GEMM_BACKEND:-flashinfer-cutlass}"

args=(
    serve "${MODELS_DIR}"/Qwen3.6-27B-AEON-Ultimate-Uncensored-Multimodal-NVFP4-MTP-XS
    --served-model-name aeon-ultimate
    --host "${HOST}"
    --port "${PORT}"
    --tensor-parallel-size 1
    --dtype auto
    --quantization modelopt
    --kv-cache-dtype auto
    --max-model-len "${MAX_MODEL_LEN}"
    --max-num-seqs "${MAX_NUM_SEQS}"
    --max-num-batched-tokens 32768
    --gpu-memory-utilization "${GPU_MEMORY_UTILIZATION}"
    --enable-chunked-prefill
    --no-enable-prefix-caching
    --generation-config vllm
    --load-format safetensors
    --trust-remote-code
    --enable-auto-tool-choice
    --tool-call-parser qwen3_coder
    --reasoning-parser qwen3
    --attention-backend flash_attn
    --compilation-config '{"inductor_compile_config":{"combo_kernels":false,"benchmark_combo_kernel":false}}'
    --limit-mm-per-prompt '{"image":4,"video":2}'
    --mm-encoder-tp-mode data
    --mm-processor-cache-type shm
    --mm-shm-cache-max-object-size-mb 256
)

exec vllm "${args[@]}" "$@"
