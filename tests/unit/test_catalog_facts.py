"""The catalog of machines, models and images: sound as it ships, strict about what is added, true to its sources."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen import catalog
from recipegen.catalog.facts import KvFacts, ModelFacts
from recipegen.spec.completed import HardwareProfile, Spec
from recipegen.workspace import Workspace
from tests.support.catalog_check import check_catalog

ROOT = Path(__file__).parents[2]
KNOWLEDGE = ROOT.parent / "shared" / "knowledge"


def knowledge(file: str) -> Any:
    """A file of the public sources' digest; the test is skipped where it is not beside the checkout."""
    path = KNOWLEDGE / file
    if not path.is_file():
        pytest.skip(f"the digest of the sources (shared/knowledge/{file}) is not beside this checkout")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the catalog's files to spoil."""
    folder = tmp_path / "catalog"
    shutil.copytree(catalog.MODELS, folder / catalog.MODELS.name)
    for file in (catalog.HARDWARE, catalog.IMAGES):
        shutil.copy(file, folder / file.name)
    return folder


def test_catalog_as_shipped_is_sound() -> None:
    assert [str(problem) for problem in check_catalog()] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("families/llama3.3.yaml", "    params_b: 70\n", "    params_bb: 70\n", "unknown key 'params_bb' in models.0"),
        ("families/llama3.3.yaml", "layers: 80\n", 'layers: "80"\n', "models.0.kv.layers must be a whole number"),
        ("families/llama3.3.yaml", "      kv_heads: 8\n", "", "needs either mla, or kv_heads and head_dim"),
        ("families/llama3.3.yaml", "      attention_layers: 80\n", "      attention_layers: 81\n", "only 80 layers"),
        (
            "families/llama3.3.yaml",
            "[class, arch, params_b, gated]",
            "[class, arch, gated]",
            "no source is named for par",
        ),
        (
            "families/llama3.3.yaml",
            "[native_context]",
            "[native_context, nope]",
            "a source names the unknown field nope",
        ),
        ("families/llama3.3.yaml", "id: llama-3.3-70b", "id: Llama 3.3", "'Llama 3.3' is no slug"),
        ("families/llama3.3.yaml", "base_model: meta-llama/Llama-3.3", "base_model: Llama-3.3", "OWNER/NAME"),
        ("families/llama3.3.yaml", "id: llama-3.3-70b", "id: gpt-oss-20b", "the model gpt-oss-20b is there already"),
        (
            "families/llama3.3.yaml",
            "base_model: meta-llama/",
            "base_model: OPENAI/gpt-oss-20b # ",
            "belongs to gpt-oss-20b",
        ),
        (
            "families/llama3.3.yaml",
            "    gated: true\n",
            "    gated: yes\n",
            "YAML 1.1 and 1.2 read this file differently",
        ),
        (
            "families/llama3.3.yaml",
            "    params_b: 70\n",
            "    params_b: 70\n    params_b: 71\n",
            "duplicate key 'params_b'",
        ),
        ("images.yaml", "id: ngc-26.04\n", "id: ngc-vllm\n", "the image ngc-vllm is there already"),
        ("images.yaml", "    sm_121: true\n", "    sm_121: maybe\n", "images.0.sm_121 must be true or false"),
        ("images.yaml", "      - model: qwen3.6-27b\n", "      - model: qwen9-1b\n", "there is no model qwen9-1b"),
        ("images.yaml", "for: [nemotron3]", "for: [nemotron9]", "no model is of the family nemotron9"),
        ("images.yaml", "entrypoint: env-driven", "entrypoint: env", "is not one of serve-explicit"),
        ("images.yaml", "matches: 'vllm-node-tf5:.*'", "matches: 'vllm-node-tf5:(.*'", "is no regular expression"),
        ("images.yaml", "    reference: avarok/vllm-dgx-spark:v14\n", "", "needs reference or matches"),
        ("hardware.yaml", "  sm: sm_121\n", "  smm: sm_121\n", "unknown key 'smm' in dgx-spark"),
        ("hardware.yaml", "  nodes: 2\n", "  nodes: 0\n", "dgx-spark-x2.nodes must be at least 1"),
    ],
)
def test_wrong_fact_is_named_with_file_and_line(copy: Path, file: str, old: str, new: str, message: str) -> None:
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    found = [problem for problem in check_catalog(copy) if message in problem.message]

    assert len(found) == 1, [str(problem) for problem in check_catalog(copy)]
    assert found[0].where.file == path
    assert found[0].where.line > 0


def test_unknown_key_is_placed_on_its_own_line(copy: Path) -> None:
    path = copy / "families" / "phi4.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("    params_b:"))
    lines.insert(at, "    param_b: 5.6")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    (problem,) = check_catalog(copy)

    assert (problem.where.line, problem.where.column) == (at + 1, 5)
    assert "did you mean params_b" in problem.hint


