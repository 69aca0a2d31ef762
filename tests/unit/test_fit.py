"""The estimate of memory: vLLM's own arithmetic on published figures, parts, verdicts, files, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.catalog import model_facts
from recipegen.catalog.facts import KvFacts
from recipegen.complete import complete
from recipegen.errors import RecipegenError
from recipegen.fit import Range, constants, estimate
from recipegen.fit.cache import Cache, Layers, Shape, State, VllmCache, shape_of
from recipegen.fit.local import kv_facts, read_local
from recipegen.fit.page import fit_page
from recipegen.fit.published import Figure, all_specs, figures, ran
from recipegen.spec.completed import Spec
from recipegen.spec.model import Recipe

SPARK: dict[str, Any] = {
    "schema": "recipegen/v1",
    "name": "case",
    "title": "A case",
    "hardware": "dgx-spark",
    "image": {"mode": "prebuilt", "base": "example.org/vllm:1.0"},
    "headline": "main",
    "variants": {"main": {}},
}


def spec_of(model: dict[str, Any], flags: dict[str, Any], engine: str = "vllm", version: str = "0.22.0") -> Spec:
    body = {**SPARK, "model": model, "engine": {"name": engine, "version": version, "flags": flags}}
    return complete(Recipe.model_validate(body))


def qwen(**flags: Any) -> Spec:
    return spec_of({"hf_id": "nvidia/Qwen3.6-35B-A3B-NVFP4", "quantization": "NVFP4"}, flags)


def kv_of(model: str) -> KvFacts:
    found = model_facts()[model].kv
    assert found is not None
    return found


def shape(model: str, *, kv: float = 2, tp: int = 1, lookahead: int = 0) -> Shape:
    return shape_of(kv_of(model), key_bytes=kv, value_bytes=kv, state_bytes=4, conv_bytes=2, tp=tp, lookahead=lookahead)


# Published sizes of vLLM's cache, and the blocks in the pool that give exactly them.
BLOCKS = [
    ("27B, prefix caching", shape("qwen3.5-27b"), 2, 4096, 12, 1733, 591_530),
    ("27B, no prefix caching", shape("qwen3.5-27b"), 1, 4096, 9, 1720, 782_791),
    (
        "27B AEON with a drafter",
        shape("qwen3.6-27b", lookahead=15).with_drafter(Layers(5, 4096)),
        16,
        262_144,
        1680,
        2086,
        325_495,
    ),
    (
        "397B, MTP, four ranks",
        shape("qwen3.5-397b-a17b", kv=1, tp=4, lookahead=2).with_heads(1),
        4,
        262_144,
        137,
        288,
        551_076,
    ),
    ("GLM-5.2, latent attention", shape("glm-5.2", kv=1, tp=4), 1, 65_536, 4096, 4481, 71_696),
]


@pytest.mark.parametrize(
    ("layout", "copies", "context", "request_blocks", "pool_blocks", "published"),
    [case[1:] for case in BLOCKS],
    ids=[case[0] for case in BLOCKS],
)
def test_blocks_of_vllm_give_the_published_sizes(
    layout: Shape, copies: int, context: int, request_blocks: int, pool_blocks: int, published: int
) -> None:
    cache = VllmCache(layout, batch=8192, copies=copies)
    assert cache.blocks(context) == request_blocks
    assert cache.tokens(pool_blocks * cache.block_bytes, context) == published


def test_the_pool_of_glm_was_given_in_bytes() -> None:
    cache = VllmCache(shape("glm-5.2", kv=1, tp=4), batch=2048, copies=1)
    assert cache.tokens(3_221_225_472, 65_536) == 71_696


def test_windows_stop_growing_and_keep_the_batch() -> None:
    layout = shape("gemma-4-31b")
    cache = VllmCache(layout, batch=8192, copies=1)
    assert cache.groups == 6, "10 full layers, 50 with a window, in groups of 10"
    grown = cache.blocks(131_072) - cache.blocks(65_536)
    assert grown == 65_536 // cache.block[0], "only the full layers grow"
    plain = Cache(layout, batch=512)
    assert plain.request_bytes(20_000) - plain.request_bytes(10_000) == 10_000 * 10 * 8192


def test_a_state_alone_and_kinds_that_hardly_differ() -> None:
    state_only = VllmCache(Shape((), State(4, 1000)), batch=8, copies=2)
    assert state_only.request_bytes(1) == state_only.request_bytes(100_000) == 2 * 4 * 1000
    padded = VllmCache(Shape((Layers(12, 512), Layers(13, 512, 128))), batch=64, copies=1)
    assert padded.groups == 2, "12 and 13 layers are padded to two groups of 13"
    assert padded.block_bytes == 13 * 512 * 16


def test_fewer_heads_than_ranks_are_kept_whole() -> None:
    assert (
        shape("qwen3.5-397b-a17b", tp=2).kinds[0].token_bytes == shape("qwen3.5-397b-a17b", tp=4).kinds[0].token_bytes
    )


def test_longest_context_is_the_last_that_fits() -> None:
    cache = VllmCache(shape("qwen3.5-27b"), batch=8192, copies=1)
    pool = 20e9
    longest = cache.longest(pool)
    assert cache.request_bytes(longest) <= pool < cache.request_bytes(longest + 1)
    assert cache.longest(1.0) == 0
    assert cache.longest(pool, 4) < longest / 3


def test_before_0_20_1_the_log_counted_blocks_of_a_group() -> None:
    recipe = {"hf_id": "nvidia/Qwen3.6-35B-A3B-NVFP4", "quantization": "NVFP4"}
    old = estimate(spec_of(recipe, {"max-model-len": 262144}, version="0.19.0"), "main")
    new = estimate(spec_of(recipe, {"max-model-len": 262144}, version="0.20.1"), "main")
    assert old.logged is not None and old.tokens is not None
    assert old.logged.expected < old.tokens.expected
    assert new.logged is None


@pytest.fixture(scope="module")
def known() -> list[Figure]:
    return figures(all_specs().__getitem__)


def test_no_published_figure_contradicts_a_verdict(known: list[Figure]) -> None:
    assert [figure.what for figure in known if figure.contradicted] == []
    assert {figure.kind for figure in known} >= {"runs", "fails", "tokens", "peak", "decode"}


def test_what_is_known_not_to_fit_is_not_said_to(known: list[Figure]) -> None:
    verdicts = {figure.what: figure.result.verdict for figure in known if figure.kind == "fails"}
    assert len(verdicts) == 2
    assert "fits" not in verdicts.values() and "unknown" not in verdicts.values()


def test_every_variant_with_a_published_speed_ran_and_is_not_over() -> None:
    found = list(ran(list(all_specs().values())))
    assert len(found) > 40
    assert [f"{one.recipe} {one.variant}" for one in found if one.result.verdict == "over"] == []


def test_numbers_are_near_the_published_ones(known: list[Figure]) -> None:
    numbered = [figure for figure in known if figure.ratio is not None]
    assert len(numbered) >= 16
    outside = [figure.what for figure in numbered if not figure.within and figure.kind != "token_bytes"]
    assert outside == []
    worst = max(max(figure.ratio or 1, 1 / (figure.ratio or 1)) for figure in numbered)
    assert worst < 2, "users complain of estimates two times off"


def test_one_stream_does_not_decode_above_the_ceiling() -> None:
    # A recipe whose variant lost its drafter would stand here with the drafter's speed.
    above = [
        f"{one.recipe} {one.variant}"
        for one in ran(list(all_specs().values()))
        if one.decode and one.result.ceiling and one.decode > one.result.ceiling.tokens_per_s.high
    ]
    assert above == []


def test_verdicts_follow_the_context_and_the_share() -> None:
    assert estimate(qwen(**{"max-model-len": 65536, "gpu-memory-utilization": 0.85}), "main").verdict == "fits"
    small = estimate(qwen(**{"max-model-len": 65536, "gpu-memory-utilization": 0.1}), "main")
    assert small.verdict == "over" and "65,536 tokens" in small.reason
    assert estimate(qwen(**{"gpu-memory-utilization": 0.99}), "main").verdict == "tight"
    asked = estimate(qwen(**{"max-model-len": 4096}), "main", context=131_072)
    assert asked.context == 131_072


def test_flags_change_what_they_should() -> None:
    base = estimate(qwen(), "main")
    assert base.request and base.pool and base.context == 262_144
    fp8 = estimate(qwen(**{"kv-cache-dtype": "fp8"}), "main")
    assert fp8.request and 0.4 < fp8.request.expected / base.request.expected < 0.7
    prefix = estimate(qwen(**{"enable-prefix-caching": True, "max-model-len": 4096}), "main")
    plain = estimate(qwen(**{"max-model-len": 4096}), "main")
    assert prefix.request and plain.request and prefix.request.expected > plain.request.expected
    mtp = {"method": "mtp", "num_speculative_tokens": 3}
    heads = estimate(qwen(**{"speculative-config": mtp, "max-model-len": 4096}), "main")
    assert heads.request and heads.request.expected > 2 * plain.request.expected, "four states instead of one"
    assert heads.ceiling and not heads.ceiling.bounds and base.ceiling and base.ceiling.bounds
    eager = estimate(qwen(**{"enforce-eager": True}), "main")
    assert eager.pool and eager.pool.expected > base.pool.expected
    fixed = estimate(qwen(**{"kv-cache-memory-bytes": 8_000_000_000}), "main")
    assert fixed.pool == Range.exactly(8.0)
    many = estimate(qwen(**{"max-num-seqs": 2}), "main")
    assert many.largest and many.largest_full and many.largest_full.expected < many.largest.expected


def test_defaults_are_those_of_the_version() -> None:
    recipe = {"hf_id": "nvidia/Qwen3.6-35B-A3B-NVFP4", "quantization": "NVFP4"}

    def budget(version: str) -> float:
        found = estimate(spec_of(recipe, {}, version=version), "main").budget
        assert found is not None
        return found.expected / constants.VISIBLE.value.expected

    assert budget("0.19.0") == pytest.approx(0.9)
    assert budget("0.22.0") == pytest.approx(0.92)

    def cache(version: str) -> float:
        found = estimate(spec_of(recipe, {"max-model-len": 4096}, version=version), "main").request
        assert found is not None
        return found.expected

    assert cache("0.26.0") > cache("0.25.0"), "hybrid models cache prefixes by default from 0.26 on"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (spec_of({"hf_id": "example/Unheard-NVFP4", "quantization": "NVFP4"}, {}), "size of the weights"),
        (spec_of({"hf_id": "example/Unheard", "quantization": "X", "size_gb": 9}, {}), "layers of this model"),
        (qwen(**{"kv-cache-dtype": "turboquant_4bit_nc"}), "turboquant_4bit_nc"),
        (qwen(**{"pipeline-parallel-size": 2}), "pipeline-parallel-size"),
    ],
)
def test_a_missing_number_is_named_and_not_guessed(spec: Spec, reason: str) -> None:
    found = estimate(spec, "main")
    assert found.verdict == "unknown"
    assert reason in found.reason
    assert found.pool is None and found.as_data()["pool_gb"] is None


def test_a_machine_without_numbers_is_unknown() -> None:
    body = {**SPARK, "hardware": "cpu", "model": {"hf_id": "nvidia/Qwen3.6-35B-A3B-NVFP4"}, "engine": {"name": "vllm"}}
    found = estimate(complete(Recipe.model_validate(body)), "main")
    assert found.verdict == "unknown" and "cpu" in found.reason


def test_llama_cpp_makes_the_whole_cache_and_keeps_prompts() -> None:
    model = {"hf_id": "unsloth/MiniMax-M2.7-GGUF", "quantization": "UD-IQ4_XS", "file": "a.gguf"}
    flags = {"ctx-size": 108000, "cache-type-k": "q8_0", "cache-type-v": "q8_0", "cache-ram": 0}
    found = estimate(spec_of(model, flags, "llama.cpp", "b8156"), "main")
    assert found.request is not None and found.total is not None
    assert found.request.expected == pytest.approx(62 * 2 * 8 * 128 * 34 / 32 * 108000 / 1e9)
    kept = estimate(spec_of(model, {**flags, "cache-ram": 8192}, "llama.cpp", "b8156"), "main")
    assert kept.total is not None and kept.total.expected - found.total.expected == pytest.approx(8192 * 2**20 / 2e9)


def test_the_nominal_bits_hold_the_catalogs_checkpoints() -> None:
    for facts in model_facts().values():
        for checkpoint in facts.checkpoints:
            params = checkpoint.params_b or facts.params_b
            if checkpoint.quantization == "NVFP4" and checkpoint.weights_gb and params:
                bits = checkpoint.weights_gb * 8 / params
                assert constants.NOMINAL_BITS["NVFP4"].low <= bits <= constants.NOMINAL_BITS["NVFP4"].high


def safetensors(path: Path, header: int, tensors: int) -> None:
    path.write_bytes(header.to_bytes(8, "little") + b"{" + b" " * (header - 2) + b"}" + b"\0" * tensors)


QWEN_CONFIG = {
    "text_config": {
        "model_type": "qwen3_5_moe_text",
        "num_hidden_layers": 4,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "hidden_size": 2048,
        "max_position_embeddings": 1000,
        "layer_types": ["linear_attention"] * 3 + ["full_attention"],
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    }
}


def test_files_on_this_machine_win(tmp_path: Path) -> None:
    folder = tmp_path / "Unheard"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(QWEN_CONFIG))
    safetensors(folder / "model-00001-of-00002.safetensors", 64, 1000)
    safetensors(folder / "model-00002-of-00002.safetensors", 32, 500)
    local = read_local(folder)
    assert local is not None and local.weights_bytes == 1500
    kv = kv_facts(local)
    assert kv is not None and kv.linear is not None
    assert (kv.layers, kv.attention_layers, kv.kv_heads, kv.linear.layers) == (4, 1, 2, 3)
    spec = spec_of({"hf_id": "example/Unheard", "quantization": "NVFP4"}, {})
    found = estimate(spec, "main", models_dir=tmp_path)
    assert found.verdict == "fits" and found.context == found.native == 1000
    assert found.parts[0].gb == Range.exactly(1.5e-6)


def test_an_unfinished_download_counts_what_its_index_says(tmp_path: Path) -> None:
    safetensors(tmp_path / "a.safetensors", 64, 10)
    index = {"metadata": {"total_size": 777}, "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    local = read_local(tmp_path)
    assert local is not None and local.weights_bytes == 777


def test_gguf_shards_are_added_up(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(b"x" * 100)
    local = read_local(tmp_path, "m-00001-of-00002.gguf")
    assert local is not None and local.weights_bytes == 200
    assert read_local(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_hidden_layers": 4},
        {"num_hidden_layers": -1, "num_attention_heads": 2},
        {"num_hidden_layers": 2, "num_attention_heads": 2, "sliding_window": 128, "head_dim": 4},
        {"num_hidden_layers": 1, "num_attention_heads": 2, "layer_types": ["mystery"], "head_dim": 4},
        {"num_hidden_layers": 2, "num_attention_heads": 2, "hybrid_override_pattern": "M*", "head_dim": 4},
        {"num_hidden_layers": 1, "num_attention_heads": 2, "layer_types": ["linear_attention"], "head_dim": 4},
    ],
)
def test_a_layout_that_is_not_known_is_not_guessed(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    local = read_local(tmp_path)
    assert local is not None and kv_facts(local) is None


def test_latent_attention_and_windows_are_read(tmp_path: Path) -> None:
    common = {"num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8, "num_key_value_heads": 2}
    windows = {**common, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64}
    (tmp_path / "config.json").write_text(json.dumps(windows))
    local = read_local(tmp_path)
    kv = kv_facts(local) if local else None
    assert kv is not None and kv.sliding is not None and (kv.attention_layers, kv.sliding.window) == (1, 64)
    (tmp_path / "config.json").write_text(json.dumps({**common, "kv_lora_rank": 512, "qk_rope_head_dim": 64}))
    local = read_local(tmp_path)
    kv = kv_facts(local) if local else None
    assert kv is not None and kv.mla is not None and kv.kv_heads is None


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_a_broken_config_is_an_error_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RecipegenError, match="is no JSON"):
        read_local(tmp_path)


def test_a_hostile_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"x")
    with pytest.raises(RecipegenError, match="no safetensors file"):
        read_local(tmp_path)


def test_the_page_is_computed_and_has_every_figure(known: list[Figure]) -> None:
    page = fit_page()
    assert page == fit_page()
    for figure in known:
        assert figure.what in page
    assert "off by a factor of" in page


def test_the_command_prints_parts_and_fails_when_it_does_not_fit(tmp_path: Path) -> None:
    from recipegen.cli.fit import fit_command

    folder = tmp_path / "recipes" / "case"
    folder.mkdir(parents=True)
    body = {
        **SPARK,
        "model": {"hf_id": "nvidia/Qwen3.6-35B-A3B-NVFP4", "quantization": "NVFP4"},
        "engine": {"name": "vllm", "version": "0.22.0", "flags": {"max-model-len": 65536}},
        "variants": {"main": {}, "small": {"flags": {"gpu-memory-utilization": 0.1}}},
    }
    (folder / "recipe.yaml").write_text(json.dumps(body))
    run = CliRunner()
    done = run.invoke(fit_command, ["case", "--root", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for word in ("case main: fits", "left for the cache", "longest context", "decode ceiling"):
        assert word in done.output
    assert run.invoke(fit_command, ["case", "--root", str(tmp_path), "--variant", "small"]).exit_code == 1
    data = json.loads(run.invoke(fit_command, ["case", "--root", str(tmp_path), "--json"]).output)
    assert data["verdict"] == "fits" and data["parts"][0]["name"] == "weights"


@pytest.mark.parametrize(
    ("engine", "flags", "reason"),
    [
        ("vllm", {"gpu-memory-utilization": 0}, "no share"),
        ("vllm", {"gpu-memory-utilization": 2}, "no share"),
        ("vllm", {"gpu-memory-utilization": 1e308}, "no share"),
        ("vllm", {"gpu-memory-utilization": "much"}, "much"),
        ("vllm", {"max-model-len": 0}, "--max-model-len 0"),
        ("vllm", {"tensor-parallel-size": 2}, "wants 2 GPUs, and dgx-spark has 1"),
        ("vllm", {"data-parallel-size": 2}, "data-parallel-size"),
        ("vllm", {"nnodes": 3, "tensor-parallel-size": 3}, "2 KV heads over 3"),
        ("llama.cpp", {"ctx-size": "32k"}, "--ctx-size 32k"),
        ("llama.cpp", {"ctx-size": 512, "cache-ram": True}, "--cache-ram True"),
        ("atlas", {"gpu-memory-utilization": 2}, "no share"),
        ("atlas", {"max-seq-len": "auto"}, "--max-seq-len auto"),
    ],
)
def test_a_value_that_no_engine_takes_is_not_replaced_by_a_default(
    engine: str, flags: dict[str, Any], reason: str
) -> None:
    model = {"hf_id": "nvidia/Qwen3.6-35B-A3B-NVFP4", "quantization": "NVFP4", "file": "a.gguf"}
    version = "b8156" if engine == "llama.cpp" else "0.22.0"
    found = estimate(spec_of(model, flags, engine, version), "main")
    assert found.verdict == "unknown" and reason in found.reason
    assert len(found.reason) < 120


def test_a_context_left_to_the_engine_is_cut_and_not_over() -> None:
    small = {"gpu-memory-utilization": 0.2}
    assert estimate(qwen(**small), "main").verdict == "over"
    auto = estimate(qwen(**small, **{"max-model-len": "auto"}), "main")
    assert auto.verdict == "tight" and "left to choose" in auto.reason
    assert estimate(qwen(**small, **{"max-model-len": "auto"}), "main", context=262_144).verdict == "over"
    model = {"hf_id": "unsloth/MiniMax-M2.7-GGUF", "quantization": "UD-IQ4_XS", "file": "a.gguf"}
    assert estimate(spec_of(model, {}, "llama.cpp", "b8156"), "main").verdict == "tight"
    assert estimate(spec_of(model, {"fit": "off"}, "llama.cpp", "b8156"), "main").verdict == "over"


def test_what_is_not_counted_is_said() -> None:
    found = estimate(qwen(**{"cpu-offload-gb": 20, "block-size": 64}), "main")
    assert "not counted: --block-size, --cpu-offload-gb" in found.notes
    model = {"hf_id": "unsloth/MiniMax-M2.7-GGUF", "quantization": "UD-IQ4_XS", "file": "a.gguf"}
    drafted = estimate(spec_of(model, {"ctx-size": 512, "model-draft": "d.gguf"}, "llama.cpp", "b8156"), "main")
    assert "not counted: the drafter's own cache" in drafted.notes
    assert "drafter weights" in [part.name for part in drafted.parts]
    endless = estimate(spec_of(model, {"ctx-size": 512, "cache-ram": -1}, "llama.cpp", "b8156"), "main")
    assert endless.verdict == "tight", "kept prompts without a limit can take everything"


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("qwen35-122b-atlas mtp2", False), ("qwen35-122b-atlas ar", True), ("minimax-m27-ngram ngram", False)],
)
def test_a_ceiling_bounds_no_variant_that_speculates(name: str, bounds: bool) -> None:
    recipe, variant = name.split()
    found = estimate(all_specs()[recipe], variant)
    assert found.ceiling is not None and found.ceiling.bounds is bounds


def test_windows_kept_whole_grow_with_the_context() -> None:
    model = {"hf_id": "nvidia/Gemma-4-31B-IT-NVFP4", "base_model": "google/gemma-4-31B-it", "size_gb": 20, "file": "a"}
    cut, whole = (
        estimate(spec_of(model, {"ctx-size": 65536, "swa-full": full}, "llama.cpp", "b8156"), "main")
        for full in (False, True)
    )
    assert cut.request and whole.request and whole.request.expected > 2 * cut.request.expected


def test_weights_held_twice_are_counted_once(tmp_path: Path) -> None:
    for name in ("consolidated.safetensors", "a.safetensors"):
        safetensors(tmp_path / name, 64, 1000)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "a.safetensors"}}))
    local = read_local(tmp_path)
    assert local is not None and local.weights_bytes == 1000


@pytest.mark.parametrize(
    "index",
    [
        '{"metadata": {"total_size": 1e999}, "weight_map": {"a": "x.safetensors"}}',
        '{"metadata": {"total_size": true}, "weight_map": {"a": "x.safetensors"}}',
        '{"metadata": [], "weight_map": {"a": ["x"]}}',
        '{"weight_map": {"a": "../../../../etc/passwd"}}',
        json.dumps({"weight_map": {"a": "x" * 100_000}}),
    ],
)
def test_a_hostile_index_gives_no_size(tmp_path: Path, index: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    local = read_local(tmp_path)
    assert local is not None and local.weights_bytes is None


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 10**11},
        {"layer_types": [["a"], 1, 2, 3]},
        {"layer_types": ["full_attention"]},
        {"index_topk": 9},
    ],
)
def test_a_hostile_config_gives_no_layers(tmp_path: Path, config: dict[str, Any]) -> None:
    common = {"num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 8}
    (tmp_path / "config.json").write_text(json.dumps({**common, **config}))
    local = read_local(tmp_path)
    assert local is not None and kv_facts(local) is None


def test_what_is_no_file_of_weights_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    from os import mkfifo

    def broken(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        return folder / "a.safetensors"

    mkfifo(broken("pipe"))
    broken("folder").mkdir()
    broken("empty").write_bytes(b"")
    broken("cut").write_bytes((64).to_bytes(8, "little") + b"{")
    for name in ("pipe", "folder", "empty", "cut"):
        with pytest.raises(RecipegenError):
            read_local(tmp_path / name)
    broken("gone").symlink_to(tmp_path / "nowhere")
    gone = read_local(tmp_path / "gone")
    assert gone is not None and gone.weights_bytes is None


def test_half_of_a_gguf_is_no_size(tmp_path: Path) -> None:
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(b"x")
    local = read_local(tmp_path, "m-00001-of-00002.gguf")
    assert local is not None and local.weights_bytes is None


def test_a_folder_that_is_not_here_is_said(tmp_path: Path) -> None:
    spec = qwen(**{"max-model-len": 4096})
    found = estimate(spec, "main", models_dir=tmp_path)
    assert found.verdict == "fits"
    assert any("published sizes are used" in note for note in found.notes)
    from recipegen.cli.fit import fit_command

    done = CliRunner().invoke(fit_command, ["case", "--models-dir", str(tmp_path / "nowhere")])
    assert done.exit_code == 2 and "does not exist" in done.output
