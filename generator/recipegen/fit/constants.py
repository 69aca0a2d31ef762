"""Constants of the estimate, each with its origin. Owns the numbers that no recipe, catalog or engine gives.

They were fitted to the few configurations whose memory somebody published; docs/fit.md shows what each figure says and
how far off the estimate is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from recipegen.fit.parts import Range


@dataclass(frozen=True)
class Constant:
    """A fitted number.

    Attributes:
        unit: of the range.
        origin: the figures it was fitted to, or the source that gives it.
    """

    value: Range
    unit: str
    origin: str


Table: TypeAlias = dict[str, float]

VISIBLE = Constant(
    Range(119.6, 121.7, 121.7) * (2**30 / 1e9),
    "GB",
    "Memory of a GB10 that CUDA and the kernel report: 119.6 to 121.7 GiB, depending on the firmware (logs of users: "
    "github.com/guoqingbao/xinfer issue 298, github.com/llamastash/llamastash issue 80).",
)
OTHERS = Constant(
    Range(2, 5, 8),
    "GB",
    "Operating system and other programs on the same memory. Peaks of 117 GiB at 0.92 and 113.5 GiB at 0.90 of 121.7 "
    "GiB leave 4 to 5 GiB for them.",
)
FRAMEWORK = Constant(
    Range(1.5, 3, 5),
    "GB",
    "vLLM's context, libraries and captured graphs. Fitted together with the activations to Qwen3.5-27B at 0.90, "
    "Qwen3.6-35B-A3B at 0.50 and Qwen3.5-397B over four nodes, which leave 6 to 11 GB beside weights and cache.",
)
FRAMEWORK_EAGER = Constant(
    Range(0.5, 1.5, 3),
    "GB",
    "The same without graphs. GLM-5.2 over four nodes ran with about 0.4 GiB free beside weights and cache.",
)
CLUSTER = Constant(
    Range(0, 1, 2),
    "GB",
    "Communication buffers of a node in a cluster: what Qwen3.5-397B left beyond framework and activations.",
)
ACTIVATION = Constant(
    Range(0.2, 0.7, 1.5),
    "MB per token of max-num-batched-tokens",
    "What the profiling run of vLLM sets aside. 0.7 fits the figures named under framework and graphs; the AEON build "
    "of Qwen3.6-27B with 32,768 tokens, images and video left about 1.5. Gemma-4-26B was seen to take more "
    "(github.com/vllm-project/vllm issue 46307).",
)
LLAMA_CPP = Constant(
    Range(0.5, 1.2, 2.5),
    "GB",
    "llama.cpp's compute buffers and CUDA context; MiniMax-M2.7 with 32,768 and 108,000 tokens peaked 1 to 6 GB above "
    "weights, cache and other programs.",
)
ATLAS_SHARE = Constant(
    Range(0.02, 0.5, 0.55),
    "of the weights",
    "What Atlas takes beside weights and cache, fitted to one figure: Qwen3.5-122B (76 GB) left about 12 GB at 0.99.",
)
WEIGHTS_ROUNDED = Constant(
    Range(0.97, 1.0, 1.03),
    "of the published size",
    "Sizes are rounded and parts stay on disk: GLM-5.2's 464.8 GB took 113.5 GB on each of four nodes (0.977), "
    "Qwen3.5-397B's 407 GB took 102 (1.002).",
)
UNKNOWN_DRAFTER_LAYERS = Constant(
    Range(1, 8, 8),
    "layers",
    "Decoder layers of a drafter whose config nobody gives, each as wide in the cache as a layer of its target: "
    "294,000 tokens of Qwen3.6-35B-A3B at 0.50 fit eight.",
)
UNKNOWN_DRAFTER_GB = Constant(Range(0.3, 2, 5), "GB", "Drafters whose size is known have 0.85 to 4 GB (google, z-lab).")

KV_BYTES: Table = {
    "bfloat16": 2,
    "float16": 2,
    "bf16": 2,
    "f16": 2,
    "f32": 4,
    "fp8": 1,
    "fp8_e4m3": 1,
    "fp8_e5m2": 1,
    "fp8_inc": 1,
    "nvfp4": 0.5625,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Bytes of one number in the cache, scales of its block included (block formats: ggml's ggml-common.h)."""

NOMINAL_BITS: dict[str, Range] = {
    "NVFP4": Range(4.0, 5.0, 6.0),
    "MXFP4": Range(4.2, 4.5, 5.5),
    "FP8": Range(8.0, 8.3, 9.5),
    "INT8": Range(8.0, 8.3, 9.5),
    "BF16": Range(15.8, 16.0, 16.5),
    "INT4": Range(4.1, 4.8, 6.0),
    "W4A16": Range(4.1, 4.8, 6.0),
    "Q4_K_M": Range(4.5, 4.85, 5.2),
    "Q8_0": Range(8.4, 8.5, 8.8),
}
"""Bits of a parameter over a whole checkpoint, unquantized layers included; used where no size is published. The range
of NVFP4 holds the catalog's checkpoints with a published size (4.03 to 5.84); a test says so."""

QUANTIZED_BITS: Table = {
    "NVFP4": 4.5,
    "MXFP4": 4.25,
    "FP8": 8.0,
    "INT8": 8.0,
    "BF16": 16.0,
    "INT4": 4.125,
    "W4A16": 4.125,
    "UD-IQ4_XS": 3.5,
    "Q4_K_M": 4.5,
    "Q8_0": 8.5,
}
"""Bits of a parameter in the quantized layers alone, scales included: NVFP4 has a byte for 16 numbers, MXFP4 one for
32. UD-IQ4_XS mixes formats: the whole file has 3.53 bits (101 GB of 229 billion)."""

FLOAT32_STATE = ("qwen3_5", "qwen3_5_moe", "nemotron_h")
"""Model types whose config.json keeps the recurrent state in float32 (mamba_ssm_dtype, mamba_ssm_cache_dtype)."""
