#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Every cell of the recipe, one llama-benchy call each; a cell that fails does not stop the rest.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
failed=0
# Each cell has a file of its own, and its own thinking mode.
unset OUT THINK_KWARGS

# $1 corpus, $2 pp, $3 tg, $4 depth, $5 concurrency, $6 thinking
cell() {
    echo "== $1 pp$2 tg$3 depth $4 concurrency $5 thinking $6" >&2
    if ! CORPUS="$1" PP="$2" TG="$3" DEPTH="$4" CONCURRENCY="$5" THINK="$6" bash "$here/bench.sh"; then
        failed=$((failed + 1))
    fi
}

cell prose 2048 128 0 1 default

if ((failed > 0)); then
    echo "$failed of 1 cells failed" >&2
    exit 4
fi
