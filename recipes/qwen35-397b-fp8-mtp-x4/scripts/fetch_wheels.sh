#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Fills wheels/ with what the image is built from. Wheels of your own that lie there already are looked at too.
set -euo pipefail
# Needs uv, which resolves for the image's Python, and a Python with pip, which downloads. Every upper-case name can be
# set in the environment.
#   PYTHON_VERSION   of the image's Python; this host's when empty
#   ARCH             of the image: x86_64 or aarch64
#   GLIBC            minor version of the image's glibc (2.36 is Debian 12)
#   TORCH_INDEX_URL  one more package index, for torch's build; empty: only what uv and pip are configured for

kit="$(dirname "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)")"
PYTHON="${PYTHON:-python3}"
PYTHON_VERSION="${PYTHON_VERSION:-}"
ARCH="${ARCH:-aarch64}"
GLIBC="${GLIBC:-36}"
torch_index_url=https://download.pytorch.org/whl/cu130
TORCH_INDEX_URL="${TORCH_INDEX_URL-$torch_index_url}"
wheels="$kit/wheels"

if command -v uv >/dev/null; then
    uv=(uv)
elif "$PYTHON" -m uv --version >/dev/null 2>&1; then
    uv=("$PYTHON" -m uv)
else
    echo "uv is not here: see https://docs.astral.sh/uv/, or $PYTHON -m pip install uv" >&2
    exit 3
fi
if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
    echo "$PYTHON has no pip: set PYTHON to one that has" >&2
    exit 3
fi
if [[ -z "$PYTHON_VERSION" ]]; then
    PYTHON_VERSION="$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
fi
mkdir -p "$wheels"

index=()
if [[ -n "$TORCH_INDEX_URL" ]]; then index=(--extra-index-url "$TORCH_INDEX_URL"); fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
printf '%s\n' 'vllm==0.22.1rc1.dev124+gace95c9cf.d20260603.cu132' 'flashinfer-python==0.6.12' 'flashinfer-jit-cache==0.6.12' 'flashinfer-cubin==0.6.12' uv >"$work/requirements.txt"
printf '%s\n' 'transformers>=5.0.0' 'torch==2.11.0' >"$work/overrides.txt"
echo "resolving for Python $PYTHON_VERSION on $ARCH" >&2
if ! "${uv[@]}" pip compile --quiet --no-header --no-annotate --index-strategy unsafe-best-match "${index[@]}" \
    --find-links "$wheels" --python-version "$PYTHON_VERSION" --python-platform "$ARCH-manylinux_2_$GLIBC" \
    --no-deps \
    --override "$work/overrides.txt" --output-file "$work/pins.txt" "$work/requirements.txt"; then
    echo "no set of wheels fits; the lines above say why (TORCH_INDEX_URL=$TORCH_INDEX_URL)" >&2
    exit 3
fi

# pip takes a platform word for word, so every glibc up to the image's is named.
options=(--no-deps --only-binary :all: --python-version "$PYTHON_VERSION" --implementation cp
    --abi "cp${PYTHON_VERSION/./}" --abi abi3 --abi none --platform "manylinux2014_$ARCH" --platform "linux_$ARCH")
for ((minor = GLIBC; minor >= 5; minor--)); do
    options+=(--platform "manylinux_2_${minor}_$ARCH")
done
echo "fetching $(grep -c == "$work/pins.txt") wheels; what is there already is not fetched again" >&2
if ! "$PYTHON" -m pip --quiet --disable-pip-version-check download "${options[@]}" "${index[@]}" --find-links "$wheels" \
    --dest "$wheels" --requirement "$work/pins.txt"; then
    echo "not every wheel was fetched; the next attempt goes on from here" >&2
    exit 3
fi
echo "$(find "$wheels" -name '*.whl' | wc -l) wheels are in $wheels" >&2
