#!/usr/bin/env bash
# A server for one DGX Spark.
set -euo pipefail

MODEL="nvidia/Qwen3.6-35B-A3B-NVFP4"
PORT=${PORT:-8000}
ARGS=(
  --max-model-len 65536   # enough for agents
  --max-num-seqs 4
)

docker pull vllm/vllm-openai:v0.28.0
docker rm -f qwen || true

docker run -d --rm --name qwen-server \
  --gpus all --ipc=host --shm-size 16g --network bridge \
  --ulimit memlock=-1 --ulimit stack=67108864:67108864 \
  -p 127.0.0.1:$PORT:8000 \
  -v ~/.cache/huggingface:/root/.cache/huggingface \
  -v "$HOME/templates":/templates:ro \
  -v vllm-cache:/root/.cache/vllm \
  -e HF_TOKEN="$HF_TOKEN" \
  -e VLLM_USE_FLASHINFER_MOE_FP4=0 -eCUTE_DSL_ARCH=sm_121a \
  --cap-add SYS_NICE --restart unless-stopped \
  vllm/vllm-openai:v0.28.0 \
  vllm serve "$MODEL" "${ARGS[@]}" \
    --speculative-config '{"method":"mtp","num_speculative_tokens":3}' \
    --chat-template /templates/chat.jinja \
    --enable-prefix-caching --no-enable-log-requests -tp 1 -O3 > server.log 2>&1 &
