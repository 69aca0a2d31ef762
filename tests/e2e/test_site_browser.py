"""What a reader does with the site, in a real browser: sort, filter, compare, copy, by keyboard, without scripts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import drawn, watched
from tests.support.sites import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
LEFT = "cells => cells.map((cell) => Math.round(cell.getBoundingClientRect().left))"
SHOWN = "#recipes tbody tr[id^='r-']:not([hidden])"


@pytest.fixture(params=["file", "http"])
def made_url(request: pytest.FixtureRequest, made: Path) -> Iterator[str]:
    """Opened from the disk, and from a server."""
    if request.param == "file":
        yield made.as_uri()
    else:
        with served(made) as address:
            yield address


def names(page: Page) -> list[str]:
    """The recipes that are shown, from above."""
    return [str(one)[2:] for one in page.eval_on_selector_all(SHOWN, "rows => rows.map((row) => row.id)")]


def sort_by(page: Page, column: str) -> str | None:
    page.click(f"#recipes th[data-column='{column}'] button")
    return page.get_attribute(f"#recipes th[data-column='{column}']", "aria-sort")


def hash_holds(page: Page, text: str) -> None:
    """The address is written a moment after the last change."""
    page.wait_for_function("text => location.hash.includes(text)", arg=text)


def test_the_table_sorts_measured_figures_alone_and_the_missing_last(browser: Browser, made_url: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made_url}/index.html")
        assert sort_by(page, "tg") == "descending"
        fastest = names(page)
        assert fastest[0].startswith("made-") and set(fastest[:2]) <= {"made-rich", "made-elsewhere", "made-doubtful"}
        unmeasured = {"made-nothing", "made-failed", "made-wrong"}
        assert set(fastest[-3:]) == unmeasured
        assert sort_by(page, "tg") == "ascending"
        assert names(page)[0] == "made-hostile"
        assert set(names(page)[-3:]) == unmeasured
        # The figures of others have a column of their own, in which the unmeasured ones stand too.
        assert sort_by(page, "published") == "descending"
        assert page.get_attribute("#recipes th[data-column='tg']", "aria-sort") is None
        assert sort_by(page, "recipe") == "ascending"
        assert names(page) == sorted(names(page))


def test_rows_laid_out_as_grids_are_a_table_to_readers_of_the_screen(browser: Browser, made: Path) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made.as_uri()}/index.html")
        nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        roles = Counter(str(node["role"]["value"]) for node in nodes if not node["ignored"])
        # The browser's own tree, in which rows that it need not paint stand too.
        assert (roles["table"], roles["columnheader"], roles["rowheader"]) == (1, 19, 8)
        assert roles["cell"] + roles["gridcell"] >= 8 * 15
        heads = page.locator("#recipes thead tr >> nth=1 >> th").evaluate_all(LEFT)
        assert page.locator("#r-made-rich > *").evaluate_all(LEFT) == heads


def test_equal_rows_keep_their_order(browser: Browser, made: Path) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made.as_uri()}/index.html")
        given = names(page)
        sort_by(page, "model")
        assert names(page) == given
        sort_by(page, "model")
        assert names(page) == given


def test_filters_narrow_the_table_and_say_how_far(browser: Browser, own: Path) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{own.as_uri()}/index.html")
        everything = names(page)
        assert len(everything) >= 20
        page.fill("#q", "SMOKE  vllm")
        assert names(page) == ["smoke-vllm-cpu"]
        assert page.inner_text("#count") == f"1 of {len(everything)} recipes shown"
        page.fill("#q", "")
        page.select_option("#f-engine", "llama.cpp")
        assert "smoke-llamacpp" in names(page) and "smoke-vllm-cpu" not in names(page)
        page.select_option("#f-context", index=2)
        least = int(page.input_value("#f-context"))
        found = page.eval_on_selector_all(f"{SHOWN} td:last-child", "cells => cells.map((cell) => +cell.dataset.v)")
        assert found and min(found) >= least
        page.select_option("#f-status", "measured")
        page.fill("#q", "no recipe has this word")
        assert names(page) == []
        assert page.is_visible("#nothing")
        page.click("#nothing button")
        assert names(page) == everything
        page.select_option("#f-hardware", index=1)
        assert len(names(page)) < len(everything)
        page.click("button[type=reset]")
        assert names(page) == everything
        page.wait_for_function("() => !location.hash.includes('=')")


def test_every_filter_knows_every_value_of_its_column(browser: Browser, own: Path) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{own.as_uri()}/index.html")
        total = len(names(page))
        for key in ("status", "model", "quantization", "method", "engine", "hardware"):
            found = 0
            options = page.eval_on_selector_all(
                f"#f-{key} option", "all => all.map((one) => one.value).filter(Boolean)"
            )
            for value in options:
                page.select_option(f"#f-{key}", value)
                assert names(page) != [], (key, value)
                found += len(names(page))
            assert found == total, key
            page.select_option(f"#f-{key}", "")


def test_a_view_can_be_sent_to_somebody(browser: Browser, made_url: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made_url}/index.html")
        page.fill("#q", "made -r")
        page.fill("#q", "rich")
        page.select_option("#f-quantization", "NVFP4")
        sort_by(page, "pp")
        hash_holds(page, "sort=-pp")
        other = seen.page(page.url)
        assert names(other) == names(page) == ["made-rich"]
        assert other.input_value("#q") == "rich"
        assert other.input_value("#f-quantization") == "NVFP4"
        assert other.get_attribute("#recipes th[data-column='pp']", "aria-sort") == "descending"
        # The skip link goes to a place within the page, and leaves the view alone.
        other.evaluate("location.hash = '#main'")
        assert names(other) == ["made-rich"]


@pytest.mark.parametrize(
    "state",
    [
        "q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
        "status=__proto__&model=constructor&sort=constructor",
        "sort=-__proto__&engine=<script>alert(1)</script>",
        "q=" + "%F0%9F%9A%80" * 5000,
        "context=NaN&context=1e999&%=%&=&&",
    ],
)
def test_a_hostile_address_does_nothing(browser: Browser, made: Path, state: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made.as_uri()}/index.html#{state}")
        assert names(page) == [] or len(names(page)) == 8
        page.click("button[type=reset]")
        assert len(names(page)) == 8


def test_two_chosen_recipes_are_compared(browser: Browser, made_url: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made_url}/index.html")
        page.check("#r-made-rich input")
        assert "choose one more" in page.inner_text("#chosen")
        page.check("#r-made-single input")
        page.check("#r-made-failed input")
        assert "a comparison takes two" in page.inner_text("#chosen")
        assert not page.is_visible("#chosen a")
        page.uncheck("#r-made-failed input")
        page.click("#chosen a")
        page.wait_for_selector("#comparison table")
        assert page.input_value("#a") == "made-rich" and page.input_value("#b") == "made-single"
        words = page.inner_text("#comparison")
        assert "a single sample has no interval" in words
        assert re.search(r"103\.\d \(102\.\d+–103\.\d+\)", words)
        drawn(page)


def test_variants_of_one_recipe_are_told_apart_by_their_intervals(browser: Browser, made_url: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made_url}/compare.html#a=made-rich&b=made-rich")
        page.wait_for_selector("#comparison table")
        page.select_option("#run-b", "ar@made-gb10-128g")
        page.wait_for_function("() => document.querySelector('#said').textContent.includes('3 cells')")
        words = page.inner_text("#comparison")
        assert "the intervals do not overlap: B is slower" in words
        assert "A alone has prose-pp2048-tg128-d0-c16" in words
        row = page.inner_text("#comparison tr:has(th:text-is('variant'))")
        assert row.split() == ["variant", "dflash", "ar", "differs"]
        assert page.inner_text("#comparison tr:has(th:text-is('model'))").endswith("same")
        ratio = float(page.inner_text("#comparison table tbody tr >> nth=0 >> td >> nth=3"))
        assert 0.3 < ratio < 0.6
        assert page.inner_text("#command").startswith("recipegen compare made-rich/")
        hash_holds(page, "run-b=ar")
        page.click("#swap")
        page.wait_for_function("() => document.querySelector('#comparison').textContent.includes('B is faster')")
        assert page.input_value("#run-a") == "ar@made-gb10-128g"
        drawn(page)
        assert page.locator("#comparison .chart svg[role=img]").count() == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("made-nothing", "B, made-nothing, has no results yet"),
        ("made-failed", "They have no measured cell in common"),
        ("made-elsewhere", "measured on different machines"),
        ("made-wrong", "no ratio, a figure is in doubt (B: its server did not answer rightly)"),
        ("made-doubtful", "no ratio, a figure is in doubt (B: too-fast)"),
        ("made-hostile", "<script>alert(1)</script><img src=x onerror=alert(2)>"),
    ],
)
def test_what_cannot_be_compared_is_said_in_words(browser: Browser, made: Path, name: str, words: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made.as_uri()}/compare.html#a=made-rich&b={name}")
        page.wait_for_selector("#comparison h2")
        assert words in page.inner_text("#comparison")


@pytest.mark.parametrize(
    "state", ["a=../../secret&b=https://example.org/x", "a=__proto__&b=constructor", "a=made-rich%00&b=%E2%80%AEx"]
)
def test_an_address_loads_only_what_the_page_lists(browser: Browser, made: Path, state: str) -> None:
    with watched(browser) as seen:
        page = seen.page(f"{made.as_uri()}/compare.html#{state}")
        page.wait_for_function("() => document.querySelector('#said').textContent === 'Choose two recipes.'")
        assert not [one for one in seen.requests if "/data/" in one]


def test_data_that_is_not_there_is_said(browser: Browser, made: Path) -> None:
    with watched(browser) as seen:
        seen.context.route("**/data/made-rich.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
        page = seen.page(f"{made.as_uri()}/compare.html#a=made-rich&b=made-single")
        page.wait_for_function("() => document.querySelector('#said').textContent.includes('could not be loaded')")


@pytest.mark.parametrize("way", ["clipboard", "selection"])
def test_a_command_is_copied(browser: Browser, made_url: str, way: str) -> None:
    with watched(browser, permissions=["clipboard-read", "clipboard-write"]) as seen:
        reader = seen.page(f"{made_url}/index.html")
        if way == "selection":
            # As on a page that is served without encryption from another machine.
            seen.context.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false});")
        page = seen.page(f"{made_url}/recipes/made-rich.html")
        button = page.locator("button.copy[data-copy-from]").first
        wanted = page.locator(f"#{button.get_attribute('data-copy-from')}").evaluate("one => one.textContent")
        button.click()
        page.wait_for_function(
            "() => Array.from(document.querySelectorAll('[role=status]'))"
            ".some((one) => one.textContent === 'Copied to the clipboard')"
        )
        reader.bring_to_front()
        assert reader.evaluate("() => navigator.clipboard.readText()") == wanted
        assert "recipegen" in wanted


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the element has the focus, as a reader without a mouse does."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} cannot be reached by keyboard")


def test_everything_works_by_keyboard_alone(browser: Browser, made: Path) -> None:
    with watched(browser, permissions=["clipboard-read", "clipboard-write"]) as seen:
        page = seen.page(f"{made.as_uri()}/index.html")
        tab_to(page, "a.skip")
        assert page.locator("a.skip").bounding_box()["x"] >= 0  # type: ignore[index]
        page.keyboard.press("Enter")
        tab_to(page, "#q")
        page.keyboard.type("made")
        tab_to(page, "#f-status")
        page.keyboard.press("m")
        assert page.input_value("#f-status") == "measured"
        tab_to(page, "th[data-column='tg'] button")
        page.keyboard.press("Enter")
        assert page.get_attribute("th[data-column='tg']", "aria-sort") == "descending"
        assert _outline(page) != "none"
        first, second = names(page)[:2]
        tab_to(page, f"#r-{first} input")
        page.keyboard.press("Space")
        tab_to(page, f"#r-{second} input")
        page.keyboard.press("Space")
        tab_to(page, "#chosen a")
        page.keyboard.press("Enter")
        page.wait_for_selector("#comparison table")
        assert [page.input_value("#a"), page.input_value("#b")] == [first, second]
        tab_to(page, "#swap")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "name => document.querySelector('#said').textContent.startsWith(`A, ${name},`)", arg=second
        )
        tab_to(page, "#more .copy")
        page.keyboard.press("Enter")
        page.wait_for_selector("#more .copy:text-is('Copied')")
        assert page.evaluate("() => navigator.clipboard.readText()").startswith("recipegen compare ")


def _outline(page: Page) -> str:
    return str(page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle"))


def test_the_table_is_there_without_scripts(browser: Browser, made: Path) -> None:
    with watched(browser, java_script_enabled=False) as seen:
        page = seen.page(f"{made.as_uri()}/index.html")
        assert page.locator("#recipes tbody tr[id^='r-']").count() == 8
        assert page.is_visible("#r-made-rich") and "103" in page.inner_text("#r-made-rich")
        assert not page.is_visible("#filters") and not page.is_visible("#chosen")
        page.goto(f"{made.as_uri()}/compare.html")
        assert "needs JavaScript" in page.inner_text("main")
        assert not page.is_visible("#sides")
        page.goto(f"{made.as_uri()}/recipes/made-rich.html")
        assert page.locator("button.copy").count() and not page.locator("button.copy >> visible=true").count()


def test_measured_and_published_figures_are_kept_apart(browser: Browser, own: Path) -> None:
    rows: list[dict[str, Any]] = json.loads((own / "index.json").read_text())["recipes"]
    with watched(browser) as seen:
        page = seen.page(f"{own.as_uri()}/index.html")
        for row in rows:
            place = page.locator(f"#r-{row['name']}")
            decode = place.locator("td").nth(1)
            assert (decode.get_attribute("data-v") is not None) == (row["measured"] is not None)
            links = place.locator("td").nth(8).locator("a").evaluate_all("all => all.map((one) => one.href)")
            assert set(links) <= {one["source"] for one in row["published"]}
            if row["state"] == "published":
                assert decode.text_content() == "not measured"
        assert page.inner_text(".g-published >> nth=0").lower() == "published by others"
