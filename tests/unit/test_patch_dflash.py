"""patches/dflash-layer-offset: applied to the code it is for, refused on every other."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import logging
import py_compile
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.specifiers import SpecifierSet

PATCH = Path(__file__).parents[2] / "patches" / "dflash-layer-offset"
SOURCES = Path(__file__).parents[1] / "data" / "vllm-sources"
TABLE = Path(__file__).parents[2] / "docs" / "dflash-layer-offset.md"
METHOD = "_get_eagle3_aux_layers_from_config"
RUNNER = Path("vllm/v1/worker/gpu_model_runner.py")
SENTINEL = "DFlash layer-tap off-by-one fix applied: aux_hidden_state_layers="

UNSHIFTED = 'layer_ids = dflash_config.get("target_layer_ids")'
SHIFTED = """\
layer_ids = [
                    i + 1 for i in (dflash_config.get("target_layer_ids") or [])
                ]"""

# The method as it stands in the wheels of vLLM 0.20.0 to 0.21.0, in a class that can be run without vLLM.
EXCERPT = '''\
import logging

logger = logging.getLogger(__name__)


class GPUModelRunner:
    def __init__(self, speculative_config):
        self.speculative_config = speculative_config

    def _get_eagle3_aux_layers_from_config(self) -> tuple[int, ...] | None:
        """Extract Eagle3 auxiliary layer indices from speculative config."""
        if not (self.speculative_config and self.speculative_config.draft_model_config):
            return None

        hf_config = self.speculative_config.draft_model_config.hf_config

        layer_ids = getattr(hf_config, "eagle_aux_hidden_state_layer_ids", None)
        if not layer_ids:
            dflash_config = getattr(hf_config, "dflash_config", None)
            if dflash_config and isinstance(dflash_config, dict):
                layer_ids = dflash_config.get("target_layer_ids")

        if layer_ids and isinstance(layer_ids, (list, tuple)):
            return tuple(layer_ids)

        return None

    def reload_weights(self):
        return None
'''

DRIVE = """\
import json, logging, sys
from types import SimpleNamespace
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
sys.path.insert(0, sys.argv[1])
from vllm.v1.worker.gpu_model_runner import GPUModelRunner
drafter = SimpleNamespace(hf_config=SimpleNamespace(**json.loads(sys.argv[2])))
runner = GPUModelRunner(SimpleNamespace(draft_model_config=drafter))
print(json.dumps(runner._get_eagle3_aux_layers_from_config()))
"""


def fake_vllm(folder: Path, source: str = EXCERPT, version: str = "0.20.1") -> Path:
    """A site-packages folder with as much of vLLM as the patch looks at."""
    runner = folder / RUNNER
    runner.parent.mkdir(parents=True)
    for package in (runner.parent, runner.parents[1], runner.parents[2]):
        (package / "__init__.py").touch()
    runner.write_text(source)
    metadata = folder / f"vllm-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.4\nName: vllm\nVersion: {version}\n")
    return folder


def apply(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run apply.py as a build does, on that site-packages folder; traces go to its sibling `traces`."""
    command = [sys.executable, str(PATCH / "apply.py"), "--site-packages", str(site)]
    command += ["--trace-dir", str(site.parent / "traces"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def trace(site: Path) -> Path:
    return site.parent / "traces" / "dflash-layer-offset"


def layers(site: Path, **hf_config: object) -> tuple[object, str]:
    """What the method in that folder answers for a drafter's config, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, str(site), json.dumps(hf_config)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return fake_vllm(tmp_path / "site-packages")


def test_ids_are_shifted_by_one_and_logged(site: Path) -> None:
    ids = {"target_layer_ids": [1, 10, 19, 28, 37]}
    assert layers(site, dflash_config=ids) == ([1, 10, 19, 28, 37], "")
    done = apply(site)
    assert (done.returncode, done.stderr) == (0, "")
    assert "applied (vLLM 0.20.1" in done.stdout
    answer, log = layers(site, dflash_config=ids)
    assert answer == [2, 11, 20, 29, 38]
    assert log == f"{SENTINEL}(2, 11, 20, 29, 38)\n"


@pytest.mark.parametrize(
    ("hf_config", "answer"),
    [
        ({"eagle_aux_hidden_state_layer_ids": [2, 5], "dflash_config": {"target_layer_ids": [1, 4]}}, [2, 5]),
        ({"dflash_config": {"mask_token_id": 7}}, None),
        ({"dflash_config": {"target_layer_ids": None}}, None),
        ({}, None),
    ],
)
def test_other_drafters_keep_their_layers(site: Path, hf_config: dict[str, object], answer: object) -> None:
    before = layers(site, **hf_config)[0]
    assert apply(site).returncode == 0
    assert before == answer
    assert layers(site, **hf_config)[0] == answer


def test_trace_holds_version_and_hashes(site: Path) -> None:
    before = hashlib.sha256((site / RUNNER).read_bytes()).hexdigest()
    apply(site)
    assert json.loads(trace(site).read_text()) == {
        "patch": "dflash-layer-offset",
        "status": "applied",
        "engine": "vllm",
        "version": "0.20.1",
        "file": "vllm/v1/worker/gpu_model_runner.py",
        "sha256_before": before,
        "sha256_after": hashlib.sha256((site / RUNNER).read_bytes()).hexdigest(),
    }


def test_only_the_statement_changes_and_nothing_else_is_left(site: Path) -> None:
    (site / RUNNER).chmod(0o640)
    apply(site)
    new = (site / RUNNER).read_text()
    head, tail = EXCERPT.split("                " + UNSHIFTED)
    assert new.startswith(head) and new.endswith(tail)
    assert (site / RUNNER).stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in (site / RUNNER).parent.iterdir()) == [
        "__init__.py",
        "__pycache__",
        "gpu_model_runner.py",
    ]


def test_applied_again_it_changes_nothing(site: Path) -> None:
    apply(site)
    once, traced = (site / RUNNER).read_bytes(), trace(site).read_bytes()
    done = apply(site)
    assert done.returncode == 0
    assert "already there in vLLM 0.20.1" in done.stdout
    assert (site / RUNNER).read_bytes() == once
    assert trace(site).read_bytes() == traced


def test_a_lost_trace_is_written_again_without_inventing_the_hash_before(site: Path) -> None:
    apply(site)
    trace(site).unlink()
    assert apply(site).returncode == 0
    record = json.loads(trace(site).read_text())
    assert record["status"] == "applied"
    assert record["sha256_before"] is None
    assert record["sha256_after"] == hashlib.sha256((site / RUNNER).read_bytes()).hexdigest()


def test_compiled_code_is_renewed(site: Path) -> None:
    # A .pyc that never looks at its source again would otherwise hide the change.
    py_compile.compile(
        str(site / RUNNER), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    apply(site)
    assert layers(site, dflash_config={"target_layer_ids": [1]})[0] == [2]


def refused(site: Path, *arguments: str) -> str:
    """Assert that the patch is refused and leaves no mark; its message."""
    before = (site / RUNNER).read_bytes()
    done = apply(site, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("patch dflash-layer-offset: not applied: ")
    assert done.stderr.count("\n") == 1
    assert (site / RUNNER).read_bytes() == before
    assert not trace(site).exists()
    return done.stderr


@pytest.mark.parametrize(
    "source",
    [
        EXCERPT.replace(UNSHIFTED, 'layer_ids = dflash_config["target_layer_ids"]'),
        EXCERPT.replace(UNSHIFTED, 'layer_ids = [i + 2 for i in dflash_config.get("target_layer_ids") or []]'),
        EXCERPT.replace(UNSHIFTED, f"{UNSHIFTED}\n                {UNSHIFTED}"),
        EXCERPT.replace("_get_eagle3_aux_layers_from_config", "_aux_layers"),
        EXCERPT.replace("logger = logging.getLogger(__name__)\n", ""),
        EXCERPT.replace("return None", "return ("),
    ],
    ids=["other access", "other shift", "twice", "function gone", "no logger", "syntax error"],
)
@pytest.mark.parametrize("arguments", [[], ["--if-needed"]], ids=["plain", "if-needed"])
def test_unknown_code_is_refused(tmp_path: Path, source: str, arguments: list[str]) -> None:
    assert source != EXCERPT
    refused(fake_vllm(tmp_path / "site-packages", source), *arguments)


def test_vllm_without_dflash_is_refused(tmp_path: Path) -> None:
    source = EXCERPT.replace(UNSHIFTED, "pass")
    assert "no DFlash here" in refused(fake_vllm(tmp_path / "site-packages", source))


@pytest.mark.parametrize("version", ["0.19.1", "0.22.0", "0.22.0rc1.dev3+gabc", "0.32.0", "0.1.dev1+gabc", "1.0"])
def test_version_out_of_range_is_refused_by_name(tmp_path: Path, version: str) -> None:
    site = fake_vllm(tmp_path / "site-packages", version=version)
    message = refused(site)
    assert f"vLLM {version} is outside this patch's range >=0.19.2.dev0,<0.22" in message
    assert "drop the patch" in message
    assert "does not add the 1" in refused(site, "--if-needed")


def test_fixed_version_out_of_range(tmp_path: Path) -> None:
    site = fake_vllm(tmp_path / "site-packages", EXCERPT.replace(UNSHIFTED, SHIFTED), "0.32.0")
    assert "vLLM 0.32.0" in refused(site)

    before = (site / RUNNER).read_bytes()
    done = apply(site, "--if-needed")
    assert done.returncode == 0
    assert "not needed: already fixed upstream (vLLM 0.32.0" in done.stdout
    assert (site / RUNNER).read_bytes() == before
    assert layers(site, dflash_config={"target_layer_ids": [1, 16]}) == ([2, 17], "")
    record = json.loads(trace(site).read_text())
    assert record["status"] == "not needed: already fixed upstream"
    assert record["sha256_before"] == record["sha256_after"] == hashlib.sha256(before).hexdigest()


def test_fixed_development_build_within_the_range(tmp_path: Path) -> None:
    site = fake_vllm(tmp_path / "site-packages", EXCERPT.replace(UNSHIFTED, SHIFTED), "0.21.1rc1.dev400+gabc")
    done = apply(site)
    assert done.returncode == 0
    assert "not needed: already fixed upstream" in done.stdout
    assert layers(site, dflash_config={"target_layer_ids": [1, 16]})[0] == [2, 17]


def test_development_build_of_the_public_recipe_is_taken(tmp_path: Path) -> None:
    site = fake_vllm(tmp_path / "site-packages", version="0.19.2rc1.dev213+g9558f4390.d20260426")
    assert apply(site).returncode == 0
    assert layers(site, dflash_config={"target_layer_ids": [1, 16]})[0] == [2, 17]


def test_no_vllm_and_unclear_version(site: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = apply(tmp_path / "empty")
    assert done.returncode == 1
    assert "no package vllm" in done.stderr

    other = site / "vllm-0.21.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.4\nName: vllm\nVersion: 0.21.0\n")
    assert "metadata gives ['0.20.1', '0.21.0']" in refused(site)


def test_meta_and_script_agree() -> None:
    meta = yaml.safe_load((PATCH / "meta.yaml").read_text())
    assert meta["id"] == PATCH.name
    assert meta["licence"] == "Apache-2.0"
    script: dict[str, object] = {"__name__": "apply"}
    exec(compile((PATCH / "apply.py").read_text(), "apply.py", "exec"), script)
    assert meta["versions"] == script["VERSIONS"]
    assert meta["sentinel"]["text"] == script["SENTINEL"]
    assert meta["sentinel"]["file"] == f"vllm/{script['FILE']}"
    assert meta["upstream"]["fix"] == script["UPSTREAM"]

    specifiers = SpecifierSet(meta["versions"])
    in_range = script["in_range"]
    assert callable(in_range)
    below = "0.19.0 0.19.1"
    inside = "0.19.2rc1.dev213+g9558f4390.d20260426 0.19.2 0.20.0rc1 0.20.0 0.20.2 0.21.0+cu130 0.21.1rc1.dev5"
    above = "0.22.0rc1.dev1 0.22.0 0.22.1 0.32.0+cpu 1.0"
    for version in f"{below} {inside} {above}".split():
        assert in_range(version) == specifiers.contains(version, prereleases=True), version
        assert in_range(version) == (version in inside.split()), version


# Of each release: the release, whether the patch is for it, and what it answers for the ids 1 and 16 by itself.
REAL = [("0.19.1", False, None), ("0.21.0", True, [1, 16]), ("0.22.0", False, [2, 17]), ("0.32.0", False, [2, 17])]


def real_vllm(folder: Path, version: str) -> Path:
    """A site-packages folder with the model runner of a released vLLM (tests/data/vllm-sources)."""
    origin = json.loads((SOURCES / "origin.json").read_text())[version]
    data = gzip.decompress((SOURCES / f"gpu_model_runner-{version}.py.gz").read_bytes())
    assert hashlib.sha256(data).hexdigest() == origin["sha256"]
    assert origin["file"] == str(RUNNER)
    site = fake_vllm(folder, version=version)
    (site / RUNNER).write_bytes(data)
    return site


def real_answer(site: Path, **hf_config: object) -> object:
    """What the method as it stands in that folder answers; the rest of the module needs torch and is left out."""
    module = ast.parse((site / RUNNER).read_text())
    (method,) = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == METHOD]
    names: dict[str, object] = {"logger": logging.getLogger("vllm")}
    exec(compile(ast.Module([method], []), "gpu_model_runner.py", "exec"), names)
    drafter = SimpleNamespace(hf_config=SimpleNamespace(**hf_config), hf_text_config=SimpleNamespace(**hf_config))
    call = names[METHOD]
    assert callable(call)
    answer = call(SimpleNamespace(speculative_config=SimpleNamespace(draft_model_config=drafter)))
    return None if answer is None else list(answer)


@pytest.mark.parametrize(("version", "needed", "answer"), REAL, ids=[version for version, *_ in REAL])
def test_real_release(tmp_path: Path, version: str, needed: bool, answer: object) -> None:
    """Applied to the sources of a release that needs it, refused by name on the others."""
    site = real_vllm(tmp_path / "site-packages", version)
    ids = {"target_layer_ids": [1, 16]}
    assert real_answer(site, dflash_config=ids) == answer
    if not needed:
        assert f"vLLM {version} is outside this patch's range" in refused(site)
        if answer:
            assert "not needed: already fixed upstream" in apply(site, "--if-needed").stdout
        return
    before = (site / RUNNER).read_text()
    done = apply(site)
    assert (done.returncode, done.stderr) == (0, "")
    after = (site / RUNNER).read_text()
    assert real_answer(site, dflash_config=ids) == [2, 17]
    assert real_answer(site, eagle_aux_hidden_state_layer_ids=[2, 5], dflash_config=ids) == [2, 5]
    assert after.count(SENTINEL) == 1
    head, tail = before.split("                " + UNSHIFTED)
    assert after.startswith(head) and after.endswith(tail)
    assert "already there" in apply(site).stdout
    assert (site / RUNNER).read_text() == after


def test_the_table_of_releases_and_the_script_agree() -> None:
    script: dict[str, object] = {"__name__": "apply"}
    exec(compile((PATCH / "apply.py").read_text(), "apply.py", "exec"), script)
    in_range = script["in_range"]
    assert callable(in_range)
    rows = re.findall(r"^\| ([0-9.]+) \| `[0-9a-f]{12}` \| (yes|no) \| ([^|]+) \| ([^|]+) \|$", TABLE.read_text(), re.M)
    assert {"0.19.0", "0.20.2", "0.21.0", "0.22.0", "0.32.0"} <= {version for version, *_ in rows}
    for version, dflash, ids, patch in rows:
        assert in_range(version) == (ids == "as they are") == (patch == "**needed**"), version
        assert (dflash == "no") == (ids == "–"), version
