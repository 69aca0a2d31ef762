docker run --gpus all -v ~/models:/models -p 9090:8080 ghcr.io/ggml-org/llama.cpp:server-cuda \
  -m /models/gemma/gemma-3-1b-it-Q4_K_M.gguf -c 4096 -ngl 99 --host 0.0.0.0 --port 8080 -fa on --metrics
