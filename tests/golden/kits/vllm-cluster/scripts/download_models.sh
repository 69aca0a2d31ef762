#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Fetches the models of A target on two machines at their pinned revisions; what is there already is not fetched again.
set -euo pipefail
# Usage: bash scripts/download_models.sh [VARIANT...]   (mp by default)

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
target="$MODELS_DIR"

# Which models each variant opens.
declare -A wanted_by=(
    [mp]=model
    [ray]=model
)
if (($# == 0)); then
    set -- mp
fi
declare -A wanted=()
for variant in "$@"; do
    if [[ -z "$variant" || -z "${wanted_by[$variant]:-}" ]]; then
        echo "no variant '$variant'; there are: mp, ray" >&2
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
count model 126953125 "$MODELS_DIR"/Target-NVFP4
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
    fetch model owner/Target-NVFP4 0123456789abcdef0123456789abcdef01234567 '' --local-dir "$MODELS_DIR"/Target-NVFP4
fi
echo "models are in $target" >&2
