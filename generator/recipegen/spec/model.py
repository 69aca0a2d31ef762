"""What a user writes in recipe.yaml (schema recipegen/v1). Owns shapes and types; the defaults of an engine
or of a machine are put in by `recipegen.complete`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from recipegen.spec.topology import Cluster
from recipegen.spec.types import (
    ArchList,
    CmakeArg,
    ContainerPath,
    EnvName,
    FlagName,
    HfId,
    HostPath,
    ImageLine,
    ImageRef,
    Line,
    Package,
    PathPart,
    Prose,
    PythonPackage,
    RelPath,
    Requirement,
    Revision,
    ServedName,
    Sha256,
    Size,
    Slug,
    Strict,
    Url,
    Value,
    Version,
    matching,
)

SCHEMA = "recipegen/v1"

Status = Literal["planned", "research", "measuring", "staged", "measured", "shipped", "archived", "report", "no-pass"]
MEASURED_STATUSES = ("measured", "shipped")
"""What a recipe may call itself once somebody ran it on its hardware from this repository."""

EngineName = Literal["vllm", "llama.cpp", "atlas", "other"]
"""`other`: an engine that recipegen cannot start; such a recipe is a record of what others did."""


MODEL_REFERENCE = "$model"
"""`{$model: KEY}` as a flag's value, or inside one, stands for the place of a declared model; `{$model: KEY, path: P}`
for a file or folder in it."""
RULE_ID = r"[A-Z][A-Z0-9_]{2,60}"
RuleId = Annotated[str, matching(RULE_ID, "is not the id of a lint rule, as in DFLASH_KV_FP8")]

FlagValue = Annotated[
    bool | int | float | Value | list[JsonValue] | dict[str, JsonValue],
    Field(
        description="true: the bare switch; false: its --no- form; a list: several words; "
        "a mapping: JSON; {$model: KEY}: where a declared model lies"
    ),
]


class Author(Strict):
    """A person or a group to credit."""

    name: Line
    url: Url | None = None


class Reference(Strict):
    """A document that the recipe's facts come from."""

    title: Line
    url: Url | None = None


class PypiModel(Strict):
    """A model that a package of PyPI carries, with a function `assemble(path)` that writes it."""

    package: PathPart
    version: Version
    module: Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "is not the name of a Python module")]
    file: PathPart = Field(description="the file it writes")
    sha256: Sha256


class Model(Strict):
    """A set of weights: where it comes from (one of hf_id, pypi, generate), what it is called, what it is.

    In a recipe that says what is `missing`, a model may have no source; then it has a folder."""

    hf_id: HfId | None = Field(None, description="repository on the Hugging Face hub")
    pypi: PypiModel | None = None
    generate: Literal["tiny-qwen3"] | None = Field(None, description="random weights, made on the spot")
    role: Literal["target", "drafter", "tokenizer"] = "target"
    revision: Revision | None = Field(None, description="commit on the hub; without one the recipe is not pinned")
    files: tuple[Line, ...] = Field((), description="only these files of the repository, as glob patterns")
    file: RelPath | None = Field(None, description="the file in the folder that the engine opens (GGUF)")
    folder: PathPart | None = Field(None, description="folder under MODELS_DIR; the repository's name by default")
    served_name: ServedName | None = Field(None, description="the name that requests use")
    base_model: HfId | None = None
    quantization: Line = Field("none", description="as it stands in the table: NVFP4, FP8, Q4_K_M …")
    format: Line | None = Field(None, description="compressed-tensors, modelopt, gguf …")
    tokenizer: Line | None = Field(
        None, description="key of another declared model, when the tokenizer is not in this one"
    )
    size_gb: Annotated[float, Field(gt=0)] | None = Field(None, description="download size in GB (10^9 bytes)")
    gated: bool = Field(False, description="the hub asks for accepted terms and a token")
    license: Line | None = None
    notes: Prose | None = None


class ImageCommon(Strict):
    """What all three build modes share."""

    base: ImageRef = Field(description="image to build on, the default of the build argument BASE_IMAGE")
    transformers: Requirement | Literal["none"] | None = Field(
        None,
        description="requirement on Transformers; >=5.0.0 for vLLM by default, `none` to leave it alone",
    )
    arch_list: ArchList | None = Field(None, description="TORCH_CUDA_ARCH_LIST; from the hardware by default")
    env: dict[EnvName, ImageLine] = Field({})
    apt: tuple[Package, ...] = Field((), description="further Debian packages")
    pip: tuple[Requirement, ...] = Field((), description="further Python packages")
    patches: tuple[Slug, ...] = Field((), description="ids under patches/")
    files: tuple[RelPath, ...] = Field(
        (),
        description="files under the recipe's own files/, copied to /recipe/files/ in the image: "
        "a chat template, a reasoning parser",
    )


class NoImage(Strict):
    """No image is made: the recipe is a record, and `missing` says what keeps it from being more."""

    mode: Literal["none"]
    base: ImageRef | None = Field(None, description="the image that the source names, where it names one")
    notes: Prose | None = None


class PrebuiltImage(ImageCommon):
    """FROM an image that already holds the engine."""

    mode: Literal["prebuilt"]


