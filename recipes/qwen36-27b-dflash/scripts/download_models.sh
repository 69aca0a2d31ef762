#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Fetches the models of Qwen3.6-27B NVFP4 with a DFlash drafter at their pinned revisions; what is there already is not fetched again.
set -euo pipefail
# Usage: bash scripts/download_models.sh [VARIANT...]   (dflash and ar by default)

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\]* ]]; then
    echo "MODELS_DIR holds a quote or a backslash, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
target="$MODELS_DIR"
# Which models each variant opens.
declare -A wanted_by=(
    [dflash]='model drafter'
    [ar]=model
    [fp8-ar]=fp8
    [fp8-dflash]='fp8 drafter'
)
if (($# == 0)); then
    set -- dflash ar
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

run_hf() {
    if command -v hf >/dev/null; then
        hf "$@"
    elif command -v uvx >/dev/null; then
        uvx --from huggingface_hub hf "$@"
    else
        echo "neither 'hf' nor 'uvx' is here: pip install huggingface_hub" >&2
        exit 3
    fi
}

# $1 key, $2 repository, $3 revision or empty, $4 folder, $5 gated or empty; then options for hf.
fetch() {
    local key="$1" repo="$2" revision="$3" folder="$4" gated="$5"
    shift 5
    echo "== $key: $repo${revision:+ at $revision}" >&2
    local options=("$@")
    if [[ -n "$revision" ]]; then options+=(--revision "$revision"); fi
    options+=(--local-dir "$MODELS_DIR/$folder")
    if ! run_hf download "$repo" "${options[@]}"; then
        echo "$repo was not fetched." >&2
        if [[ -n "$gated" ]]; then
            echo "It is gated: accept its terms at https://huggingface.co/$repo, then 'hf auth login' or HF_TOKEN." >&2
        fi
        exit 3
    fi
}

need=0
if [[ -n "${wanted[model]:-}" && ! -d "$MODELS_DIR/Qwen3.6-27B-NVFP4" ]]; then need=$((need + 20)); fi
if [[ -n "${wanted[drafter]:-}" && ! -d "$MODELS_DIR/Qwen3.6-27B-DFlash" ]]; then need=$((need + 4)); fi
need_space "$need"

if [[ -n "${wanted[model]:-}" ]]; then
    fetch model sakamakismile/Qwen3.6-27B-NVFP4 '' Qwen3.6-27B-NVFP4 ''
fi
if [[ -n "${wanted[drafter]:-}" ]]; then
    fetch drafter z-lab/Qwen3.6-27B-DFlash '' Qwen3.6-27B-DFlash ''
fi
if [[ -n "${wanted[fp8]:-}" ]]; then
    fetch fp8 Qwen/Qwen3.6-27B-FP8 '' Qwen3.6-27B-FP8 ''
fi
echo "models are in $target" >&2
