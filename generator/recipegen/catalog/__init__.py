"""What is known of machines, texts and presets, as data files read when asked for. Owns no rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from recipegen.errors import RecipegenError
from recipegen.spec.completed import HardwareProfile

_HERE = Path(__file__).parent
PRESETS = _HERE / "presets"
CORPORA = _HERE / "corpora"


@cache
def hardware_profiles() -> dict[str, HardwareProfile]:
    """All hardware profiles by id."""
    import yaml

    raw = yaml.safe_load((_HERE / "hardware.yaml").read_text(encoding="utf-8"))
    return {key: HardwareProfile(id=key, **body) for key, body in raw.items()}


@cache
def _corpora() -> dict[str, dict[str, dict[str, str]]]:
    import yaml

    found: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((CORPORA / "corpora.yaml").read_text(encoding="utf-8"))
    return found


def default_corpora() -> dict[str, dict[str, str]]:
    """The texts that a recipe measures on when it names none: key to url and, where known, sha256."""
    return _corpora()["default"]


def builtin_corpora() -> dict[str, dict[str, str]]:
    """The texts that travel with recipegen: key to file, title and source."""
    return _corpora()["builtin"]


def builtin_corpus(key: str) -> Path:
    """The file of a text that travels with recipegen."""
    return CORPORA / builtin_corpora()[key]["file"]


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_file(name: str) -> Path:
    """The file of a preset.

    Raises:
        RecipegenError: there is none of that name; the hint lists the nearest.
    """
    from difflib import get_close_matches

    names = preset_names()
    if name not in names:
        near = get_close_matches(name, names, n=5, cutoff=0.4) or names
        raise RecipegenError(
            f"there is no preset {name!r}",
            hint=f"nearest: {', '.join(near)}; `recipegen catalog list` shows all, "
            "--model HF_ID starts from a hub model",
        )
    return PRESETS / f"{name}.yaml"
