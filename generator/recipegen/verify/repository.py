"""A stranger's bundle as a repository of one's own to measure in. Owns what must be right before that; renders nothing
of the bundle's and runs nothing of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from recipegen.bundle.layout import MANIFEST, SIGNATURE
from recipegen.bundle.unpack import opened
from recipegen.claims import failed
from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.load.repo import Repository
from recipegen.render.kit import MANIFEST as KIT_MANIFEST
from recipegen.verify.figures import read_claim
from recipegen.verify.whole import verify_bundle
from recipegen.workspace import Workspace


@dataclass(frozen=True)
class TakenIn:
    """A bundle that lies in a folder of its own as a repository.

    Attributes:
        recipe: its one recipe.
        run: the run that its headline rests on, a folder under results/.
        cell: id of the headline cell.
        bundle: the bundle's id.
        kit_sha256: of the kit as it came.
    """

    workspace: Workspace
    recipe: str
    run: str
    cell: str
    bundle: str
    kit_sha256: str


def take_in(bundle: Path, target: Path, *, unverified: bool = False) -> TakenIn:
    """Verifies a bundle and unpacks it to measure in; what is measured there is added to its results.

    The manifest and the signature are left out: the folder is no bundle any more once something is added.

    Args:
        bundle: an archive, or the folder of one.
        target: a folder that is not there yet.
        unverified: take it in although checks fail.

    Raises:
        NoBundle: it is none, or must not be unpacked.
        CheckFailed: checks of it fail; nothing is written then.
        RecipegenError: the target is there already.
    """
    if target.exists():
        raise RecipegenError(f"{target} is there already", hint="another folder: --into DIR")
    wrong = failed(verify_bundle(bundle).checks)
    if wrong and not unverified:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise CheckFailed(
            f"{bundle} does not verify: {wrong[0].id}: {wrong[0].text}{more}",
            hint=f"`recipegen verify {bundle}` shows all; --unverified measures all the same",
        )
    with opened(bundle) as found:
        claim = read_claim(found.root)
        try:
            shutil.copytree(found.root, target, ignore=lambda folder, names: _own(Path(folder) == found.root, names))
        except OSError as error:
            raise EnvironmentLacks(f"cannot be unpacked to {target}: {error}", hint="is there space?") from error
        recipe = found.manifest.recipe
        return TakenIn(
            workspace=Workspace(Repository(target.resolve())),
            recipe=recipe,
            run=Path(claim["run"]).name,
            cell=str(claim["cell"].get("id")),
            bundle=found.manifest.id,
            kit_sha256=found.files[f"recipes/{recipe}/{KIT_MANIFEST}"].sha256,
        )


def _own(at_top: bool, names: list[str]) -> set[str]:
    return {MANIFEST, SIGNATURE} & set(names) if at_top else set()
