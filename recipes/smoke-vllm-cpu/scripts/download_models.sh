#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Fetches the models of Tiny random Qwen3 on vLLM (CPU), smoke test at their pinned revisions; what is there already is not fetched again.
set -euo pipefail
# Usage: bash scripts/download_models.sh [VARIANT...]   (ar by default)

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\]* ]]; then
    echo "MODELS_DIR holds a quote or a backslash, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
PYTHON="${PYTHON:-python3}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="$MODELS_DIR"
# Which models each variant opens.
declare -A wanted_by=(
    [ar]=model
    [ngram]=model
)
if (($# == 0)); then
    set -- ar
fi
declare -A wanted=()
for variant in "$@"; do
    if [[ -z "${wanted_by[$variant]:-}" ]]; then
        echo "no variant '$variant'; there are: ${!wanted_by[*]}" >&2
        exit 2
    fi
    for key in ${wanted_by[$variant]}; do wanted[$key]=1; done
done

# Free space first: a half-filled disk helps nobody. $1: gigabytes (10^9 bytes) still to come.
need_space() {
    local need_kb=$(($1 * 1000000 / 1024)) free_kb
    mkdir -p "$target"
    free_kb="$(df --output=avail -k "$target" | tail -n 1)"
    if ((free_kb < need_kb)); then
        echo "not enough space in $target: $((need_kb / 1048576)) GiB needed, $((free_kb / 1048576)) GiB free" >&2
        echo "free some space, or set MODELS_DIR to another disk" >&2
        exit 3
    fi
}

need=0
need_space "$need"

if [[ -n "${wanted[model]:-}" ]]; then
    "$PYTHON" "$here/make_tiny_qwen3.py" --output "$MODELS_DIR"/tiny-qwen3
fi
echo "models are in $target" >&2
