#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Starts the server: Qwen3.6-35B-A3B NVFP4 (NVIDIA) with MTP, variant mtp (MTP).
set -euo pipefail
# Every upper-case name below can be set in the environment; arguments of this script are added at the end.

HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
GPU_MEMORY_UTILIZATION="${GPU_MEMORY_UTILIZATION:-0.85}"
MAX_MODEL_LEN="${MAX_MODEL_LEN:-65536}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-4}"
export HF_HOME="${HF_HOME:-$HOME/.cache/huggingface}"
export VLLM_USE_FLASHINFER_MOE_FP4="${VLLM_USE_FLASHINFER_MOE_FP4:-0}"
export VLLM_FP8_MOE_BACKEND="${VLLM_FP8_MOE_BACKEND:-flashinfer_cutlass}"
export FLASHINFER_DISABLE_VERSION_CHECK="${FLASHINFER_DISABLE_VERSION_CHECK:-1}"
export CUTE_DSL_ARCH="${CUTE_DSL_ARCH:-sm_121a}"

args=(
    serve nvidia/Qwen3.6-35B-A3B-NVFP4
    --served-model-name nvidia/Qwen3.6-35B-A3B-NVFP4
    --host "${HOST}"
    --port "${PORT}"
    --tensor-parallel-size 1
    --trust-remote-code
    --dtype auto
    --quantization modelopt
    --kv-cache-dtype fp8
    --attention-backend flashinfer
    --moe-backend marlin
    --gpu-memory-utilization "${GPU_MEMORY_UTILIZATION}"
    --max-model-len "${MAX_MODEL_LEN}"
    --max-num-seqs "${MAX_NUM_SEQS}"
    --max-num-batched-tokens 8192
    --enable-chunked-prefill
    --async-scheduling
    --enable-prefix-caching
    --speculative-config '{"method":"mtp","num_speculative_tokens":3,"moe_backend":"triton"}'
    --reasoning-parser qwen3
)

exec vllm "${args[@]}" "$@"
