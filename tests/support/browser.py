"""A real browser for the tests of the site: pages that are watched, accessibility, screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.conftest import lacking

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} forbids ${event.blockedURI} ${event.sample}`));
"""
LOCAL = ("", "127.0.0.1")


def chromium_program() -> str:
    """The system's Chromium, or the one that RECIPEGEN_CHROMIUM names; without one, see `lacking`."""
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
        lacking("playwright and axe-playwright-python are not installed: pip install 'recipegen[dev]'")
    named = os.environ.get("RECIPEGEN_CHROMIUM")
    program = named or next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        lacking("no Chromium on PATH (Debian: apt install chromium), and RECIPEGEN_CHROMIUM names none")
    return program


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox needs rights that containers and root do not have; only pages made here are opened.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A context whose pages tell what went wrong and what they asked for.

    Attributes:
        problems: errors and warnings on the console, errors of scripts, violations of the policy, dialogs, answers
            that are errors, requests to other hosts.
        requests: addresses of everything that was asked for.
    """

    context: BrowserContext
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def page(self, url: str) -> Page:
        """A new page of that address, loaded."""
        page = self.context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("requestfailed", lambda one: self.problems.append(f"failed: {one.url} {one.failure}"))
        page.on("response", self._response)
        page.goto(url)
        return page

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        self.requests.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme != "data" and (parts.scheme not in ("file", "http") or (parts.hostname or "") not in LOCAL):
            self.problems.append(f"request to another host: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")


@contextmanager
def watched(browser: Browser, width: int = 1280, height: int = 900, **how: Any) -> Iterator[Watched]:
    """A fresh context; when it closes, nothing may have gone wrong in it."""
    context = browser.new_context(viewport={"width": width, "height": height}, **how)
    context.set_default_timeout(20_000)
    context.add_init_script(VIOLATIONS)
    seen = Watched(context)
    try:
        yield seen
    finally:
        context.close()
    assert not seen.problems, "\n".join(seen.problems)


def drawn(page: Page) -> None:
    """Waits until every chart that can be seen is drawn."""
    page.wait_for_function(
        """() => Array.from(document.querySelectorAll(".chart")).every((chart) => {
             const box = chart.getBoundingClientRect();
             return box.top > innerHeight || box.bottom < 0 || chart.querySelector("svg"); })"""
    )


def draw_all(page: Page) -> None:
    """Scrolls from chart to chart, because each is drawn when it comes near."""
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        drawn(page)
    page.evaluate("() => scrollTo(0, 0)")


def barriers(page: Page, *rules: str) -> list[str]:
    """What axe finds serious or critical, a line each with the elements; by some rules, or by all of them."""
    from axe_playwright_python.sync_playwright import Axe

    only = {"runOnly": list(rules)} if rules else {}
    options = {"resultTypes": ["violations"], "preload": False, **only}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: " + "; ".join(node["html"][:160] for node in one["nodes"][:5])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def screenshot(page: Page, name: str, folder: Path) -> Path:
    """A picture of the whole page: in RECIPEGEN_SCREENSHOTS where that is set, else in `folder`."""
    place = Path(os.environ.get("RECIPEGEN_SCREENSHOTS") or folder)
    place.mkdir(parents=True, exist_ok=True)
    draw_all(page)
    page.screenshot(path=place / f"{name}.png", full_page=True)
    return place / f"{name}.png"
