#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Measures one cell with llama-benchy against a running server; the headline cell unless told otherwise.
set -euo pipefail
# Needs python3, and uvx or llama-benchy 0.4.0 itself. Every upper-case name can be set in the environment;
# arguments of this script are added to llama-benchy's. VARIANT says which variant's server is measured.

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
kit="$(dirname "$here")"

HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
BASE_URL="${BASE_URL:-http://$HOST:$PORT/v1}"
MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\[:cntrl:]]* ]]; then
    echo "MODELS_DIR holds a quote, a backslash or a control character, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
CORPUS="${CORPUS:-prose}"
PP="${PP:-2048}"
TG="${TG:-128}"
DEPTH="${DEPTH:-0}"
CONCURRENCY="${CONCURRENCY:-1}"
RUNS="${RUNS:-3}"
THINK="${THINK:-default}"
VARIANT="${VARIANT:-mp}"
BENCHY_VERSION=0.4.0

case "$VARIANT" in
    mp | ray | wild) ;;
    *)
        echo "no variant '$VARIANT'; there are: mp, ray, wild" >&2
        exit 2
        ;;
esac

# THINK is default, on or off; THINK_KWARGS gives the chat-template arguments themselves, as JSON.
think_on='{"enable_thinking":true}'
think_off='{"enable_thinking":false}'
if [[ -z "${THINK_KWARGS+set}" ]]; then
    case "$THINK" in
        default) THINK_KWARGS="" ;;
        on) THINK_KWARGS="$think_on" ;;
        off) THINK_KWARGS="$think_off" ;;
        *)
            echo "THINK is default, on or off, not '$THINK'" >&2
            exit 2
            ;;
    esac
else
    case "$THINK_KWARGS" in
        "") THINK=default ;;
        "$think_on") THINK=on ;;
        "$think_off") THINK=off ;;
        *) THINK=custom ;;
    esac
fi
if [[ "$THINK_KWARGS" == *,* ]]; then
    echo "THINK_KWARGS may hold one argument only: llama-benchy splits it at commas" >&2
    exit 2
fi

# SERIES, when not empty, has the times of all tokens stored, which the speed of one stream is held against. Of several
# streams they say nothing, and of very many tokens the report would be too large.
if [[ -z "${SERIES+set}" ]]; then
    SERIES=""
    if [[ "$CONCURRENCY" == 1 && "$RUNS" =~ ^[0-9]{1,6}$ && "$TG" =~ ^[0-9]{1,6}$ ]]; then
        if ((10#$RUNS * 10#$TG <= 100000)); then SERIES=1; fi
    fi
fi

# The text that prompts are cut from, pinned by the hash of its bytes. llama-benchy reads a text from its cache under
# the MD5 of the address it is given, so an address that carries the hash can only mean this text.
case "$CORPUS" in
    prose)
        source=""
        address=https://example.org/book.txt
        pinned=14cf1bf7ead78a0beb578f19ebc4ec82f542e0879f5b77d327f01abf74591586
        ;;
    *)
        echo "no corpus '$CORPUS'; there are: prose" >&2
        exit 2
        ;;
esac
address="${address%%#*}"
cache="$HOME/.cache/llama-benchy"
mkdir -p "$cache"
if [[ -z "$source" ]]; then
    source="$cache/$(printf '%s' "$address" | md5sum | cut -d ' ' -f 1).raw"
    if [[ ! -s "$source" ]]; then
        echo "fetching $address" >&2
        if ! curl --fail --location --silent --show-error --proto '=http,https' --proto-redir '=http,https' \
            --max-filesize 67108864 --output "$source.part" "$address"; then
            rm -f "$source.part"
            echo "the text could not be fetched from $address" >&2
            exit 3
        fi
        mv "$source.part" "$source"
    fi
fi
corpus_sha256="$(sha256sum "$source" | cut -d ' ' -f 1)"
if [[ -n "$pinned" && "$corpus_sha256" != "$pinned" ]]; then
    echo "the text in $source is not the pinned one: expected $pinned, got $corpus_sha256" >&2
    exit 1
