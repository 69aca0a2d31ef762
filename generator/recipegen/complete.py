"""From what the author wrote to a recipe with nothing left to default. Owns every default that depends on the
engine or the machine."""

from __future__ import annotations

import re
from typing import Any

from recipegen.catalog import default_corpora, hardware_profiles
from recipegen.checks import default_folder, script_name
from recipegen.engines import engine
from recipegen.engines.base import EngineAdapter, flag_key
from recipegen.engines.ranks import with_cluster
from recipegen.spec.completed import (
    MAIN_MODEL,
    HardwareProfile,
    ResolvedBench,
    ResolvedEngine,
    ResolvedImage,
    ResolvedRun,
    ResolvedVariant,
    Spec,
    cell_id,
)
from recipegen.spec.model import (
    Bench,
    Cell,
    Corpus,
    Image,
    Model,
    NoImage,
    Recipe,
    Run,
    SourceImage,
    Variant,
    WheelsImage,
)
from recipegen.spec.topology import NONE, RAY_PORT, VLLM_MASTER_PORT, Cluster, ResolvedCluster


def complete(recipe: Recipe) -> Spec:
    """Fill in all that the author left to default.

    The recipe must have passed `checks.cross_check`: names that point nowhere are not looked for here.
    """
    adapter = engine(recipe.engine.name)
    hardware = _hardware(recipe)
    cluster = _cluster(recipe, hardware)
    models = {MAIN_MODEL: recipe.model, **recipe.models}
    return Spec(
        schema_=recipe.schema_,
        name=recipe.name,
        title=recipe.title,
        status=recipe.status,
        hardware=hardware,
        license=recipe.license,
        authors=recipe.authors,
        references=recipe.references,
        description=recipe.description,
        models={key: _model(model) for key, model in models.items()},
        image=_image(recipe.image, adapter, hardware),
        engine=ResolvedEngine(
            name=recipe.engine.name,
            version=recipe.engine.version,
            notes={flag_key(key): text for key, text in recipe.engine.notes.items()},
        ),
        headline=recipe.headline,
        baseline=recipe.baseline,
        variants={name: _variant(name, body, recipe, adapter) for name, body in recipe.variants.items()},
        cluster=cluster,
        run=_run(recipe.run, hardware, cluster),
        bench=_bench(recipe.bench),
        healthy_log=recipe.healthy_log,
        pitfalls=recipe.pitfalls,
        published=recipe.published,
        missing=recipe.missing,
        silenced=recipe.silenced,
    )


def _hardware(recipe: Recipe) -> HardwareProfile:
    """The recipe's machine; with as many nodes as the recipe says, where it says so."""
    profile = hardware_profiles()[recipe.hardware]
    nodes = recipe.cluster.nodes if recipe.cluster else None
    if nodes is None or nodes == profile.nodes:
        return profile
    one = re.sub(r"^[0-9]+x ", "", profile.label)
    return profile.model_copy(update={"nodes": nodes, "label": f"{nodes}x {one}"})


def _cluster(recipe: Recipe, hardware: HardwareProfile) -> ResolvedCluster | None:
    """None for one machine, and for an engine that recipegen knows no way to spread."""
    if hardware.nodes < 2 or recipe.engine.name != "vllm":
        return None
    given, fabric = recipe.cluster or Cluster(), hardware.fabric
    return ResolvedCluster(
        nodes=hardware.nodes,
        interface=given.interface or (fabric.interface if fabric else NONE),
        hca=given.hca or (fabric.hca if fabric else NONE),
        gbit_s=fabric.gbit_s if fabric else None,
        master_port=given.master_port or VLLM_MASTER_PORT,
        ray_port=given.ray_port or RAY_PORT,
        measured_with=given.measured_with,
        notes=given.notes,
        per_node=given.per_node,
    )


def _run(run: Run, hardware: HardwareProfile, cluster: ResolvedCluster | None) -> ResolvedRun:
    given = run.model_dump() | {"gpus": run.gpus or ("all" if hardware.gpu else "none")}
    if cluster is not None:
        # Ranks find one another by the hosts' own addresses, on ports that they choose themselves.
        given["network"] = "host"
        given["ipc"] = run.ipc if "ipc" in run.model_fields_set else "host"
        if cluster.hca != NONE:
            given["ulimits"] = {"memlock": -1, **run.ulimits}  # an RDMA adapter works on memory that stays in place
    return ResolvedRun(**given)


def _model(model: Model) -> Model:
    folder = default_folder(model.model_dump())
    file = model.file or (model.pypi.file if model.pypi else None)
    return model.model_copy(update={"folder": folder, "file": file, "served_name": model.served_name or folder})


def _image(image: Image, adapter: EngineAdapter, hardware: HardwareProfile) -> ResolvedImage:
    cpu = hardware.gpu is None
    if isinstance(image, NoImage):
        unknown: dict[str, Any] = {"transformers": None, "arch_list": None, "env": {}}
        return ResolvedImage(mode=image.mode, base=image.base or "", apt=(), pip=(), patches=(), cpu=cpu, **unknown)
    transformers = image.transformers or adapter.default_transformers
    own: dict[str, Any] = {}
    if isinstance(image, WheelsImage):
        own = {key: getattr(image, key) for key in ("wheels", "overrides", "exclude", "offline")}
    elif isinstance(image, SourceImage):
        own = {
            key: getattr(image, key) for key in ("runtime_base", "repo", "ref", "flashinfer", "max_jobs", "cmake_args")
        }
    torch = getattr(image, "torch", None)
    return ResolvedImage(
        mode=image.mode,
        base=image.base,
        transformers=None if transformers == "none" else transformers,
        arch_list=image.arch_list or hardware.arch_list,
        env=image.env,
        apt=image.apt,
        pip=image.pip,
        patches=image.patches,
        files=image.files,
        cpu=cpu,
        torch_version=torch.version if torch else None,
        torch_index_url=torch.index_url if torch else None,
        **own,
    )


def _variant(name: str, variant: Variant, recipe: Recipe, adapter: EngineAdapter) -> ResolvedVariant:
    dropped = set(map(flag_key, variant.drop))
    common = {flag_key(key): value for key, value in recipe.engine.flags.items()}
    flags = {key: value for key, value in common.items() if key not in dropped}
    flags |= {flag_key(key): value for key, value in variant.flags.items()}
    env = {key: value for key, value in recipe.engine.env.items() if key not in variant.drop_env} | variant.env
    return ResolvedVariant(
        name=name,
        title=variant.title or name,
        script=script_name(name, recipe.headline),
        method=variant.method or adapter.method(flags),
        refused=variant.refused,
        model=variant.model or MAIN_MODEL,
        flags=with_cluster(flags, recipe.cluster, recipe.engine.version),
        env=env,
        notes=variant.notes,
        measure=variant.measure,
        silenced=variant.silenced,
    )


def _bench(bench: Bench) -> ResolvedBench:
    corpora = bench.corpora or {key: Corpus(**body) for key, body in default_corpora().items()}
    wanted = bench.headline
    corpus = wanted.corpus if wanted and wanted.corpus else next(iter(corpora))
    thinking = wanted.thinking if wanted and wanted.thinking else bench.thinking[0]
    cell = Cell(**wanted.model_dump(include=set(Cell.model_fields))) if wanted else bench.cells[0]
    return ResolvedBench(
        corpora=corpora,
        headline=cell_id(corpus, cell, thinking),
        **bench.model_dump(exclude={"corpora", "headline", "cells"}),
        cells=bench.cells,
    )
