#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# The headline shape on the text 'prose'; see bench.sh for every knob.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
CORPUS=prose exec bash "$here/bench.sh" "$@"