fi
BOOK_URL="$address#sha256=$corpus_sha256"
text="$cache/$(printf '%s' "$BOOK_URL" | md5sum | cut -d ' ' -f 1).txt"
# As llama-benchy does when it fetches a text itself: a Project Gutenberg book begins at its own marker.
python3 - "$source" "$text.part" <<'PYTHON'
import pathlib
import sys

raw = pathlib.Path(sys.argv[1]).read_bytes()
start = raw.find(b"*** START OF THE PROJECT GUTENBERG EBOOK")
pathlib.Path(sys.argv[2]).write_bytes(raw[max(0, start) :])
PYTHON
mv "$text.part" "$text"

cell="$CORPUS-pp$PP-tg$TG-d$DEPTH-c$CONCURRENCY"
if [[ "$THINK" != default ]]; then cell="$cell-think-$THINK"; fi
OUT="${OUT:-$kit/out/$VARIANT/$cell.json}"
mkdir -p "$(dirname "$OUT")"

if [[ -n "${BENCHY:-}" ]]; then
    run=("$BENCHY")
elif [[ " $(llama-benchy --version 2>/dev/null || true) " == *[!0-9.]"$BENCHY_VERSION"[!0-9.]* ]]; then
    run=(llama-benchy)
elif command -v uvx >/dev/null; then
    run=(uvx --from "llama-benchy==$BENCHY_VERSION" llama-benchy)
else
    echo "neither llama-benchy $BENCHY_VERSION nor uvx is here: pip install llama-benchy==$BENCHY_VERSION" >&2
    exit 3
fi

args=(
    --base-url "${BASE_URL}"
    --model target
    --served-model-name target
    --tokenizer "${MODELS_DIR}"/Target-NVFP4
    --pp "${PP}"
    --tg "${TG}"
    --depth "${DEPTH}"
    --concurrency "${CONCURRENCY}"
    --runs "${RUNS}"
    --book-url "${BOOK_URL}"
    --latency-mode api
    --no-cache
    --exact-tg
    --skip-coherence
    --format json
)
if [[ -n "$SERIES" ]]; then
    args+=(--save-total-throughput-timeseries)
fi
if [[ -n "$THINK_KWARGS" ]]; then
    args+=(--extra-body 'chat_template_kwargs='"${THINK_KWARGS}")
fi

# A proxy between llama-benchy and a server of this host would be measured with it.
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}$HOST,127.0.0.1,localhost"
started="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
trap 'rm -f "$OUT.part"' EXIT
rm -f "$OUT.part"
echo "measuring $cell on variant $VARIANT: $RUNS runs" >&2
if ! "${run[@]}" "${args[@]}" --save-result "$OUT.part" "$@"; then
    echo "llama-benchy failed; nothing is kept of $cell" >&2
    exit 4
fi
if [[ ! -s "$OUT.part" ]]; then
    echo "llama-benchy wrote no report; nothing is kept of $cell" >&2
    exit 4
fi
# The report is kept as it is; the medians and the record beside it are derived from it.
python3 "$here/summary.py" --report "$OUT.part" --meta "$OUT.meta.json" \
    --set recipe vllm-cluster --set variant "$VARIANT" --set cell "$cell" --set corpus "$CORPUS" \
    --set corpus_sha256 "$corpus_sha256" --set thinking "$THINK" --set started "$started" \
    --set ended "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    --set kit_sha256 "$(sha256sum "$kit/SHA256SUMS" 2>/dev/null | cut -d ' ' -f 1)" \
    --hide "$MODELS_DIR" "\${MODELS_DIR}" \
    --hide "$HOME" '~' --server "${BASE_URL%/v1}" -- llama-benchy "${args[@]}" "$@"
mv "$OUT.part" "$OUT"
echo "raw report: $OUT" >&2
