"""Models on the Hugging Face hub: what a first recipe needs to know of one. Owns no download of weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.quoting import comment_text
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
    config = _config(hf_id, info["sha"]) if info["config"] else {}
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
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    try:
        found = HfApi().model_info(hf_id, files_metadata=True, timeout=20)
        files = found.siblings
        size = sum(file.size or 0 for file in files or []) / 1e9
        sizes = None if files is None else {file.rfilename: file.size for file in files}
        licence = getattr(found.card_data, "license", None)
        facts = {
            "sha": _commit(found.sha, hf_id),
            "gated": bool(found.gated),
            "licence": comment_text(licence)[:200] or None if isinstance(licence, str) else None,
            "size_gb": round(size, 1) if size >= 0.05 else None,
            "config": sizes is None or "config.json" in sizes,
        }
    except GatedRepoError as error:
        raise _gated(hf_id) from error
    except RepositoryNotFoundError as error:
        hint = "check the spelling; for a private one, `hf auth login`"
        raise RecipegenError(f"the hub has no model {hf_id!r}, or it is private", hint=hint) from error
    except HFValidationError as error:
        raise RecipegenError(f"{hf_id!r} is not a Hugging Face id", hint=str(error)) from error
    except HfHubHTTPError as error:
        raise EnvironmentLacks(f"the hub refused: {comment_text(str(error))[:200]}", hint="try again later") from error
    except RecipegenError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _nonsense(hf_id, type(error).__name__) from error
    except Exception as error:
        # The hub's client lets its transport's own errors through, which differ by version.
        raise EnvironmentLacks(
            f"the Hugging Face hub cannot be reached ({type(error).__name__})",
            hint="check the network, or start from a preset: recipegen catalog list",
        ) from error
    if sizes and (sizes.get("config.json") or 0) > CONFIG_LIMIT:
        raise _too_large(hf_id)  # known before a byte of it is fetched
    return facts


def commit_of(hf_id: str, revision: str | None = None) -> str:
    """The commit that a model, or a branch or a tag of it, stands for today.

    Asked for by hand instead of with the hub's client, which reads an answer of any size; the user's token goes to
    the hub alone.

    Raises:
        Unreachable: the hub does not answer, or has no time now.
        NotThere: it has no such model or revision, or shows it only to those who log in.
        BadAnswer: the answer names no commit.
    """
    from urllib.parse import quote

    from huggingface_hub import constants, get_token

    from recipegen.web import BadAnswer, Unreachable, ask

    if constants.HF_HUB_OFFLINE:
        raise Unreachable("the hub is not asked: HF_HUB_OFFLINE is set")
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = ask(f"{constants.ENDPOINT}/api/models/{hf_id}{at}?expand=sha", headers=headers)
    answer.must_be_ok(f"model {hf_id}{f' at {revision}' if revision else ''}")
    found = answer.json()
    try:
        return _commit(found.get("sha") if isinstance(found, dict) else None, hf_id)
    except RecipegenError as error:
        raise BadAnswer(error.message, hint="is HF_ENDPOINT a hub?") from error


def _commit(sha: Any, hf_id: str) -> str:
    if not isinstance(sha, str) or not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise _nonsense(hf_id, "no commit")
    return sha


def _nonsense(hf_id: str, what: str) -> RecipegenError:
    return EnvironmentLacks(
        f"the hub's answer for {hf_id} makes no sense ({what})",
        hint="is HF_ENDPOINT a hub? Start from a preset otherwise: recipegen catalog list",
    )


def _too_large(hf_id: str) -> RecipegenError:
    return RecipegenError(f"config.json of {hf_id} is larger than {CONFIG_LIMIT >> 20} MiB: not a config")


def _gated(hf_id: str) -> EnvironmentLacks:
    return EnvironmentLacks(
        f"{hf_id} is gated", hint=f"accept its terms at https://huggingface.co/{hf_id}, then `hf auth login`"
    )


def _config(hf_id: str, revision: str) -> dict[str, Any]:
    """The model's config.json; empty when it has none (GGUF repositories)."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError

    try:
        file = Path(hf_hub_download(hf_id, "config.json", revision=revision))
        if file.stat().st_size > CONFIG_LIMIT:
            raise _too_large(hf_id)
        found = json.loads(file.read_text(encoding="utf-8"))
    except GatedRepoError as error:
        raise _gated(hf_id) from error
    except LocalEntryNotFoundError as error:  # an EntryNotFoundError too, but it means that nobody answered
        raise EnvironmentLacks(
            f"config.json of {hf_id} could not be fetched", hint="check the network, try again later"
        ) from error
    except EntryNotFoundError:
        return {}
    except OSError as error:
        raise EnvironmentLacks(f"config.json of {hf_id} could not be read ({type(error).__name__})") from error
    except (ValueError, RecursionError) as error:
        raise _nonsense(hf_id, "config.json is not JSON") from error
    return found if isinstance(found, dict) else {}


def quantization_of(config: dict[str, Any]) -> tuple[str, str | None]:
    """Quantization as the table writes it ("unknown" without a sign), and the checkpoint's format.

    Args:
        config: the model's config.json.

    Source: `quantization_config.quant_method` as Transformers defines it; compressed-tensors and ModelOpt
    name the number format in their groups and in `quant_algo`.
    """
    quant = config.get("quantization_config")
    if not isinstance(quant, dict):
        part_of = config.get("text_config")
        inner = part_of if isinstance(part_of, dict) else {}
        dtype = next((part[key] for part in (config, inner) for key in ("dtype", "torch_dtype") if part.get(key)), None)
        label = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}.get(str(dtype), "unknown")
        return label, "safetensors" if config else None
    method = str(quant.get("quant_method", "unknown"))
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", method):
        method = "unknown"
    text = json.dumps(quant).lower()
    for sign, label in (("nvfp4", "NVFP4"), ("mxfp4", "MXFP4"), ("fp8", "FP8"), ("float8", "FP8")):
        if sign in text:
            return label, method
    bits = quant.get("bits")
    return (f"INT{bits}" if type(bits) is int and 0 < bits <= 16 else method.upper()), method


def context_of(config: dict[str, Any]) -> int | None:
    """Native context length in tokens: max_position_embeddings, of the text part for multimodal models."""
    text = config.get("text_config")
    for part in (text if isinstance(text, dict) else {}, config):
        found = part.get("max_position_embeddings")
        if type(found) is int and found > 0:
            return found
    return None
