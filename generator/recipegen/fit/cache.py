"""Bytes of the KV cache and of recurrent state, as the engine lays them out. Owns the arithmetic; knows no recipe.

vLLM's part follows vllm/v1/core/kv_cache_utils.py and vllm/v1/kv_cache_interface.py of 0.19 to 0.33: layers of one kind
form groups of equal size, all groups share blocks of one size, and "GPU KV cache size" is what the pool holds at
requests of max-model-len tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from recipegen.catalog.facts import KvFacts

BLOCK = 16
"""Tokens of a block where nothing forces more (vLLM's default; attention kernels take multiples of it)."""
LONGEST = 1 << 24
"""Tokens; no estimate looks further."""
_FEW_MORE = 1.5
"""vLLM pads the smaller kind of layers up to the larger one when they differ by less than this factor."""


@dataclass(frozen=True)
class Layers:
    """Layers of one kind on one rank.

    Attributes:
        token_bytes: cache of one token in one layer.
        window: tokens that the layer looks back; None for all.
    """

    count: int
    token_bytes: float
    window: int | None = None


@dataclass(frozen=True)
class State:
    """Recurrent layers on one rank: bytes of one layer and one sequence."""

    count: int
    layer_bytes: int


@dataclass(frozen=True)
class Shape:
    """What one rank keeps for a sequence. The first kind is the target's own full attention."""

    kinds: tuple[Layers, ...]
    state: State | None = None

    def with_heads(self, count: int) -> Shape:
        """The same with prediction heads, whose layers are like the target's own full attention."""
        first, *rest = self.kinds
        return Shape((Layers(first.count + count, first.token_bytes), *rest), self.state)

    def without_windows(self) -> Shape:
        """The same where every layer keeps all tokens."""
        return Shape(tuple(replace(kind, window=None) for kind in self.kinds), self.state)

    def with_drafter(self, layers: Layers) -> Shape:
        """The same with the layers of a drafter, which form groups of their own."""
        return Shape((*self.kinds, layers), self.state)


def shape_of(
    kv: KvFacts, *, key_bytes: float, value_bytes: float, state_bytes: int, conv_bytes: int, tp: int, lookahead: int
) -> Shape:
    """What one of `tp` ranks keeps.

    Args:
        key_bytes: bytes of one number of a key in the cache, value_bytes: of a value.
        state_bytes: bytes of one number of a recurrent state, conv_bytes: of a convolution's.
        lookahead: speculative tokens, which the convolution keeps too.
    """

    def heads(count: int) -> int:
        return max(1, count // tp)  # fewer heads than ranks: each rank keeps one whole

    kinds = []
    if kv.attention_layers:
        if kv.mla is not None:
            token = (kv.mla.kv_lora_rank + kv.mla.qk_rope_head_dim) * key_bytes
        else:
            assert kv.kv_heads is not None and kv.head_dim is not None
            token = heads(kv.kv_heads) * kv.head_dim * (key_bytes + value_bytes)
        kinds.append(Layers(kv.attention_layers, token))
    if kv.sliding is not None:
        width = heads(kv.sliding.kv_heads) * kv.sliding.head_dim
        kinds.append(Layers(kv.sliding.layers, width * (key_bytes + value_bytes), kv.sliding.window))
    return Shape(tuple(kinds), _state(kv, state_bytes, conv_bytes, tp, lookahead))


def _state(kv: KvFacts, state_bytes: int, conv_bytes: int, tp: int, lookahead: int) -> State | None:
    if kv.linear is not None:
        part = kv.linear
        recurrent = part.v_heads * part.k_dim * part.v_dim
        conv = 2 * part.k_heads * part.k_dim + part.v_heads * part.v_dim
        layers, kernel = part.layers, part.conv_kernel
    elif kv.mamba is not None:
        recurrent = kv.mamba.heads * kv.mamba.head_dim * kv.mamba.state_size
        conv = kv.mamba.heads * kv.mamba.head_dim + 2 * kv.mamba.groups * kv.mamba.state_size
        layers, kernel = kv.mamba.layers, kv.mamba.conv_kernel
    else:
        return None
    layer = recurrent // tp * state_bytes + conv // tp * (kernel - 1 + lookahead) * conv_bytes
    return State(layers, layer)


class Cache:
    """The cache of one rank of an engine that keeps exactly the bytes it needs (llama.cpp, Atlas)."""

    def __init__(self, shape: Shape, *, batch: int = 0) -> None:
        self.shape = shape
        self.batch = batch

    def request_bytes(self, context: int) -> float:
        """Bytes of one request of `context` tokens."""
        state = self.shape.state
        fixed = state.count * state.layer_bytes if state else 0
        return fixed + sum(
            kind.count * kind.token_bytes * min(context, kind.window + self.batch if kind.window else context)
            for kind in self.shape.kinds
        )

    def tokens(self, pool: float, context: int) -> float:
        """Tokens that a pool of bytes holds at requests of `context` tokens."""
        return max(0.0, pool) / self.request_bytes(context) * context

    def longest(self, pool: float, sequences: int = 1) -> int:
        """Longest context at which so many requests fit at once; 0 when none does."""
        low, high = 0, LONGEST
        while low < high:
            middle = (low + high + 1) // 2
            if self.request_bytes(middle) * sequences <= pool:
                low = middle
            else:
                high = middle - 1
        return low


class VllmCache(Cache):
    """The cache of one rank under vLLM, in blocks.

    Args:
        shape: with drafter and MTP layers in it.
        batch: max-num-batched-tokens; windows keep that many tokens more.
        copies: recurrent states of one sequence: 1, or 2 with prefix caching, and one for each speculative token.
        block: tokens of a block where nothing forces more.
    """

    def __init__(self, shape: Shape, *, batch: int, copies: int, block: int = BLOCK) -> None:
        super().__init__(shape, batch=batch)
        self.copies = copies
        kinds, state = shape.kinds, shape.state
        if state is None and all(kind.window is None for kind in kinds):
            self.per_group, self.block = [1] * len(kinds), [block] * len(kinds)
            self.groups = 1
            self.block_bytes = sum(kind.count * kind.token_bytes for kind in kinds) * block
            self._uniform = True
            return
        self._uniform = False
        page = max(kind.token_bytes for kind in kinds) * block if kinds else float(state.layer_bytes if state else 0)
        if state and kinds:
            first = kinds[0].token_bytes
            page = max(page, block * first * ceil(state.layer_bytes / (block * first)))
        counts = [kind.count for kind in kinds] + ([state.count] if state else [])
        size = min(counts)
        if max(counts) < size * _FEW_MORE:
            size = max(counts)
        self.block = [int(page // kind.token_bytes) for kind in kinds]
        self.per_group = [ceil(count / size) for count in counts]
        self.groups = sum(self.per_group)
        self.block_bytes = page * size

    def blocks(self, context: int) -> int:
        """Blocks of one request of `context` tokens."""
        if self._uniform:
            return ceil(context / self.block[0])
        found = self.per_group[-1] * self.copies if self.shape.state else 0
        for kind, block, groups in zip(self.shape.kinds, self.block, self.per_group, strict=False):
            if kind.window is None:
                found += groups * ceil(context / block)
            else:
                found += groups * (ceil(min(kind.window - 1 + self.batch, context) / block) + 1)
        return found

    def request_bytes(self, context: int) -> float:
        return self.blocks(context) * self.block_bytes

    def tokens(self, pool: float, context: int) -> float:
        return int(max(0.0, pool) // self.block_bytes / self.blocks(context) * context)

    def logged_before_0_20_1(self, pool: float) -> int:
        """What versions before 0.20.1 print: blocks of one group, times the tokens of the smallest block."""
        return int(max(0.0, pool) // self.block_bytes) // self.groups * min(self.block)
