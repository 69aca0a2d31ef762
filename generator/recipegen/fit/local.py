"""A model's folder on this machine: size of its weights, facts of its config.json. Owns bounded reading; downloads
nothing and runs no code of the model."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.catalog.facts import KvFacts, LinearState, MlaKv, SlidingKv
from recipegen.errors import RecipegenError, Where
from recipegen.files import read_bounded

CONFIG_LIMIT = 4 << 20
"""Bytes; the config.json of a model has some kilobytes."""
INDEX_LIMIT = 64 << 20
"""Bytes; the index of a checkpoint with many experts has some megabytes."""
HEADER_LIMIT = 64 << 20
"""Bytes of a safetensors header."""
LARGEST = 1 << 50
"""Bytes; no checkpoint is a petabyte."""
MOST_LAYERS = 10_000
_OTHER_LAYOUTS = (
    "attention_chunk_size",
    "attn_layer_indices",
    "attn_layer_period",
    "cross_attention_layers",
    "hybrid_override_pattern",
    "index_topk",
    "layers_block_type",
    "mamba_d_state",
    "num_kv_shared_layers",
)
"""Keys of config.json that tell of layers which the plain counts do not describe: state spaces, chunks, an indexer
beside latent attention, layers that share a cache."""
_HEADER_START = 8
_SHARD = re.compile(r"(.+)-00001-of-([0-9]{5})\.gguf")


@dataclass(frozen=True)
class LocalModel:
    """What a folder says of its model.

    Attributes:
        weights_bytes: tensors of its checkpoint, or of its GGUF files; None without either.
        config: its config.json, text model's part; empty without one.
    """

    folder: Path
    weights_bytes: int | None
    config: Mapping[str, Any]


def read_local(folder: Path, file: str | None = None) -> LocalModel | None:
    """A model's folder; None when there is none.

    Args:
        file: the GGUF file that the engine opens; its further shards lie beside it.

    Raises:
        RecipegenError: a file is larger than its bound, is no JSON, no safetensors file, or no plain file.
    """
    if not folder.is_dir():
        return None
    config = _json(folder / "config.json", CONFIG_LIMIT)
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, Mapping) else config
    return LocalModel(folder, _weights(folder, file), text)


def _weights(folder: Path, file: str | None) -> int | None:
    if file is not None:
        return _gguf_bytes(folder / file)
    files = {path.name: path for path in folder.glob("*.safetensors")}
    index = _json(folder / "model.safetensors.index.json", INDEX_LIMIT)
    named = index.get("weight_map")
    names = list(named.values()) if isinstance(named, Mapping) else []
    shards = {name for name in names if isinstance(name, str)}
    # Beside the shards of the index, some repositories hold all weights once more (consolidated.safetensors).
    sizes = [_tensor_bytes(files[name]) if name in files else None for name in sorted(shards or files)]
    if sizes and None not in sizes:
        return sum(filter(None, sizes)) or None
    # A download that is not complete: the index says how much it will be.
    metadata = index.get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    known = isinstance(size, int | float) and not isinstance(size, bool) and 0 < size < LARGEST
    return int(size) if known and size is not None else None


def _gguf_bytes(first: Path) -> int | None:
    """A GGUF file with its further shards; None when one of them is not there."""
    shard = _SHARD.fullmatch(first.name)
    if shard is None:
        return _size(first) or None
    names = [f"{shard[1]}-{number:05d}-of-{shard[2]}.gguf" for number in range(1, int(shard[2]) + 1)]
    sizes = [_size(first.with_name(name)) for name in names]
    return None if None in sizes else sum(filter(None, sizes)) or None


def _size(path: Path) -> int | None:
    """Bytes of a file; None when it is not there (a link to nothing is what a broken download leaves).

    Raises:
        RecipegenError: a folder, a pipe, a device.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        raise RecipegenError(f"{path} is not a plain file", where=Where(path))
    return found.st_size


def _tensor_bytes(path: Path) -> int | None:
    """Bytes of the tensors of a safetensors file: all of it but the header, whose length its first eight bytes give."""
    size = _size(path)
    if size is None:
        return None
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise RecipegenError(f"{path} cannot be read: {error.strerror}", where=Where(path)) from None
    if size < _HEADER_START or length > min(HEADER_LIMIT, size - _HEADER_START):
        raise RecipegenError(
            f"{path} is no safetensors file, or only the beginning of one: {size:,} bytes, with a header of {length:,}",
            where=Where(path),
            hint="download it again",
        )
    return size - _HEADER_START - length


def _json(path: Path, limit: int) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_bounded(path, limit))
    except (ValueError, RecursionError) as error:
        raise RecipegenError(f"{path} is no JSON: {error}", where=Where(path)) from None
    return found if isinstance(found, dict) else {}


def kv_facts(local: LocalModel) -> KvFacts | None:
    """What the size of its caches follows from, or None when config.json has a layout that is not known here.

    Knows plain attention, sliding windows (layer_types), latent attention and Gated DeltaNet under the names that
    Transformers gives them.
    """
    config = local.config
    layers, heads = _count(config, "num_hidden_layers"), _count(config, "num_attention_heads")
    if layers is None or layers > MOST_LAYERS or heads is None or any(config.get(key) for key in _OTHER_LAYOUTS):
        return None
    kinds = config.get("layer_types")
    if kinds is None:
        if _count(config, "linear_num_value_heads") or _count(config, "sliding_window"):
            return None  # some layers are of another kind, and config.json does not say which
        kinds = ["full_attention"] * layers
    if not isinstance(kinds, list) or len(kinds) != layers or not all(isinstance(kind, str) for kind in kinds):
        return None
    names = set(kinds)
    if names - {"full_attention", "sliding_attention", "linear_attention"}:
        return None
    source = f"config.json in {local.folder.name}"
    common: dict[str, Any] = {"layers": layers, "attention_layers": kinds.count("full_attention"), "source": source}
    rank, rope = _count(config, "kv_lora_rank"), _count(config, "qk_rope_head_dim")
    kv_heads = _count(config, "num_key_value_heads") or heads
    head_dim = _count(config, "head_dim") or (_count(config, "hidden_size") or 0) // heads
    if rank and rope:
        common["mla"] = MlaKv(kv_lora_rank=rank, qk_rope_head_dim=rope)
    elif head_dim:
        common |= {
            "kv_heads": _count(config, "num_global_key_value_heads") or kv_heads,
            "head_dim": _count(config, "global_head_dim") or head_dim,
        }
    else:
        return None
    if sliding := kinds.count("sliding_attention"):
        window = _count(config, "sliding_window")
        if window is None or not head_dim:
            return None
        common["sliding"] = SlidingKv(layers=sliding, window=window, kv_heads=kv_heads, head_dim=head_dim)
    if linear := kinds.count("linear_attention"):
        named = {
            "k_heads": "linear_num_key_heads",
            "v_heads": "linear_num_value_heads",
            "k_dim": "linear_key_head_dim",
            "v_dim": "linear_value_head_dim",
            "conv_kernel": "linear_conv_kernel_dim",
        }
        sizes = {key: _count(config, name) for key, name in named.items()}
        if None in sizes.values():
            return None
        common["linear"] = LinearState(layers=linear, **sizes)  # type: ignore[arg-type]
    return KvFacts(verified=True, **common)


def _count(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else None
