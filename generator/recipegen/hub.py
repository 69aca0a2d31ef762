"""Models on the Hugging Face hub: what a first recipe needs to know of one. Owns no download of weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.spec.model import HF_ID

CONFIG_LIMIT = 4 << 20
"""A config.json of more than 4 MiB is no config."""


def recipe_from_hub(name: str, hf_id: str) -> str:
    """The text of a first recipe for a hub model: revision pinned, quantization read from its config.

    Raises:
        EnvironmentLacks: the hub cannot be reached, or the model is gated and there is no token.
        RecipegenError: there is no such model, or its answer makes no sense.
    """
    from recipegen.render.templates import Templates

    if not re.fullmatch(HF_ID, hf_id):
        raise RecipegenError(f"{hf_id!r} is not a Hugging Face id", hint="OWNER/NAME, as in Qwen/Qwen3-8B")
    info = _info(hf_id)
    config = _config(hf_id, info["sha"])
    return Templates().render(
        "repo/recipe-from-hub.yaml.j2",
        name=name,
        hf_id=hf_id,
        revision=info["sha"],
        gated=info["gated"],
        licence=info["licence"],
        size_gb=info["size_gb"],
        quantization=quantization_of(config),
        context=context_of(config),
    )


def _info(hf_id: str) -> dict[str, Any]:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        found = HfApi().model_info(hf_id, files_metadata=True, timeout=20)
    except GatedRepoError as error:
        raise _gated(hf_id) from error
    except RepositoryNotFoundError as error:
        raise RecipegenError(f"the hub has no model {hf_id!r}, or it is private", hint="check the spelling") from error
    except HfHubHTTPError as error:
        raise EnvironmentLacks(f"the hub refused: {str(error).splitlines()[0][:200]}", hint="try again later") from error
    except Exception as error:  # the hub's client lets its transport's own errors through, which differ by version
        raise EnvironmentLacks(
            f"the Hugging Face hub cannot be reached ({type(error).__name__})",
            hint="check the network, or start from a preset: recipegen catalog list",
        ) from error
    card = found.card_data or {}
    size = sum(sibling.size or 0 for sibling in found.siblings or []) / 1e9
    licence = card.get("license") if hasattr(card, "get") else None
    return {
        "sha": _commit(found.sha, hf_id),
        "gated": bool(found.gated),
        "licence": licence if isinstance(licence, str) else None,
        "size_gb": round(size, 1) if size > 0 else None,
    }


def _commit(sha: Any, hf_id: str) -> str:
    if not isinstance(sha, str) or not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise RecipegenError(f"the hub named no commit for {hf_id}", hint="its answer makes no sense; try again later")
    return sha


def _gated(hf_id: str) -> EnvironmentLacks:
    return EnvironmentLacks(
        f"{hf_id} is gated", hint=f"accept its terms at https://huggingface.co/{hf_id}, then `hf auth login`"
    )


def _config(hf_id: str, revision: str) -> dict[str, Any]:
    """The model's config.json; empty when it has none (GGUF repositories)."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError

    try:
        file = Path(hf_hub_download(hf_id, "config.json", revision=revision))
        if file.stat().st_size > CONFIG_LIMIT:
            raise RecipegenError(f"config.json of {hf_id} is too large to be one")
        found = json.loads(file.read_text(encoding="utf-8"))
    except GatedRepoError as error:
        raise _gated(hf_id) from error
    except EntryNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EnvironmentLacks(f"config.json of {hf_id} could not be read ({type(error).__name__})") from error
    return found if isinstance(found, dict) else {}


def quantization_of(config: dict[str, Any]) -> tuple[str, str | None]:
    """Quantization as the table writes it, and the checkpoint's format, from config.json.

    Source: `quantization_config.quant_method` as Transformers defines it; compressed-tensors and ModelOpt name the
    number format in their groups and in `quant_algo`.
    """
    quant = config.get("quantization_config")
    if not isinstance(quant, dict):
        dtype = config.get("dtype") or config.get("torch_dtype") or "BF16"
        return {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}.get(str(dtype), str(dtype)), "safetensors"
    method = str(quant.get("quant_method", "unknown"))
    text = json.dumps(quant).lower()
    for sign, label in (("nvfp4", "NVFP4"), ("mxfp4", "MXFP4"), ("fp8", "FP8"), ("float8", "FP8")):
        if sign in text:
            return label, method
    bits = quant.get("bits")
    return (f"INT{bits}" if isinstance(bits, int) else method.upper()), method


def context_of(config: dict[str, Any]) -> int | None:
    """Native context length in tokens: max_position_embeddings, of the text part for multimodal models."""
    text = config.get("text_config")
    for part in (text if isinstance(text, dict) else {}, config):
        found = part.get("max_position_embeddings")
        if isinstance(found, int) and found > 0:
            return found
    return None
