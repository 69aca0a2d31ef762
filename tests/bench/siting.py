"""`site` over 10,000 reports, and its front page in a browser. Owns no printing.

Called with arguments it is the child process that is measured: `siting.py ROOT OUT` prints its times and its peak
memory as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from indexing import CELLS, SAMPLES, peak_bytes, repository
from sampling import Failed, Row, Sample, child, clocked

RECIPES, RUNS = 200, 13
"""With four cells a run 10,400 reports."""
FIRST_S, PEAK_MB, AGAIN_S, FRONT_KB = 20.0, 500.0, 2.0, 400.0
"""Of what issue 6 asks; sizes in 10^3 and 10^6 bytes."""
SHOWN_S, FILTER_S = 1.0, 0.1
AGAIN, LOADS = 3, 5


def rows() -> list[Row]:
    """Writing the site for the first time and again, then its front page in a browser."""
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        root, out = Path(folder, "repository"), Path(folder, "site")
        _, reports = repository(root, RECIPES, RUNS)
        first, peak = _measured(root, out)
        again = [child([sys.executable, "-m", "recipegen", "site", "--root", root, "-o", out]) for _ in range(AGAIN)]
        one = next(iter(sorted((root / "recipes").glob("*/recipe.yaml"))))
        one.write_text(one.read_text() + "\n")
        changed, _ = _measured(root, out)
        front = Sample((out / "index.html").stat().st_size / 1e3)
        shape = f"{RECIPES} recipes x {RUNS} runs x {CELLS} cells of {SAMPLES} samples: {len(reports):,} reports"
        found = [
            Row("site, the first time", [first], "s", target=FIRST_S, judged="value", remark=shape),
            Row("site: peak memory", [Sample(peak)], "MB", target=PEAK_MB, judged="value", remark="resident"),
            Row(
                "site, nothing changed",
                again,
                "s",
                target=AGAIN_S,
                judged="value",
                remark="the whole process",
            ),
            Row("site, one recipe changed", [changed], "s"),
            Row("front page", [front], "kB", target=FRONT_KB, judged="value", remark="before compression"),
        ]
        return [*found, *_browser(out / "index.html")]


def _measured(root: Path, out: Path) -> tuple[Sample, float]:
    """One child process that takes its own times; its peak memory in MB (10^6 bytes)."""
    with tempfile.TemporaryFile() as printed:
        child([sys.executable, __file__, root, out], out=printed)
        printed.seek(0)
        found = json.load(printed)
    return Sample(found["wall"], found["cpu"]), found["peak_bytes"] / 1e6


_SHOWN = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(
  document.querySelectorAll("#recipes tbody tr[id^='r-']").length ? performance.now() : -1))))"""
_FILTER = """(letter) => new Promise((done) => {
  const search = document.getElementById("q");
  const began = performance.now();
  search.value = letter;
  search.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
})"""


def _browser(page: Path) -> list[Row]:
    """The front page in headless Chromium; where there is none, why these rows have no figure."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return _unseen("playwright is not installed: pip install 'recipegen[dev]'")
    program = os.environ.get("RECIPEGEN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        return _unseen("no chromium on PATH, and RECIPEGEN_CHROMIUM names none")
    shown, filtered = [], []
    with sync_playwright() as playwright:
        try:
            # The sandbox needs rights that containers and root do not have; only a page made here is opened.
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except Error as error:
            return _unseen(f"Chromium does not start: {str(error).partition(chr(10))[0]}")
        for _ in range(LOADS):
            tab = browser.new_page()
            tab.goto(page.as_uri())
            shown.append(_seconds(tab.evaluate(_SHOWN)))
            filtered += [_seconds(tab.evaluate(_FILTER, text)) for text in ("q", "qw", "dflash", "")]
            tab.close()
        browser.close()
    remark = "headless Chromium, file://"
    return [
        Row(_SHOWN_ROW, shown, "ms", target=SHOWN_S, judged="value", remark=remark),
        Row(_FILTER_ROW, filtered, "ms", target=FILTER_S, judged="value", remark="from a letter to the next frame"),
    ]


_SHOWN_ROW, _FILTER_ROW = "front page until its table is shown", "front page, filtering"


def _unseen(why: str) -> list[Row]:
    return [Row(what, [], "ms", remark=f"skipped: {why}") for what in (_SHOWN_ROW, _FILTER_ROW)]


def _seconds(found: Any) -> Sample:
    """Milliseconds that the browser took, as a sample.

    Raises:
        Failed: the table was not there.
    """
    if not isinstance(found, int | float) or found < 0:
        raise Failed("the front page shows no table")
    return Sample(found / 1e3)


def _site(root: Path, out: Path) -> Sample:
    """What the command does, its imports included."""

    def build() -> None:
        from recipegen.site.build import build_site
        from recipegen.workspace import Workspace

        build_site(Workspace.open(root), out)

    return clocked(build)


if __name__ == "__main__":
    took = _site(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({**took._asdict(), "peak_bytes": peak_bytes()}))
