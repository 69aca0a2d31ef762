"""recipe.yaml in the forms of other projects: a sparkrun recipe of version 2, a compose file. Owns what each form holds
of a recipe, and the list of what it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recipegen import __version__
from recipegen.engines import engine
from recipegen.engines.base import flag_word, used_models
from recipegen.engines.command import references
from recipegen.errors import RecipegenError
from recipegen.exchange.report import Report
from recipegen.exchange.sparkrun import DEFAULTS, ENGINES
from recipegen.exchange.yaml_text import block
from recipegen.quoting import Arg, Var, put_in, shell_word
from recipegen.spec.completed import ResolvedVariant, Spec

TARGETS = ("sparkrun", "compose")
_RUNTIMES = {name: runtime for runtime, name in reversed(ENGINES.items()) if runtime in ("vllm", "llama-cpp", "atlas")}
_BARE = re.compile(r"[A-Za-z0-9_@%+:./-]+")
"""Values that may stand in `defaults`: put into the command as text, they stay one word."""
_KEY = re.compile(r"[a-z][a-z0-9-]*")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Exported:
    """A recipe in another form, and what that form has no place for."""

    text: str
    report: Report


def to_sparkrun(spec: Spec, variant: str) -> Exported:
    """One variant of a recipe as a sparkrun recipe of version 2.

    Raises:
        RecipegenError: sparkrun has no runtime for its engine.
        KeyError: no such variant.
    """
    if spec.engine.name not in _RUNTIMES:
        raise RecipegenError(
            f"{spec.name}: sparkrun is not told how to start an engine of the kind {spec.engine.name!r}",
            hint=f"it can be exported for: {', '.join(_RUNTIMES)}",
        )
    report, chosen = Report(), spec.variants[variant]
    model = spec.models[chosen.model]
    data: dict[str, Any] = {"recipe_version": "2", "name": spec.name, "description": spec.title}
    data["model"] = _model(spec, chosen, report)
    if model.revision and model.hf_id:
        data["model_revision"] = model.revision
    data["runtime"] = _RUNTIMES[spec.engine.name]
    if spec.engine.version:
        data["runtime_version"] = spec.engine.version
    data["container"] = _container(spec, report)
    data["min_nodes"] = data["max_nodes"] = spec.hardware.nodes
    metadata = {"description": spec.description} if spec.description else {}
    if model.quantization not in ("none", "unknown"):
        metadata["quantization"] = model.quantization
    if metadata:
        data["metadata"] = metadata
    _container_options(spec, data, report)
    command = _Command(spec, variant, report)
    lines = command.lines()
    data["defaults"] = command.defaults
    env = {**spec.image.env, **chosen.env}
    if env:
        data["env"] = env
    data["command"] = " \\\n    ".join(lines) + "\n"
    _not_held(spec, variant, report)
    head = f"# Written by recipegen {__version__} from the recipe {spec.name}, variant {variant}."
    body = block(data, (("executor_config", "*"),), {})
    return Exported("\n".join([head, *body]) + "\n", report)


def _model(spec: Spec, chosen: ResolvedVariant, report: Report) -> str:
    model = spec.models[chosen.model]
    if model.hf_id:
        return model.hf_id
    place = "/".join(filter(None, (spec.run.models_path, model.folder, model.file)))
    why = "sparkrun takes models from the hub or from a folder on each machine; put the weights there"
    report.lose("model", why, place)
    return place


def _container(spec: Spec, report: Report) -> str:
    image = spec.image
    if image.mode != "prebuilt":
        why = f"the kit builds the image ({image.mode}); build it, push it, and name it here"
        report.lose("image", why, image.base)
        return spec.name
    for name, value in (
        ("image.transformers", image.transformers),
        ("image.apt", list(image.apt)),
        ("image.pip", list(image.pip)),
        ("image.patches", list(image.patches)),
        ("image.files", list(image.files)),
    ):
        if value:
            report.lose(name, "the kit builds it into an image; sparkrun runs the base image as it is", value)
    return image.base


def _container_options(spec: Spec, data: dict[str, Any], report: Report) -> None:
    run = spec.run
    config: dict[str, Any] = {}
    if run.ipc != "host":
        config["ipc"] = run.ipc
    if run.shm_size:
        config["shm_size"] = run.shm_size
    if run.ulimits:
        config["ulimit"] = [f"{name}={limit}" for name, limit in run.ulimits.items()]
    if run.gpus == "none":
        report.lose("run.gpus", "sparkrun gives every container its GPUs", run.gpus)
    for volume in run.volumes:
        report.lose("run.volumes", "a sparkrun recipe mounts no folder", f"{volume.source}:{volume.target}")
    if run.network != "host":
        report.note("run.network: sparkrun's containers use the host's network unless the cluster says otherwise")
    if config:
        data["executor_config"] = config
    if not run.compile_cache:
        data["runtime_cache"] = False


def _not_held(spec: Spec, variant: str, report: Report) -> None:
    for other in spec.variants:
        if other != variant:
            why = f"a sparkrun recipe holds one: export it with --variant {other}"
            report.lose(f"variants.{other}", why, runs=False)
    for text in spec.missing:
        report.lose("missing", "the recipe is a record; what it lacks, the export lacks", text)
    for key in used_models(spec, variant)[1:]:
        if spec.models[key].hf_id is None:
            why = "is not on the hub; put it in that folder on each machine"
            report.lose(f"models.{key}", why, spec.models[key].folder)
    for name, value in (
        ("bench", [cell.id for cell in spec.cells()]),
        ("pitfalls", list(spec.pitfalls)),
        ("published", [figure.source for figure in spec.published]),
        ("healthy_log", list(spec.healthy_log)),
        ("engine.notes", list(spec.engine.notes)),
        ("silenced", list(spec.silenced)),
        ("authors", [author.name for author in spec.authors]),
        ("references", [reference.title for reference in spec.references]),
        ("run.ready_timeout_s", spec.run.ready_timeout_s),
    ):
        if value:
            report.lose(name, "has no place in a sparkrun recipe", value, runs=False)


class _Command:
    """The command template of a variant, and the defaults that it names."""

    def __init__(self, spec: Spec, variant: str, report: Report) -> None:
        # Under sparkrun an engine takes its models from the hub's cache, whatever they lie in here.
        hub = spec.engine.name in ("vllm", "atlas")
        run = spec.run.model_copy(update={"models": "hf-cache"}) if hub else spec.run
        self.spec = spec.model_copy(update={"run": run})
        self.variant = variant
        self.report = report
        self.adapter = engine(spec.engine.name)
        self.names = {flag: key for key, flag in DEFAULTS[spec.engine.name].items() if spec.engine.name != "llama.cpp"}
        self.defaults: dict[str, Any] = {"port": spec.run.port, "host": "0.0.0.0"}  # noqa: S104 - in a container
        self.knobs: dict[str, str] = {"MODELS_DIR": spec.run.models_path}
        self.words: list[list[str | Var]] = []

    def lines(self) -> list[str]:
        """One line for each flag, the program first; placeholders as `{key}`, literal braces as the text needs them."""
        self.head()
        for key, words in self.adapter.flags(self.spec, self.variant, self.knobs):
            value = self.spec.variants[self.variant].flags[key]
            if any("path" in reference for reference in references(value)):
                self.report.lose(f"engine.flags.{key}", "names a part of a model's folder", value)
                continue
            self.words.append(self.flag(key, value, words))
        literal = [word for line in self.words for word in line if isinstance(word, str)]
        known = {*self.defaults, "model", "model_revision"}
        doubled = any("{{" in word or known & set(_PLACEHOLDER.findall(word)) for word in literal)
        return [" ".join(_shown(word, doubled) for word in line) for line in self.words]

    def head(self) -> None:
        model = self.spec.models[self.spec.variants[self.variant].model]
        name, program = self.spec.served_name, self.adapter.program
        port: list[list[str | Var]] = [["--host", Var("host")], ["--port", Var("port")]]
        if self.adapter.name == "vllm":
            self.words.append([program, "serve", Var("model")])
            if model.revision and model.hf_id:
                self.words.append(["--revision", model.revision])
            self.words.append(["--served-model-name", name])
            self.words += port
        elif self.adapter.name == "atlas":
            self.words += [[program, "serve", Var("model")], ["--model-name", name], port[1]]
            del self.defaults["host"]
        else:
            self.words.append([program, "-hf" if model.hf_id else "-m", Var("model")])
            if model.file and model.hf_id:
                self.words.append(["--hf-file", model.file])
            self.words += [["--alias", name], *port]

    def flag(self, key: str, value: Any, words: list[Arg]) -> list[str | Var]:
        """A flag's words; a plain value goes to the defaults."""
        written: list[str | Var] = [put_in(word, self.knobs) for word in words]
        default = self.names.get(key, key.replace("-", "_"))
        bare = isinstance(value, str | int | float) and not isinstance(value, bool) and _BARE.fullmatch(str(value))
        taken = default in self.defaults or default in ("model", "model_revision")
        if not bare or not _KEY.fullmatch(key) or taken or len(words) != 2:
            return written
        self.defaults[default] = value
        return [flag_word(key), Var(default)]


