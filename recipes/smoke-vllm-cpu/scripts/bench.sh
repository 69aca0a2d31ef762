#!/usr/bin/env bash
# Rendered by recipegen from recipe.yaml; edits here are lost. Change recipe.yaml, then `recipegen render`.
# Measures one cell with llama-benchy against a running server; the headline cell unless told otherwise.
set -euo pipefail
# Needs curl, python3 and uvx (or llama-benchy 0.4.0 itself). Every upper-case name can be set in the environment.

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
kit="$(dirname "$here")"

HOST="${HOST:-127.0.0.1}"
PORT="${PORT:-8000}"
BASE_URL="${BASE_URL:-http://$HOST:$PORT/v1}"
MODELS_DIR="${MODELS_DIR:-$HOME/models}"
if [[ "$MODELS_DIR" == *[\"\\]* ]]; then
    echo "MODELS_DIR holds a quote or a backslash, which cannot be passed on: $MODELS_DIR" >&2
    exit 2
fi
CORPUS="${CORPUS:-prose}"
PP="${PP:-2048}"
TG="${TG:-128}"
DEPTH="${DEPTH:-0}"
CONCURRENCY="${CONCURRENCY:-1}"
RUNS="${RUNS:-5}"
# THINK: default, on or off; THINK_KWARGS: the chat-template arguments as JSON, instead.
THINK="${THINK:-default}"
VARIANT="${VARIANT:-ar}"
BENCHY_VERSION=0.4.0

if [[ -z "${THINK_KWARGS+set}" ]]; then
    case "$THINK" in
        default) THINK_KWARGS="" ;;
        on) THINK_KWARGS='{"enable_thinking":true}' ;;
        off) THINK_KWARGS='{"enable_thinking":false}' ;;
        *)
            echo "THINK is default, on or off, not '$THINK'" >&2
            exit 2
            ;;
    esac
fi
if [[ "$THINK_KWARGS" == *,* ]]; then
    echo "THINK_KWARGS may hold one argument only: llama-benchy splits it at commas" >&2
    exit 2
fi

# The text that prompts are cut from, pinned by the hash of its bytes. llama-benchy reads a text from its cache under
# the MD5 of the address it is given, so an address that carries the hash can only mean this text.
case "$CORPUS" in
    prose)
        source="$kit/corpora/us-founding-texts.txt"
        address=recipegen-corpus:us-founding-texts
        pinned="$(sha256sum "$source" | cut -d ' ' -f 1)"
        ;;
    code)
        source="$kit/corpora/recipegen-source.txt"
        address=recipegen-corpus:recipegen-source
        pinned="$(sha256sum "$source" | cut -d ' ' -f 1)"
        ;;
    *)
        echo "no corpus '$CORPUS'; there are: prose, code" >&2
        exit 2
        ;;
esac
cache="$HOME/.cache/llama-benchy"
mkdir -p "$cache"
if [[ -z "$source" ]]; then
    source="$cache/$(printf '%s' "$address" | md5sum | cut -d ' ' -f 1).raw"
    if [[ ! -s "$source" ]]; then
        echo "fetching $address" >&2
        curl --fail --location --silent --show-error --proto '=http,https' --max-filesize 67108864 --output "$source.part" "$address"
        mv "$source.part" "$source"
    fi
fi
corpus_sha256="$(sha256sum "$source" | cut -d ' ' -f 1)"
if [[ -n "$pinned" && "$corpus_sha256" != "$pinned" ]]; then
    echo "the text at $address is not the pinned one: expected $pinned, got $corpus_sha256 ($source)" >&2
    exit 4
fi
BOOK_URL="$address#sha256=$corpus_sha256"
text="$cache/$(printf '%s' "$BOOK_URL" | md5sum | cut -d ' ' -f 1).txt"
if [[ ! -s "$text" ]]; then
    # As llama-benchy does when it fetches a text itself: a Project Gutenberg book begins at its own marker.
    if grep -q '\*\*\* START OF THE PROJECT GUTENBERG EBOOK' "$source"; then
        sed -n '/\*\*\* START OF THE PROJECT GUTENBERG EBOOK/,$p' "$source" >"$text.part"
    else
        cp "$source" "$text.part"
    fi
    mv "$text.part" "$text"
fi

cell="$CORPUS-pp$PP-tg$TG-d$DEPTH-c$CONCURRENCY"
if [[ "$THINK" != default ]]; then cell="$cell-think-$THINK"; fi
OUT="${OUT:-$kit/out/$VARIANT/$cell.json}"
mkdir -p "$(dirname "$OUT")"

if [[ -n "${BENCHY:-}" ]]; then
    run=("$BENCHY")
elif command -v llama-benchy >/dev/null && [[ "$(llama-benchy --version 2>/dev/null)" == *"$BENCHY_VERSION"* ]]; then
    run=(llama-benchy)
elif command -v uvx >/dev/null; then
    run=(uvx --from "llama-benchy==$BENCHY_VERSION" llama-benchy)
else
    echo "neither llama-benchy $BENCHY_VERSION nor uvx is here: pip install llama-benchy==$BENCHY_VERSION" >&2
    exit 3
fi

args=(
    --base-url "${BASE_URL}"
    --model tiny-qwen3
    --served-model-name tiny-qwen3
    --tokenizer "${MODELS_DIR}"/tiny-qwen3
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
if [[ -n "$THINK_KWARGS" ]]; then
    args+=(--extra-body chat_template_kwargs="${THINK_KWARGS}")
fi

started="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
rm -f "$OUT.part"
"${run[@]}" "${args[@]}" --save-result "$OUT.part" "$@"
if [[ ! -s "$OUT.part" ]]; then
    echo "llama-benchy wrote no report" >&2
    exit 4
fi
# The report is kept as it is; the medians and the record beside it are derived from it.
python3 "$here/summary.py" --report "$OUT.part" --meta "$OUT.meta.json" \
    --set recipe smoke-vllm-cpu --set variant "$VARIANT" --set cell "$cell" --set corpus "$CORPUS" \
    --set corpus_sha256 "$corpus_sha256" --set thinking "$THINK" --set started "$started" --set ended "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    --set kit_sha256 "$(sha256sum "$kit/SHA256SUMS" 2>/dev/null | cut -d ' ' -f 1)" --server "${BASE_URL%/v1}" \
--hide "$MODELS_DIR" "\${MODELS_DIR}" --hide "$HOME" '~' -- llama-benchy "${args[@]}" "$@"
mv "$OUT.part" "$OUT"
echo "raw report: $OUT" >&2
