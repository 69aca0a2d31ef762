"""Models in the style of real checkpoints, as their config files and the hub's descriptions have them, and what a first
recipe must know of each. Shapes are those of the publishers; sizes are rounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.hub_stand_in import HubModelRepo

GB = 10**9


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
        weights: path to bytes of what is not fetched.
        files: JSON files by name.
        params: `safetensors.parameters` of the hub's description.
        label, format, family, context, variants, image, hardware: what the recipe must say; image by a part of it.
        flags: flags that it must have (common ones).
        said: what its comment must hold.
    """

    weights: Mapping[str, int]
    label: str
    format: str | None
    files: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, int] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    family: str | None = None
    context: int = 65536
    variants: tuple[str, ...] = ("ar",)
    image: str = "vllm/vllm-openai:nightly"
    hardware: str = "dgx-spark"
    flags: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()

    def repo(self) -> HubModelRepo:
        """The model for the stand-in."""
        files: dict[str, bytes | int] = {name: json.dumps(body).encode() for name, body in self.files.items()}
        files |= (
            {"tokenizer.json": 11_000_000, "README.md": 5000} if "config.json" in self.files else {"README.md": 5000}
        )
        info = {**self.info}
        if self.params:
            info["safetensors"] = {"parameters": dict(self.params), "total": sum(self.params.values())}
        return HubModelRepo({**files, **self.weights}, info)


def _shards(count: int, size: float) -> dict[str, int]:
    names = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    return dict.fromkeys(names, int(size * GB / count))


