"""What `docker build` does again after one script was edited. Owns no printing.

The base is the tests' own image when it is there (tests/support/base_image.sh makes it), with a program
called llama-server put in, so that the build's checks run for real. Elsewhere it is a stand-in whose bash
and python3 are one static program that does nothing: which layers are built again does not depend on what
they do.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling import Row, Sample, Skipped

from recipegen.docker import connect, image_exists
from recipegen.docker_build import build, find_build_client
from recipegen.errors import EnvironmentLacks
from recipegen.render.write import write_kit
from recipegen.scaffold import init_repository
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from docker import DockerClient

TEST_BASE = "recipegen-test-base:bookworm"
EDITED = "scripts/bench.sh"
BUILDS, EDITS = 3, 7
RECIPE = """\
schema: recipegen/v1
name: {name}
title: A build that needs no network
status: planned
hardware: cpu
model: {{hf_id: nobody/tiny, file: tiny.gguf, format: gguf, quantization: Q4_K_M}}
image: {{mode: prebuilt, base: {base}, transformers: none}}
engine: {{name: llama.cpp}}
headline: ar
variants: {{ar: {{}}}}
"""
_STEP = re.compile(r"#(\d+) \[[^\]]*?(\d+)/\d+\] (.+)")
_CACHED = re.compile(r"#(\d+) CACHED")


def rows() -> list[Row]:
    """Builds of a kit from nothing, then builds after edits of one of its scripts."""
    try:
        client = connect()
        find_build_client()
    except EnvironmentLacks as error:
        raise Skipped(error.message) from error
    name = f"perf-{uuid.uuid4().hex[:8]}"
    with _base(client, name) as (base, kind), tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        kit = _kit(Path(folder), name, base)
        made: list[str] = []
        try:
            whole = [_built(client, kit, name, base, made, no_cache=True) for _ in range(BUILDS)]
            edited = []
            for number in range(EDITS):
                with (kit / EDITED).open("a") as script:
                    script.write(f"# edit {number}\n")
                edited.append(_built(client, kit, name, base, made))
        finally:
            for image in dict.fromkeys(made):
                client.images.remove(image, force=True)
    ran = edited[-1]["ran"]
    remark = f"ran: {'; '.join(ran)}; cached: {edited[-1]['cached']}; base: {kind}"
    images = [set(one["layers"]) for one in (whole[-1], *edited)]
    new = [len(after - before) for before, after in pairwise(images)]
    counted = [Sample(max(len(one["ran"]), count)) for one, count in zip(edited, new, strict=True)]
    return [
        Row(
            f"layers rebuilt after an edit of {EDITED}",
            counted,
            "layers",
            target=1,
            judged="value",
            remark=remark,
        ),
        Row(
            "that build",
            [one["took"] for one in edited],
            "s",
            "the build from nothing",
            [one["took"] for one in whole],
        ),
    ]


def _kit(root: Path, name: str, base: str) -> Path:
    """A rendered kit; its folder."""
    init_repository(root)
    folder = root / "recipes" / name
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE.format(name=name, base=base))
    workspace = Workspace.open(root)
    write_kit(workspace.kit(workspace.spec(name)), folder)
    return folder


def _built(
    client: DockerClient, kit: Path, tag: str, base: str, made: list[str], *, no_cache: bool = False
) -> dict[str, Any]:
    """One build: its time, the instructions that ran, how many were cached, the image's layers."""
    lines: list[str] = []
    started = time.perf_counter()
    build(kit, tag, build_args={"BASE_IMAGE": base}, no_cache=no_cache, on_line=lines.append)
    took = Sample(time.perf_counter() - started)
    image = client.images.get(tag)
    made.append(str(image.id))
    ran, cached = _steps(lines)
    return {"took": took, "ran": ran, "cached": cached, "layers": image.attrs["RootFS"]["Layers"]}


def _steps(lines: list[str]) -> tuple[list[str], int]:
    """Instructions that BuildKit ran, and how many it took from its cache; FROM is neither."""
    steps: dict[str, str] = {}
    cached: set[str] = set()
    for line in lines:
        if step := _STEP.fullmatch(line):
            steps.setdefault(step[1], step[3])
        elif found := _CACHED.fullmatch(line):
            cached.add(found[1])
    own = {number: text for number, text in steps.items() if not text.startswith("FROM ")}
    return [text for number, text in own.items() if number not in cached], len(own.keys() & cached)


@contextmanager
def _base(client: DockerClient, name: str) -> Iterator[tuple[str, str]]:
    """An image to build on, removed afterwards: its name, and what it is."""
    tag, kind = f"{name}-base:1", TEST_BASE
    if image_exists(client, TEST_BASE):
        with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
            engine = "RUN ln -s /bin/true /usr/local/bin/llama-server"
            Path(folder, "Dockerfile").write_text(f"FROM {TEST_BASE}\n{engine}\n")
            build(Path(folder), tag, build_args={})
    else:
        kind = "a stand-in that does nothing"
        client.api.import_image_from_data(_nothing(), repository=f"{name}-base", tag="1")
    try:
        yield tag, kind
    finally:
        client.images.remove(tag, force=True)


def _nothing() -> bytes:
    """The root of an image whose shell and Python do nothing, as a tar archive."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Skipped(f"neither the image {TEST_BASE} (tests/support/base_image.sh) nor a C compiler is here")
    archive = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        source, program = Path(folder, "true.c"), Path(folder, "true")
        source.write_text("int main(void) { return 0; }\n")
        subprocess.run([compiler, "-static", "-o", program, source], check=True)
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for place in ("bin/bash", "bin/sh", "usr/bin/python3"):
                tar.add(program, place)
            for place, line in {
                "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n",
                "etc/group": b"root:x:0:\n",
            }.items():
                entry = tarfile.TarInfo(place)
                entry.size = len(line)
                tar.addfile(entry, io.BytesIO(line))
    return archive.getvalue()
