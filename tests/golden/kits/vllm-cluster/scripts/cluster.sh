#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# The 2 nodes of A target on two machines, from one of them: over ssh, with this kit alone.
set -euo pipefail
# Usage: bash scripts/cluster.sh copy | check | up | wait | status | logs [RANK] | down
#
# NODES names the 2 nodes, the first one first: "localhost=192.168.177.11 me@spark2=192.168.177.12". Before the sign
# stands what ssh connects to (localhost: this machine, without ssh), after it the node's address on the fast network;
# without one, the address of FABRIC_IFACE there is asked for. NODES_FILE names a file instead, a line for each node:
# TARGET ADDRESS MODELS_DIR INTERFACE ADAPTERS, with a dash for what is as usual. ssh never asks for a password: a node that
# wants one is named, and so is every node that is gone. Every upper-case name below can be set in the environment;
# knobs of the launch script are passed on to the containers. DOCKER_ARGS holds further options of `docker run`.

VARIANT="${VARIANT:-mp}"
PORT="${PORT:-8000}"
MASTER_PORT="${MASTER_PORT:-29501}"
RAY_PORT="${RAY_PORT:-6379}"
FABRIC_IFACE="${FABRIC_IFACE:-enP2p1s0f1np1}"
[[ -n "${FABRIC_HCA:-}" ]] || FABRIC_HCA='rocep1s0f1,roceP2p1s0f1'
TIMEOUT="${TIMEOUT:-900}"
SSH_TIMEOUT="${SSH_TIMEOUT:-10}"
NODES="${NODES:-}"
NODES_FILE="${NODES_FILE:-}"
DOCKER_ARGS="${DOCKER_ARGS:-}"
MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
image=vllm-cluster
name=vllm-cluster

usage() {
    echo "usage: bash scripts/cluster.sh copy | check | up | wait | status | logs [RANK] | down" >&2
    exit 2
}
(($# > 0)) || usage
action="$1"
shift

case "$VARIANT" in
    mp)
        launch=launch_server.sh
        meeting=MASTER_PORT
        folders=(Target-NVFP4)
        ;;
    ray)
        launch=launch_server_ray.sh
        meeting=RAY_PORT
        folders=(Target-NVFP4)
        ;;
    wild)
        echo "variant $VARIANT is not to be run: "'It killed both machines, "at once".' >&2
        exit 2
        ;;
    *)
        echo "no variant '$VARIANT'; there are: mp, ray" >&2
        exit 2
        ;;
esac

# -- the nodes, by rank ----

