#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# One node of the server: A target on two machines, variant ray (AR), 2 nodes.
set -euo pipefail
# Runs on every node, in the same container. NODE_RANK says which one this is (0 is the first), MASTER_ADDR is the address
# of node 0, HOST_IP that of this node. Every upper-case name below can be set in the environment; `none` for FABRIC_IFACE
# leaves the choice to the libraries, for FABRIC_HCA means no RDMA. Arguments of this script are added to the server's.

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
MAX_MODEL_LEN="${MAX_MODEL_LEN:-4096}"
MAX_NUM_SEQS="${MAX_NUM_SEQS:-4}"
NODE_RANK="${NODE_RANK:-}"
MASTER_ADDR="${MASTER_ADDR:-}"
HOST_IP="${HOST_IP:-}"
RAY_PORT="${RAY_PORT:-6379}"
FABRIC_IFACE="${FABRIC_IFACE:-enP2p1s0f1np1}"
[[ -n "${FABRIC_HCA:-}" ]] || FABRIC_HCA='rocep1s0f1,roceP2p1s0f1'
if [[ -z "$NODE_RANK" || -z "$MASTER_ADDR" || -z "$HOST_IP" ]]; then
    echo "NODE_RANK (0 to 1), MASTER_ADDR (of node 0) and HOST_IP (of this node) must be set" >&2
    exit 2
fi
if [[ ! "$NODE_RANK" =~ ^[0-9]{1,4}$ ]] || ((10#$NODE_RANK >= 2)); then
    echo "NODE_RANK is 0 to 1, not '$NODE_RANK'" >&2
    exit 2
fi
export VLLM_NO_USAGE_STATS="${VLLM_NO_USAGE_STATS:-1}"
# What runs between the nodes goes over the fast network.
export VLLM_HOST_IP="${VLLM_HOST_IP:-${HOST_IP}}"
[[ "$FABRIC_IFACE" == none ]] || export NCCL_SOCKET_IFNAME="${NCCL_SOCKET_IFNAME:-${FABRIC_IFACE}}"
[[ "$FABRIC_IFACE" == none ]] || export GLOO_SOCKET_IFNAME="${GLOO_SOCKET_IFNAME:-${FABRIC_IFACE}}"
[[ "$FABRIC_IFACE" == none ]] || export TP_SOCKET_IFNAME="${TP_SOCKET_IFNAME:-${FABRIC_IFACE}}"
[[ "$FABRIC_HCA" == none ]] || export NCCL_IB_HCA="${NCCL_IB_HCA:-${FABRIC_HCA}}"
[[ "$FABRIC_HCA" != none ]] || export NCCL_IB_DISABLE="${NCCL_IB_DISABLE:-1}"
export RAY_ADDRESS="${RAY_ADDRESS:-${MASTER_ADDR}:${RAY_PORT}}"
export RAY_memory_monitor_refresh_ms="${RAY_memory_monitor_refresh_ms:-0}"

args=(
    serve "${MODELS_DIR}"/Target-NVFP4
    --served-model-name target
    --host "${HOST}"
    --port "${PORT}"
    --max-model-len "${MAX_MODEL_LEN}"
    --max-num-seqs "${MAX_NUM_SEQS}"
    --distributed-executor-backend ray
    --tensor-parallel-size 2
)
NODES_TIMEOUT="${NODES_TIMEOUT:-600}"
start=$SECONDS
if ((10#$NODE_RANK > 0)); then
    join=(
        start
        --address "${MASTER_ADDR}":"${RAY_PORT}"
        --node-ip-address "${HOST_IP}"
        --num-gpus 1
        --object-store-memory 1073741824
        --disable-usage-stats
        --block
    )
    until (exec 3<>"/dev/tcp/$MASTER_ADDR/$RAY_PORT") 2>/dev/null; do
        if ((SECONDS - start >= NODES_TIMEOUT)); then
            echo "no Ray head at $MASTER_ADDR:$RAY_PORT after $NODES_TIMEOUT s" >&2
            exit 4
        fi
        sleep 1
    done
    exec ray "${join[@]}"
fi

head=(
    start
    --head
    --port "${RAY_PORT}"
    --node-ip-address "${HOST_IP}"
    --num-gpus 1
    --object-store-memory 1073741824
    --disable-usage-stats
    --include-dashboard=false
)
ray "${head[@]}"
# The nodes that Ray has, by its own list: lines such as " 1 node_3f2a" under Active and Idle.
joined() {
    { ray status 2>/dev/null || true; } |
        awk '/^(Active|Idle):/ { on = 1; next } /^[A-Z]/ { on = 0 } on && / node_/ { n += $1 } END { print n + 0 }'
}
until (($(joined) >= 2)); do
    if ((SECONDS - start >= NODES_TIMEOUT)); then
        echo "only $(joined) of 2 nodes have joined Ray after $NODES_TIMEOUT s" >&2
        exit 4
    fi
    sleep 1
done
echo "all 2 nodes have joined Ray" >&2

exec vllm "${args[@]}" "$@"