def _shown(word: str | Var, doubled: bool) -> str:
    if isinstance(word, Var):
        return f"{{{word.name}}}"
    text = shell_word(word)
    return text.replace("{", "{{").replace("}", "}}") if doubled else text


def to_compose(spec: Spec, compose: str, variant: str) -> Exported:
    """The kit's compose.yaml, and what it leaves to the kit.

    Args:
        compose: as the kit has it.
    """
    report = Report()
    chosen = spec.variants[variant]
    report.lose("image", "`build: .` builds the kit: run it in the recipe's folder", spec.image.base)
    if variant != spec.headline:
        old, new = "${LAUNCH:-launch_server.sh}", f"${{LAUNCH:-{chosen.script}}}"
        compose = compose.replace(old, new)
    flags = "the launch script in the image holds them"
    report.lose("engine.flags", flags, [flag_word(key) for key in chosen.flags], runs=False)
    if chosen.env:
        report.lose("engine.env", flags, list(chosen.env), runs=False)
    for key in used_models(spec, variant):
        why = "compose downloads nothing: scripts/download_models.sh does"
        report.lose(f"models.{key}", why, spec.models[key].hf_id or spec.models[key].folder)
    for other in list(_others(spec, variant)):
        report.lose(f"variants.{other}", f"LAUNCH={spec.variants[other].script} starts it", runs=False)
    cells = [cell.id for cell in spec.cells()]
    report.lose("bench", "compose measures nothing: scripts/bench.sh does", cells, runs=False)
    return Exported(compose, report)


def _others(spec: Spec, variant: str) -> Iterator[str]:
    return (name for name in spec.variants if name != variant)
