"""The estimate itself: parts, pool, verdict. Owns the order of the sums; sizes come from the modules beside it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from recipegen.fit import constants
from recipegen.fit.cache import LONGEST, Cache, Layers, Shape, VllmCache, shape_of
from recipegen.fit.constants import KV_BYTES
from recipegen.fit.decode import ceiling
from recipegen.fit.limits import chooses_context, not_counted, refused
from recipegen.fit.parts import GB, Estimate, Part, Range, Verdict
from recipegen.fit.setup import GB10_BATCH_SINCE, HYBRID_PREFIX_SINCE, Assumed, Setup, read_setup
from recipegen.fit.stages import kv_of_stage, of_fullest_stage
from recipegen.fit.weights import weights
from recipegen.spec.completed import Spec

_LARGE_GPU = 8192, 1024
_SMALL_GPU = 2048, 256
"""Defaults of max-num-batched-tokens and max-num-seqs (vllm/engine/arg_utils.py, get_batch_defaults)."""
_LLAMA_CACHE_RAM_MIB = 8192
_LLAMA_UBATCH = 512


class _Unknown(Exception):
    """A number is missing; the text is the reason that the user sees."""


@dataclass(frozen=True)
class _Caches:
    """The cache under three assumptions on what is not known (a drafter's layers), least bytes first."""

    low: Cache
    expected: Cache
    high: Cache

    def request(self, context: int) -> Range:
        return Range(*(one.request_bytes(context) / GB for one in (self.low, self.expected, self.high)))

    def tokens(self, pool: Range, context: int) -> Range:
        return Range(
            self.high.tokens(pool.low * GB, context),
            self.expected.tokens(pool.expected * GB, context),
            self.low.tokens(pool.high * GB, context),
        )

    def logged(self, pool: Range) -> Range:
        """What vLLM before 0.20.1 prints; it does not grow with the pool alone, so the ends are put in order."""
        pairs = ((self.high, pool.low), (self.expected, pool.expected), (self.low, pool.high))
        found = [one.logged_before_0_20_1(gb * GB) for one, gb in pairs if isinstance(one, VllmCache)]
        return Range(*sorted(found))

    def longest(self, pool: Range, sequences: int) -> Range:
        return Range(
            self.high.longest(pool.low * GB, sequences),
            self.expected.longest(pool.expected * GB, sequences),
            self.low.longest(pool.high * GB, sequences),
        )


def estimate(
    spec: Spec,
    variant: str,
    *,
    context: int | None = None,
    models_dir: Path | None = None,
    assumed: Assumed | None = None,
) -> Estimate:
    """Whether one variant of a recipe fits into its machine.

    Args:
        context: tokens of a request instead of the recipe's own.
        models_dir: folder with the models' folders; files there win over published sizes.
        assumed: values in place of the recipe's own.

    Raises:
        KeyError: no such variant.
        RecipegenError: a file of the local model cannot be used.
    """
    setup = read_setup(spec, variant, models_dir=models_dir, assumed=assumed)
    try:
        if reason := refused(setup):
            raise _Unknown(reason)
        found = _ESTIMATES[spec.engine.name](setup, context)
    except _Unknown as error:
        return Estimate("unknown", str(error), notes=setup.notes)
    found = replace(found, notes=(*found.notes, *not_counted(setup)))
    return _cut(found) if context is None and chooses_context(setup) else found


def _cut(found: Estimate) -> Estimate:
    """The same where the engine chooses the context: it takes what fits instead of not starting."""
    if found.verdict != "over" or found.largest is None or found.largest.high < 1:
        return found
    most = f"{int(found.largest.high):,} tokens at most"
    return replace(found, verdict="tight", reason=f"{found.reason}; left to choose, the engine takes {most}")


def _no_engine(setup: Setup, context: int | None) -> Estimate:
    raise _Unknown("the recipe's engine is not one whose memory is known")


def _needed(setup: Setup, tp: int) -> tuple[Range, Part]:
    """Memory of a node and weights of a rank.

    Raises:
        _Unknown: one of the numbers is missing.
    """
    if setup.memory is None:
        raise _Unknown(f"the catalog gives no memory for the hardware {setup.spec.hardware.id}")
    part = weights(setup.model, setup.facts, setup.local, tp)
    if part is None:
        raise _Unknown("no size of the weights is known: give the model size_gb, or --models-dir")
    if setup.kv is None:
        raise _Unknown("the catalog does not know the layers of this model: name its base_model, or give --models-dir")
    if not setup.kv.attention_layers and not setup.kv.sliding and not setup.kv.linear and not setup.kv.mamba:
        raise _Unknown("no layer of this model has a cache, as far as is known")
    return setup.memory, part


def _context(setup: Setup, key: str, asked: int | None) -> tuple[int, int | None]:
    native = setup.facts.native_context if setup.facts else None
    if native is None and setup.local is not None:
        given = setup.local.config.get("max_position_embeddings")
        native = given if isinstance(given, int) and given > 0 else None
    own = setup.number(key)
    found = asked or (int(own) if own else native)
    if found is None:
        raise _Unknown(f"neither --{key} nor the model's own context is known")
    return min(found, LONGEST), native


def _kv_bytes(name: str) -> float:
    if name not in KV_BYTES:
        raise _Unknown(f"the size of a number in a cache of type {name} is not known")
    return KV_BYTES[name]


def _state_bytes(setup: Setup) -> int:
    given = setup.flag("mamba-ssm-cache-dtype")
    if given in ("float32", "float16", "bfloat16"):
        return 4 if given == "float32" else 2
    kind = setup.facts.model_type if setup.facts else (setup.local.config.get("model_type") if setup.local else None)
    return 4 if str(kind).removesuffix("_text") in constants.FLOAT32_STATE else 2


def _depth(setup: Setup, asked: int | None, context: int) -> int:
    """Tokens in the cache for the ceiling: those of the headline cell, unless a context was asked for."""
    cell = setup.spec.cell(setup.spec.bench.headline)
    return min(context, asked or cell.depth + cell.pp)


def _drafter_part(setup: Setup, tp: int) -> list[Part]:
    if not setup.external:
        return []
    if setup.drafter_gb is not None:
        gb = Range(setup.drafter_gb * 0.95, setup.drafter_gb, setup.drafter_gb * 1.05)
        return [Part("drafter weights", gb * (1 / tp), "size in the recipe or the catalog")]
    unknown = constants.UNKNOWN_DRAFTER_GB
    return [Part("drafter weights", unknown.value * (1 / tp), "size not known: " + unknown.origin)]


def _shapes(setup: Setup, target: Shape, tp: int, kv_bytes: float) -> tuple[Shape, Shape, Shape]:
    """The target's shape with what speculation adds: least, expected, most."""
    if setup.built_in and target.kinds:
        heads = (setup.facts.mtp.heads if setup.facts and setup.facts.mtp else None) or 1
        return (target.with_heads(heads),) * 3
    if not setup.external or not target.kinds:
        return (target,) * 3
    known = setup.drafter
    if known and known.layers and known.kv_heads and known.head_dim:
        layers = Layers(known.layers, max(1, known.kv_heads // tp) * known.head_dim * 2 * kv_bytes)
        return (target.with_drafter(layers),) * 3
    width = target.kinds[0].token_bytes
    least, usual, most = (
        target.with_drafter(Layers(int(count), width))
        for count in (
            constants.UNKNOWN_DRAFTER_LAYERS.value.low,
            constants.UNKNOWN_DRAFTER_LAYERS.value.expected,
            constants.UNKNOWN_DRAFTER_LAYERS.value.high,
        )
    )
    return least, usual, most


def _table_gb(setup: Setup, tp: int) -> float | None:
    facts = setup.facts
    return (
        facts.vocab_size * facts.hidden_size * 2 / GB / tp if facts and facts.vocab_size and facts.hidden_size else None
    )


def _vllm(setup: Setup, asked: int | None) -> Estimate:
    tp = int(setup.number("tensor-parallel-size") or 1)
    stages = int(setup.number("pipeline-parallel-size") or 1)
    memory, whole = _needed(setup, tp)
    assert setup.kv is not None
    if stages > setup.kv.layers:
        raise _Unknown(f"{setup.kv.layers} layers cannot be split over {stages} stages")
    own, kv = of_fullest_stage(whole, setup.kv, stages, _table_gb(setup, tp)), kv_of_stage(setup.kv, stages)
    context, native = _context(setup, "max-model-len", asked)
    dtype = str(setup.flag("kv-cache-dtype") or "auto")
    kv_bytes = 2.0 if dtype == "auto" else _kv_bytes(dtype)
    small = setup.spec.hardware.gpu is None or (
        setup.spec.hardware.gpu == "GB10" and setup.version is not None and setup.since(GB10_BATCH_SINCE)
    )
    batch = int(setup.number("max-num-batched-tokens") or (_SMALL_GPU if small else _LARGE_GPU)[0])
    sequences = int(setup.number("max-num-seqs") or (_SMALL_GPU if small else _LARGE_GPU)[1])
    layout = functools.partial(
        shape_of,
        key_bytes=kv_bytes,
        value_bytes=kv_bytes,
        state_bytes=_state_bytes(setup),
        conv_bytes=2,
        tp=tp,
        lookahead=setup.lookahead,
    )
    target = layout(kv)
    copies = 1 + setup.lookahead
    prefix = setup.flag("enable-prefix-caching")
    if prefix is None:
        prefix = setup.since(HYBRID_PREFIX_SINCE)
    if target.state and prefix:
        copies += 1 if not setup.since("0.29.0") or setup.version is None else 2
    caches = _Caches(*(VllmCache(shape, batch=batch, copies=copies) for shape in _shapes(setup, target, tp, kv_bytes)))
    eager = setup.flag("enforce-eager") is True
    framework = constants.FRAMEWORK_EAGER if eager else constants.FRAMEWORK
    parts = [
        own,
        *_drafter_part(setup, tp),
        Part(
            "activations",
            constants.ACTIVATION.value * (batch / 1000),
            f"{batch:,} tokens of max-num-batched-tokens; {constants.ACTIVATION.origin}",
        ),
        Part("framework" if eager else "framework and graphs", framework.value, framework.origin),
    ]
    if setup.spec.hardware.nodes > 1:
        parts.append(Part("communication", constants.CLUSTER.value, constants.CLUSTER.origin))
    fixed = setup.number("kv-cache-memory-bytes")
    used = sum((part.gb for part in parts), Range.exactly(0))
    util = setup.number("gpu-memory-utilization") or 0.9
    notes = list(setup.notes)
    if stages > 1:
        notes.append(f"{stages} stages of layers: the parts are those of the fullest one")
    if fixed is not None:
        pool = Range.exactly(fixed / GB)
        budget = memory - constants.OTHERS.value
        total = used + pool + constants.OTHERS.value
        verdict, reason = _both(_pool_verdict(caches, pool, context), _sum_verdict(total, memory))
        notes.append("kv-cache-memory-bytes sets the pool, whatever gpu-memory-utilization says")
    else:
        budget = memory * util
        pool = budget - used
        total = budget + constants.OTHERS.value
        verdict, reason = _pool_verdict(caches, pool, context)
        if verdict == "fits" and budget.expected + constants.OTHERS.value.low > memory.expected:
            verdict = "tight"
            reason = f"gpu-memory-utilization {util:g} leaves the rest of the machine less than it usually takes"
    logged = None
    if not setup.since("0.20.1"):
        logged = caches.logged(pool)
    return Estimate(
        verdict=verdict,
        reason=reason,
        context=context,
        sequences=sequences,
        parts=tuple(parts),
        budget=budget,
        pool=pool,
        request=caches.request(context),
        total=_with_page_cache(total, parts, memory),
        tokens=caches.tokens(pool, context),
        logged=logged,
        largest=caches.longest(pool, 1),
        largest_full=caches.longest(pool, sequences),
        native=native,
        # One stream passes the stages one after the other, so that they read no faster than one would.
        ceiling=ceiling(setup, whole, layout(setup.kv), tp, _depth(setup, asked, context)),
        notes=tuple(notes),
    )


def _atlas(setup: Setup, asked: int | None) -> Estimate:
    memory, own = _needed(setup, 1)
    assert setup.kv is not None
    context, native = _context(setup, "max-seq-len", asked)
    dtype = setup.flag("kv-cache-dtype")
    kv_bytes = _kv_bytes(str(dtype)) if dtype and dtype != "auto" else 2.0
    sequences = int(setup.number("max-batch-size") or setup.number("max-num-seqs") or 1)
    target = shape_of(
        setup.kv, key_bytes=kv_bytes, value_bytes=kv_bytes, state_bytes=4, conv_bytes=2, tp=1, lookahead=setup.lookahead
    )
    cache = Cache(target)
    caches = _Caches(cache, cache, cache)
    share = constants.ATLAS_SHARE
    beside = Part(
        "engine",
        Range(*(own.gb.expected * f for f in (share.value.low, share.value.expected, share.value.high))),
        share.origin,
    )
    parts = [own, *_drafter_part(setup, 1), beside]
    budget = memory * (setup.number("gpu-memory-utilization") or 0.9)
    pool = budget - sum((part.gb for part in parts), Range.exactly(0))
    verdict, reason = _pool_verdict(caches, pool, context)
    if verdict == "fits" and budget.expected + constants.OTHERS.value.low > memory.expected:
        verdict, reason = "tight", "gpu-memory-utilization leaves the rest of the machine less than it usually takes"
    return Estimate(
        verdict=verdict,
        reason=reason,
        context=context,
        sequences=sequences,
        parts=tuple(parts),
        budget=budget,
        pool=pool,
        request=caches.request(context),
        total=_with_page_cache(budget + constants.OTHERS.value, parts, memory),
        tokens=caches.tokens(pool, context),
        largest=caches.longest(pool, 1),
        largest_full=caches.longest(pool, sequences),
        native=native,
        ceiling=ceiling(setup, own, target, 1, _depth(setup, asked, context)),
        notes=(*setup.notes, "what Atlas needs beside weights and cache is known from one configuration only"),
    )


def _llama_cpp(setup: Setup, asked: int | None) -> Estimate:
    memory, own = _needed(setup, 1)
    assert setup.kv is not None
    context, native = _context(setup, "ctx-size", asked)
    key = _kv_bytes(str(setup.flag("cache-type-k") or "f16"))
    value = _kv_bytes(str(setup.flag("cache-type-v") or "f16"))
    target = shape_of(
        setup.kv, key_bytes=key, value_bytes=value, state_bytes=4, conv_bytes=4, tp=1, lookahead=setup.lookahead
    )
    if setup.flag("swa-full") is True:
        target = target.without_windows()
    sequences = int(setup.number("parallel") or 1)
    cache = Cache(target, batch=int(setup.number("ubatch-size") or _LLAMA_UBATCH))
    caches = _Caches(cache, cache, cache)
    prompts = setup.flags.get("cache-ram", _LLAMA_CACHE_RAM_MIB)
    usual = _LLAMA_CACHE_RAM_MIB * 2**20 / GB
    kept = memory.high if prompts < 0 else prompts * 2**20 / GB  # -1: no limit
    parts = [
        own,
        *_drafter_part(setup, 1),
        Part("compute buffers", constants.LLAMA_CPP.value, constants.LLAMA_CPP.origin),
        Part(
            "kept prompts",
            Range(0, (usual if prompts < 0 else kept) / 2, kept),
            f"--cache-ram {prompts} fills up to {kept:.1f} GB as prompts come",
        ),
    ]
    used = sum((part.gb for part in parts), Range.exactly(0))
    pool = memory - constants.OTHERS.value - used
    request = caches.request(context)
    total = used + request + constants.OTHERS.value
    verdict, reason = _sum_verdict(total, memory)
    longest = caches.longest(pool, 1)
    return Estimate(
        verdict=verdict,
        reason=reason,
        context=context,
        sequences=sequences,
        parts=tuple(parts),
        budget=memory - constants.OTHERS.value,
        pool=pool,
        request=request,
        total=total,
        tokens=caches.tokens(pool, context),
        largest=longest,
        largest_full=longest.map(lambda tokens: tokens // sequences),
        native=native,
        ceiling=ceiling(setup, own, target, 1, _depth(setup, asked, context)),
        notes=(*setup.notes, "llama.cpp makes its cache for --ctx-size tokens at once, which its slots share"),
    )


def _with_page_cache(total: Range, parts: list[Part], memory: Range) -> Range:
    """What tools show that count the page cache as used: the files of the weights stay in it while there is room."""
    files = sum(part.gb.expected for part in parts if part.name.endswith("weights"))
    return Range(total.low, min(total.expected, memory.high), min(total.high + files, memory.high))


def _pool_verdict(caches: _Caches, pool: Range, context: int) -> tuple[Verdict, str]:
    request = caches.request(context)
    if request.low > pool.high:
        left = f"at most {max(pool.high, 0):.1f} GB are left for the cache"
        return "over", f"one request of {context:,} tokens takes {request.low:.1f} GB, and {left}"
    if request.high > pool.low:
        return "tight", (
            f"one request of {context:,} tokens takes {request.expected:.1f} GB, and between {max(pool.low, 0):.1f} "
            f"and {pool.high:.1f} GB are left for the cache"
        )
    return "fits", f"one request of {context:,} tokens takes {request.expected:.1f} of {pool.expected:.1f} GB of cache"


def _sum_verdict(total: Range, memory: Range) -> tuple[Verdict, str]:
    if total.low > memory.high:
        return "over", f"it takes {total.low:.1f} GB or more of {memory.high:.1f}"
    if total.high > memory.low:
        return "tight", f"it takes {total.low:.1f} to {total.high:.1f} GB of {memory.low:.1f} to {memory.high:.1f}"
    return "fits", f"it takes about {total.expected:.1f} of {memory.expected:.1f} GB"


def _both(first: tuple[Verdict, str], second: tuple[Verdict, str]) -> tuple[Verdict, str]:
    """The worse of two verdicts."""
    order: tuple[Verdict, ...] = ("fits", "tight", "over")
    return max(first, second, key=lambda found: order.index(found[0]))


_ESTIMATES = {"vllm": _vllm, "llama.cpp": _llama_cpp, "atlas": _atlas, "other": _no_engine}