class TorchPin(Strict):
    """The torch build that must be in the image in the end."""

    version: Version
    index_url: Url | None = Field(None, description="package index of that build; the local wheels without one")


class WheelsImage(ImageCommon):
    """Local wheels of the engine, installed with an override file, torch put right in a layer of its own."""

    mode: Literal["wheels"]
    wheels: tuple[Requirement, ...] = Field(description="packages to install from the kit's wheels/ folder")
    overrides: tuple[Requirement, ...] = Field((), description="requirements that win over the wheels' own")
    exclude: tuple[PythonPackage, ...] = Field((), description="packages never installed, whatever asks for them")
    offline: bool = Field(False, description="wheels/ holds everything, with no package index asked")
    torch: TorchPin | None = None


class SourceImage(ImageCommon):
    """Multi-stage build of the engine at a pinned ref."""

    mode: Literal["source"]
    runtime_base: ImageRef = Field(description="image of the last stage, default of the build argument RUNTIME_IMAGE")
    repo: Url
    ref: Revision = Field(description="commit or tag to build")
    torch: TorchPin | None = None
    flashinfer: Version | None = None
    max_jobs: Annotated[int, Field(ge=1, le=256)] = Field(
        4, description="parallel compilers; each nvcc takes about 5 GiB"
    )
    cmake_args: tuple[CmakeArg, ...] = ()


Image = Annotated[PrebuiltImage | WheelsImage | SourceImage | NoImage, Field(discriminator="mode")]


class Engine(Strict):
    """The server and the flags that all variants share."""

    name: EngineName
    version: Line | None = Field(None, description="the version that the recipe was written for")
    flags: dict[FlagName, FlagValue] = Field({})
    env: dict[EnvName, Value] = Field({})
    notes: dict[FlagName, Prose] = Field(
        {}, description="why a flag (or an environment variable) is there, for the README"
    )


class Variant(Strict):
    """A difference from the common flags, with a launch script of its own."""

    title: Line | None = None
    method: Line | None = Field(
        None, description="speculative method as the table names it, where the flags do not tell"
    )
    model: Slug | None = Field(None, description="key of the model to serve instead of the main one")
    flags: dict[FlagName, FlagValue] = Field({}, description="flags added or replaced (whole values)")
    drop: tuple[FlagName, ...] = Field((), description="common flags that this variant leaves out")
    env: dict[EnvName, Value] = Field({})
    drop_env: tuple[EnvName, ...] = ()
    notes: Prose | None = None
    measure: bool = Field(True, description="false: rendered, but left out of `bench` unless named")
    refused: Prose | None = Field(
        None, description="why nobody should start it: it is shown, but has no script, and up and bench refuse it"
    )
    silenced: dict[RuleId, Prose] = Field({}, description="lint rules that do not apply to this variant, with reasons")


class Volume(Strict):
    """A folder of the host that the container sees."""

    source: HostPath
    target: ContainerPath
    read_only: bool = True


class Run(Strict):
    """How the container runs."""

    models: Literal["folders", "hf-cache"] = Field(
        "folders",
        description="folders: plain folders under MODELS_DIR; hf-cache: a Hugging Face cache under HF_HOME",
    )
    models_path: ContainerPath = "/models"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    network: Literal["bridge", "host"] = Field("bridge", description="host for several machines")
    gpus: Literal["all", "none"] | None = Field(None, description="from the hardware by default")
    ipc: Literal["host", "private"] = Field("private", description="host for several machines, unless said otherwise")
    shm_size: Size | None = None
    volumes: tuple[Volume, ...] = ()
    compile_cache: bool = Field(False, description="keep the engine's compile cache between containers")
    ulimits: dict[Annotated[str, matching(r"[a-z]+", "is not a ulimit")], int] = Field({})
    ready_timeout_s: Annotated[int, Field(ge=1, le=86_400)] = 900


class Corpus(Strict):
    """A text that prompts are cut from. Exactly one of url and builtin."""

    url: Url | None = None
    builtin: Slug | None = Field(None, description="a text that recipegen carries")
    sha256: Sha256 | None = Field(None, description="of the bytes at the url; without it the text is not pinned")


class Cell(Strict):
    """One measured combination: prompt and answer length, depth, concurrency."""

    pp: Annotated[int, Field(ge=1, le=10_000_000)] = Field(2048, description="prompt tokens")
    tg: Annotated[int, Field(ge=1, le=10_000_000)] = Field(128, description="answer tokens")
    depth: Annotated[int, Field(ge=0, le=10_000_000)] = Field(0, description="tokens already in the context")
    concurrency: Annotated[int, Field(ge=1, le=4096)] = Field(1, description="requests at the same time")


Thinking = Literal["default", "on", "off"]


class HeadlineCell(Cell):
    """The cell whose figures stand in the table."""

    corpus: Slug | None = None
    thinking: Thinking | None = None


Tokens = Annotated[int, Field(ge=1, le=10_000_000)]


