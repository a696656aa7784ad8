"""The page of `vsr web` in a real Chromium."""

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SLOW_S = 240
DESK, PHONE = {"width": 1100, "height": 800}, {"width": 360, "height": 740}


@contextmanager
def browsing(*, refusals: tuple[int, ...] = (422,), **given: Any) -> Iterator:
    """A browser of one person, in English and at a desk's size where nothing else is given: a context for pages.

    Whatever a page logs as an error is one of the test's; a browser has such a line for each refusal that the page
    shows, too, and `refusals` are those that are meant.
    """
    browsers = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    meant = [f"status of {status}" for status in refusals]
    wrong: list[str] = []

    def hear(said: Any) -> None:
        if said.type == "error" and not any(each in said.text for each in meant):
            wrong.append(f"{said.text}: {said.location}")

    with browsers.sync_playwright() as here:
        browser = here.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(**{"locale": "en-GB", "viewport": DESK, **given})
        context.set_default_timeout(SLOW_S * 1000)
        context.on("weberror", lambda error: wrong.append(f"{error.error}"))
        context.on("console", hear)
        try:
            yield context
        finally:
            browser.close()
    assert wrong == []


def opened(context: Any, address: str) -> Any:
    """A page at an address."""
    page = context.new_page()
    page.goto(address)
    return page


def until(condition: Callable[[], object]) -> None:
    """Wait for something that no locator tells; the page's policy lets no text be run that waits there."""
    end = time.monotonic() + SLOW_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def faults(page: Any) -> list[str]:
    """What axe-core, where VSR_AXE names it, finds of what a screen reader or a weak eye stumbles over."""
    axe = os.environ.get("VSR_AXE")
    if not axe:
        return []
    if not page.evaluate("'axe' in window"):
        page.evaluate(Path(axe).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{each['id']}: {node['html']}: {node['failureSummary']}" for each in found for node in each["nodes"]
    ]


def sideways(page: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


_DROP = """([name, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], name));
    dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
}"""


def drop(page: Any, path: Path) -> None:
    """Drop a file on the page."""
    page.evaluate(_DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


def tab_to(page: Any, name: str) -> None:
    """Press Tab until what has the focus is called so; what cannot be reached so is a fault."""
    called = "document.activeElement.ariaLabel || (document.activeElement.labels ?? [])[0]?.textContent"
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(f"{called} || document.activeElement.textContent") or "")
        if name in seen[-1]:
            return
    raise AssertionError(f"{name} is not reached by Tab: {seen}")
