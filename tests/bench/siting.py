"""`site` over 10,000 reports, and its front page in a browser. Owns no printing.

Called with arguments it is the child process that is measured: `siting.py ROOT OUT` prints its times and its peak
memory as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from indexing import CELLS, SAMPLES, peak_bytes, repository
from sampling import Row, Sample, child, clocked

RECIPES, RUNS = 200, 13
"""With four cells a run 10,400 reports."""
FIRST_S, PEAK_MB, AGAIN_S, FRONT_KB = 20.0, 500.0, 2.0, 400.0
SHOWN_MS, FILTER_MS = 1000.0, 100.0
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
        front = (out / "index.html").stat().st_size / 1e3
        shape = f"{RECIPES} recipes x {RUNS} runs x {CELLS} cells of {SAMPLES} samples: {len(reports):,} reports"
        found = [
            Row("site, the first time", [first], "s", target=FIRST_S, judged="value", remark=shape),
            Row("site: peak memory", [Sample(peak)], "MB", target=PEAK_MB, judged="value", remark="resident"),
            Row(
                "recipegen site, nothing changed", again, "s", target=AGAIN_S, judged="value", remark="whole processes"
            ),
            Row("site, one recipe changed", [changed], "s"),
            Row(
                "front page", [Sample(front / 1e3)], "MB", target=FRONT_KB / 1e3, judged="value", remark="uncompressed"
            ),
        ]
        return found + _browser(out / "index.html")


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
    """The front page in headless Chromium; nothing where there is none."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return []
    shown, filtered = [], []
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except Error:
            return []
        for _ in range(LOADS):
            tab = browser.new_page()
            tab.goto(page.as_uri())
            shown.append(Sample(_positive(tab.evaluate(_SHOWN))))
            filtered += [Sample(_positive(tab.evaluate(_FILTER, text))) for text in ("q", "qw", "dflash", "")]
            tab.close()
        browser.close()
    remark = "headless Chromium, file://"
    return [
        Row("front page until its table is shown", shown, "ms", target=SHOWN_MS, judged="value", remark=remark),
        Row("front page, filtering", filtered, "ms", target=FILTER_MS, judged="value", remark="to the next frame"),
    ]


def _positive(found: Any) -> float:
    assert isinstance(found, int | float) and found >= 0, "the table was not shown"
    return float(found)


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
