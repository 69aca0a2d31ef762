"""From what a source says to a recipe. Owns the choices of an import: hardware, image, variants, run; every one of
them stands in the recipe for its reader to change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from recipegen.catalog import hardware_profiles, image_facts
from recipegen.engines import engine as adapter_of
from recipegen.engines.ranks import BY_NODE, parallel_flags, ranks_of
from recipegen.errors import Problem, SpecError, Where
from recipegen.exchange.models import LONGEST, Models, declared_models
from recipegen.exchange.report import one_line, shown
from recipegen.exchange.server import KNOWN_SERVERS, NO_SERVER, describe, find_server, read_flags
from recipegen.exchange.settle import settle
from recipegen.exchange.source import Source
from recipegen.exchange.words import Word
from recipegen.load.yamldoc import Path_
from recipegen.results.scrub import hide_secrets
from recipegen.spec.model import Recipe
from recipegen.spec.topology import MAX_NODES, VLLM_MASTER_PORT
from recipegen.spec.types import SLUG

SPARK = "dgx-spark"
AR = "ar"
_LABELS = {"vllm": "vLLM", "atlas": "Atlas"}
_GENERIC = frozenset(
    ["run", "start", "launch", "serve", "server", "docker", "docker-run", "vllm", "llama", "llama-server", "llm", "cmd"]
) | frozenset(["command", "script", "compose", "docker-compose", "recipe", "model", "inference", "app", "main", "test"])
"""Names of files and containers that say nothing about what is served."""
_PORTS = {"llama.cpp": 8080}
_LLAMA_IMAGE = re.compile(r"ghcr\.io/(?:ggml-org|ggerganov)/llama\.cpp[:@].*")
_LLAMA_PATH = "/app:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VERSION = re.compile(r".*(?:vllm|VLLM)[^:@]*:v?([0-9]+\.[0-9]+\.[0-9]+)(?:[.+-].*)?")
_FILES = re.compile(r"[^{}\s]*\.(?:jinja2?|py|json|ya?ml|txt)")


@dataclass(frozen=True)
class Draft:
    """A recipe made from a source.

    Attributes:
        data: as YAML has it, in the order to write it.
        comments: what to say behind a line, by its path.
        recipe: the same, checked.
    """

    data: dict[str, Any]
    comments: dict[Path_, str]
    recipe: Recipe
    source: Source


def slug(text: str) -> str:
    """A name for a recipe, or an empty text where nothing of it is left."""
    kept = re.sub(r"[^a-z0-9._-]+", "-", text.lower()[:200])
    short = re.sub(r"[._-]*([._-])[._-]*", r"\1", kept)[:63].strip("._-")
    return short if re.fullmatch(SLUG, short) else ""


def draft(source: Source, name: str | None = None) -> Draft:
    """The recipe that a source makes.

    Args:
        name: what to call it; by default what the source suggests.

    Raises:
        SpecError: there is no server in it, or it makes no recipe for another reason.
    """
    found = find_server(source.words)
    if found is None and source.engine in (None, "vllm", "llama.cpp", "atlas"):
        raise SpecError([Problem(Where(source.file), NO_SERVER, KNOWN_SERVERS)])
    called, begins = (found[0], found[2]) if found else (source.engine or "other", len(source.words))
    if found and source.engine and called != source.engine:
        source.report.note(f"runtime: the source says {shown(source.engine)}, its command starts {called}")
    engine = called if called in ("vllm", "llama.cpp", "atlas") else "other"
    if found is None:
        source.report.lose("command", f"{called} is not an engine that recipegen knows", describe(source.words))
    return _Making(source, engine, called, source.words[begins:]).draft(name)


class _Making:
    """One recipe in the making."""

    def __init__(self, source: Source, engine: str, called: str, arguments: list[Word]) -> None:
        self.source = source
        self.engine = engine
        self.called = called
        self.report = source.report
        self.comments: dict[Path_, str] = {}
        self.version = source.engine_version or _version_of(source.image) if engine == "vllm" else source.engine_version
        self.server = read_flags(called, arguments, self.version, self.report, layered=source.layered)
        self.models = self.served()
        self.models.refer(self.server.flags)

    def draft(self, name: str | None) -> Draft:
        source, models = self.source, self.models
        data: dict[str, Any] = {"schema": "recipegen/v1", "name": name or self.name()}
        served = str(models.main.get("hf_id") or models.main["folder"]).rpartition("/")[2]
        title = source.title or f"{served} on {_LABELS.get(self.called, self.called)}"
        data["title"] = one_line(title.replace("\\", "/"), 120) or data["name"]
        data["status"] = "planned"
        cluster = self.cluster()
        data["hardware"] = self.hardware()
        nodes = source.nodes or 1
        if self.engine == "vllm" and 1 < nodes <= MAX_NODES and hardware_profiles()[data["hardware"]].nodes != nodes:
            cluster = {"nodes": nodes, **cluster}
        if source.authors:
            data["authors"] = source.authors
        if source.references:
            data["references"] = source.references
        if source.description and source.description.strip() != data["title"]:
            about = source.description.strip()[:5000]
            data["description"] = f"{about}\n" if "\n" in about else about
        data["model"] = models.main
        self.comments["model", "quantization"] = "from the source or the model's name; recipegen asked no hub"
        if "revision" not in models.main and "hf_id" in models.main:
            self.comments["model", "hf_id"] = "the source pins no revision; `recipegen lock` does"
        port = self.port()
        variants = self.variants()
        if models.further:
            data["models"] = models.further
        data["image"] = self.image()
        data["engine"] = self.engine_part()
        data["headline"] = next(iter(variants))
        if AR in variants:
            data["baseline"] = AR
        data["variants"] = variants
        if cluster:
            data["cluster"] = cluster
        data["run"] = self.run(data, port)
        if source.benches:
            data["bench"] = {"profiles": source.benches}
        if missing := self.missing():
            data["missing"] = missing
        recipe = settle(data, source.file, self.report)
        self.look_at_files()
        return Draft(_without_empty(data), self.comments, recipe, source)

    # The model, and the flags that recipegen puts in itself.

    def served(self) -> Models:
        source, server, report = self.source, self.server, self.report
        named, file = Word(""), None
        if self.engine == "llama.cpp":
            file = _text(server.take("hf-file"))
            named = Word(_text(server.take("hf-repo", "model")) or "")
        elif server.positional and self.engine != "llama.cpp":
            named = server.positional.pop(0)
        given = server.take("model-from-path", "model", "model-path")
        if not named.text and given is not None:
            named = Word(_text(given) or "")
        if named.why:
            report.lose("model", f"needs {named.why}", named.text, named.line)
            named = Word("")
        for word in server.positional:
            report.lose("argument", "no flag takes this word", word.text, word.line)
        revision = _text(server.take("revision"))
        if revision:
            source.revision = revision
        models = declared_models(source, self.engine, named.text, file, named.line)
        name = self.served_name() or models.served_by_default
        if name:
            models.main["served_name"] = name
        return models

    def served_name(self) -> str | None:
        flag = {"atlas": "model-name", "llama.cpp": "alias"}.get(self.engine, "served-model-name")
        value = self.server.take(flag)
        names = value if isinstance(value, list) else [value]
        line = self.server.lines.get(flag, 0)
        for other in names[1:]:
            self.report.lose(f"--{flag}", "a further name for the same model; recipegen serves one", other, line)
        return None if names[0] in (None, True, False) else str(names[0])

    def port(self) -> int | None:
        value = self.server.take("port")
        if self.engine in ("vllm", "llama.cpp"):
            self.server.take("host")  # the container listens on its own address, published on the host's loopback
        port = value if type(value) is int and 0 < value < 65_536 else None
        if value is not None and port is None:
            self.report.lose("--port", "is not a port", value)
        port = port or _PORTS.get(self.engine)
        return port if self.source.box.network == "host" else self.source.box.published or port

    # Parts of the recipe.

    def name(self) -> str:
        served = str(self.models.main.get("hf_id") or self.models.main.get("folder"))
        for text in (*self.source.names, served.rpartition("/")[2]):
            if (found := slug(hide_secrets(text))) and found not in _GENERIC:
                return found
        return "imported"

    def cluster(self) -> dict[str, Any]:
        """What the source says of several machines, beyond the hardware; flags of one node are taken out.

        Where its ranks are not as many as its machines, the recipe says that a size is missing.
        """
        if self.engine != "vllm":
            return {}
        source, port, given = self.source, self.server.take("master-port"), self.server.take("nnodes")
        of_a_node = self.server.take(*BY_NODE)
        if type(given) is int and given > 1:
            source.nodes = max(source.nodes or 1, given)
        nodes = source.nodes or 1
        if nodes < 2:
            if port is not None or of_a_node is not None or given is not None:
                self.report.note("flags: what said that this is one node of one is left out")
            return {}
        if of_a_node is not None:
            self.report.note(
                "flags: which node it is and where the first one is, the kit's scripts are told on each node"
            )
        ranks = ranks_of(parallel_flags(self.server.flags, self.version), self.version).world
        if ranks != nodes:
            source.missing.append(
                f"How the model is split: the source is for {nodes} nodes of one GPU, and its flags ask for {ranks} "
                f"rank{'s' if ranks > 1 else ''}."
            )
        own = type(port) is int and 0 < port < 65_536 and port != VLLM_MASTER_PORT
        return {"master_port": port} if own else {}

    def hardware(self) -> str:
        source = self.source
        if source.box.gpus is False:
            self.comments["hardware",] = "the source gives its container no GPU"
            return "cpu"
        nodes = source.nodes or 1
        sparks = {profile.nodes: key for key, profile in hardware_profiles().items() if key.startswith(SPARK)}
        if nodes not in sparks and (self.engine != "vllm" or nodes > MAX_NODES):
            counts = ", ".join(map(str, sorted(sparks)))
            self.report.lose("nodes", f"recipegen has profiles for {counts} machines", nodes, source.nodes_line)
        if nodes > (MAX_NODES if self.engine == "vllm" else max(sparks)):
            self.source.missing.append(f"A machine: the source is for {nodes} nodes, no profile has so many.")
        # The smallest that holds so many; where none does, the largest.
        return sparks[min((count for count in sparks if count >= nodes), default=max(sparks))]

    def image(self) -> dict[str, Any]:
        base = self.source.image
        if self.engine == "other" or base is None:
            return {"mode": "none", **({"base": base} if base else {})}
        image: dict[str, Any] = {"mode": "prebuilt", "base": base, "transformers": "none"}
        self.comments["image", "transformers"] = "the image as it is, as in the source"
        if "@sha256:" not in base:
            self.comments["image", "base"] = "a tag, which can move; `recipegen lock` pins its digest"
        if self.engine == "llama.cpp" and _LLAMA_IMAGE.fullmatch(base):
            # The image has its server under /app and no Python, which the kit's check of the image wants.
            image |= {"env": {"PATH": _LLAMA_PATH}, "apt": ["python3"]}
        return image

    def engine_part(self) -> dict[str, Any]:
        part: dict[str, Any] = {"name": self.engine}
        if self.version:
            part["version"] = self.version
        return part | {"flags": self.server.flags, "env": dict(self.source.env)}

    def variants(self) -> dict[str, Any]:
        flags = self.server.flags
        method = adapter_of(self.engine).method(flags)
        key = slug(method) or "speculative"
        variants: dict[str, Any] = {key: {"title": "as in the source"}}
        if key != AR and "speculative-config" in flags and self.engine == "vllm":
            title = "without speculation: the baseline, added by the import"
            variants[AR] = {"title": title, "drop": ["speculative-config"]}
        for label, extra in self.source.extras.items():
            server = read_flags(self.called, extra.words, self.version, self.report)
            self.models.refer(server.flags)
            body: dict[str, Any] = {"title": extra.title, "flags": server.flags, "env": extra.env}
            if adapter_of(self.engine).method(server.flags) == adapter_of(self.engine).method({}):
                body["measure"] = False
            name = slug(label) or "variant"
            variants[f"{name}-2" if name in variants else name] = body
        return variants

    def run(self, data: dict[str, Any], port: int | None) -> dict[str, Any]:
        box, hub = self.source.box, self.models.hub
        run: dict[str, Any] = {"models": "hf-cache" if hub else "folders"}
        if hub:
            self.comments["run", "models"] = "the engine takes the models from the hub's cache, as in the source"
        if port is not None:
            run["port"] = port
        if box.network == "host":
            run["network"] = "host"
        if box.ipc == "host":
            run["ipc"] = "host"
        if box.shm_size:
            run["shm_size"] = box.shm_size
        if box.gpus and data["hardware"] == "cpu":
            run["gpus"] = "all"
        if box.ulimits:
            run["ulimits"] = box.ulimits
        if box.volumes:
            run["volumes"] = [
                {"source": outer, "target": inner, **({} if read_only else {"read_only": False})}
                for outer, inner, read_only in box.volumes
            ]
        if self.source.compile_cache and self.engine in ("vllm", "llama.cpp"):
            run["compile_cache"] = True
        return run

    def missing(self) -> list[str]:
        found = [*self.models.missing, *self.source.missing]
        if self.engine == "other":
            called = f"the source runs {self.called}"
            found.append(f"An engine that recipegen can start: {called}. Its flags stand here as published.")
        elif self.source.image is None and not self.source.missing:
            found.append("The container image: the source names none that can be read.")
        return [one_line(text, 500) for text in found]

    def look_at_files(self) -> None:
        """Flags that name a file of the source's container."""
        mounted = tuple(f"{target.rstrip('/')}/" for _, target, _ in self.source.box.volumes)
        for name, value in self.server.flags.items():
            if isinstance(value, str) and _FILES.fullmatch(value) and not value.startswith(mounted):
                self.report.note(f"--{name}: {shown(value)} must be in the image; image.files brings a file into it")


def _version_of(image: str | None) -> str | None:
    if not image or len(image) > LONGEST:
        return None
    facts = image_facts(image)
    if facts is not None and facts.engine_version:
        return facts.engine_version
    found = _VERSION.fullmatch(image)
    return found[1] if found else None


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, bool | list | dict) else str(value)


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    """Mappings that hold nothing are left out; a variant keeps its place."""
    engine = {key: value for key, value in data["engine"].items() if value not in ({}, [])}
    variants = {
        name: {key: value for key, value in body.items() if value not in ({}, [])}
        for name, body in data["variants"].items()
    }
    return {**data, "engine": engine, "variants": variants}