def test_a_machine_is_added_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "hardware.yaml"
    file.write_text(
        "rtx-pro-6000:\n  label: RTX PRO 6000\n  gpu: RTX PRO 6000\n  sm: sm_120\n  memory_gb: 96\n"
        "  bandwidth_gb_s: 1792\n  source: its data sheet\n",
        encoding="utf-8",
    )

    profile = catalog.read_hardware(file)["rtx-pro-6000"]

    assert (profile.sm, profile.memory_gb, profile.nodes, profile.interconnect) == ("sm_120", 96, 1, None)


@pytest.mark.parametrize(("profile_id", "nodes"), [("dgx-spark", 1), ("dgx-spark-x2", 2), ("dgx-spark-x4", 4)])
def test_sparks(profile_id: str, nodes: int) -> None:
    profile = catalog.hardware_profiles()[profile_id]

    assert profile.nodes == nodes
    assert (profile.sm, profile.memory_gb, profile.bandwidth_gb_s, profile.cpu_arch) == ("sm_121", 128, 273, "aarch64")
    assert (profile.interconnect is not None) == (nodes > 1)


def spec_with(**changes: Any) -> Spec:
    spec = Workspace.open(ROOT).spec("smoke-llamacpp")
    hardware = HardwareProfile(**{**spec.hardware.model_dump(), **changes})
    return spec.model_copy(update={"hardware": hardware})


def test_identity_of_recipes_for_one_machine_is_what_it_was() -> None:
    """Records of runs made before clusters were known still name their recipe."""
    records = sorted((ROOT / "recipes" / "smoke-llamacpp" / "results").glob("*/*/run.json"))
    recorded = {json.loads(record.read_text())["recipe"]["spec_sha256"] for record in records}

    assert spec_with().sha256 in recorded
    assert spec_with(sm="sm_121", interconnect="a cable", note="a note", label="x").sha256 in recorded
    assert spec_with(nodes=2).sha256 not in recorded
    assert spec_with(nodes=2).sha256 != spec_with(nodes=4).sha256


def test_every_repository_of_the_sources_is_known() -> None:
    named = {entry["hf_id"] for entry in knowledge("models.yaml")["models"] if "hf_id" in entry}
    named |= {
        recipe["target"]["hf_id"] for recipe in knowledge("reproducers.yaml")["recipes"] if "hf_id" in recipe["target"]
    }

    assert len(named) > 20
    assert {name for name in named if catalog.facts_of(name) is None} == set()


def test_every_drafter_of_the_sources_is_known() -> None:
    named = {entry["drafter_hf_id"] for entry in knowledge("models.yaml")["models"] if "drafter_hf_id" in entry}
    for recipe in knowledge("reproducers.yaml")["recipes"]:
        named |= {drafter["hf_id"] for drafter in recipe.get("drafters", []) if "hf_id" in drafter}

    known = {drafter.hf_id for model in catalog.model_facts().values() for drafter in model.drafters}
    assert named - known == set()


def test_every_family_of_the_sources_is_known() -> None:
    named = {entry["family"] for entry in knowledge("models.yaml")["models"] if "family" in entry}

    assert named - {model.family for model in catalog.model_facts().values()} == set()


@pytest.mark.parametrize("field", ["params_total_b", "params_active_b", "arch_class", "context_native"])
def test_facts_agree_with_the_sources(field: str) -> None:
    ours = {"params_total_b": "params_b", "params_active_b": "active_b", "arch_class": "arch_class"}
    checked = 0
    for entry in knowledge("models.yaml")["models"]:
        facts = catalog.facts_of(entry.get("hf_id"))
        if facts is None or field not in entry:
            continue
        if field == "context_native":
            number = {"262K": 262144, "256K": 262144, "128K": 131072, "1M": 1048576}
            given = str(entry[field]).split()[0]
            expected = number.get(given) or int(given)
            assert expected in (facts.native_context, facts.max_context), entry["id"]
        elif facts.id != "laguna-xs.2":
            # Sources round: 33 for 33.4.
            assert getattr(facts, ours[field]) == entry[field], entry["id"]
        checked += 1
    assert checked


def test_every_image_of_the_sources_is_known() -> None:
    named = {entry["image"] for entry in knowledge("rules.yaml")["image_matrix"]}
    named |= {entry["image"] for entry in knowledge("models.yaml")["models"] if "image" in entry}
    for recipe in knowledge("reproducers.yaml")["recipes"]:
        named |= {recipe["engine"][key] for key in ("image", "base_image") if key in recipe["engine"]}
    references = {name for name in named if " " not in name}  # the others describe a build in words

    own_builds = {name for name in references if name.startswith("vllm-prefill-flashqla-hkv-spark")}
    assert {name for name in references - own_builds if catalog.image_facts(name) is None} == set()


