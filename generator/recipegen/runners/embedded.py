"""Stands in for the `llama-server` program: its flags, its log, its HTTP server, from the `xllamacpp` wheel.

Owns the meaning of the flags and the life of this process. Does not own the recipe's command line (engines),
nor starting and stopping this process (the local runner).

    python -m recipegen.runners.embedded -m model.gguf -c 8192 -np 1 --port 8080

A flag is here only where it means exactly what it means in llama-server (common/arg.cpp of llama.cpp); every
other one is refused, so that a recipe never measures another server than the one it describes. As in
llama-server, a value is the word after its flag, whatever it is, and of two equal flags the last one counts.

Exit codes: 0 ended by SIGTERM or Ctrl-C; 1 no model file, port taken, model not loadable (llama-server's own
code for them); 2 a flag that is not taken; 3 no xllamacpp.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.errors import EXIT_DONE, EXIT_ENVIRONMENT, EXIT_USAGE

EXIT_SERVER = 1
"""The server could not start; llama-server ends with the same code."""


class BadFlag(Exception):
    """A flag that is not taken, or a value that it cannot have; the message names it."""


@dataclass(frozen=True)
class Native:
    """A member of one of xllamacpp's enumerations, by name: reading flags does not need the wheel."""

    enumeration: str
    member: str


Read = Callable[[str], Any]
"""Word to value; ValueError when the word is none."""


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        names: its spellings.
        target: the attribute of `xllamacpp.CommonParams` that it sets, dotted.
        help: one line.
        read: how its value is read; None for a switch.
        value: what a switch sets.
    """

    names: tuple[str, ...]
    target: str
    help: str
    read: Read | None = None
    value: bool = True


def _one_of(enumeration: str, prefix: str, members: Mapping[str, str]) -> Read:
    def read(word: str) -> Native:
        return Native(enumeration, prefix + _choice(word, members))

    return read


def _named(*names: str) -> dict[str, str]:
    """llama.cpp's words for members of an enumeration that differ from them only in case and hyphens."""
    return {name: name.upper().replace("-", "_") for name in names}


def _choice(word: str, members: Mapping[str, Any]) -> Any:
    if word not in members:
        raise ValueError(f"not one of {', '.join(members)}")
    return members[word]


def _on_off(word: str) -> bool:
    return bool(_choice(word, {"on": True, "off": False}))


def _gpu_layers(word: str) -> int:
    return {"auto": -1, "all": -2}.get(word) or int(word)


def _slots(word: str) -> int:
    if int(word) == 0:
        raise ValueError("no slots serve nobody; -1 lets the server choose")
    return int(word)


def _port(word: str) -> int:
    if not 0 <= int(word) <= 65535:
        raise ValueError("not a port")
    return int(word)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _set(text: str) -> set[str]:
    return set(_list(text))


def _seed(word: str) -> int:
    return int(word) % 2**32  # -1, "random", is the largest unsigned number in llama.cpp


def _template_variables(text: str) -> dict[str, str]:
    """Variables of the chat template; llama.cpp keeps each value as JSON text."""
    variables = json.loads(text)
    if not isinstance(variables, dict):
        raise ValueError("not a JSON object")
    return {name: json.dumps(value) for name, value in variables.items()}


def _file_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(str(error)) from error


