"""Export to sparkrun and compose, and that no round trip loses a flag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.catalog import preset_file, preset_names
from recipegen.engines import engine
from recipegen.engines.base import used_models
from recipegen.errors import RecipegenError
from recipegen.exchange.export import Exported, to_compose, to_sparkrun
from recipegen.exchange.read import import_text, read
from recipegen.exchange.report import Report
from recipegen.exchange.server import find_server, read_flags
from recipegen.exchange.source import Source
from recipegen.exchange.words import Word
from recipegen.exchange.yaml_text import block
from recipegen.load.yamldoc import parse
from recipegen.quoting import yaml_scalar
from recipegen.spec.completed import Spec
from tests.unit.exchange_support import OTHERS, SPARKRUN, imported, spec_of

RUNNABLE = [file for file in sorted(SPARKRUN.glob("*.yaml")) if file.stem != "13-sglang"]
PRESETS = [name for name in preset_names() if "engine:\n  name: other" not in preset_file(name).read_text()]


def export(spec: Spec, variant: str | None = None) -> Exported:
    return to_sparkrun(spec, variant or spec.headline)


def back(done: Exported) -> Spec:
    """The recipe that an exported text makes."""
    return spec_of(import_text(done.text, Path("back.yaml")).text)


def same_server(one: Spec, variant: str, other: Spec) -> None:
    """Two recipes start the same: engine, flags and their order, environment, models with their pins, image, nodes."""
    first, second = one.variants[variant], other.variants[other.headline]
    assert other.engine.name == one.engine.name
    assert list(second.flags) == list(first.flags)
    assert second.flags == first.flags
    assert {**other.image.env, **second.env} == {**one.image.env, **first.env}
    for key in ("hf_id", "revision", "file"):
        assert getattr(other.models[second.model], key) == getattr(one.models[first.model], key)
    assert other.served_name == one.served_name
    assert other.hardware.nodes == one.hardware.nodes
    assert (other.run.port, other.run.ipc, other.run.shm_size) == (one.run.port, one.run.ipc, one.run.shm_size)
    if one.image.mode == "prebuilt":
        assert other.image.base == one.image.base


def opened(spec: Spec, variant: str) -> list[tuple[str | None, str | None]]:
    """Hub id and revision of each model that a variant opens."""
    return [(spec.models[key].hf_id, spec.models[key].revision) for key in used_models(spec, variant)]


@pytest.mark.parametrize("file", [*RUNNABLE, *sorted(OTHERS.iterdir())], ids=lambda file: file.name)
def test_recipe_to_sparkrun_to_recipe(file: Path) -> None:
    spec = spec_of(imported(file).text)
    for variant in spec.variants:
        done = export(spec, variant)
        again = back(done)
        same_server(spec, variant, again)
        assert opened(again, again.headline) == opened(spec, variant)
        # And the text that comes of the second recipe is the first one's.
        assert export(again).text.split("\n", 1)[1] == done.text.split("\n", 1)[1]


@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: file.stem)
def test_sparkrun_to_recipe_to_sparkrun(file: Path) -> None:
    """What the first sparkrun recipe starts and what the second does is the same, all but what the report names."""
    found = imported(file)
    second = export(spec_of(found.text)).text
    first = flags_of_source(file, file.read_text(encoding="utf-8"))
    lost = {entry.name for entry in found.report.lost if entry.name != "--max-num-seqs"}
    assert {k: v for k, v in first.items() if f"--{k}" not in lost} == flags_of_source(Path("second.yaml"), second)


def flags_of_source(file: Path, text: str) -> dict[str, Any]:
    """The flags that a sparkrun recipe's server gets, without those that recipegen puts in itself."""
    source = Source("", file)
    read(source, text, None)
    place = find_server(source.words)
    assert place is not None
    own = {"host", "port", "served-model-name", "alias", "model-name", "revision", "hf-file", "hf-repo"}
    server = read_flags(place[0], source.words[place[2] :], None, Report())
    return {key: value for key, value in server.flags.items() if key not in own}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_there_and_back(name: str) -> None:
    spec = spec_of(preset_file(name).read_text(encoding="utf-8"))
    for variant in spec.variants:
        opened = [key for key, model in spec.models.items() if model.hf_id is None]
        if opened or any("path" in json.dumps(value) for value in spec.variants[variant].flags.values()):
            continue  # weights that are on no hub have no name there
        done = export(spec, variant)
        again = back(done)
        assert list(again.variants[again.headline].flags) == list(spec.variants[variant].flags)
        names = {key: model.hf_id for key, model in spec.models.items()}
        assert _named(again.variants[again.headline].flags, {k: m.hf_id for k, m in again.models.items()}) == _named(
            spec.variants[variant].flags, names
        )
        assert {**again.image.env, **again.variants[again.headline].env} == {
            **spec.image.env,
            **spec.variants[variant].env,
        }


