"""The plan of a recipe: what each node holds and what goes between them, held against sums done by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.catalog import model_facts
from recipegen.cli import cli
from recipegen.complete import complete
from recipegen.fit import estimate
from recipegen.fit.parts import Part, Range
from recipegen.fit.stages import kv_of_stage, of_fullest_stage
from recipegen.plan import plan, stage_layers
from recipegen.spec.completed import Spec
from recipegen.spec.model import Recipe
from tests.support.kits import ROOT, shipped


def spec_of(flags: dict[str, Any], **more: Any) -> Spec:
    """Qwen3.5-397B in FP8 on four boxes."""
    body = {
        "schema": "recipegen/v1",
        "name": "r",
        "title": "R",
        "hardware": "dgx-spark-x4",
        "model": {"hf_id": "Qwen/Qwen3.5-397B-A17B-FP8", "quantization": "FP8"},
        "image": {"mode": "prebuilt", "base": "a/b:1"},
        "engine": {"name": "vllm", "version": "0.28.0", "flags": {"max-model-len": 8192, **flags}},
        "headline": "main",
        "variants": {"main": {}},
        **more,
    }
    return complete(Recipe.model_validate(body))


def test_four_ranks_of_tensor_parallelism_by_hand() -> None:
    """60 layers of width 4096 in BF16, 407 GB on four boxes with links of 200 Gbit/s."""
    found = plan(shipped("qwen35-397b-fp8-mtp-x4"), "mtp2", image_gb=25)
    assert [(node.rank, node.role, node.part, node.stage, node.layers) for node in found.nodes] == [
        (0, "head", 0, 0, 60), (1, "worker", 1, 0, 60), (2, "worker", 2, 0, 60), (3, "worker", 3, 0, 60),
    ]  # fmt: skip
    assert found.nodes[3].weights is not None
    assert found.nodes[3].weights.expected == pytest.approx(407 / 4)
    traffic = found.traffic
    assert traffic is not None
    assert traffic.collectives == 2 * 60 + 1
    # 121 messages of 4096 numbers of 2 bytes; each rank sends 2 * 3 / 4 of each.
    assert traffic.token_bytes == 121 * 4096 * 2 * 1.5 == 1_486_848
    assert traffic.stage_bytes == 0
    assert (traffic.step_tokens, traffic.prefill_tokens) == (3, 8192)
    assert found.link_gb_s == 25
    assert found.step_seconds(8192) == pytest.approx(8192 * 1_486_848 / 25e9) == pytest.approx(0.487, abs=0.001)
    assert found.seconds(found.sent_gb(found.models_gb)) == pytest.approx(3 * 407 / 25)
    assert found.seconds(found.sent_gb(found.image_gb)) == pytest.approx(3)


def test_two_ranks_by_hand() -> None:
    """62 layers of width 3072: each of two ranks sends one message of each all-reduce."""
    found = plan(shipped("minimax-m27-nvfp4-x2"), "mp")
    assert found.traffic is not None
    assert found.traffic.token_bytes == 125 * 3072 * 2 == 768_000
    assert found.nodes[0].weights is not None
    assert found.nodes[0].weights.expected == pytest.approx(65.3)
    assert found.estimate.verdict == "fits"
    # 62 layers x 4 KV heads of this rank x 128 x (key + value) x 1 byte, 196,608 tokens: 12.5 GB.
    assert found.estimate.request is not None
    assert found.estimate.request.expected == pytest.approx(62 * 4 * 128 * 2 * 196_608 / 1e9, rel=0.01)


def test_two_stages_of_two_parts() -> None:
    found = plan(spec_of({"-tp": 2, "-pp": 2}), "main")
    assert [(node.part, node.stage, node.layers) for node in found.nodes] == [
        (0, 0, 30), (1, 0, 30), (0, 1, 30), (1, 1, 30),
    ]  # fmt: skip
    traffic = found.traffic
    assert traffic is not None
    assert traffic.collectives == 2 * 30 + 1
    assert traffic.token_bytes == 61 * 4096 * 2  # two ranks: 2 * 1 / 2
    assert traffic.stage_bytes == 2 * 4096 * 2
    assert any("stages of layers" in note for note in found.estimate.notes)


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [(60, 1, [60]), (60, 4, [15] * 4), (62, 4, [15, 16, 16, 15]), (7, 3, [2, 3, 2]), (5, 3, [2, 2, 1])],
)
def test_layers_that_do_not_divide_go_where_vllm_puts_them(layers: int, stages: int, expected: list[int]) -> None:
    assert stage_layers(layers, stages) == expected


def test_pipeline_stages_share_weights_and_cache() -> None:
    whole, split = estimate(spec_of({"-tp": 4}), "main"), estimate(spec_of({"-pp": 4}), "main")
    assert whole.request is not None and split.request is not None
    kv = model_facts()["qwen3.5-397b-a17b"].kv
    assert kv is not None
    assert kv_of_stage(kv, 4).attention_layers == 4  # 15 layers over four stages: the fullest has four
    part = of_fullest_stage(Part("weights", Range.exactly(400), "x"), kv, 4, table_gb=2)
    assert (part.gb.low, part.gb.expected, part.gb.high) == (100, 100, 102)
    assert split.ceiling is not None and whole.ceiling is not None
    # One stream passes the stages one after the other: a quarter of the bandwidth of four that read at once.
    ratio = whole.ceiling.tokens_per_s.expected / split.ceiling.tokens_per_s.expected
    assert ratio == pytest.approx(4, rel=0.05)


def test_more_ranks_than_machines_are_refused_not_guessed() -> None:
    assert "want 8 GPUs" in estimate(spec_of({"-tp": 4, "-pp": 2}), "main").reason


def test_what_is_not_known_stays_open() -> None:
    unknown = {"model": {"hf_id": "example/Unheard", "quantization": "X"}}
    found = plan(spec_of({"-tp": 4}, **unknown), "main")
    assert found.estimate.verdict == "unknown"
    assert found.traffic is None and found.models_gb is None and found.image_gb is None
    data = found.as_data()
    assert data["nodes"][0]["weights_gb"] is None and data["send"]["models"]["seconds_at_line_rate"] is None
    json.dumps(data)


def test_one_machine_has_a_plan_without_a_fabric() -> None:
    found = plan(shipped("qwen36-35b-dflash"), "dflash")
    assert len(found.nodes) == 1 and found.traffic is None and found.link_gb_s is None
    assert found.as_data()["send"] is None
    assert found.nodes[0].overhead is not None


def run(*args: str) -> Any:
    return CliRunner().invoke(cli, ["plan", *args, "--root", str(ROOT)])


def test_the_command_prints_every_node_and_the_source_of_the_formula() -> None:
    done = run("qwen35-397b-fp8-mtp-x4", "--image-gb", "25")
    assert done.exit_code == 0, done.output
    assert "3 worker    part 4 of 4 (60 layers)" in done.output
    assert "121 all-reduces; each rank sends 1.487 MB a token" in done.output
    assert "models: 407 GB to each of the others (3): 49 s at line rate" in done.output
    assert "Megatron-LM" in done.output


def test_json_and_names_of_the_users_machines(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    nodes = [{"name": f"box-{at}", "ssh": f"box-{at}", "address": f"192.0.2.{at}"} for at in range(1, 3)]
    file.write_text(json.dumps({"nodes": nodes}))
    data = json.loads(run("minimax-m27-nvfp4-x2", "--cluster", str(file), "--json").output)
    assert data["hosts"] == ["box-1", "box-2"]
    assert data["traffic"]["bytes_sent_per_rank_and_token"] == 768_000
    assert run("minimax-m27-nvfp4-x2", "--cluster", str(file)).output.count("on box-") == 2
    assert "on box-" not in run("minimax-m27-nvfp4-x2").output
    few = run("qwen35-397b-fp8-mtp-x4", "--cluster", str(file))
    assert few.exit_code != 0 and "names 2 nodes, and 4 are needed" in str(few.exception)


def test_a_refused_variant_has_a_plan_and_the_warning() -> None:
    assert "this variant is not to be run" in run("qwen35-397b-fp8-mtp-x4", "--variant", "mtp5").output


def test_what_does_not_fit_ends_with_1(tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "small" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    text = (ROOT / "recipes" / "minimax-m27-nvfp4-x2" / "recipe.yaml").read_text()
    text = text.replace("name: minimax-m27-nvfp4-x2", "name: small").replace(": 0.85", ": 0.5")
    recipe.write_text(text)
    done = CliRunner().invoke(cli, ["plan", "small", "--root", str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert "small mp on 2x DGX Spark (GB10): over" in done.output
