"""Sites that the browser tests open: this repository's own, and one of made-up results with hostile words.

Each is built by the real command.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipegen.site.serve import HOST, site_server
from tests.support.rich_results import MACHINE, made_repository
from tests.support.scenario import ROOT, succeed

OTHER_MACHINE = "made-other-gb10-128g"


def own_site(out: Path) -> Path:
    """The site of this repository's recipes."""
    succeed("site", "--root", ROOT, "-o", out, "--title", "recipes")
    return out


def made_site(work: Path) -> Path:
    """The site of made-up results; three recipes more, all as made-rich: measured elsewhere, with wrong answers, with a
    figure that cannot be.
    """
    root = made_repository(work / "repository")
    for name in ("made-elsewhere", "made-wrong", "made-doubtful"):
        _copy(root / "recipes" / "made-rich", root / "recipes" / name)
    elsewhere = root / "recipes" / "made-elsewhere" / "results"
    (elsewhere / MACHINE).rename(elsewhere / OTHER_MACHINE)
    _change(root / "recipes" / "made-elsewhere", machine=OTHER_MACHINE)
    faults = {"verdict": "fail", "checks": [{"id": "sums", "verdict": "fail", "why": "12 of 20 sums <b>wrong</b>"}]}
    _change(root / "recipes" / "made-wrong", quality=faults)
    _doubt(root / "recipes" / "made-doubtful")
    succeed("site", "--root", root, "-o", work / "site", "--title", "made up")
    return work / "site"


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    recipe = target / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(f"name: {source.name}", f"name: {target.name}"))


def _change(recipe: Path, **what: Any) -> None:
    for path in recipe.glob("results/*/*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **what}))


def _doubt(recipe: Path) -> None:
    for path in recipe.glob("results/*/*/run.json"):
        record = json.loads(path.read_text())
        for cell in record["cells"]:
            cell["verdict"] = {"verdict": "too-fast", "reasons": ["no such memory <i>exists</i>"]}
        path.write_text(json.dumps(record))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a site on the loopback, as `recipegen site --serve` serves it."""
    with site_server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
