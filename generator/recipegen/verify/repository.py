"""A stranger's bundle as a repository of one's own to measure in. Owns what must be right before that; renders nothing
of the bundle's and runs nothing of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from recipegen.bundle.unpack import Opened, opened
from recipegen.claims import Check, failed
from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.files import sha256_file
from recipegen.load.repo import Repository
from recipegen.render.kit import MANIFEST as KIT_MANIFEST
from recipegen.verify.figures import read_claim
from recipegen.verify.whole import checks_of
from recipegen.workspace import Workspace

_SHOWN = 8
"""Files of a kit that a refusal names."""


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
        unverified: take it in although checks fail. This says nothing of its kit, which runs on this machine.
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
        claim, kit = read_claim(found.root), found.files.get(f"recipes/{recipe}/{KIT_MANIFEST}")
        if kit is None:
            raise RecipegenError(f"{bundle} holds no kit of {recipe}: there is nothing to build")
        _require_verified(bundle, checks_of(found), unverified=unverified, trust_kit=trust_kit)
        _copy(found, place)
        return TakenIn(
            workspace=Workspace(Repository(place)),
            recipe=recipe,
            run=Path(claim["run"]).name,
            bundle=found.manifest.id,
            kit_sha256=kit.sha256,
        )


def _require_verified(bundle: Path, checks: list[Check], *, unverified: bool, trust_kit: bool) -> None:
    # What is built and started runs on this machine: that its kit is recipegen's own must be certain.
    of_kit = [check for check in checks if check.id in ("kit", "patches")]
    doubtful = [check for check in of_kit if check.status != "passed"]
    if not trust_kit and (doubtful or not of_kit):
        files = list(dict.fromkeys(check.path or "" for check in doubtful))
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        why = f"{', '.join(files[:_SHOWN])}{more}: {doubtful[0].text}" if doubtful else "its recipe cannot be read"
        raise CheckFailed(
            f"nobody can say what the kit of {bundle} does: {why}",
            hint="read those files (`recipegen verify` lists them); then --trust-kit",
        )
    wrong = [check for check in failed(checks) if check not in of_kit or not trust_kit]
    if wrong and not unverified:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise CheckFailed(
            f"{bundle} does not verify: {wrong[0].id}: {wrong[0].text}{more}",
            hint=f"`recipegen verify {bundle}` shows all; --unverified measures all the same",
        )


def _copy(bundle: Opened, target: Path) -> None:
    """All or nothing, and of every file the bytes that were checked."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".recipegen-", dir=target.parent) as begun:
            for path, one in bundle.files.items():
                file = Path(begun, target.name, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.root / path, file, follow_symlinks=False)
                if file.is_symlink() or sha256_file(file) != one.sha256:
                    raise RecipegenError(f"{bundle.root / path} was changed while it was checked")
                file.chmod(0o755 if one.executable else 0o644)
            Path(begun, target.name).rename(target)
    except OSError as error:
        raise EnvironmentLacks(f"cannot be unpacked to {target}: {error}", hint="is there space?") from error