def _qwen35(layers: int, hidden: int, *, moe: int = 0, mtp: int = 1, **extra: Any) -> dict[str, Any]:
    text = {
        "model_type": "qwen3_5_moe_text" if moe else "qwen3_5_text",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 16 if moe else 24,
        "num_key_value_heads": 2 if moe else 4,
        "head_dim": 256,
        "vocab_size": 248320,
        "max_position_embeddings": 262144,
        "mtp_num_hidden_layers": mtp,
        "dtype": "bfloat16",
        "layer_types": [*(["linear_attention"] * 3 + ["full_attention"])] * (layers // 4),
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32 if moe else 48,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        **({"num_experts": moe, "num_experts_per_tok": 8} if moe else {}),
    }
    name = "Qwen3_5MoeForConditionalGeneration" if moe else "Qwen3_5ForConditionalGeneration"
    kind = "qwen3_5_moe" if moe else "qwen3_5"
    return {"architectures": [name], "model_type": kind, "text_config": text, "vision_config": {"depth": 27}, **extra}


def _plain(name: str, kind: str, layers: int, hidden: int, heads: int, kv: int, **extra: Any) -> dict[str, Any]:
    return {
        "architectures": [name],
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "torch_dtype": "bfloat16",
        **extra,
    }


def _with(config: dict[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    """A config of a quantized checkpoint."""
    return {**config, "quantization_config": section}


def _group(bits: int, kind: str, size: int | None, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    weights = {"num_bits": bits, "type": kind, "group_size": size, "strategy": "group" if size else "channel"}
    return {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}


def _compressed(pack: str, *groups: dict[str, Any], **extra: Any) -> dict[str, Any]:
    named = {f"group_{number}": group for number, group in enumerate(groups)}
    return {
        "quant_method": "compressed-tensors",
        "format": pack,
        "config_groups": named,
        "ignore": ["lm_head"],
        **extra,
    }


def _modelopt(algo: str, cache: str | None = None) -> dict[str, Any]:
    part = {"quant_algo": algo, "kv_cache_quant_algo": cache, "group_size": 16, "exclude_modules": ["lm_head"]}
    return {"producer": {"name": "modelopt", "version": "0.41.0"}, "quantization": part}


def _index(*tensors: str) -> dict[str, Any]:
    return {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(tensors, "model-00001-of-00002.safetensors")}


_FP4 = {"num_bits": 4, "type": "float", "group_size": 16, "dynamic": "local"}
_FP8 = {"num_bits": 8, "type": "float", "dynamic": True}
_FINE = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
_QWEN36_35B = _qwen35(40, 2048, moe=256)
_LLAMA = _plain("LlamaForCausalLM", "llama", 80, 8192, 64, 8, vocab_size=128256, max_position_embeddings=131072)
_GPT_OSS = _plain(
    "GptOssForCausalLM",
    "gpt_oss",
    36,
    2880,
    64,
    8,
    head_dim=64,
    vocab_size=201088,
    max_position_embeddings=131072,
    num_local_experts=128,
    num_experts_per_tok=4,
    sliding_window=128,
    quantization_config={"quant_method": "mxfp4"},
    layer_types=["sliding_attention", "full_attention"] * 18,
)
_QWEN3_8B = _plain("Qwen3ForCausalLM", "qwen3", 36, 4096, 32, 8, head_dim=128, max_position_embeddings=40960)
_GEMMA = {
    "architectures": ["Gemma4ForConditionalGeneration"],
    "model_type": "gemma4",
    "text_config": {
        "model_type": "gemma4_text",
        "hidden_size": 5376,
        "num_hidden_layers": 60,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "vocab_size": 262144,
        "max_position_embeddings": 262144,
        "dtype": "bfloat16",
        "layer_types": [*(["sliding_attention"] * 5 + ["full_attention"])] * 10,
        "sliding_window": 1024,
    },
}


def _base(name: str, relation: str = "quantized") -> dict[str, Any]:
    return {"cardData": {"base_model": name, "license": "apache-2.0"}, "tags": [f"base_model:{relation}:{name}"]}


CASES: dict[str, Case] = {
    "RedHatAI/Qwen3.6-35B-A3B-NVFP4": Case(
        _shards(5, 22),
        "NVFP4",
        "compressed-tensors",
        family="qwen3.6",
        info=_base("Qwen/Qwen3.6-35B-A3B"),
        files={"config.json": _with(_QWEN36_35B, _compressed("nvfp4-pack-quantized", _group(4, "float", 16, _FP4)))},
        context=262144,
        variants=("dflash", "ar", "mtp"),
        image="dgx-vllm-eugr-nightly",
        said=("qwen36-35b-dflash",),
    ),
    "unsloth-like/Qwen3.6-35B-A3B-NVFP4": Case(
        _shards(5, 22),
        "NVFP4",
        "compressed-tensors",
        family="qwen3.6",
        info=_base("Qwen/Qwen3.6-35B-A3B"),
        files={
            "config.json": _with(_QWEN36_35B, _compressed("nvfp4-pack-quantized", _group(4, "float", 16, _FP4))),
            "model.safetensors.index.json": _index("model.layers.0.mlp.up.weight", "lm_head.weight"),
        },
        variants=("ar", "dflash"),
        flags={"reasoning-parser": "qwen3", "tool-call-parser": "qwen3_coder"},
        said=("lists no tensors of them: no mtp variant", "3 billion of them active"),
    ),
    "nvidia/Qwen3.6-35B-A3B-NVFP4": Case(
        _shards(4, 19),
        "NVFP4",
        "modelopt",
        family="qwen3.6",
        info=_base("Qwen/Qwen3.6-35B-A3B"),
        params={"BF16": 2 * GB, "U8": 16 * GB, "F8_E4M3": 2 * GB},
        files={"config.json": _QWEN36_35B, "hf_quant_config.json": _modelopt("NVFP4", "FP8")},
        variants=("mtp", "ar", "dflash"),
        flags={"quantization": "modelopt", "moe-backend": "marlin"},
        said=("KV cache meant for FP8", "qwen36-35b-mtp"),
    ),
    "Qwen/Qwen3.6-27B": Case(
        _shards(15, 55.6),
        "BF16",
        "safetensors",
        family="qwen3.6",
        params={"BF16": 27_800_000_000},
        files={"config.json": _qwen35(64, 5120), "model.safetensors.index.json": _index("mtp.layers.0.up.weight")},
        variants=("ar", "dflash", "mtp"),
        info={"cardData": {"license": "apache-2.0"}},
    ),
    "Qwen/Qwen3.5-397B-A17B-FP8": Case(
        _shards(94, 407),
        "FP8",
        "fp8",
        family="qwen3.5",
        info=_base("Qwen/Qwen3.5-397B-A17B"),
        files={"config.json": {**_qwen35(60, 4096, moe=512), "quantization_config": _FINE}},
        hardware="dgx-spark-x4",
        image="",
        flags={"tensor-parallel-size": 4},
        variants=("ar", "mtp"),
        said=("qwen35-397b-fp8-mtp-x4",),
    ),
    "someone/Qwen3.5-122B-A10B-AutoRound": Case(
        _shards(16, 66),
        "INT4",
        "autoround",
        family="qwen3.5",
        info=_base("Qwen/Qwen3.5-122B-A10B"),
        files={
            "config.json": {
                **_qwen35(48, 3072, moe=256),
                "quantization_config": {"quant_method": "auto-round", "bits": 4, "group_size": 128},
            }
        },
        image="vllm/",
        variants=("ar", "mtp"),
    ),
    "google/gemma-4-31B-it": Case(
        _shards(12, 62),
        "BF16",
        "safetensors",
        family="gemma4",
        params={"BF16": 31_000_000_000},
        image="gemma4-cu130",
        files={"config.json": _GEMMA},
        info={"gated": "manual", "cardData": {"license": "gemma"}},
        flags={"tool-call-parser": "gemma4"},
        said=("Gated: the hub asks", "Left out: dflash", "DFLASH_GEMMA4_NEEDS_ZLAB_IMAGE"),
    ),
    "someone/gemma-4-31B-it-FP8": Case(
        _shards(7, 33),
        "FP8",
        "compressed-tensors",
        family="gemma4",
        info=_base("google/gemma-4-31B-it"),
        image="gemma4-cu130",
        files={"config.json": _with(_GEMMA, _compressed("float-quantized", _group(8, "float", None, _FP8)))},
    ),
    "nvidia/Gemma-4-31B-IT-NVFP4": Case(
        _shards(5, 21),
        "NVFP4",
        "modelopt",
        family="gemma4",
        info={"gated": "auto", **_base("google/gemma-4-31B-it")},
        files={"config.json": _GEMMA, "hf_quant_config.json": _modelopt("NVFP4")},
        image="gemma4-cu130",
        flags={"quantization": "modelopt"},
        said=("gemma4-31b",),
    ),
    "nvidia/GLM-5.2-NVFP4": Case(
        _shards(47, 464.8),
        "NVFP4",
        "modelopt",
        family="glm5.2",
        info=_base("zai-org/GLM-5.2"),
        files={
            "config.json": _plain(
                "GlmMoeDsaForCausalLM",
                "glm_moe_dsa",
                78,
                6144,
                64,
                64,
                vocab_size=154880,
                kv_lora_rank=512,
                index_topk=2048,
                qk_rope_head_dim=64,
                n_routed_experts=256,
                num_experts_per_tok=8,
                num_nextn_predict_layers=1,
                max_position_embeddings=202752,
            ),
            "hf_quant_config.json": _modelopt("NVFP4"),
            "model.safetensors.index.json": _index("model.layers.78.mlp.experts.0.up_proj.weight"),
        },
        hardware="dgx-spark-x4",
        variants=("ar", "mtp"),
        flags={"tensor-parallel-size": 4},
    ),
    "zai-org/GLM-4.5-Air": Case(
        _shards(47, 221),
        "BF16",
        "safetensors",
        params={"BF16": 110_000_000_000},
        hardware="dgx-spark-x4",
        variants=("ar", "mtp"),
        files={
            "config.json": _plain(
                "Glm4MoeForCausalLM",
                "glm4_moe",
                46,
                4096,
                96,
                8,
                head_dim=128,
                vocab_size=151552,
                n_routed_experts=128,
                num_experts_per_tok=8,
                num_nextn_predict_layers=1,
                max_position_embeddings=131072,
            )
        },
        said=("The catalog does not know this model",),
    ),
    "MiniMaxAI/MiniMax-M2.7": Case(
        _shards(125, 230),
        "FP8",
        "fp8",
        family="minimax-m2.7",
        hardware="dgx-spark-x4",
        files={
            "config.json": _plain(
                "MiniMaxM2ForCausalLM",
                "minimax_m2",
                62,
                3072,
                48,
                8,
                head_dim=128,
                vocab_size=200064,
                num_local_experts=256,
                num_experts_per_tok=8,
                max_position_embeddings=204800,
                quantization_config=_FINE,
                use_mtp=True,
                num_mtp_modules=3,
                auto_map={"AutoConfig": "configuration_minimax_m2.MiniMaxM2Config"},
            )
        },
        variants=("ar", "mtp"),
        said=("auto_map",),
    ),
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4": Case(
        _shards(17, 80),
        "NVFP4",
        "modelopt",
        family="nemotron3",
        image="cu130-nightly",
        context=131072,
        variants=("ar", "mtp"),
        files={
            "config.json": _plain(
                "NemotronHForCausalLM",
                "nemotron_h",
                88,
                4096,
                32,
                2,
                head_dim=128,
                vocab_size=131072,
                n_routed_experts=512,
                num_experts_per_tok=22,
                max_position_embeddings=262144,
                hybrid_override_pattern="MEM*E",
                num_nextn_predict_layers=1,
            ),
            "hf_quant_config.json": {
                "producer": {"name": "modelopt"},
                "quantization": {
                    "quant_algo": "MIXED_PRECISION",
                    "kv_cache_quant_algo": "FP8",
                    "quantized_layers": {"a": {"quant_algo": "NVFP4"}, "b": {"quant_algo": "NVFP4"}},
                },
            },
        },
    ),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": Case(
        _shards(13, 63),
        "BF16",
        "safetensors",
        family="nemotron3",
        image="25.12.post1",
        params={"BF16": 31_600_000_000},
        files={
            "config.json": _plain(
                "NemotronHForCausalLM",
                "nemotron_h",
                52,
                2688,
                32,
                2,
                head_dim=128,
                vocab_size=131072,
                n_routed_experts=128,
                num_experts_per_tok=6,
                max_position_embeddings=262144,
                hybrid_override_pattern="MEMEM*E",
            )
        },
        said=("Left out: reasoning-parser", "NEMOTRON_NANO_PARSER_PLUGIN"),
    ),
    "meta-llama/Llama-3.3-70B-Instruct": Case(
        _shards(30, 141),
        "BF16",
        "safetensors",
        family="llama3.3",
        params={"BF16": 70_553_706_496},
        hardware="dgx-spark-x2",
        files={"config.json": _LLAMA},
        image="nvcr.io/nvidia/vllm:26.04",
        info={"gated": "manual", "cardData": {"license": "llama3.3"}},
    ),
    "openai/gpt-oss-120b": Case(
        {**_shards(15, 65.2), "metal/model.bin": 65 * GB, "original/model--00001-of-00007.safetensors": 65 * GB},
        "MXFP4",
        "mxfp4",
        family="gpt-oss",
        files={"config.json": _GPT_OSS},
        params={"BF16": 2 * GB, "U8": 60 * GB},
        context=131072,
        image="nvcr.io/nvidia/vllm:26.04",
        variants=("ar",),
        said=("gpt-oss-120b",),
    ),
    "someone/gpt-oss-120b-abliterated": Case(
        {**_shards(15, 65.2), "original/model--00001-of-00007.safetensors": 65 * GB},
        "MXFP4",
        "mxfp4",
        family="gpt-oss",
        files={"config.json": _GPT_OSS},
        image="nvcr.io/nvidia/vllm:26.04",
        flags={"tool-call-parser": "openai"},
        info=_base("openai/gpt-oss-120b", "finetune"),
        said=("128 experts a layer, 4 of them",),
    ),
    "someone/Llama-3.3-70B-AWQ": Case(
        _shards(9, 39.8),
        "INT4",
        "awq",
        family="llama3.3",
        image="nvcr.io/nvidia/vllm:26.04",
        info=_base("meta-llama/Llama-3.3-70B-Instruct"),
        files={"config.json": _with(_LLAMA, {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"})},
    ),
    "someone/Mistral-7B-GPTQ": Case(
        {"model.safetensors": 4_160_000_000},
        "INT4",
        "gptq",
        context=32768,
        files={
            "config.json": _plain(
                "MistralForCausalLM", "mistral", 32, 4096, 32, 8, vocab_size=32000, max_position_embeddings=32768
            ),
            "quantize_config.json": {"bits": 4, "group_size": 128, "desc_act": True},
        },
    ),
    "someone/Old-AWQ": Case(
        {"model.safetensors": 4_000_000_000},
        "INT4",
        "awq",
        context=4096,
        files={
            "config.json": _plain(
                "LlamaForCausalLM", "llama", 32, 4096, 32, 32, vocab_size=32000, max_position_embeddings=4096
            ),
            "quant_config.json": {"w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM"},
        },
    ),
    "unsloth/Qwen3-8B-bnb-4bit": Case(
        {"model.safetensors": 6 * GB},
        "NF4",
        "bitsandbytes",
        context=40960,
        files={
            "config.json": _with(
                _QWEN3_8B,
                {
                    "quant_method": "bitsandbytes",
                    "load_in_4bit": True,
                    "bnb_4bit_quant_type": "nf4",
                },
            )
        },
        info=_base("Qwen/Qwen3-8B"),
    ),
    "RedHatAI/Qwen3-8B-quantized.w4a16": Case(
        {"model.safetensors": 6 * GB},
        "W4A16",
        "compressed-tensors",
        context=40960,
        files={"config.json": _with(_QWEN3_8B, _compressed("pack-quantized", _group(4, "int", 128, None)))},
    ),
    "RedHatAI/Mixed-NVFP4-FP8": Case(
        {"model.safetensors": 6 * GB},
        "FP8 + NVFP4",
        "compressed-tensors",
        context=40960,
        files={
            "config.json": _with(
                _QWEN3_8B,
                _compressed(
                    "mixed-precision",
                    {**_group(4, "float", 16, _FP4), "format": "nvfp4-pack-quantized"},
                    {**_group(8, "float", None, _FP8), "format": "float-quantized"},
                ),
            )
        },
    ),
    "mistralai/Mistral-Small-4-119B-2603-NVFP4": Case(
        _shards(14, 66),
        "NVFP4",
        "compressed-tensors",
        family="mistral",
        image="cu130-nightly",
        variants=("ar", "mtp"),
        info=_base("mistralai/Mistral-Small-4-119B-2603"),
        files={
            "config.json": {
                "architectures": ["Mistral3ForConditionalGeneration"],
                "model_type": "mistral3",
                "text_config": {
                    "model_type": "mistral4",
                    "hidden_size": 4096,
                    "num_hidden_layers": 36,
                    "n_routed_experts": 128,
                    "num_experts_per_tok": 4,
                    "max_position_embeddings": 1048576,
                },
                "quantization_config": _compressed("nvfp4-pack-quantized", _group(4, "float", 16, _FP4)),
            }
        },
    ),
    "unsloth/Qwen3.6-27B-GGUF": Case(
        {
            "Qwen3.6-27B-Q3_K_M.gguf": 13 * GB,
            "Qwen3.6-27B-Q4_K_M.gguf": 16_500_000_000,
            "Qwen3.6-27B-UD-Q4_K_XL.gguf": 17 * GB,
            "Qwen3.6-27B-Q8_0.gguf": 29 * GB,
            "mmproj-BF16.gguf": GB,
            "imatrix_unsloth.gguf": 10_000_000,
            "BF16/Qwen3.6-27B-BF16-00001-of-00002.gguf": 30 * GB,
            "BF16/Qwen3.6-27B-BF16-00002-of-00002.gguf": 24 * GB,
        },
        "Q4_K_M",
        "gguf",
        family="qwen3.6",
        image="nvcr.io/nvidia/cuda:13.0.0",
        info={
            **_base("Qwen/Qwen3.6-27B"),
            "gguf": {"total": 27_000_000_000, "architecture": "qwen35", "context_length": 262144},
        },
        said=("Q3_K_M (13.0 GB)", "BF16 (54.0 GB)", "UD-Q4_K_XL"),
    ),
    "unsloth/MiniMax-M2.7-GGUF": Case(
        {
            **{f"UD-IQ4_XS/MiniMax-M2.7-UD-IQ4_XS-{n:05d}-of-00004.gguf": 27 * GB for n in range(1, 5)},
            **{f"UD-Q2_K_XL/MiniMax-M2.7-UD-Q2_K_XL-{n:05d}-of-00003.gguf": 28 * GB for n in range(1, 4)},
            **{f"Q8_0/MiniMax-M2.7-Q8_0-{n:05d}-of-00006.gguf": 41 * GB for n in range(1, 7)},
        },
        "UD-Q2_K_XL",
        "gguf",
        family="minimax-m2.7",
        image="nvcr.io/nvidia/cuda:13.0.0",
        info=_base("MiniMaxAI/MiniMax-M2.7"),
        said=("UD-IQ4_XS (108.0 GB)",),
    ),
    "someone/gpt-oss-20b-GGUF": Case(
        {"gpt-oss-20b-mxfp4.gguf": 12_100_000_000},
        "MXFP4",
        "gguf",
        family="gpt-oss",
        image="nvcr.io/nvidia/cuda:13.0.0",
        info={
            **_base("openai/gpt-oss-20b"),
            "gguf": {"total": 20_900_000_000, "architecture": "gpt-oss", "context_length": 131072},
        },
    ),
    "someone/Qwen3.6-27B-finetune": Case(
        _shards(15, 55.6),
        "BF16",
        "safetensors",
        family="qwen3.6",
        params={"BF16": 27_800_000_000},
        files={"config.json": _qwen35(64, 5120, mtp=0)},
        said=("Recognised by the shape",),
        flags={"reasoning-parser": "qwen3"},
    ),
    "tiny/Random-Llama": Case(
        {"model.safetensors": 4_000_000},
        "BF16",
        "safetensors",
        context=2048,
        params={"BF16": 2_000_000},
        files={
            "config.json": _plain(
                "LlamaForCausalLM", "llama", 2, 64, 4, 4, vocab_size=32000, max_position_embeddings=2048
            )
        },
    ),
}
