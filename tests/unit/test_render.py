"""Rendering in memory: which files a kit has, strict templates, a repository's own before ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from recipegen.engines.container import container, docker_run
from recipegen.errors import RecipegenError
from recipegen.images import LABEL_BASE, LABEL_KIT, is_current
from recipegen.quoting import put_in
from recipegen.render import context
from recipegen.render.kit import MANIFEST, kit_sha256, render_kit
from recipegen.render.patches import find_patches
from recipegen.render.templates import Templates
from recipegen.workspace import own_files
from tests.support.kits import SHIPPED_NAMES, SMALL_NAMES, kit_of, shipped, small, spec_of, workspace

ALL = [*SHIPPED_NAMES, *SMALL_NAMES]


def spec(name: str) -> Any:
    return small(name) if name in SMALL_NAMES else shipped(name)


def text(name: str, path: str) -> str:
    return kit_of(spec(name))[path].data.decode()


def test_a_kit_has_the_files_of_the_recipe_folder() -> None:
    assert set(kit_of(small("vllm-prebuilt"))) == {
        "Dockerfile", ".dockerignore", "compose.yaml", "README.md", MANIFEST,
        "scripts/launch_server.sh", "scripts/launch_server_ar.sh", "scripts/wait_for_server.sh",
        "scripts/download_models.sh", "scripts/bench.sh", "scripts/bench-prose.sh", "scripts/bench-code.sh",
        "scripts/bench-all.sh", "scripts/summary.py", "scripts/verify_image.py",
        "patches/dflash-layer-offset/apply.py", "patches/dflash-layer-offset/meta.yaml",
    }  # fmt: skip
    more = {"scripts/fetch_wheels.sh", "scripts/make_tiny_qwen3.py", "corpora/us-founding-texts.txt"}
    assert more <= set(kit_of(shipped("smoke-vllm-cpu")))
    assert "scripts/stage_pypi_model.py" in kit_of(small("llamacpp-prebuilt"))


@pytest.mark.parametrize("name", ALL)
def test_rendered_files_say_so_and_scripts_can_be_run(name: str) -> None:
    for path, file in kit_of(spec(name)).items():
        if path.startswith("files/"):
            continue
        assert (file.mode == 0o755) == path.startswith("scripts/"), path
        if (path.endswith((".sh", ".yaml")) and not path.startswith("patches/")) or path == "Dockerfile":
            assert "Rendered by recipegen" in "".join(file.data.decode().splitlines(keepends=True)[:2]), path


@pytest.mark.parametrize("name", ALL)
def test_rendering_twice_gives_the_same_bytes(name: str) -> None:
    again = kit_of(spec(name))
    assert again == kit_of(spec(name))


def test_no_path_of_this_machine_stands_in_a_kit() -> None:
    for name in ALL:
        for path, file in kit_of(spec(name)).items():
            assert os.fsencode(workspace().repository.root) not in file.data, path


# -- templates ----


def own(folder: Path, name: str, body: str) -> Templates:
    file = folder / "templates" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(body)
    return Templates(folder / "templates")


def test_a_repositorys_own_template_stands_before_ours(tmp_path: Path) -> None:
    one = small("llamacpp-source")
    templates = own(tmp_path, "kit/compose.yaml.j2", "mine: {{ spec.name | yaml }}\n")
    kit = render_kit(one, templates, {})
    assert kit["compose.yaml"].data == b'mine: "llamacpp-source"\n'
    assert kit["Dockerfile"] == kit_of(one)["Dockerfile"]
    kit = render_kit(one, own(tmp_path, "kit/scripts/summary.py", "print('mine')\n"), {})
    assert kit["scripts/summary.py"].data == b"print('mine')\n"
    header = own(tmp_path, "kit/_header.j2", "{% macro header() %}# Ours.{% endmacro %}")
    assert render_kit(one, header, {})["Dockerfile"].data.startswith(b"# Ours.\n")


@pytest.mark.parametrize(
    ("body", "says", "line"),
    [
        ("one\ntwo {{ spec.no_such_thing }}\n", "no_such_thing", 2),
        ("{{ nothing }}", "'nothing' is undefined", 1),
        ("one\n{% if %}\n", "Expected", 2),
        ("{{ spec.name | no_filter }}", "no_filter", 1),
        ('{% include "kit/none.j2" %}', "kit/none.j2", 1),
    ],
    ids=["attribute", "name", "syntax", "filter", "include"],
)
def test_a_template_that_does_not_work_is_named_with_its_line(body: str, says: str, line: int, tmp_path: Path) -> None:
    templates = own(tmp_path, "kit/dockerignore.j2", body)
    with pytest.raises(RecipegenError, match=r"kit/dockerignore\.j2") as failed:
        render_kit(small("llamacpp-source"), templates, {})
    assert says in failed.value.message
    assert failed.value.where is not None
    assert (failed.value.where.file.name, failed.value.where.line) == ("dockerignore.j2", line)


def test_a_template_that_is_not_text_is_refused(tmp_path: Path) -> None:
    templates = own(tmp_path, "kit/dockerignore.j2", "")
    (tmp_path / "templates/kit/dockerignore.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipegenError, match="not UTF-8"):
        render_kit(small("llamacpp-source"), templates, {})


def test_values_are_not_rendered_again(tmp_path: Path) -> None:
    templates = own(tmp_path, "x.j2", "{{ value }}")
    assert templates.render("x.j2", value="{{ 7 * 7 }}") == "{{ 7 * 7 }}"


# -- patches ----

META = "id: p\ntitle: t\nwhy: w\nlicence: l\nengine: vllm\nversions: '1'\nsentinel: {}\n"


def patch(folder: Path, meta: str = META, name: str = "p") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "meta.yaml").write_text(meta)
    (folder / name / "apply.py").write_text("pass\n")
    return folder / name


def test_a_patch_is_all_its_plain_files(tmp_path: Path) -> None:
    folder = patch(tmp_path / "patches", META + "upstream: {fix: 'https://e.org/1', in: 0.2}\n".replace("0.2", "'0.2'"))
    (folder / "sub").mkdir()
    (folder / "sub" / "a.patch").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "apply.pyc").write_text("x")
    (folder / ".apply.py.swp").write_text("x")
    (folder / "odd $(name)").write_text("x")
    found = find_patches(tmp_path / "patches")["p"]
    assert set(found.files) == {"apply.py", "meta.yaml", "sub/a.patch"}
    assert found.upstream is not None
    assert found.upstream.release == "0.2"


@pytest.mark.parametrize(
    "meta",
    [
        "id: q\n" + META.partition("\n")[2],
        META + "more: 1\n",
        META + "upstream: {fix: 'javascript:x'}\n",
        "[]",
        "",
        "{",
    ],
    ids=["another id", "unknown key", "no web address", "a list", "empty", "not YAML"],
)
def test_a_wrong_patch_is_refused_with_its_file(meta: str, tmp_path: Path) -> None:
    patch(tmp_path / "patches", meta)
    with pytest.raises(RecipegenError) as refused:
        find_patches(tmp_path / "patches")
    assert refused.value.where is not None
    assert refused.value.where.file.name == "meta.yaml"


def test_a_link_in_a_patch_is_refused(tmp_path: Path) -> None:
    (patch(tmp_path / "patches") / "more.txt").symlink_to("/etc/hostname")
    with pytest.raises(RecipegenError, match="is a link"):
        find_patches(tmp_path / "patches")


# -- what the files say ----


def test_architectures_in_each_tools_own_grammar() -> None:
    one = small("vllm-prebuilt")
    env = context.image_env(one)
    assert env["TORCH_CUDA_ARCH_LIST"] == "12.0+PTX;12.1a"
    assert env["FLASHINFER_CUDA_ARCH_LIST"] == "12.0 12.1a"
    assert context.cuda_architectures(one) == "120;121a-real"
    assert context.image_env(small("llamacpp-source")) == {}
    assert "-DCMAKE_CUDA_ARCHITECTURES=121a-real" in text("llamacpp-source", "Dockerfile")


def test_every_vllm_image_gets_transformers_5_and_checks_it() -> None:
    for name in ("vllm-prebuilt", "vllm-wheels", "vllm-source"):
        dockerfile = text(name, "Dockerfile")
        assert re.search(r"uv pip install .*(\n.*)?'transformers>=5\.0\.0'", dockerfile), name
        assert "verify_image.py --program vllm --require 'transformers>=5.0.0' --torch" in dockerfile
        assert "ARG ALLOW_CPU_TORCH=0" in dockerfile
        assert dockerfile.rstrip().splitlines()[-1] == "COPY scripts /recipe/scripts"
    assert "ARG ALLOW_CPU_TORCH=1" in text("smoke-vllm-cpu", "Dockerfile")


def test_the_override_file_is_there_only_when_something_is_overridden() -> None:
    assert "overrides.txt" not in text("llamacpp-wheels", "Dockerfile")
    assert context.overrides(small("vllm-source")) == [
        "transformers>=5.0.0", "torch==2.11.0", "flashinfer-python==0.6.8", "flashinfer-cubin==0.6.8",
    ]  # fmt: skip
    assert "torchvision ; sys_platform == 'never'" in context.overrides(shipped("smoke-vllm-cpu"))


def test_uv_waits_long_in_both_stages_of_a_source_build() -> None:
    assert text("vllm-source", "Dockerfile").count("UV_HTTP_TIMEOUT=500") == 2


@pytest.mark.parametrize("mode", ["prebuilt", "wheels"])
def test_what_a_base_image_sets_is_emptied_after_the_last_step_of_the_build(mode: str, tmp_path: Path) -> None:
    image = {"mode": mode, "base": "x:1", "env": {"IN_BUILD": "1"}} | ({"wheels": ["vllm"]} if mode == "wheels" else {})
    one = spec_of({
        "schema": "recipegen/v1", "name": "one", "title": "One", "model": {"hf_id": "a/b"}, "image": image,
        "engine": {"name": "vllm", "flags": {"max-model-len": 9}, "env": {"TORCH_CUDA_ARCH_LIST": "12.1a",
                                                                        "IN_BUILD": "2"}},
        "headline": "ar", "variants": {"ar": {"env": {"ONLY_HERE": "x"}}, "b": {}},
    }, tmp_path)  # fmt: skip
    dockerfile = kit_of(one)["Dockerfile"].data.decode()
    built = dockerfile.rindex("\nRUN ")
    assert "ENV IN_BUILD= \\\n    MAX_MODEL_LEN= \\\n    TORCH_CUDA_ARCH_LIST=\n" in dockerfile[built:]
    assert "ONLY_HERE" not in dockerfile, "a variant without it may want the base image's value"
    assert "=\n" not in dockerfile[:built]
    assert 'IN_BUILD="1"' in dockerfile[:built]


def test_only_the_files_that_the_recipe_names_go_into_the_image(tmp_path: Path) -> None:
    one = small("vllm-prebuilt").model_copy(
        update={"image": small("vllm-prebuilt").image.model_copy(update={"files": ("a.jinja", "sub/b.py")})}
    )
    kit = render_kit(one, Templates(), workspace().patches, {"a.jinja": b"a", "sub/b.py": b"b"})
    ignored = kit[".dockerignore"].data.decode().splitlines()
    assert ignored[1:] == ["*", "!scripts", "!patches", "!files/a.jinja", "!files/sub/b.py"]
    assert b"  files/sub/b.py\n" in kit[MANIFEST].data
    record = one.model_copy(update={"missing": ("the files",)})
    assert own_files(record, tmp_path) == {}


def test_the_readme_gives_every_flag_and_variable_with_its_reason() -> None:
    rows = {row.word: row for row in context.flag_rows(small("vllm-prebuilt"))}
    assert rows["--max-model-len"].values == {"dflash": "4096", "ar": "4096"}
    assert rows["--max-model-len"].why == "Room for the measured shape."
    assert rows["--enable-prefix-caching"].values == {"dflash": "set", "ar": "off"}
    assert set(rows["--speculative-config"].values) == {"dflash"}
    assert rows["VLLM_NO_USAGE_STATS"].values == {"dflash": "1", "ar": "1"}
    assert rows["MAX_JOBS"].why == "Compilers share the memory with the model."
    readme = text("vllm-prebuilt", "README.md")
    assert "| `--gpu-memory-utilization` | `0.9` | `0.9` |  |" in readme
    assert "VARIANT=ar bash scripts/bench.sh" in readme


def test_the_compose_file_serves_what_docker_run_does() -> None:
    """Every option of `docker run`, read back from the compose file with its defaults put in."""
    places = {
        "MODELS_DIR": "/home/u/models",
        "HF_HOME": "/home/u/.cache/huggingface",
        "HOME": "/home/u",
        "PWD": ".",
    }
    for name in ALL:
        one = spec(name)
        if one.missing:
            continue
        raw = re.sub(
            r"\$\{(?:MODELS_DIR|HF_HOME|PORT|LAUNCH):-((?:[^${}]|\$\{HOME\})*)\}",
            r"\1",
            text(name, "compose.yaml"),
        )
        (service,) = yaml.safe_load(raw.replace("${HOME}", "/home/u"))["services"].values()
        argv = [put_in(arg, places) for arg in docker_run(one, one.headline)]
        built = ["docker", "run", "--detach", "--name", service["container_name"]]
        if "deploy" in service:
            (device,) = service["deploy"]["resources"]["reservations"]["devices"]
            assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
            built += ["--gpus", "all"]
        built += (
            ["--network", service["network_mode"]] if "network_mode" in service else ["--publish", *service["ports"]]
        )
        built += ["--ipc", service["ipc"]] if "ipc" in service else []
        built += ["--shm-size", service["shm_size"]] if "shm_size" in service else []
        for key, value in service.get("ulimits", {}).items():
            built += ["--ulimit", f"{key}={value}"]
        for device in service.get("devices", []):
            built += ["--device", device]
        for key, value in service["environment"].items():
            asked_for = value is None or ":?" in value  # knobs of the script; those of a node must be there
            built += [] if asked_for else ["--env", f"{key}={value}"]
        for volume in service["volumes"]:
            assert volume["bind"]["create_host_path"] != volume["read_only"]
            suffix = ":ro" if volume["read_only"] else ""
            built += ["--volume", f"{volume['source']}:{volume['target']}{suffix}"]
        assert [*built, service["image"]] == argv, name
        assert service["command"] == ["bash", "/recipe/scripts/launch_server.sh"]
        assert set(service["environment"]) >= set(container(one).env)


@pytest.mark.parametrize(
    ("requirement", "have", "fits"),
    [
        ("transformers>=5.0.0", "5.19.0", True), ("transformers>=5.0.0", "4.57.1", False),
        ("transformers>=5.0.0", "5", True), ("transformers >= 5, <5.20", "5.20.0", False),
        ("transformers[torch]==5.6", "5.6.0", True), ("transformers==5.*", "5.19.0", True),
        ("transformers==4.*", "5.19.0", False), ("transformers!=5.6.2", "5.6.2", False),
        ("transformers~=5.1", "5.19.0", True), ("transformers~=5.1.0", "5.19.0", False),
        ("transformers>5", "5.0.0", False), ("transformers<=5.6", "5.6.0", True), ("transformers", "1", True),
    ],
)  # fmt: skip
def test_the_check_of_the_image_reads_requirements(requirement: str, have: str, fits: bool, tmp_path: Path) -> None:
    info = tmp_path / "transformers-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: transformers\nVersion: {have}\n")
    assert (verify(tmp_path, "--require", requirement).returncode == 0) == fits


def verify(site: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """scripts/verify_image.py with one more folder of packages."""
    script = workspace().repository.root / "templates/kit/scripts/verify_image.py"
    return subprocess.run(
        [sys.executable, str(script), *args],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site), **env},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def test_the_check_of_the_image_names_every_fault_at_once(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("__version__ = '2.11.0'\nclass version: cuda = None\n")
    done = verify(tmp_path, "--program", "no-such", "--require", "no-such>=1", "--torch", "--patch", "no-such")
    assert done.returncode == 1
    for part in ("no-such is not on PATH", "no-such is not installed", "is a CPU build", "left no trace"):
        assert part in done.stderr
    assert verify(tmp_path, "--torch", ALLOW_CPU_TORCH="1").returncode == 0
    (tmp_path / "torch.py").write_text("__version__ = '2.11.0+cu130'\nclass version: cuda = '13.0'\n")
    assert verify(tmp_path, "--torch", "--program", "python3").returncode == 0


# -- whether an image is the recipe's ----


def test_an_image_is_current_only_for_the_very_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    one = small("vllm-source")
    sha256 = kit_sha256(kit_of(one))
    labels = {LABEL_KIT: sha256, LABEL_BASE: "mine:1"}
    client: Any = SimpleNamespace(images=SimpleNamespace(get=lambda _tag: SimpleNamespace(labels=labels)))
    monkeypatch.setattr("recipegen.docker.image_exists", lambda _client, tag: tag == "vllm-source")
    assert is_current(client, one, sha256)
    assert is_current(client, one, sha256, base_image="mine:1")
    assert not is_current(client, one, sha256, base_image="other:1")
    assert not is_current(client, one, "0" * 64)
    labels.clear()
    assert not is_current(client, one, sha256), "built by hand: not known what from"
    monkeypatch.setattr("recipegen.docker.image_exists", lambda *_: False)
    assert not is_current(client, one, sha256)
