#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Waits until the server answers; ends at once, with the end of its log, when it has died.
set -euo pipefail
# CONTAINER names the container to watch; SERVER_PID a process instead, with its log in SERVER_LOG.

HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
TIMEOUT="${TIMEOUT:-300}"
CONTAINER="${CONTAINER:-smoke-vllm-cpu}"
SERVER_PID="${SERVER_PID:-}"
SERVER_LOG="${SERVER_LOG:-}"
url="http://$HOST:$PORT/v1/models"

watching=""
if [[ -n "$SERVER_PID" ]]; then
    watching=process
elif command -v docker >/dev/null && docker inspect "$CONTAINER" >/dev/null 2>&1; then
    watching=container
fi

alive() {
    case "$watching" in
        process) kill -0 "$SERVER_PID" 2>/dev/null ;;
        container) [[ "$(docker inspect --format '{{.State.Running}}' "$CONTAINER" 2>/dev/null)" == true ]] ;;
        *) true ;;
    esac
}

log_tail() {
    case "$watching" in
        process) if [[ -n "$SERVER_LOG" ]]; then tail -n "$1" "$SERVER_LOG"; fi ;;
        container) docker logs --tail "$1" "$CONTAINER" 2>&1 ;;
    esac
}

answers() {
    if command -v curl >/dev/null; then
        curl --fail --silent --max-time 5 --output /dev/null "$url"
    else
        python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$url" >/dev/null 2>&1
    fi
}

start=$SECONDS
shown=0
until answers; do
    waited=$((SECONDS - start))
    if ! alive; then
        echo "the server has died after ${waited} s; the end of its log:" >&2
        log_tail 40 >&2
        exit 4
    fi
    if ((waited >= TIMEOUT)); then
        echo "no answer from $url after ${waited} s; the end of the log:" >&2
        log_tail 40 >&2
        exit 4
    fi
    if ((waited >= shown)); then
        echo "waiting for $url: ${waited} s  $(log_tail 1 | tr -d '\r' | cut -c 1-120)" >&2
        shown=$((waited + 10))
    fi
    sleep 1
done
echo "ready after $((SECONDS - start)) s: $url" >&2
