"""One `bench`: what is asked for, what must be there before anything starts, and the variants in their order. A single
variant's run is `variant`'s."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.bench.variant import RunOutcome, measure_variant, unfinished_pair
from recipegen.engines.benchy import PROGRAM
from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.runners.plan import HostOptions, plan_server, require_models

if TYPE_CHECKING:
    from recipegen.bench.corpora import StagedCorpus
    from recipegen.bench.display import Display
    from recipegen.bench.verified import Prompt
    from recipegen.cluster.nodes import Node
    from recipegen.cluster.ready import Cluster
    from recipegen.spec.completed import PlannedCell, Spec
    from recipegen.trial import Trial


@dataclass(frozen=True)
class Request:
    """What to measure and how.

    Attributes:
        variants: in this order; the baseline goes first, because others are compared with what it answers.
        cells: what to measure, by variant, `runs` set.
        profile: name of the profile that the cells come from.
        resume: go on with a run of the very same identity that did not end.
        retries: how often a cell that failed is tried again while its server lives.
        pair: names runs that were taken in turn, so that they can be compared as pairs.
        machine: name under results/; from the host's facts by default.
        prompt: a board's canonical prompt, asked after the cells on the same server.
        kit_sha256: of the kit on disk.
        spec_sha256: of the recipe as its file has it, without a trial's variant.
        trial: what is changed in the variant of that name, which the recipe itself does not have.
        nodes: machines of a recipe that several serve together; empty for one machine.
        image_file: a saved image to load onto the nodes.
        cluster: what the nodes said once they were found ready; `measure` asks them.
    """

    spec: Spec
    folder: Path
    variants: tuple[str, ...]
    cells: Mapping[str, tuple[PlannedCell, ...]]
    options: HostOptions
    kit_sha256: str
    spec_sha256: str
    trial: Trial | None = None
    profile: str | None = None
    resume: bool = False
    retries: int = 1
    pair: Mapping[str, Any] | None = None
    machine: str | None = None
    base_image: str | None = None
    build_network: str | None = None
    prompt: Prompt | None = None
    nodes: tuple[Node, ...] = ()
    image_file: Path | None = None
    cluster: Cluster | None = None


def choose_cells(
    spec: Spec, wanted: tuple[str, ...], runs: int | None, planned: tuple[PlannedCell, ...] | None = None
) -> tuple[PlannedCell, ...]:
    """The cells named (by id or a part of it), all by default, with another number of runs if given.

    Args:
        planned: the cells to choose from; the recipe's own by default.

    Raises:
        RecipegenError: a name that fits no cell.
    """
    cells = spec.cells() if planned is None else planned
    for text in wanted:
        if not any(text in cell.id for cell in cells):
            raise RecipegenError(
                f"{spec.name} has no cell {text!r}",
                hint=f"there are: {', '.join(cell.id for cell in cells)}",
            )
    chosen = [cell for cell in cells if not wanted or any(text in cell.id for text in wanted)]
    return tuple(cell.model_copy(update={"runs": runs}) if runs else cell for cell in chosen)


def benchy_program(version: str) -> list[str]:
    """How to call the pinned llama-benchy: the one beside this Python, on PATH, or through uvx.

    Raises:
        EnvironmentLacks: it is not here in that version.
    """
    try:
        installed: str | None = metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        installed = None
    beside = Path(sys.executable).parent / PROGRAM
    if installed == version and beside.is_file():
        return [str(beside)]
    if shutil.which("uvx"):
        return ["uvx", "--from", f"{PROGRAM}=={version}", PROGRAM]
    raise EnvironmentLacks(
        f"the recipe measures with {PROGRAM} {version}, but {installed or 'none'} is installed",
        hint=f"pip install {PROGRAM}=={version}, or install uv, which fetches it when needed",
    )


def measure(request: Request, display: Display) -> list[RunOutcome]:
    """Measure every variant; one whose server or cells fail does not keep the next from being measured.

    Raises:
        KeyboardInterrupt: after what was started is down and what was measured is recorded.
        EnvironmentLacks: before anything is started: no Docker, no model, no text, no llama-benchy.
    """
    spec = request.spec
    program = benchy_program(spec.bench.tool)
    for variant in request.variants:
        plan_server(spec, variant, request.options)  # a wrong address is told before a record is begun
        if not request.nodes:
            require_models(spec, variant, request.options)
    corpora = stage_corpora(spec, [cell for variant in request.variants for cell in request.cells[variant]])
    if request.nodes:
        request = replace(request, cluster=_nodes_ready(request, display), options=_with_tokenizer(request))
    elif request.options.runner == "docker":
        _require_image(request, display)
    order = request.variants if request.pair else sorted(request.variants, key=lambda name: name != spec.baseline)
    return [measure_variant(request, variant, program, corpora, display) for variant in order]


def measure_in_turn(request: Request, rounds: int, display: Display) -> list[RunOutcome]:
    """Measure two variants A B, B A, A B …: what drifts on the machine meets both alike.

    Each round is a run of its own for either variant; their records carry the same pair and the round's number. With
    `request.resume`, the newest pair of this very configuration that is not whole is gone on with.
    """
    pair = unfinished_pair(request, rounds) if request.resume else None
    pair = pair or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    outcomes = []
    for number in range(1, rounds + 1):
        order = request.variants if number % 2 else request.variants[::-1]
        turn = {"id": pair, "round": number, "rounds": rounds}
        display.note(f"round {number} of {rounds}: {', '.join(order)}")
        outcomes += measure(replace(request, variants=order, pair=turn), display)
    return outcomes


def stage_corpora(spec: Spec, cells: Iterable[PlannedCell]) -> dict[str, StagedCorpus]:
    """Texts of the cells, where llama-benchy finds them without a network."""
    from recipegen.bench.corpora import stage
    from recipegen.catalog import builtin_corpus

    cache = Path.home() / ".cache" / "recipegen" / "corpora"
    staged = {}
    for name in dict.fromkeys(cell.corpus for cell in cells):
        corpus = spec.bench.corpora[name]
        builtin = builtin_corpus(corpus.builtin) if corpus.builtin else None
        staged[name] = stage(corpus.builtin or name, corpus.url, builtin, corpus.sha256, cache)
    return staged


def _nodes_ready(request: Request, display: Display) -> Cluster:
    """Every node found fit and with the image, built on the head where nobody has it."""
    from recipegen.cluster.ready import Build, make_ready

    return make_ready(
        request.spec,
        request.variants,
        request.nodes,
        request.options,
        request.kit_sha256,
        display.note,
        build=Build(request.folder, request.base_image, request.build_network),
        image_file=request.image_file,
    )


def _with_tokenizer(request: Request) -> HostOptions:
    """The options with a folder of models that has at least the tokenizer, where the models lie on other machines."""
    from recipegen.cluster.tokenizer import tokenizer_here

    head = request.nodes[0]
    if head.ssh is None or request.spec.run.models != "folders":
        return request.options
    cache = Path.home() / ".cache" / "recipegen" / "tokenizers"
    return replace(request.options, models_dir=tokenizer_here(request.spec, head, cache))


def _require_image(request: Request, display: Display) -> None:
    from recipegen import docker
    from recipegen.images import build_image, is_current

    if is_current(docker.connect(), request.spec, request.kit_sha256, base_image=request.base_image):
        return
    display.note(f"building the image {request.spec.name}")
    build_image(
        request.spec,
        request.folder,
        display.note,
        base_image=request.base_image,
        network=request.build_network,
    )