def test_image_matrix_is_carried_over() -> None:
    for entry in knowledge("rules.yaml")["image_matrix"]:
        facts = catalog.image_facts(entry["image"])
        if facts is None or " " in entry["image"]:
            continue
        if entry["image"] != "vllm-node-tf5:latest":  # the sources disagree on what it holds
            assert str(entry.get("transformers", facts.packages.get("transformers"))) == str(
                facts.packages.get("transformers")
            )
        assert entry.get("vllm", facts.engine_version) == facts.engine_version
        assert entry.get("sm121_fp8_kernels", facts.sm_121) == facts.sm_121
        if isinstance(entry.get("dflash"), bool):
            assert facts.dflash == entry["dflash"]
        if str(entry.get("qwen36_27b_fp8", "")).startswith("fails"):
            assert any(failure.model == "qwen3.6-27b" for failure in facts.fails)
        if "lacks" in entry:
            assert entry["lacks"] in facts.lacks


@pytest.mark.parametrize(
    ("hf_id", "base", "expected"),
    [
        ("RedHatAI/Qwen3.6-35B-A3B-NVFP4", None, "qwen3.6-35b-a3b"),
        ("redhatai/qwen3.6-35b-a3b-nvfp4", None, "qwen3.6-35b-a3b"),
        ("someone/Qwen3.6-27B-AWQ", "Qwen/Qwen3.6-27B", "qwen3.6-27b"),
        ("unsloth/MiniMax-M2.7-GGUF", "Qwen/Qwen3.6-27B", "minimax-m2.7"),
        ("someone/else", None, None),
        ("z-lab/Qwen3.6-27B-DFlash", None, None),
        (None, "google/gemma-3-270m", "gemma3-270m"),
        (None, None, None),
    ],
)
def test_facts_of_a_repository(hf_id: str | None, base: str | None, expected: str | None) -> None:
    found = catalog.facts_of(hf_id, base)

    assert (found.id if found else None) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nvcr.io/nvidia/vllm:26.04-py3", "ngc-26.04"),
        (f"nvcr.io/nvidia/vllm:26.04-py3@sha256:{'0' * 64}", "ngc-26.04"),
        ("nvcr.io/nvidia/vllm:26.02-py3", "ngc-vllm"),
        ("docker.io/vllm/vllm-openai:nightly", "vllm-nightly"),
        ("vllm/vllm-openai", "vllm-latest"),
        ("vllm/vllm-openai:v0.19.0", "vllm-release"),
        ("nvidia/cuda:13.2.0-devel-ubuntu24.04", "cuda-13.2-and-13.3"),
        (f"vllm/vllm-openai@sha256:{'0' * 64}", None),
        ("python:3.11-slim-bookworm", None),
        ("", None),
    ],
)
def test_facts_of_an_image(reference: str, expected: str | None) -> None:
    found = catalog.image_facts(reference)

    assert (found.id if found else None) == expected


def kv(model_id: str) -> KvFacts:
    found = catalog.model_facts()[model_id].kv
    assert found is not None
    return found


def test_cache_numbers_give_what_was_published() -> None:
    """Bytes of cache per token: GLM-5.2 in fp8 as measured, Nemotron-3-Super in BF16 as pages about it say."""
    glm, nemotron = kv("glm-5.2"), kv("nemotron-3-super-120b-a12b")
    assert glm.mla is not None and nemotron.kv_heads is not None and nemotron.head_dim is not None

    assert glm.attention_layers * (glm.mla.kv_lora_rank + glm.mla.qk_rope_head_dim) == pytest.approx(44_979, rel=0.01)
    assert nemotron.attention_layers * 2 * nemotron.kv_heads * nemotron.head_dim * 2 == 8 * 1024


BITS = {"NVFP4": 4, "FP8": 8, "BF16": 16, "MXFP4": 4}
"""Bits of a weight in the format, scales left out."""


def weighed() -> list[tuple[ModelFacts, str, float]]:
    return [
        (model, one.quantization, one.weights_gb / (one.params_b or model.params_b))
        for model in catalog.model_facts().values()
        for one in model.checkpoints
        if one.weights_gb and model.params_b and one.quantization in BITS
    ]


@pytest.mark.parametrize(
    ("model", "quantization", "bytes_a_weight"), weighed(), ids=lambda value: getattr(value, "id", None)
)
def test_sizes_of_checkpoints_are_possible(model: ModelFacts, quantization: str, bytes_a_weight: float) -> None:
    """No less than the bits of the format, no more than all of it in BF16."""
    assert BITS[quantization] / 8 <= bytes_a_weight <= 2.1


def test_numbers_from_memory_say_so() -> None:
    for model in catalog.model_facts().values():
        said = [(one.source, one.verified) for one in model.sources]
        said += [(one.source, one.verified) for one in model.checkpoints]
        said += [(one.source, one.verified) for one in model.drafters]
        said += [(model.kv.source, model.kv.verified)] if model.kv else []
        assert [source for source, verified in said if "from memory" in source and verified] == [], model.id
