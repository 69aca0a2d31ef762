"""Every kind of page of the site, in a real browser: accessible, light and dark, on a phone, in print, safe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import barriers, drawn, screenshot, watched
from tests.support.rich_results import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PAGES = {
    "front": "index.html",
    "comparison": "compare.html#a=made-rich&b=made-elsewhere",
    "comparison-chosen": "compare.html#a=made-rich&b=made-nothing",
    "comparison-empty": "compare.html",
    "recipe": "recipes/made-rich.html",
    "recipe-single": "recipes/made-single.html",
    "recipe-failed": "recipes/made-failed.html",
    "recipe-nothing": "recipes/made-nothing.html",
    "recipe-hostile": "recipes/made-hostile.html",
    "recipe-doubtful": "recipes/made-doubtful.html",
    "rules": "rules.html",
    "method": "method.html",
}
FEWER = """() => {
  const number = new Map();
  for (const one of document.querySelectorAll("main > details, main > section, tbody > tr")) {
    let before = one.matches("tr") ? one.parentElement : one;
    while (before && !before.matches("h2, tbody")) before = before.previousElementSibling;
    number.set(before, (number.get(before) || 0) + 1);
    if (number.get(before) > 3) one.remove();
  }
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
}"""
"""Everything is opened; of rows, runs and rules that look alike, three of a kind stay: a hundred take axe seconds."""
PICTURES = ("front", "comparison", "recipe")


def ready(page: Page) -> None:
    """Data loaded, charts drawn."""
    page.wait_for_function("() => !document.querySelector('#said') || document.querySelector('#said').textContent")
    drawn(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", PAGES)
def test_pages_are_accessible_in_light_and_dark(
    browser: Browser, made: Path, kind: str, scheme: str, tmp_path: Path
) -> None:
    with watched(browser, color_scheme=scheme) as seen:
        page = seen.page(f"{made.as_uri()}/{PAGES[kind]}")
        ready(page)
        if kind in PICTURES:
            assert screenshot(page, f"{kind}-{scheme}", tmp_path).stat().st_size > 10_000
        # Darker than half, or lighter: the scheme is followed.
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3)")
        assert (sum(map(float, ground)) < 3 * 128) == (scheme == "dark")
        page.evaluate(FEWER)
        # In the dark only colours differ.
        assert barriers(page, *(["color-contrast"] if scheme == "dark" else [])) == []


@pytest.mark.parametrize("kind", PAGES)
def test_no_page_scrolls_sideways_on_a_phone(browser: Browser, made: Path, kind: str, tmp_path: Path) -> None:
    with watched(browser, width=360, height=740, has_touch=True) as seen:
        page = seen.page(f"{made.as_uri()}/{PAGES[kind]}")
        ready(page)
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
        assert page.evaluate("() => document.body.scrollWidth") <= 360
        if kind in PICTURES:
            page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = false; })")
            screenshot(page, f"{kind}-360", tmp_path)


def test_a_phone_shows_each_recipe_as_a_card_and_is_accessible(browser: Browser, made: Path) -> None:
    with watched(browser, width=360, height=740) as seen:
        page = seen.page(f"{made.as_uri()}/index.html")
        box = page.locator("#r-made-rich").bounding_box()
        assert box is not None and box["width"] <= 360
        page.select_option("#sort", "pp")
        assert page.locator("#recipes tbody tr >> nth=0").get_attribute("id") in (
            "r-made-rich",
            "r-made-elsewhere",
            "r-made-doubtful",
        )
        # Cards are still a table to who cannot see them.
        tree = page.locator("#recipes").aria_snapshot()
        assert "- rowheader" in tree and "- cell" in tree
        assert barriers(page) == []


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "recipes/smoke-llamacpp.html",
        "recipes/qwen36-27b-dflash.html",
        "compare.html#a=smoke-llamacpp&b=smoke-vllm-cpu",
        "rules.html",
        "method.html",
    ],
)
def test_the_repositorys_own_pages_are_accessible(browser: Browser, own: Path, name: str, tmp_path: Path) -> None:
    with watched(browser, color_scheme="dark") as seen:
        page = seen.page(f"{own.as_uri()}/{name}")
        ready(page)
        if name == "index.html":
            screenshot(page, "own-front-dark", tmp_path)
        page.evaluate(FEWER)
        assert barriers(page) == []


@pytest.mark.parametrize("kind", ["front", "comparison", "recipe"])
def test_pages_print_whole_and_without_controls(browser: Browser, made: Path, kind: str, tmp_path: Path) -> None:
    with watched(browser, width=1000) as seen:
        page = seen.page(f"{made.as_uri()}/{PAGES[kind]}")
        ready(page)
        page.emulate_media(media="print", color_scheme="dark")
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")  # which emulation leaves out
        screenshot(page, f"{kind}-print", tmp_path)
        for control in ("header nav", "button.copy", "#filters", ".pick", "#swap"):
            assert page.locator(control).locator("visible=true").count() == 0, control
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 1000
        assert len(page.pdf(format="A4", landscape=True)) > 10_000


@pytest.mark.parametrize(
    "where", ["index.html", "recipes/made-hostile.html", "compare.html#a=made-hostile&b=made-hostile"]
)
def test_hostile_words_are_shown_as_text(browser: Browser, made: Path, where: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made.as_uri()}/{where}")
        ready(page)
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        text = page.evaluate("() => document.body.textContent")
        assert HOSTILE["markup"] in text
        if where != "index.html":
            assert HOSTILE["bidi"].splitlines()[0] in text and HOSTILE["long"] in text
        assert page.locator("main img").count() == 0
        # Data blocks do not run; everything that runs is a file of the site.
        running = page.evaluate(
            "() => Array.from(document.scripts).filter((one) => one.type !== 'application/json')"
            ".map((one) => one.getAttribute('src'))"
        )
        assert running and all(one and ("assets/" in one or "data/" in one) for one in running)
        # Marks of direction turn their own text round, not what stands beside it.
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280


def test_the_policy_forbids_what_it_says(browser: Browser, made: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{made.as_uri()}/index.html")
    ran = page.evaluate(
        """() => { const script = document.createElement("script"); script.textContent = "window.ran = true";
             document.body.append(script); return window.ran === true; }"""
    )
    styled = page.evaluate(
        """() => { document.body.setAttribute("style", "color: rgb(1, 2, 3)");
             return getComputedStyle(document.body).color === "rgb(1, 2, 3)"; }"""
    )
    context.close()
    assert not ran and not styled
