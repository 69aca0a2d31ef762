#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Fetches the models of Qwen3.6-35B-A3B NVFP4 with a DFlash drafter at their pinned revisions; what is there already is not fetched again.
set -euo pipefail
# Usage: bash scripts/download_models.sh [VARIANT...]   (dflash and ar by default)

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
target="$MODELS_DIR"

# Which models each variant opens.
declare -A wanted_by=(
    [dflash]='model drafter'
    [ar]=model
    [fp8-ar]=fp8
    [fp8-dflash]='fp8 drafter'
    [dflash-gmu050]='model drafter'
    [ar-fp8kv-flashinfer]=model
    [ar-fp8kv-triton]=model
    [ar-no-autotune]=model
)
if (($# == 0)); then
    set -- dflash ar
fi
declare -A wanted=()
for variant in "$@"; do
    if [[ -z "$variant" || -z "${wanted_by[$variant]:-}" ]]; then
        echo "no variant '$variant'; there are: dflash, ar, fp8-ar, fp8-dflash, dflash-gmu050, ar-fp8kv-flashinfer, ar-fp8kv-triton, ar-no-autotune" >&2
        exit 2
    fi
    for key in ${wanted_by[$variant]}; do wanted[$key]=1; done
done

# Free space first: a disk that fills up half-way helps nobody.
need_kib=0
# $1 key, $2 size in KiB, $3 where it comes to lie: what is there already (of an earlier, broken attempt) is not counted.
count() {
    local here_kib=0
    if [[ -z "${wanted[$1]:-}" ]]; then return; fi
    if [[ -e "$3" ]]; then here_kib="$(du -sk "$3" | cut -f 1)"; fi
    if (($2 > here_kib)); then need_kib=$((need_kib + $2 - here_kib)); fi
}
count model 21484375 "$MODELS_DIR"/Qwen3.6-35B-A3B-NVFP4
count drafter 1464844 "$MODELS_DIR"/Qwen3.6-35B-A3B-DFlash
if [[ -n "${wanted[fp8]:-}" ]]; then echo "the size of fp8 is not known: it is not counted" >&2; fi
mkdir -p "$target"
free_kib="$(df -Pk "$target" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)"
if ((free_kib < need_kib)); then
    echo "not enough space in $target: $((need_kib / 1048576 + 1)) GiB needed, $((free_kib / 1048576)) GiB free" >&2
    echo "free some space, or set MODELS_DIR to another disk" >&2
    exit 3
fi

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

# $1 key, $2 repository, $3 revision or empty, $4 "gated" or empty; then options for hf.
fetch() {
    local key="$1" repo="$2" revision="$3" gated="$4"
    shift 4
    echo "== $key: $repo${revision:+ at $revision}${gated:+ (gated: its terms must be accepted on the hub)}" >&2
    if [[ -z "$revision" ]]; then
        echo "no revision is pinned: this is what the hub has today" >&2
    else
        set -- --revision "$revision" "$@"
    fi
    if ! run_hf download "$repo" "$@"; then
        echo "$repo was not fetched; what came so far stays, and the next attempt goes on from there" >&2
        if [[ -n "$gated" ]]; then
            echo "accept its terms at https://huggingface.co/$repo, then 'hf auth login', or set HF_TOKEN" >&2
        fi
        exit 3
    fi
}

if [[ -n "${wanted[model]:-}" ]]; then
    fetch model RedHatAI/Qwen3.6-35B-A3B-NVFP4 e850c696e6d75f965367e816c16bc7dacd955ffa '' --local-dir "$MODELS_DIR"/Qwen3.6-35B-A3B-NVFP4
fi
if [[ -n "${wanted[drafter]:-}" ]]; then
    fetch drafter z-lab/Qwen3.6-35B-A3B-DFlash '' '' --local-dir "$MODELS_DIR"/Qwen3.6-35B-A3B-DFlash
fi
if [[ -n "${wanted[fp8]:-}" ]]; then
    fetch fp8 Qwen/Qwen3.6-35B-A3B-FP8 '' '' --local-dir "$MODELS_DIR"/Qwen3.6-35B-A3B-FP8
fi
echo "models are in $target" >&2
