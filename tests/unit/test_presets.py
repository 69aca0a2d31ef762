"""The shipped presets: right by the model, closed in themselves, and true to the sources that they name."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import recipegen
from recipegen.scaffold import recipe_text
from recipegen.spec.model import Recipe

ROOT = Path(__file__).parents[2]
PRESETS = Path(recipegen.__file__).parent / "catalog" / "presets"
KNOWLEDGE = ROOT.parent / "shared" / "knowledge"
NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))

# Put in by the engine room, from run.port, the knob HOST and model.served_name.
OWN_FLAGS = {"host", "port", "served-model-name", "model"}

# preset -> recipe in reproducers.yaml, and its variants there
REPRODUCERS = {
    "qwen36-35b-dflash": (
        "qwen36-35b-a3b-dflash-spark",
        {"dflash": "nvfp4-dflash", "ar": "nvfp4-ar", "fp8-ar": "fp8-ar", "fp8-dflash": "fp8-dflash"},
    ),
    "qwen36-27b-dflash": (
        "qwen36-27b-dflash-spark",
        {"dflash": "nvfp4-dflash", "ar": "nvfp4-ar", "fp8-ar": "fp8-ar", "fp8-dflash": "fp8-dflash"},
    ),
    "qwen35-27b-prefill": ("vllm-prefill-optimized-spark", {"prefill": "prefill-cutlass"}),
}


def preset(name: str) -> Recipe:
    return Recipe.model_validate(yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8")))


def merged_flags(recipe: Recipe, variant: str) -> dict[str, Any]:
    """The flags of a variant: the common ones, less what it drops, with its own."""
    difference = recipe.variants[variant]
    common = {key: value for key, value in recipe.engine.flags.items() if key not in difference.drop}
    return {**common, **difference.flags}


@functools.cache
def knowledge(file: str) -> dict[str, Any]:
    path = KNOWLEDGE / file
    if not path.is_file():
        pytest.skip(f"no {file}: the sources' facts are not beside this checkout")
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def entry(items: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
    (found,) = (item for item in items if item.get(key) == value)
    return found


def references(value: Any) -> Iterator[str]:
    """Keys of the models that a flag's value refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$model":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_promised_presets_are_there() -> None:
    assert {"qwen36-35b-dflash", "qwen36-27b-dflash", "qwen35-27b-prefill", "qwen36-35b-mtp"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_closed_in_itself(name: str) -> None:
    recipe = preset(name)
    assert recipe.name == name
    assert recipe.headline in recipe.variants
    assert recipe.baseline is None or recipe.baseline in recipe.variants
    known = set(recipe.engine.env) | set(getattr(recipe.image, "env", {}))
    for variant, difference in recipe.variants.items():
        flags = merged_flags(recipe, variant)
        known |= set(flags) | set(difference.env)
        assert not OWN_FLAGS & set(flags)
        assert set(difference.drop) <= set(recipe.engine.flags)
        assert difference.model is None or difference.model in recipe.models
        assert set(references(flags)) <= {"model", *recipe.models}
    assert set(recipe.engine.notes) <= known, "a note about a flag that no variant has"
    assert {figure.variant for figure in recipe.published} <= set(recipe.variants)
    for patch in getattr(recipe.image, "patches", ()):
        assert (ROOT / "patches" / patch / "apply.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_begins_with_what_it_is(name: str) -> None:
    lines = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = lines[: lines.index("schema: recipegen/v1")]
    assert comment and all(line.startswith("#") for line in comment)


@pytest.mark.parametrize("name", [*REPRODUCERS, "qwen36-35b-mtp"])
def test_is_planned_pinned_in_code_and_measured_like_the_others(name: str) -> None:
    recipe = preset(name)
    assert recipe.status == "planned"
    assert recipe.image.mode == "prebuilt"
    assert any("floating" in pitfall for pitfall in recipe.pitfalls)
    assert recipe.bench.runs == 30
    corpora = recipe.bench.corpora
    assert corpora is not None
    assert list(corpora) == ["prose", "code"]
    assert corpora["code"].sha256 is not None
    assert {(cell.pp, cell.tg) for cell in recipe.bench.cells} >= {(2048, 128), (128, 128)}


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, variant) for name, (_, variants) in REPRODUCERS.items() for variant in variants],
)
def test_flags_are_those_of_the_public_scripts(name: str, variant: str) -> None:
    recipe_id, variants = REPRODUCERS[name]
    source = entry(knowledge("reproducers.yaml")["recipes"], "id", recipe_id)
    script = entry(source["variants"], "name", variants[variant])
    recipe = preset(name)

    expected = {flag.removeprefix("--"): value for flag, value in script["flags"].items()}
    assert recipe.model.served_name == expected["served-model-name"]
    assert recipe.run.port == expected["port"]
    for own in OWN_FLAGS & set(expected):
        del expected[own]
    if expected.get("default-chat-template-kwargs") == "$THINK_KWARGS":
        expected["default-chat-template-kwargs"] = {"enable_thinking": True}  # the knob's documented value
    if "speculative-config" in expected:
        drafter = str(recipe.models["drafter"].hf_id)
        assert drafter == source["drafters"][0]["hf_id"]
        assert expected["speculative-config"]["model"] == f"/models/{drafter.split('/')[1]}"
        expected["speculative-config"] = {**expected["speculative-config"], "model": {"$model": "drafter"}}
    assert merged_flags(recipe, variant) == expected

    served = recipe.variants[variant].model
    if served is not None:
        folder = recipe.models[served].folder or str(recipe.models[served].hf_id).split("/")[1]
        assert script["model"] == f"/models/{folder}"
    assert {**recipe.engine.env, **recipe.image.env}.items() >= script.get("env", {}).items() - arch(recipe)


