"""The main job on real vLLM in real Docker: first by recipegen, then by the kit alone. No stand-in anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recipegen.docker import LABEL_RECIPE
from recipegen.results.report import check_report
from recipegen.verify.whole import verify_bundle
from tests.support.scenario import free_port, only_run, recipegen, rows, succeed

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.engine]

RECIPE = "smoke-vllm-cpu"
CELLS = 4
"""Two texts, two shapes."""


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model is made here in a moment: no need to keep it."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def repository(new_repository: Callable[..., Path], vllm_wheels: Path, models_dir: Path) -> Path:
    """A repository with the recipe, its wheels beside the kit, its model made."""
    root = new_repository(RECIPE)
    wheels = root / "recipes" / RECIPE / "wheels"
    wheels.mkdir()
    for wheel in vllm_wheels.glob("*.whl"):
        try:
            os.link(wheel, wheels / wheel.name)
        except OSError:
            shutil.copy(wheel, wheels)
    succeed("download", RECIPE, "--models-dir", models_dir, "--root", root)
    return root


@pytest.fixture(scope="module")
def measured(repository: Path, base_image: str, models_dir: Path) -> subprocess.CompletedProcess[str]:
    """`recipegen bench`, from the wheels to the table."""
    return recipegen(
        "bench", RECIPE, "--base-image", base_image, "--network", "host", "--models-dir", models_dir,
        "--runs", "3", "--port", str(free_port()), "--root", repository, timeout=1500,
    )  # fmt: skip


def ours(client: DockerClient) -> list[Any]:
    return client.containers.list(all=True, filters={"label": f"{LABEL_RECIPE}={RECIPE}"})


def test_recipegen_builds_serves_measures_and_takes_down(
    measured: subprocess.CompletedProcess[str], repository: Path, docker_client: DockerClient
) -> None:
    print(measured.stderr[-3000:])
    assert measured.returncode == 0, measured.stderr[-4000:]
    assert ours(docker_client) == []
    folder, record = only_run(repository / "recipes" / RECIPE)
    assert record["status"] == "complete"
    assert [cell["status"] for cell in record["cells"]] == ["done"] * CELLS
    for cell in record["cells"]:
        raw = (folder / cell["file"]).read_bytes()
        assert hashlib.sha256(raw).hexdigest() == cell["sha256"]
        report = check_report(raw, folder / cell["file"])
        assert report.data["benchmarks"][0]["prompt_size"] == cell["pp"]
        # llama-benchy leaves out a request that the server dropped (the record says how many), and the decode
        # speed of an answer that came in one piece, as on a machine that is busy with something else.
        assert len(report.data["benchmarks"][0]["ttfr"]["values"]) + cell["failed_requests"] == 3
        assert 1 <= len(report.data["benchmarks"][0]["tg_throughput"]["values"]) <= 3
    assert (folder / "server.log").read_text().count("Application startup complete") == 1


def test_the_record_says_what_was_measured(
    measured: subprocess.CompletedProcess[str], repository: Path, docker_client: DockerClient
) -> None:
    assert measured.returncode == 0
    _, record = only_run(repository / "recipes" / RECIPE)
    resolved = json.loads(succeed("show", RECIPE, "--resolved", "--json", "--root", repository))
    manifest = (repository / "recipes" / RECIPE / "SHA256SUMS").read_bytes()
    assert record["recipe"]["spec_sha256"] == resolved["sha256"]
    assert record["recipe"]["kit_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert record["image"]["id"] == docker_client.images.get(RECIPE).id
    # The server itself says 0.32.0 at /version; the package's full version has a local part.
    assert record["engine"] == {"name": "vllm", "version": "0.32.0"}
    assert record["versions"]["llama_benchy"] == "0.4.0"
    assert record["runner"] == "docker"
    assert record["server"]["started_by_us"] is True
    assert record["server"]["argv"] == resolved["commands"]["ar"]
    assert record["host"]["kernel"]
    assert all(cell["corpus_sha256"] for cell in record["cells"])
    text = json.dumps(record)
    assert str(Path.home()) + "/" not in text
    assert os.uname().nodename not in text


def test_the_row_stands_in_the_table(measured: subprocess.CompletedProcess[str], repository: Path) -> None:
    assert measured.returncode == 0
    (row,) = rows(repository / "INDEX.md")
    print(row)
    assert RECIPE in row
    assert "n=2" in row
    assert recipegen("index", "--check", "--root", repository).returncode == 0


@pytest.fixture(scope="module")
def kit_server(
    measured: subprocess.CompletedProcess[str],
    repository: Path,
    docker_client: DockerClient,
    base_image: str,
    models_dir: Path,
) -> Iterator[tuple[Path, dict[str, str]]]:
    """The kit alone: docker build and docker run as its README says, recipegen not on PATH."""
    assert measured.returncode == 0
    kit = repository / "recipes" / RECIPE
    port = str(free_port())
    programs = kit.parent.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "llama-benchy").unlink(missing_ok=True)
    (programs / "llama-benchy").symlink_to(Path(sys.executable).parent / "llama-benchy")
    env = {
        "PATH": f"{programs}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(Path.home()),
        "PORT": port,
        "MODELS_DIR": str(models_dir),
        "RUNS": "3",
        "DOCKER_BUILDKIT": "1",
        **{key: os.environ[key] for key in ("DOCKER_HOST",) if key in os.environ},
    }
    assert shutil.which("recipegen", path=env["PATH"]) is None
    build = [
        "docker",
        "build",
        "--network",
        "host",
        "--build-arg",
        f"BASE_IMAGE={base_image}",
        "--tag",
        RECIPE,
        ".",
    ]
    run = ["docker", "run", "--detach", "--name", RECIPE, "--publish", f"127.0.0.1:{port}:8000", "--shm-size", "1g",
           "--env", "HOST=0.0.0.0", "--volume", f"{models_dir}:/models:ro", RECIPE]  # fmt: skip
    for command in (build, run):
        done = subprocess.run(command, cwd=kit, env=env, capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
    try:
        yield kit, env
    finally:
        docker_client.containers.get(RECIPE).remove(force=True, v=True)


def test_the_kit_alone_measures_the_same_shape(kit_server: tuple[Path, dict[str, str]], repository: Path) -> None:
    kit, env = kit_server
    for script in ("wait_for_server.sh", "bench.sh"):
        done = subprocess.run(
            ["bash", f"scripts/{script}"],
            cwd=kit,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        print(done.stdout, done.stderr[-2000:])
        assert done.returncode == 0, done.stdout + done.stderr
    assert "median of 2" in done.stdout
    (report,) = (kit / "out" / "ar").glob("*-c1.json")
    by_kit = check_report(report.read_bytes(), report).data["benchmarks"][0]
    folder, record = only_run(kit)
    by_driver = json.loads((folder / record["cells"][0]["file"]).read_text())["benchmarks"][0]
    shape = ("prompt_size", "response_size", "context_size", "concurrency")
    assert [by_kit[key] for key in shape] == [by_driver[key] for key in shape]
    assert {key for key, value in by_kit.items() if value} == {key for key, value in by_driver.items() if value}
    succeed("collect", RECIPE, "--root", repository)
    assert len(list(kit.glob("results/*/*/run.json"))) == 2
    assert recipegen("index", "--check", "--root", repository).returncode == 0


@pytest.fixture
def bench(
    measured: subprocess.CompletedProcess[str], repository: Path, models_dir: Path, base_image: str
) -> Callable[..., dict[str, Any]]:
    """`bench("--runs", "2")`: a further `recipegen bench`; its record. The layers of the image are there already."""
    assert measured.returncode == 0
    return partial(_bench, repository, models_dir, base_image)


def _bench(repository: Path, models_dir: Path, base_image: str, *more: str) -> dict[str, Any]:
    before = set((repository / "recipes" / RECIPE).glob("results/*/*/run.json"))
    done = recipegen(
        "bench", RECIPE, "--variant", "ar", "--models-dir", models_dir, "--port", str(free_port()),
        "--base-image", base_image, "--network", "host", "--root", repository, *more, timeout=1500,
    )  # fmt: skip
    print(done.stdout, done.stderr[-3000:])
    assert done.returncode == 0, done.stderr[-4000:]
    (record,) = set((repository / "recipes" / RECIPE).glob("results/*/*/run.json")) - before
    return {**json.loads(record.read_text()), "folder": record.parent}


def test_speculation_says_what_its_baseline_says(bench: Callable[..., dict[str, Any]], repository: Path) -> None:
    ngram = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
    # At temperature 0 the random model goes round in circles, which n-grams foresee; otherwise nothing is drafted.
    flags = {"speculative-config": ngram, "override-generation-config": {"temperature": 0}}
    changes = [word for key, value in flags.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    record = bench(*changes, "--cell", "prose-pp128", "--runs", "3")
    assert record["trial"]["flags"] == flags
    (greedy,) = (check for check in record["quality"]["checks"] if check["id"].endswith("greedy"))
    print(greedy)
    # Verified drafts are the model's own tokens; a rounding of two near ones may part a few outputs, and late.
    assert greedy["verdict"] in ("pass", "warn")
    (cell,) = record["cells"]
    derived = json.loads((record["folder"] / cell["metrics"]).read_text())["derived"]
    print(json.dumps(derived, indent=1))
    assert 1 < derived["acceptance_length"] <= 5
    shares = derived["acceptance_per_position"]
    assert len(shares) == 4 and all(0 <= later <= earlier <= 1 for earlier, later in pairwise(shares))
    lines = succeed("results", RECIPE, "--root", repository)
    assert f"{derived['acceptance_length']:.2f}" in lines
    compared = succeed("compare", f"{RECIPE}/ar", f"{RECIPE}/{record['variant']}", "--root", repository)
    assert "flag --speculative-config" in compared


def test_a_needle_is_asked_at_the_depths_that_are_measured(bench: Callable[..., dict[str, Any]]) -> None:
    record = bench("--profile", "needle", "--runs", "1", "--cell", "d1024")
    needles = [check for check in record["quality"]["checks"] if "needle-1024" in check["id"]]
    # Random weights find nothing, and the recipe says that they know nothing: told, and no reason to refuse the run.
    assert needles and {check["verdict"] for check in needles} == {"warn"}
    (cell,) = record["cells"]
    assert (cell["depth"], cell["status"]) == (1024, "done")


def test_a_bundle_is_made_twice_verified_and_measured_again(
    measured: subprocess.CompletedProcess[str], repository: Path, models_dir: Path, base_image: str, tmp_path: Path
) -> None:
    assert measured.returncode == 0
    how = ("--base-image", base_image, "--network", "host")
    # The bundle's kit has no wheels beside it; the image of this very kit is there already.
    succeed("build", RECIPE, *how, "--root", repository, timeout=1500)
    run = min(path.parent.name for path in (repository / "recipes" / RECIPE).glob("results/*/*/run.json"))
    first, second = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    for path in (first, second):
        # A model this small on a busy machine answers in bursts now and then: its figures may be in doubt.
        succeed("bundle", RECIPE, "--run", run, "--allow-doubtful", "-o", path, "--root", repository)
    assert first.read_bytes() == second.read_bytes()
    verified = recipegen("verify", first, "--json")
    assert verified.returncode == 0, verified.stdout
    done = recipegen(
        "reproduce", first, "--into", tmp_path / "mine", "--models-dir", models_dir, "--cell", "prose-pp2048",
        "--port", str(free_port()), *how,
    )  # fmt: skip
    print(done.stdout, done.stderr[-2000:])
    # Whether a busy machine gives the same figures again is no fault of this test; that there is a verdict is.
    assert done.returncode in (0, 1), done.stderr
    page = (tmp_path / "mine" / "recipes" / RECIPE / "REPRODUCED.md").read_text()
    assert json.loads(verified.stdout)["bundle"] in page
    assert page.count("| prose-pp2048-tg128-d0-c1 |") == 3
    assert verify_bundle(first).exit_code(strict=False) == 0


def test_nothing_of_ours_is_left(docker_client: DockerClient) -> None:
    assert ours(docker_client) == []
