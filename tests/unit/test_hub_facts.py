"""What config files, names of files and the hub's descriptions mean; and that what is written can be read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipegen.hub.emit import recipe_yaml
from recipegen.hub.facts import context_of
from recipegen.hub.gguf import chosen_set, gguf_sets
from recipegen.hub.quantization import quantization, text_part
from recipegen.load.yamldoc import parse

FP4 = {"num_bits": 4, "type": "float", "group_size": 16}
FP8 = {"num_bits": 8, "type": "float"}
INT8 = {"num_bits": 8, "type": "int"}


def quant(**section: Any) -> dict[str, Any]:
    return {"quantization_config": section}


def tensors(pack: str | None = None, **groups: Any) -> dict[str, Any]:
    return quant(quant_method="compressed-tensors", format=pack, config_groups=groups)


def group(weights: Any, inputs: Any = None, pack: str | None = None) -> dict[str, Any]:
    return {"weights": weights, "input_activations": inputs, **({"format": pack} if pack else {})}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("unknown", None)),
        ({"dtype": "float16"}, ("FP16", "safetensors")),
        ({"text_config": {"dtype": "bfloat16"}}, ("BF16", "safetensors")),
        ({"torch_dtype": "float32"}, ("FP32", "safetensors")),
        ({"dtype": "int3"}, ("unknown", "safetensors")),
        (quant(quant_method="fp8"), ("FP8", "fp8")),
        (quant(quant_method="fbgemm_fp8"), ("FP8", "fp8")),
        (quant(quant_method="mxfp4"), ("MXFP4", "mxfp4")),
        (quant(quant_method="awq", bits=4), ("INT4", "awq")),
        (quant(quant_method="gptq", bits=8), ("INT8", "gptq")),
        (quant(quant_method="gptq", bits=True), ("unknown", "gptq")),
        (quant(quant_method="auto-round", bits=4), ("INT4", "autoround")),
        (quant(quant_method="exl3", bits=3.5), ("INT3.5", "exl3")),
        (quant(quant_method="bitsandbytes", load_in_8bit=True), ("INT8", "bitsandbytes")),
        (quant(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4"), ("NF4", "bitsandbytes")),
        (quant(quant_method="bitsandbytes"), ("unknown", "bitsandbytes")),
        (quant(quant_method="quark", global_quant_config={"weight": {"dtype": "fp8_e4m3"}}), ("FP8", "quark")),
        (quant(quant_method="new-thing", inner={"type": "nvfp4"}), ("NVFP4", "new-thing")),
        (quant(quant_method="x\ny: z", bits=4), ("unknown", None)),
        (quant(bits=4), ("unknown", None)),
        ({"quantization_config": {}}, ("unknown", "safetensors")),
        ({"quantization_config": [1]}, ("unknown", "safetensors")),
        (quant(quant_method="modelopt", quant_algo="NVFP4", kv_cache_quant_algo="FP8"), ("NVFP4", "modelopt")),
        (quant(quant_method="modelopt", quantization={"quant_algo": "FP8"}), ("FP8", "modelopt")),
        (quant(quant_method="modelopt", quant_algo="NEWER"), ("unknown", "modelopt")),
        (quant(quant_method="modelopt", config_groups={"a": group(FP4, FP4)}), ("NVFP4", "modelopt")),
        (quant(producer={"name": "modelopt"}, quantization={"quant_algo": "W4A16_AWQ"}), ("INT4", "modelopt")),
        (tensors("nvfp4-pack-quantized"), ("NVFP4", "compressed-tensors")),
        (tensors("nvfp4-pack-quantized", a=group(FP4, FP4)), ("NVFP4", "compressed-tensors")),
        (tensors("nvfp4-pack-quantized", a=group(FP4)), ("NVFP4 (W4A16)", "compressed-tensors")),
        (tensors("float-quantized", a=group(FP8, FP8)), ("FP8", "compressed-tensors")),
        (tensors("int-quantized", a=group(INT8, INT8)), ("INT8", "compressed-tensors")),
        (tensors("pack-quantized", a=group({"num_bits": 4, "type": "int"})), ("W4A16", "compressed-tensors")),
        (tensors("pack-quantized", a=group({"num_bits": 4, "type": "int"}, INT8)), ("W4A8", "compressed-tensors")),
        (tensors(None, a=group({**FP4, "group_size": 32}, FP4)), ("MXFP4", "compressed-tensors")),
        (tensors("mixed-precision", a=group(FP4, FP4), b=group(FP8, FP8)), ("FP8 + NVFP4", "compressed-tensors")),
        (tensors("?", a=5, b=group(5), c=group({"num_bits": 10**9, "type": "int"})), ("unknown", "compressed-tensors")),
        ({"compression_config": {"config_groups": {"a": group(FP8, FP8)}}}, ("FP8", "compressed-tensors")),
        ({"text_config": quant(quant_method="awq", bits=4)}, ("INT4", "awq")),
    ],
)
def test_quantization_is_read_from_the_config(config: dict[str, Any], expected: tuple[str, str | None]) -> None:
    found = quantization(config)
    assert (found.label, found.format) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"hf_quant_config.json": {"quantization": {"quant_algo": "NVFP4"}}}, ("NVFP4", "modelopt")),
        ({"hf_quant_config.json": {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": {
            "a": {"quant_algo": "NVFP4"}, "b": {"quant_algo": "FP8"}, "c": 5}}}}, ("FP8 + NVFP4", "modelopt")),
        ({"hf_quant_config.json": {"quantization": {"quant_algo": "MIXED_PRECISION"}}}, ("unknown", "modelopt")),
        ({"hf_quant_config.json": {"quantization": [1]}}, ("BF16", "safetensors")),
        ({"quantize_config.json": {"bits": 4}}, ("INT4", "gptq")),
        ({"quant_config.json": {"w_bit": 4}}, ("INT4", "awq")),
    ],
)  # fmt: skip
def test_files_beside_the_config_say_it_too(files: dict[str, Any], expected: tuple[str, str | None]) -> None:
    found = quantization({"dtype": "bfloat16"}, files)
    assert (found.label, found.format) == expected


@pytest.mark.parametrize(
    ("scheme", "label"), [("NVFP4", "NVFP4"), ("NVFP4A16", "NVFP4 (W4A16)"), ("FP8_DYNAMIC", "FP8"), ("W4A16", "W4A16"),
                          ("W8A8", "INT8"), ("NEWER", "unknown")],
)  # fmt: skip
def test_a_recipe_of_llm_compressor_names_its_scheme(scheme: str, label: str) -> None:
    found = quantization({}, scheme=scheme)
    assert (found.label, found.format, found.source) == (label, "compressed-tensors", "recipe.yaml")


def test_the_source_and_the_kv_cache_are_told() -> None:
    beside = {"hf_quant_config.json": {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}}
    found = quantization(quant(quant_method="modelopt", quant_algo="NVFP4"), beside)
    assert (found.source, found.kv_cache) == ("quantization_config in config.json", "FP8")
    assert quantization({}, stored=("BF16", "F32")).label == "BF16"
    assert quantization({}, stored=("U8", "BF16")).label == "unknown"
    assert "vLLM may not load it" in quantization(quant(quant_method="exl3", bits=4)).notes[0]


def test_a_quantization_config_of_another_shape_is_named() -> None:
    found = quantization({"quantization_config": [{"quant_method": "fp8"}], "dtype": "bfloat16"})
    assert found.label == "BF16"
    assert found.notes == ("its quantization_config is no mapping but list: what it says was not read",)


def test_the_text_part_of_a_config_without_end_is_bounded() -> None:
    config: dict[str, Any] = {}
    for _ in range(5000):
        config = {"text_config": config, "deep": True}
    assert text_part(config)["deep"] is True
    assert quantization(config).label == "unknown"


def test_the_context_is_that_of_the_text_part() -> None:
    assert context_of({"max_position_embeddings": 5, "text_config": {"max_position_embeddings": 7}}) == 7
    assert context_of({"max_position_embeddings": 5, "text_config": {"x": 1}}) == 5
    assert context_of({"seq_length": 9}) == 9
    for odd in (True, "5", -1, 0, None, 1.5, 1 << 50):
        assert context_of({"max_position_embeddings": odd}) is None


# GGUF.


@pytest.mark.parametrize(
    ("path", "quant"),
    [
        ("Qwen3.6-27B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.IQ4_XS.gguf", "IQ4_XS"),
        ("Model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gemma-3-270m-q4_k_m.gguf", "Q4_K_M"),
        ("Q8_0/Model.gguf", "Q8_0"),
        ("BF16/Model-BF16.gguf", "BF16"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("ggml-model-f16.gguf", "F16"),
        ("Qwen3-Q-model.gguf", "unknown"),
    ],
)
def test_a_quantization_is_read_from_the_name(path: str, quant: str) -> None:
    assert [one.quant for one in gguf_sets({path: 5})] == [quant]


def test_what_is_no_set_of_weights_is_left_out() -> None:
    files = {
        "mmproj-F16.gguf": 1, "x/mmproj-model-f16.gguf": 1, "imatrix.gguf": 1, "model-mtp-Q8_0.gguf": 1,
        "../a-Q8_0.gguf": 1,
        "a\nb-Q8_0.gguf": 1, "README.md": 1, "m-Q8_0-00002-of-00002.gguf": 1, "n-Q8_0-00001-of-00002.gguf": 1,
        "o-Q8_0-00001-of-99999.gguf": 1, "$(id)-Q8_0.gguf": 1,
    }  # fmt: skip
    assert gguf_sets(files) == []


def test_shards_are_one_set() -> None:
    files = {f"Q8_0/m-Q8_0-{number:05d}-of-00002.gguf": 10**9 for number in (2, 1)}
    (one,) = gguf_sets(files)
    assert (one.quant, one.first, one.size_gb) == ("Q8_0", "Q8_0/m-Q8_0-00001-of-00002.gguf", 2)
    assert len(one.files) == 2


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ({"Q2_K": 10, "Q4_K_M": 20, "Q8_0": 40}, "Q4_K_M"),
        ({"Q2_K": 10, "IQ4_XS": 18, "Q8_0": 40}, "IQ4_XS"),
        ({"Q2_K": 60, "Q4_K_M": 120, "Q8_0": 240}, "Q2_K"),
        ({"Q5_K_M": 20, "Q8_0": 40, "BF16": 200}, "Q8_0"),
        ({"Q4_K_M": 200, "Q8_0": 400}, "Q4_K_M"),
        ({"Q4_K_M": None}, "Q4_K_M"),
    ],
)
def test_the_set_taken_fits_and_is_the_usual_one(sizes: dict[str, int | None], chosen: str) -> None:
    sets = gguf_sets({f"m-{quant}.gguf": size and size * 10**9 for quant, size in sizes.items()})
    found = chosen_set(sets, 100)
    assert found is not None
    assert found[0].quant == chosen


def test_no_set_no_choice() -> None:
    assert chosen_set([], 100) is None


# What is written is what was meant.

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300)
KEY = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
LEAF = TEXT | st.integers(-(10**9), 10**9) | st.booleans() | st.none()


def mapping(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(KEY, values, min_size=1, max_size=3)


DATA = mapping(mapping(LEAF | st.lists(LEAF, max_size=3) | mapping(LEAF | mapping(LEAF))))


@settings(max_examples=300, deadline=None)
@given(DATA, TEXT)
def test_whatever_is_written_is_read_as_it_was(data: dict[str, Any], comment: str) -> None:
    comments = {(key,): comment for key in data} | {
        (key, inner): comment for key, body in data.items() for inner in body
    }
    text = recipe_yaml([comment], data, comments)
    assert parse(text, Path("x.yaml")).data == data


@pytest.mark.parametrize(
    "value",
    [
        "on",
        "null",
        "1e5",
        "0x1f",
        "a: b",
        "a #b",
        "a:",
        "- x",
        "x ",
        " x",
        "a  b",
        "long " * 60,
        "y",
        "a, b",
        "it's",
        "~",
        "=",
        "",
    ],
)
def test_words_that_yaml_reads_otherwise_stay_text(value: str) -> None:
    data = {"a": {"b": value, "c": [value], "d": {"e": {"f": value}}}, "g": [{"h": value}]}
    assert parse(recipe_yaml([], data, {}), Path("x.yaml")).data == data
