#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Waits until the server answers; ends at once, with the end of its log, when it has died.
set -euo pipefail
# CONTAINER names the container to watch; SERVER_PID a process instead, with its log in SERVER_LOG. Ends with 4 when the
# server has died, or has not answered after TIMEOUT seconds.

HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
TIMEOUT="${TIMEOUT:-900}"
CONTAINER="${CONTAINER:-vllm-cluster}"
SERVER_PID="${SERVER_PID:-}"
SERVER_LOG="${SERVER_LOG:-}"
server="http://$HOST:$PORT"

watching=""
if [[ -n "$SERVER_PID" ]]; then
    watching=process
elif command -v docker >/dev/null && docker inspect "$CONTAINER" >/dev/null 2>&1; then
    watching=container
else
    echo "no container $CONTAINER here, and no SERVER_PID: only $server is watched" >&2
fi

alive() {
    case "$watching" in
        # A process that nobody has waited for yet is still in the table, as a zombie.
        process) kill -0 "$SERVER_PID" 2>/dev/null && [[ "$(ps -o state= -p "$SERVER_PID" 2>/dev/null)" != Z* ]] ;;
        container) [[ "$(docker inspect --format '{{.State.Running}}' "$CONTAINER" 2>/dev/null)" == true ]] ;;
        *) true ;;
    esac
}

exit_code() {
    if [[ "$watching" == container ]]; then
        docker inspect --format ' (exit code {{.State.ExitCode}})' "$CONTAINER" 2>/dev/null || true
    fi
}

log_tail() {
    case "$watching" in
        process) if [[ -r "$SERVER_LOG" ]]; then tail -n "$1" "$SERVER_LOG"; fi ;;
        container) docker logs --tail "$1" "$CONTAINER" 2>&1 || true ;;
    esac
}

# $1 path: prints the status code of the answer, 000 when there is none.
status() {
    if command -v curl >/dev/null; then
        curl --silent --noproxy '*' --max-time 5 --output /dev/null --write-out '%{http_code}' "$server$1" || true
    else
        python3 - "$server$1" <<'PYTHON'
import sys
import urllib.error
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(sys.argv[1], timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print("000")
PYTHON
    fi
}

# The models are listed, and loaded: llama.cpp lists models that it still loads. A server without /health is believed.
answers() {
    [[ "$(status /v1/models)" == 200 ]] && [[ "$(status /health)" == @(200|404) ]]
}

start=$SECONDS
shown=0
until answers; do
    waited=$((SECONDS - start))
    if ! alive; then
        echo "the server has died after ${waited} s$(exit_code); the end of its log:" >&2
        log_tail 40 >&2
        exit 4
    fi
    if ((waited >= TIMEOUT)); then
        echo "no answer from $server/v1/models after ${waited} s; the end of the log:" >&2
        log_tail 40 >&2
        exit 4
    fi
    if ((waited >= shown)); then
        echo "waiting for $server: ${waited} s  $(log_tail 1 | tr -d '[:cntrl:]' | cut -c 1-120)" >&2
        shown=$((waited + 10))
    fi
    sleep 1
done
echo "ready after $((SECONDS - start)) s: $server" >&2