def arch(recipe: Recipe) -> set[tuple[str, str]]:
    """The two variables that follow from image.arch_list."""
    value = recipe.image.arch_list
    assert value is not None
    return {("TORCH_CUDA_ARCH_LIST", value), ("FLASHINFER_CUDA_ARCH_LIST", value)}


@pytest.mark.parametrize("name", REPRODUCERS)
def test_models_image_and_figures_are_those_of_the_source(name: str) -> None:
    source = entry(knowledge("reproducers.yaml")["recipes"], "id", REPRODUCERS[name][0])
    recipe = preset(name)
    assert recipe.model.hf_id == source["target"]["hf_id"]
    assert recipe.model.revision == source["target"].get("revision")
    folder = recipe.model.folder or str(recipe.model.hf_id).split("/")[1]
    assert source["target"]["folder"] == f"~/models/{folder}"
    assert recipe.model.size_gb == source["target"].get("weights_gb")
    assert recipe.image.base == source["engine"]["base_image"]
    given = {**recipe.engine.env, **recipe.image.env}
    assert given.items() >= source["engine"]["image_env"].items() - arch(recipe)
    assert bool(recipe.image.patches) == bool(source.get("patches"))
    assert recipe.run.ready_timeout_s == source["wait"]["timeout_s"]
    assert (recipe.run.ipc == "host") == ("--ipc=host" in source["docker_run"])

    numbers = {float(number) for number in re.findall(r"\d+\.\d+", yaml.safe_dump(source))}
    assert recipe.published
    for figure in recipe.published:
        assert figure.value in numbers, figure


def test_mtp_is_the_guides_recipe() -> None:
    source = entry(knowledge("models.yaml")["models"], "id", "qwen36-35b-a3b-nvfp4")
    recipe = preset("qwen36-35b-mtp")
    expected = {flag.removeprefix("--"): value for flag, value in source["flags"].items()}
    assert recipe.run.port == expected.pop("port")
    assert merged_flags(recipe, "mtp") == expected
    del expected["speculative-config"]
    assert merged_flags(recipe, "ar") == expected
    # HF_HOME and HF_TOKEN are the run's, not the recipe's.
    wanted = {key: value for key, value in source["env"].items() if not key.startswith("HF_")}
    assert recipe.engine.env == wanted
    assert recipe.model.hf_id == source["hf_id"]
    assert recipe.image.base == source["image"]
    assert recipe.run.models == "hf-cache"
    assert recipe.run.models_path == source["env"]["HF_HOME"]
    assert recipe.run.ipc == source["docker"]["ipc"]
    assert recipe.published == ()


@pytest.mark.parametrize("name", [name for name in NAMES if (ROOT / "recipes" / name / "recipe.yaml").is_file()])
def test_the_shipped_recipe_is_its_preset(name: str) -> None:
    """What `recipegen new` writes, but for the status, which changes when somebody has measured it."""
    file = ROOT / "recipes" / name / "recipe.yaml"
    texts = [recipe_text(name, (PRESETS / f"{name}.yaml").read_text()), file.read_text()]
    shipped, ours = (re.sub(r"(?m)^status:.*$", "", text, count=1) for text in texts)
    assert ours == shipped


PAGE = ROOT / "docs" / "configurations.md"


def test_every_configuration_of_the_sources_became_something_or_the_page_says_why_not() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[1] != "became"]  # the heads of the two tables
    became = {row[0]: row[1] for row in rows}
    known = {model["id"] for model in knowledge("models.yaml")["models"]}
    known |= {recipe["id"] for recipe in knowledge("reproducers.yaml")["recipes"]}
    assert set(became) == known
    assert all(len(row) == 3 and row[2] for row in rows if row[1] == "nothing")


def test_the_page_of_configurations_links_to_what_is_there() -> None:
    links = re.findall(r"\]\((\.\./[^)]+)\)", PAGE.read_text())
    assert len(links) > 40
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
    records = [line for line in PAGE.read_text().splitlines() if "| record" in line]
    for link in re.findall(r"presets/([a-z0-9.-]+)\.yaml", "\n".join(records)):
        assert preset(link).missing, f"{link} is called a record"