_FLASH = _one_of(
    "llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_", {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
)
_KV_TYPE = _one_of(
    "ggml_type",
    "GGML_TYPE_",
    _named("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"),
)
_LOAD_MODE = _one_of(
    "llama_load_mode",
    "LLAMA_LOAD_MODE_",
    _named("auto", "none", "mmap", "mlock") | {"mmap+mlock": "MMAP_MLOCK", "dio": "DIRECT_IO"},
)
_REASONING = _one_of(
    "common_reasoning_format",
    "COMMON_REASONING_FORMAT_",
    _named("none", "auto", "deepseek", "deepseek-legacy"),
)
_DRAFTING = _one_of(
    "common_speculative_type",
    "COMMON_SPECULATIVE_TYPE_",
    # Those that need no second model.
    _named("none", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"),
)


def _drafting(text: str) -> list[Native]:
    return [_DRAFTING(word) for word in text.split(",")]


FLAGS: tuple[Flag, ...] = (
    Flag(("-m", "--model"), "model.path", "model file (GGUF)", str),
    Flag(("-a", "--alias"), "model_alias", "names of the model in the API, with commas", _set),
    Flag(("--host",), "hostnames", "addresses to listen on, with commas", _list),
    Flag(("--port",), "port", "port to listen on; 0 takes a free one", _port),
    Flag(("--api-prefix",), "api_prefix", "prefix of every path", str),
    Flag(("--threads-http",), "n_threads_http", "threads for HTTP", int),
    Flag(("-c", "--ctx-size"), "n_ctx", "tokens of context, over all slots; 0: the model's own", int),
    Flag(("-np", "--parallel"), "n_parallel", "requests served at a time; -1: the server's choice", _slots),
    Flag(("-b", "--batch-size"), "n_batch", "logical batch, in tokens", int),
    Flag(("-ub", "--ubatch-size"), "n_ubatch", "physical batch, in tokens", int),
    Flag(("-t", "--threads"), "cpuparams.n_threads", "CPU threads of decode", int),
    Flag(("-tb", "--threads-batch"), "cpuparams_batch.n_threads", "CPU threads of prefill", int),
    Flag(("-fa", "--flash-attn"), "flash_attn_type", "flash attention: on, off, auto", _FLASH),
    Flag(("-ctk", "--cache-type-k"), "cache_type_k", "type of the K cache", _KV_TYPE),
    Flag(("-ctv", "--cache-type-v"), "cache_type_v", "type of the V cache", _KV_TYPE),
    Flag(("-ngl", "--gpu-layers", "--n-gpu-layers"), "n_gpu_layers", "GPU layers, auto or all", _gpu_layers),
    Flag(("-fit", "--fit"), "fit_params", "fit what is not set into free memory: on, off", _on_off),
    Flag(("-lm", "--load-mode"), "load_mode", "auto, none, mmap, mlock, mmap+mlock, dio", _LOAD_MODE),
    Flag(("-kvu", "--kv-unified"), "kv_unified", "one KV cache for all slots"),
    Flag(("-no-kvu", "--no-kv-unified"), "kv_unified", "a KV cache for each slot", value=False),
    Flag(("--swa-full",), "swa_full", "full-size cache for sliding-window attention"),
    Flag(("-ctxcp", "--ctx-checkpoints"), "n_ctx_checkpoints", "context checkpoints a slot", int),
    Flag(("-cram", "--cache-ram"), "cache_ram_mib", "prompt cache in MiB; 0: none, -1: no limit", int),
    Flag(("--cache-prompt",), "cache_prompt", "reuse the prompt's beginning"),
    Flag(("--no-cache-prompt",), "cache_prompt", "compute every prompt anew", value=False),
    Flag(("--cache-reuse",), "n_cache_reuse", "shortest chunk to reuse by shifting, in tokens", int),
    Flag(("--context-shift",), "ctx_shift", "shift a full context"),
    Flag(("--no-context-shift",), "ctx_shift", "end a full context", value=False),
    Flag(("-cb", "--cont-batching"), "cont_batching", "continuous batching"),
    Flag(("-nocb", "--no-cont-batching"), "cont_batching", "no continuous batching", value=False),
    Flag(("--warmup",), "warmup", "an empty run at the start"),
    Flag(("--no-warmup",), "warmup", "no empty run at the start", value=False),
    Flag(("--metrics",), "endpoint_metrics", "serve /metrics"),
    Flag(("--props",), "endpoint_props", "let POST /props change settings"),
    Flag(("--slots",), "endpoint_slots", "serve /slots"),
    Flag(("--no-slots",), "endpoint_slots", "do not serve /slots", value=False),
    Flag(("--jinja",), "use_jinja", "the model's own chat template"),
    Flag(("--no-jinja",), "use_jinja", "a built-in chat template", value=False),
    Flag(("--chat-template",), "chat_template", "chat template: its name or its text", str),
    Flag(("--chat-template-file",), "chat_template", "file with the chat template", _file_text),
    Flag(("--chat-template-kwargs",), "default_template_kwargs", "its variables, JSON", _template_variables),
    Flag(("--reasoning-format",), "reasoning_format", "where thinking is put", _REASONING),
    Flag(("--reasoning-budget",), "sampling.reasoning_budget_tokens", "tokens of thinking, -1: any", int),
    Flag(("-s", "--seed"), "sampling.seed", "seed of sampling; -1: random", _seed),
    Flag(("--temp", "--temperature"), "sampling.temp", "temperature", float),
    Flag(("--top-k",), "sampling.top_k", "top-k sampling", int),
    Flag(("--top-p",), "sampling.top_p", "top-p sampling", float),
    Flag(("--min-p",), "sampling.min_p", "min-p sampling", float),
    Flag(("-n", "--predict", "--n-predict"), "n_predict", "most tokens of an answer; -1: no limit", int),
    Flag(("--spec-type",), "speculative.types", "drafting without a model, with commas", _drafting),
    Flag(("--spec-ngram-simple-size-n",), "speculative.ngram_simple.size_n", "tokens looked up", int),
    Flag(("--spec-ngram-simple-size-m",), "speculative.ngram_simple.size_m", "tokens drafted", int),
    Flag(("--spec-ngram-simple-min-hits",), "speculative.ngram_simple.min_hits", "hits needed", int),
    Flag(("--spec-ngram-mod-n-match",), "speculative.ngram_mod.n_match", "tokens looked up", int),
    Flag(("--spec-ngram-mod-n-min",), "speculative.ngram_mod.n_min", "fewest tokens drafted", int),
    Flag(("--spec-ngram-mod-n-max",), "speculative.ngram_mod.n_max", "most tokens drafted", int),
    Flag(("-lv", "--verbosity", "--log-verbosity"), "verbosity", "how much the log says", int),
)
_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}

_DEFAULTS: dict[str, Any] = {"port": 8080, "n_parallel": -1}
"""llama-server's defaults where a bare CommonParams has others (port 0, one slot)."""


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Reads a command line.

    Args:
        words: llama-server's flags, without the program.

    Returns:
        Attributes of CommonParams (dotted) with their values.

    Raises:
        BadFlag: for an unknown flag, a missing value, or a value that the flag cannot have.
    """
    values = dict(_DEFAULTS)
    rest = iter(words)
    for word in rest:
        flag = _BY_NAME.get(word)
        if flag is None:
            raise BadFlag(f"{word!r} is not among the flags that this stand-in for llama-server takes")
        values[flag.target] = _value(flag.read, word, next(rest, None)) if flag.read else flag.value
    return values


def _value(read: Read, name: str, word: str | None) -> Any:
    if word is None:
        raise BadFlag(f"{name} needs a value")
    try:
        return read(word)
    except ValueError as error:
        raise BadFlag(f"{name}: {word!r}: {error}") from error


def apply(values: Mapping[str, Any], params: Any, xllamacpp: Any) -> None:
    """Puts settings into a CommonParams.

    Args:
        values: what `parse` gave.
        params: an `xllamacpp.CommonParams`, changed in place.
        xllamacpp: the module, for its enumerations.

    Raises:
        BadFlag: for a number that does not fit into its attribute.
    """
    for target, value in values.items():
        *path, name = target.split(".")
        owner = params
        for step in path:
            owner = getattr(owner, step)
        try:
            setattr(owner, name, _native(value, xllamacpp))
        except OverflowError as error:
            flag = next(flag for flag in FLAGS if flag.target == target)
            raise BadFlag(f"{flag.names[-1]}: {value}: {error}") from error


def _native(value: Any, xllamacpp: Any) -> Any:
    if isinstance(value, Native):
        return getattr(getattr(xllamacpp, value.enumeration), value.member)
    if isinstance(value, list):
        return [_native(item, xllamacpp) for item in value]
    return value


def main(words: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT; then this process ends on the spot with exit code 0.

    Args:
        words: llama-server's flags, or --version or --help.

    Returns:
        The exit code, when there was nothing to serve or the server could not start.
    """
    if {"-h", "--help"} & set(words):
        print(_help())
        return EXIT_DONE
    try:
        import xllamacpp
    except ImportError as error:
        _say(f"error: {error}; install it with: pip install 'recipegen[demo]'")
        return EXIT_ENVIRONMENT
    if "--version" in words:
        print(_version(xllamacpp))
        return EXIT_DONE
    params = xllamacpp.CommonParams()
    try:
        _refuse_environment(os.environ)
        apply(parse(words), params, xllamacpp)
    except BadFlag as error:
        _say(f"error: {error}")
        return EXIT_USAGE
    if not Path(params.model.path).is_file():
        _say(f"error: there is no model file {params.model.path!r} (-m)")
        return EXIT_SERVER
    return _serve(params, xllamacpp)


def _serve(params: Any, xllamacpp: Any) -> int:
    # The constructor holds the interpreter until the model is loaded, so that no handler could run meanwhile:
    # until then a signal simply kills the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        _say(f"error: the server did not start ({error}); the log above says why")
        return EXIT_SERVER
    _say(f"serving on {server.listening_address}")
    _say(f"ended by {_wait_for_signal()}")
    # Not by way of the server's destructor: it waits for a running request, up to 30 s.
    os._exit(EXIT_DONE)


def _wait_for_signal() -> str:
    """Sleeps until SIGTERM or SIGINT, whichever of the server's threads the kernel hands it to."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return signal.Signals(os.read(reader, 1)[0]).name


def _refuse_environment(names: Iterable[str]) -> None:
    """llama-server takes settings from LLAMA_ARG_* too; here they would be ignored without a word."""
    for name in sorted(names):
        if name.startswith("LLAMA_ARG_"):
            raise BadFlag(f"{name} is set, but only flags count here: unset it, or give the flag")


def _version(xllamacpp: Any) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in xllamacpp.BUILD_INFO.items())
    return f"xllamacpp {xllamacpp.__version__} ({facts})"


def _help() -> str:
    flags = (f"  {', '.join(flag.names):<40} {flag.help}" for flag in FLAGS)
    return "\n".join(["usage: python -m recipegen.runners.embedded [FLAG…]", *flags, "  --version"])


def _say(text: str) -> None:
    # One write: llama.cpp's own thread logs to the same stream, and would come between the text and its line end.
    sys.stderr.write(f"embedded: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
