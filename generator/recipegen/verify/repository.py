"""A stranger's bundle as a repository of one's own to measure in. Owns what must be right before that; renders nothing
of the bundle's and runs nothing of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from recipegen.bundle.layout import MANIFEST, SIGNATURE
from recipegen.bundle.unpack import opened
from recipegen.claims import Check, failed
from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.load.repo import Repository
from recipegen.render.kit import MANIFEST as KIT_MANIFEST
from recipegen.verify.figures import read_claim
from recipegen.verify.whole import checks_of
from recipegen.workspace import Workspace


@dataclass(frozen=True)
class TakenIn:
    """A bundle that lies in a folder of its own as a repository.

    Attributes:
        recipe: its one recipe.
        run: the run that its headline rests on, a folder under results/.
        bundle: the bundle's id.
        kit_sha256: of the kit as it came.
    """

    workspace: Workspace
    recipe: str
    run: str
    bundle: str
    kit_sha256: str


def take_in(bundle: Path, target: Path | None = None, *, unverified: bool = False, trust_kit: bool = False) -> TakenIn:
    """Verifies a bundle and unpacks it to measure in; what is measured there is added to its results.

    The manifest and the signature are left out: the folder is no bundle any more once something is added.

    Args:
        bundle: an archive, or the folder of one.
        target: a folder that is not there yet; ./<recipe>-reproduced by default.
        unverified: take it in although checks fail.
        trust_kit: take it in although its kit does not follow from its recipe, or brings patches of its own.

    Raises:
        NoBundle: it is none, or must not be unpacked.
        CheckFailed: checks of it fail, or nobody can say what its kit does; nothing is written then.
        RecipegenError: the target is there already, or lies in the bundle.
    """
    with opened(bundle) as found:
        recipe = found.manifest.recipe
        place = (target or Path(f"{recipe}-reproduced")).absolute()
        if place.exists():
            raise RecipegenError(f"{place} is there already", hint="another folder: --into DIR")
        if found.archive is None and place.resolve().is_relative_to(found.root.resolve()):
            raise RecipegenError(f"{place} lies in the bundle, which would be none any more", hint="--into DIR")
        if not unverified:
            _require_verified(bundle, checks_of(found), trust_kit=trust_kit)
        claim, kit = read_claim(found.root), found.files.get(f"recipes/{recipe}/{KIT_MANIFEST}")
        if kit is None:
            raise RecipegenError(f"{bundle} holds no kit of {recipe}: there is nothing to build")
        _copy(found.root, place)
        return TakenIn(
            workspace=Workspace(Repository(place)),
            recipe=recipe,
            run=Path(claim["run"]).name,
            bundle=found.manifest.id,
            kit_sha256=kit.sha256,
        )


def _require_verified(bundle: Path, checks: list[Check], *, trust_kit: bool) -> None:
    wrong = failed(checks)
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise CheckFailed(
            f"{bundle} does not verify: {wrong[0].id}: {wrong[0].text}{more}",
            hint=f"`recipegen verify {bundle}` shows all; --unverified measures all the same",
        )
    # What is built and started runs on this machine: that its kit is recipegen's own must be certain.
    unknown = [check for check in checks if check.id in ("kit", "patches") and check.status != "passed"]
    if unknown and not trust_kit:
        raise CheckFailed(
            f"nobody can say what the kit of {bundle} does: {unknown[0].path}: {unknown[0].text}",
            hint="read those files (`recipegen verify` lists them); then --trust-kit",
        )


def _copy(source: Path, target: Path) -> None:
    """All or nothing."""
    begun = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(begun, ignore_errors=True)
        shutil.copytree(source, begun, ignore=lambda folder, names: _own(Path(folder) == source, names))
        begun.rename(target)
    except OSError as error:
        shutil.rmtree(begun, ignore_errors=True)
        raise EnvironmentLacks(f"cannot be unpacked to {target}: {error}", hint="is there space?") from error


def _own(at_top: bool, names: list[str]) -> set[str]:
    return {MANIFEST, SIGNATURE} & set(names) if at_top else set()