class Profile(Strict):
    """A named set of cells: every combination of prompt, depth and concurrency, on texts and in thinking modes."""

    title: Line
    pp: tuple[Tokens, ...] = Field((2048,), min_length=1)
    tg: Tokens = 128
    depth: tuple[Annotated[int, Field(ge=0, le=10_000_000)], ...] = Field((0,), min_length=1)
    concurrency: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field((1,), min_length=1)
    runs: Annotated[int, Field(ge=1, le=10_000)] | None = Field(None, description="the recipe's by default")
    corpora: Literal["all", "first"] = Field("first", description="which of the recipe's texts")
    thinking: tuple[Thinking, ...] | None = Field(None, description="the recipe's by default")
    headline_only: bool = Field(False, description="the recipe's headline cell as it is, whatever else stands here")
    prefix_caching: bool = Field(
        False, description="let the context be cached: its load and the test after it are measured apart"
    )
    to_limit: bool = Field(False, description="one more depth, as deep as the context of the variant allows")
    needle: bool = Field(
        False, description="ask for a fact hidden at each depth, also of a model of which bench.quality asks less"
    )


class Bench(Strict):
    """What to measure. Every cell is measured on every corpus and in every thinking mode."""

    tool: Version = Field("0.4.0", description="version of llama-benchy")
    runs: Annotated[int, Field(ge=1, le=10_000)] = Field(30, description="repetitions of a cell")
    corpora: dict[Slug, Corpus] | None = Field(None, description="prose and code by default")
    cells: tuple[Cell, ...] = Field((Cell(pp=2048, tg=128), Cell(pp=128, tg=128)), min_length=1)
    thinking: tuple[Thinking, ...] = Field(("default",), min_length=1)
    thinking_kwarg: Annotated[str, matching(r"[a-z_]+", "is not a template argument")] = "enable_thinking"
    headline: HeadlineCell | None = Field(None, description="the first cell on the first corpus by default")
    exact_tg: bool = Field(True, description="ask the server for exactly tg tokens")
    no_cache: bool = Field(True, description="every prompt unlike the others, and no prompt cache")
    coherence: bool = Field(False, description="llama-benchy's own coherence test before a cell")
    latency_mode: Literal["api", "generation", "none"] = "api"
    adapt_prompt: bool = True
    profiles: dict[Slug, Profile] = Field({}, description="further sets of cells, for `bench --profile`")
    quality: Literal["full", "coherence", "off"] = Field(
        "full",
        description="what a server must answer rightly for its figures to count: questions with known answers, "
        "only connected text, or nothing (random weights)",
    )


class Published(Strict):
    """A figure that somebody else published, always with its source."""

    variant: Slug
    metric: Literal["tg", "pp", "ttfr"] = Field(description="tg and pp in tok/s, ttfr in ms")
    pp: Annotated[int, Field(ge=1)] | None = None
    tg: Annotated[int, Field(ge=1)] | None = None
    workload: Line | None = Field(
        None, description="what was measured instead of a cell of pp and tg tokens: a set of prompts, a task"
    )
    depth: Annotated[int, Field(ge=0)] = 0
    concurrency: Annotated[int, Field(ge=1)] = 1
    value: Annotated[float, Field(gt=0)]
    stat: Literal["median", "mean"]
    n: Annotated[int, Field(ge=1)] | None = None
    corpus: Line | None = None
    thinking: Thinking = "default"
    source: Url
    note: Line | None = None

    @model_validator(mode="after")
    def _shape(self) -> Published:
        if (self.pp is None or self.tg is None) == (self.workload is None):
            raise ValueError("needs either pp and tg, or a workload in words")
        return self


class Recipe(Strict):
    """A recipe as its author writes it."""

    schema_: Literal["recipegen/v1"] = Field(alias="schema")
    name: Slug
    title: ImageLine
    status: Status = "planned"
    hardware: Slug = Field("dgx-spark", description="a hardware profile of the catalog")
    license: ImageLine = Field("MIT", description="licence of the recipe's own files")
    authors: tuple[Author, ...] = ()
    references: tuple[Reference, ...] = ()
    description: Prose | None = None
    model: Model
    models: dict[Slug, Model] = Field({}, description="drafters and further models, by key")
    image: Image
    engine: Engine
    headline: Slug = Field(description="the variant that launch_server.sh starts")
    baseline: Slug | None = Field(None, description="the variant that others are compared with")
    variants: dict[Slug, Variant] = Field(min_length=1)
    cluster: Cluster | None = Field(None, description="how several machines work together")
    run: Run = Run()
    bench: Bench = Bench()
    healthy_log: tuple[Line, ...] = Field((), description="lines of the server log that show that it works")
    pitfalls: tuple[Prose, ...] = ()
    published: tuple[Published, ...] = ()
    missing: tuple[Prose, ...] = Field(
        (),
        description="what the source does not give and a run would need; such a recipe is a record, "
        "its kit is a README",
    )
    silenced: dict[RuleId, Prose] = Field({}, description="lint rules that do not apply here, each with the reason")

    @field_validator("variants", mode="before")
    @classmethod
    def _empty_variant(cls, value: Any) -> Any:
        """`ar:` without anything after it is a variant without a difference."""
        if isinstance(value, dict):
            return {name: {} if body is None else body for name, body in value.items()}
        return value