def _named(value: Any, names: dict[str, str | None]) -> Any:
    """Flags with the hub's id of a model in the place of its key."""
    if isinstance(value, dict):
        return names[value["$model"]] if "$model" in value else {k: _named(v, names) for k, v in value.items()}
    return [_named(item, names) for item in value] if isinstance(value, list) else value


HOSTILE_VALUES = [
    "plain", "two words", "it's", 'say "hi"', "$(id)", "`id`", "a;b|c&d", "back\\slash", "new\nline", "tab\there",
    "{port}", "{model}", "{{port}}", "{{", "}}", "{% if x %}{{ y }}{% endif %}", "é\u2028\u202e\U0001f600", "-dash", "",
    "#hash", "~", "*", "a,b", "{a,b}", "${HOME}", "'", "\\", "'\\''", "=", "--flag=x", "true", "null", "8000", "0.50",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_any_value_survives_the_shell_the_template_and_the_yaml(value: str) -> None:
    spec = spec_of(imported(SPARKRUN / "02-dflash.yaml").text)
    headline = spec.variants[spec.headline]
    flags = {"max-model-len": 4096, "chat-template": value, "hf-overrides": {value: {"deep": [value]}}, "seed": 1}
    changed = headline.model_copy(update={"flags": flags, "env": {"A": value}})
    spec = spec.model_copy(update={"variants": {spec.headline: changed}})
    again = back(export(spec))
    found = again.variants[again.headline]
    expected = {**flags, "chat-template": {"8000": 8000}.get(value, value)}  # a number's text is that number
    assert found.flags == expected
    assert found.env == {"A": value}


def test_what_sparkrun_cannot_hold_is_listed() -> None:
    spec = spec_of(preset_file("qwen36-35b-dflash").read_text(encoding="utf-8"))
    done = export(spec)
    names = {entry.name for entry in done.report.lost if entry.runs}
    assert "image.transformers" in names
    assert {f"variants.{name}" for name in spec.variants if name != spec.headline} <= {
        entry.name for entry in done.report.lost if not entry.runs
    }
    data = yaml.safe_load(done.text)
    assert data["recipe_version"] == "2"
    assert data["model"] == spec.main_model.hf_id
    assert data["defaults"]["port"] == spec.run.port
    assert data["command"].startswith("vllm serve {model} \\\n")


def test_an_image_that_the_kit_builds_and_weights_from_elsewhere() -> None:
    spec = spec_of(preset_file("smoke-vllm-cpu").read_text(encoding="utf-8"))
    done = export(spec)
    names = {entry.name for entry in done.report.lost if entry.runs}
    assert {"image", "model", "run.gpus"} <= names
    assert yaml.safe_load(done.text)["container"] == "smoke-vllm-cpu"


def test_an_engine_that_sparkrun_lacks() -> None:
    spec = spec_of(imported(SPARKRUN / "13-sglang.yaml").text)
    with pytest.raises(RecipegenError, match="an engine of the kind 'other'"):
        export(spec)


def test_compose_is_the_kits_own() -> None:
    spec = spec_of(preset_file("qwen36-35b-dflash").read_text(encoding="utf-8"))
    text = 'services:\n  server:\n    command: ["bash", "/recipe/scripts/${LAUNCH:-launch_server.sh}"]\n'
    assert to_compose(spec, text, spec.headline).text == text
    other = next(name for name in spec.variants if name != spec.headline)
    done = to_compose(spec, text, other)
    assert f"${{LAUNCH:-{spec.variants[other].script}}}" in done.text
    assert {"image", "models.model"} <= {entry.name for entry in done.report.lost}


@pytest.mark.parametrize(
    "value", [*HOSTILE_VALUES, 1, -1, 0.5, 1e-05, 1e22, True, False, None, [], {}, ["a b", 1], {"a": {"b": ["c"]}}]
)
def test_yaml_reads_back_what_was_written(value: Any) -> None:
    lines = block(
        {"key": value, "nest": {"a": {"key": value}, "l": [{"k": value}, {"k": 1}]}}, (), {("key",): "said\nso"}
    )
    text = "\n".join(lines) + "\n"
    expected = {"key": value, "nest": {"a": {"key": value}, "l": [{"k": value}, {"k": 1}]}}
    if not (isinstance(value, str) and any(0x2000 < ord(c) < 0x2100 for c in value)):
        assert yaml.safe_load(text) == expected  # YAML 1.1, which others read
    assert parse(text, Path("x")).data == expected
    assert parse(yaml_scalar(value), Path("x")).data == value


def test_a_words_engine_is_found_whatever_stands_before() -> None:
    words = [Word(text) for text in ("numactl", "-N", "0", "/opt/venv/bin/vllm", "serve", "a/B")]
    assert find_server(words) == ("vllm", 3, 5)
    assert find_server([Word("vllm"), Word("bench")]) is None
    assert engine("vllm").program == "vllm"


def test_the_hosts_network_comes_back_from_sparkrun() -> None:
    spec = spec_of(imported(SPARKRUN / "01-minimal.yaml").text)
    assert spec.run.network == "host"
    assert back(export(spec)).run.network == "host"