known=0
targets=() addresses=() places=() interfaces=() adapters=()
# $1 target, $2 address, $3 folder of the models, $4 interface, $5 adapters; a dash or nothing for what is as usual
add_node() {
    if [[ "$1" == -* || "$1" == *[[:cntrl:]]* ]]; then
        echo "not a node: '$1'" >&2
        exit 2
    fi
    local rank="$known"
    known=$((known + 1))
    targets+=("$1")
    addresses+=("$(usual "$2" "")")
    places+=("$(usual "$3" "$(default_place "$rank")")")
    interfaces+=("$(usual "$4" "$FABRIC_IFACE")")
    adapters+=("$(usual "$5" "$FABRIC_HCA")")
}
usual() { if [[ -z "$1" || "$1" == - ]]; then printf '%s' "$2"; else printf '%s' "$1"; fi; }
default_place() {
    case "$1" in
        1) printf '%s' /data/models ;;
        *) printf '%s' "$MODELS_DIR" ;;
    esac
}
if [[ -n "$NODES_FILE" ]]; then
    while read -r target address place interface adapter _; do
        if [[ -n "$target" && "$target" != \#* ]]; then
            add_node "$target" "$address" "$place" "$interface" "$adapter"
        fi
    done <"$NODES_FILE"
else
    for node in $NODES; do
        address=""
        if [[ "$node" == *=* ]]; then address="${node#*=}"; fi
        add_node "${node%%=*}" "$address" "" "" ""
    done
fi
if ((known != 2)); then
    echo "2 nodes are needed, $known are named: set NODES or NODES_FILE" >&2
    exit 2
fi

# $1 rank; the rest is a command, run there. Its input comes from here.
on_with_input() {
    local target="${targets[$1]}"
    shift
    if [[ "$target" == localhost ]]; then
        "$@"
    else
        ssh -o BatchMode=yes -o ConnectTimeout="$SSH_TIMEOUT" -o ServerAliveInterval=5 -o ServerAliveCountMax=3 \
            -- "$target" "bash -c $(printf '%q' "$(printf '%q ' "$@")")"
    fi
}
on() { on_with_input "$@" </dev/null; }

# Runs "$@ RANK" for the ranks in the array `ranks`, all at once; every line is marked with its node.
ranks=("${!targets[@]}")
each() {
    local rank failed=0
    local -a started=()
    for rank in "${ranks[@]}"; do
        {
            set -o pipefail
            "$@" "$rank" 2>&1 | while IFS= read -r line; do printf 'rank %s, %s: %s\n' "$rank" "${targets[$rank]}" "$line"; done
        } &
        started+=("$!")
    done
    for rank in "${started[@]}"; do wait "$rank" || failed=$?; done
    return "$failed"
}

reached() {
    if ! on "$1" true; then
        echo "cannot be reached: is it on, and does 'ssh ${targets[$1]}' work without a password (ssh-copy-id)?"
        return 3
    fi
}

# The address of a node on the fast network, asked for where it is not given.
find_addresses() {
    local rank
    for rank in "${!targets[@]}"; do
        if [[ -n "${addresses[$rank]}" ]]; then continue; fi
        if [[ "${interfaces[$rank]}" != none ]]; then
            addresses[rank]="$(on "$rank" ip -o -4 addr show dev "${interfaces[$rank]}" | awk '{ sub("/.*", "", $4); print $4; exit }')" || true
        fi
        if [[ -z "${addresses[$rank]}" ]]; then
            echo "rank $rank, ${targets[$rank]}: the interface ${interfaces[$rank]} has no address; say it in NODES, as ${targets[$rank]}=ADDRESS" >&2
            exit 3
        fi
    done
}

# -- check ----

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# What a node says of itself, a line each: $1 image, $2 folder of the models, $3 interface, $4 adapters, $5 ports with
# commas between them, $6 name of the container; then folders of models.
# shellcheck disable=SC2016 # it is a script for the node's own shell
facts='
image="$1" place="$2" interface="$3" adapters="$4" ports="$5" name="$6"
shift 6
echo "docker $(docker version --format "{{.Server.Version}}" 2>/dev/null)"
echo "image $(docker image inspect --format "{{.Id}}" "$image" 2>/dev/null)"
echo "running $(docker ps --all --quiet --filter "name=^/$name\$" 2>/dev/null)"
echo "driver $(cat /sys/module/nvidia/version 2>/dev/null)"
echo "memory $(awk "/^MemAvailable:/ { print int(\$2 / 1048576) }" /proc/meminfo)"
if [ "$interface" != none ]; then
    echo "link $(cat "/sys/class/net/$interface/operstate" 2>/dev/null || echo missing) $(cat "/sys/class/net/$interface/speed" 2>/dev/null)"
    echo "addresses $(ip -o -4 addr show dev "$interface" 2>/dev/null | awk "{ sub(\"/.*\", \"\", \$4); printf \"%s \", \$4 }")"
fi
if [ "$adapters" != none ]; then
    for adapter in ${adapters//,/ }; do
        if [ ! -e "/sys/class/infiniband/${adapter%%:*}" ]; then echo "noadapter ${adapter%%:*}"; fi
    done
fi
for port in ${ports//,/ }; do
    if ss -Hltn "sport = :$port" 2>/dev/null | grep -q .; then echo "taken $port"; fi
done
for folder in "$@"; do
    if [ -d "$place/$folder" ]; then
        sizes="$(cd "$place/$folder" && find -L . -type f -not -path "*/.cache/*" -printf "%P %s\n" | LC_ALL=C sort | sha256sum)"
        echo "model $folder ${sizes%% *}"
    else
        echo "model $folder -"
    fi
done
'

# Prints what is wrong with one node.
check_node() {
    local rank="$1" wrong=0 key value more folder
    reached "$rank" || return 3
    if ! on_with_input "$rank" bash -s -- "$image" "${places[$rank]}" "${interfaces[$rank]}" "${adapters[$rank]}" \
        "$PORT,${!meeting}" "$name" "${folders[@]}" <<<"$facts" >"$work/$rank"; then
        echo "does not answer as it should"
        return 3
    fi
    while read -r key value more; do
        case "$key" in
            docker) [[ -n "$value" ]] || { echo "Docker does not answer"; wrong=1; } ;;
            image) [[ -n "$value" ]] || { echo "has no image $image: bash scripts/cluster.sh copy"; wrong=1; } ;;
            running) [[ -z "$value" ]] || { echo "has a container $name already: bash scripts/cluster.sh down"; wrong=1; } ;;
            link)
                if [[ "$value" != up ]]; then
                    echo "the interface ${interfaces[$rank]} is $value: FABRIC_IFACE, or the file's fourth column"
                    wrong=1
                elif [[ "$more" =~ ^[0-9]+$ ]] && ((more < 100000)); then
                    echo "warning: ${interfaces[$rank]} runs at $more Mbit/s, half of 200 Gbit/s or more was expected"
                fi
                ;;
            addresses)
                if [[ -n "${addresses[$rank]}" && " $value $more " != *" ${addresses[$rank]} "* ]]; then
                    echo "${addresses[$rank]} is no address of ${interfaces[$rank]}, which has: $value $more"
                    wrong=1
                fi
                ;;
            noadapter) echo "has no RDMA adapter $value: FABRIC_HCA, or none for TCP"; wrong=1 ;;
            taken) echo "port $value is in use"; wrong=1 ;;
            model)
                folder="$value"
                [[ "$more" != - ]] || { echo "has no model in ${places[$rank]}/$folder: bash scripts/cluster.sh copy"; wrong=1; }
                ;;
        esac
    done <"$work/$rank"
    ((wrong == 0)) || return 1
    echo "answers; $(awk '$1 == "memory" { print $2 }' "$work/$rank") GiB of memory free"
}

# What must be the same everywhere is held against the first node.
same_everywhere() {
    local rank wrong=0 line
    for rank in "${!targets[@]}"; do
        while IFS= read -r line; do
            case "$line" in
                image\ ?*) echo "rank $rank, ${targets[$rank]}: another image than on ${targets[0]}: bash scripts/cluster.sh copy" ;;
                driver\ *) echo "rank $rank, ${targets[$rank]}: another driver than on ${targets[0]}: ${line#driver }" ;;
                model\ *\ -) continue ;;
                model\ *) echo "rank $rank, ${targets[$rank]}: other files than on ${targets[0]} in ${line#model }" ;;
                *) continue ;;
            esac >&2
            wrong=1
        done < <(grep -vxF -f "$work/0" "$work/$rank" | grep -E '^(image|driver|model) ')
    done
    return "$wrong"
}

check() {
    local failed=0
    each check_node || failed=$?
    ((failed == 0)) || return "$failed"
    find_addresses
    same_everywhere
}

# -- copy ----

copy_node() {
    local rank="$1" folder here there
    reached "$rank" || return 3
    here="$(docker image inspect --format '{{.Id}}' "$image")" || return 3
    there="$(on "$rank" docker image inspect --format '{{.Id}}' "$image" 2>/dev/null)" || true
    if [[ "$here" == "$there" ]]; then
        echo "has the image"
    else
        echo "gets the image"
        docker save "$image" | on_with_input "$rank" docker load || return 4
    fi
    for folder in "${folders[@]}"; do
        echo "gets what it lacks of $folder"
        on "$rank" mkdir -p "${places[$rank]}/$folder" || return 3
        rsync --archive --partial --rsh "ssh -o BatchMode=yes -o ConnectTimeout=$SSH_TIMEOUT" \
            "${places[0]}/$folder/" "${targets[$rank]}:${places[$rank]}/$folder/" || return 4
    done
    echo "has image and models"
}

# -- up, wait, status, logs, down ----

up_node() {
    local rank="$1" knob
    local NODE_RANK="$rank" MASTER_ADDR="${addresses[0]}" HOST_IP="${addresses[$rank]}"
    local FABRIC_IFACE="${interfaces[$rank]}" FABRIC_HCA="${adapters[$rank]}" MODELS_DIR="${places[$rank]}"
    local home
    home="$(on "$rank" printenv HOME)" || return 3
    local HOME="$home"
    local -a run=(
        docker run
        --detach
        --name vllm-cluster
        --gpus all
        --network host
        --ipc host
        --shm-size 16g
        --ulimit 'memlock=-1'
        --env 'HOST=127.0.0.1'
        --volume "${MODELS_DIR}":/models:ro
        --volume "${HOME}"/.cache/recipegen/compile/vllm-cluster:/root/.cache/vllm
        --env 'NODE_RANK='"${NODE_RANK}"
        --env 'MASTER_ADDR='"${MASTER_ADDR}"
        --env 'HOST_IP='"${HOST_IP}"
        --env 'FABRIC_IFACE='"${FABRIC_IFACE}"
        --env 'FABRIC_HCA='"${FABRIC_HCA}"
    )
    if [[ "$FABRIC_HCA" != none ]]; then run+=(--device /dev/infiniband); fi
    for knob in PORT "$meeting" MAX_MODEL_LEN MAX_NUM_SEQS; do
        if [[ -n "${!knob:-}" ]]; then run+=(--env "$knob=${!knob}"); fi
    done
    # shellcheck disable=SC2206 # several options in one variable, as a person types them
    run+=($DOCKER_ARGS "$image" bash /recipe/scripts/"$launch")
    if ! on "$rank" "${run[@]}"; then
        echo "the container did not start"
        return 4
    fi
}

free_node() {
    reached "$1" || return 3
    if state_of "$1" >/dev/null 2>&1; then
        echo "has a container $name already: bash scripts/cluster.sh down"
        return 1
    fi
}

up() {
    find_addresses
    each free_node
    # The first node last: until it is there the others wait for it, and it for them no longer than it must.
    ranks=(1)
    local failed=0
    each up_node || failed=$?
    ranks=(0)
    if ((failed == 0)); then each up_node || failed=$?; fi
    if ((failed != 0)); then
        echo "not every node started; all are taken down again" >&2
        ranks=("${!targets[@]}")
        each down_node || true
        return "$failed"
    fi
}

state_of() { on "$1" docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$name"; }

# 200 when the first node's server answers.
health() {
    on 0 curl --silent --noproxy '*' --max-time 5 --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$PORT$1" || true
}

# Leaves a note where a node's container has ended, or the node is gone.
watch_node() {
    local rank="$1" state
    if ! state="$(state_of "$rank" 2>/dev/null)"; then
        # Once is no proof: a busy node may be slow to answer.
        sleep 2
        state="$(state_of "$rank" 2>/dev/null)" || state="gone"
    fi
    if [[ "$state" != running* ]]; then printf '%s' "$state" >"$work/ended.$rank"; fi
}

wait_for_all() {
    local start=$SECONDS shown=0 rank
    while true; do
        if [[ "$(health /health)" == 200 && "$(health /v1/models)" == 200 ]]; then
            echo "ready after $((SECONDS - start)) s: all 2 ranks, http://127.0.0.1:$PORT on ${targets[0]}" >&2
            return 0
        fi
        each watch_node
        for rank in "${!targets[@]}"; do
            if [[ -e "$work/ended.$rank" ]]; then
                echo "rank $rank, ${targets[$rank]}, has ended after $((SECONDS - start)) s ($(<"$work/ended.$rank")); the end of its log:" >&2
                on "$rank" docker logs --tail 40 "$name" >&2 2>&1 || true
                echo "bash scripts/cluster.sh down takes the others down" >&2
                return 4
            fi
        done
        if ((SECONDS - start >= TIMEOUT)); then
            echo "no answer after $TIMEOUT s; the end of the first node's log:" >&2
            on 0 docker logs --tail 40 "$name" >&2 2>&1 || true
            return 4
        fi
        if ((SECONDS - start >= shown)); then
            echo "waiting for 2 ranks: $((SECONDS - start)) s" >&2
            shown=$((SECONDS - start + 10))
        fi
        sleep 2
    done
}

status_node() {
    local rank="$1" state
    reached "$rank" || return 3
    state="$(state_of "$rank" 2>/dev/null)" || state="no container"
    if ((rank == 0)) && [[ "$state" == running* ]]; then state="$state, /health says $(health /health)"; fi
    echo "$state"
    [[ "$state" == running* ]]
}

logs_node() { on "$1" docker logs --tail "${TAIL:-100}" "$name"; }

down_node() {
    if ! on "$1" docker version >/dev/null 2>&1; then
        echo "cannot be reached: if it comes back with its container, bash scripts/cluster.sh down again"
        return 3
    fi
    on "$1" docker rm --force "$name" >/dev/null 2>&1 || true
    echo "is down"
}

case "$action" in
    copy)
        if [[ "${targets[0]}" != localhost ]]; then
            echo "copy takes image and models from this machine: name it localhost, as the first node" >&2
            exit 2
        fi
        ranks=(1)
        each copy_node
        ;;
    check) check ;;
    up) up ;;
    wait) wait_for_all ;;
    status) each status_node ;;
    logs)
        if (($# > 0)); then
            if [[ ! "$1" =~ ^[0-9]{1,4}$ ]] || ((10#$1 >= 2)); then
                echo "there is no rank '$1': 0 to 1" >&2
                exit 2
            fi
            ranks=("$1")
        fi
        each logs_node
        ;;
    down) each down_node ;;
    *) usage ;;
esac
