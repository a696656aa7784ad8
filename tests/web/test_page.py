"""The page in a real browser: a file's whole way, as somebody without a terminal goes it."""

import base64
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from support.clips import ClipOptions, write_clip

from vsr.cli.main import run

PAGE = files("vsr.web") / "page"
SLOW_S = 120
OURS = 66_000


def test_the_page_is_served_whole_and_to_strangers(web_server):
    status, headers, body = web_server.send("GET", "/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert not re.search(
        rb"<script(?![^>]*src=)|<style| style=| on\w+=", body
    )  # the policy would refuse them
    for each in PAGE.iterdir():
        status, headers, held = web_server.send("GET", f"/static/{each.name}")
        assert (status, held) == (200, each.read_bytes()), each.name
        assert "utf-8" in headers["content-type"] or each.name.endswith(".svg")
        again = web_server.send("GET", f"/static/{each.name}", If_None_Match=headers["etag"])
        assert (again[0], again[2]) == (304, b"")
    assert web_server.send("GET", "/static/..%2fapp.py")[0] == 404
    assert web_server.send("GET", "/static/none.js")[0] == 404
    assert sum(len(each.read_bytes()) for each in PAGE.iterdir()) <= OURS


def test_every_text_is_there_in_every_language():
    table = (PAGE / "texts.js").read_text(encoding="utf-8").partition("TABLE = `")[2].partition("`")[0]
    rows = [row.split("|") for row in table.splitlines() if row]
    told = {name: texts for name, *texts in rows}
    assert len(told) == len(rows)
    for name, texts in told.items():
        assert len(texts) == 3, name
        assert all(texts), name
        assert len({frozenset(re.findall(r"\{\w+\}", each)) for each in texts}) == 1, name
    # What is asked for by a name that stands in the code is there.
    code = "".join(each.read_text(encoding="utf-8") for each in PAGE.iterdir() if each.name.endswith(".js"))
    assert set(re.findall(r'\bt\("([\w.]+)"', code)) <= set(told)


def _is_wrong(said) -> bool:
    """Whether a browser's line tells of a fault; it has one for each refusal that the page shows, too."""
    return said.type == "error" and "status of 422" not in said.text


@pytest.fixture
def page(web_server) -> Iterator:
    """The page at a desk's size, in English; an error that it logs is one of the test's."""
    browsers = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    with browsers.sync_playwright() as here:
        browser = here.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(locale="en-GB", viewport={"width": 1100, "height": 800})
        opened.set_default_timeout(SLOW_S * 1000)
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(f"{error}"))
        opened.on(
            "console", lambda said: wrong.append(f"{said.text}: {said.location}") if _is_wrong(said) else None
        )
        opened.goto(web_server.address)
        yield opened
        browser.close()
    assert wrong == []


def faults(page) -> list[str]:
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


DROP = """([name, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], name));
    dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
}"""


SIDES = """async () => {
    const canvas = new OffscreenCanvas(64, 48).getContext("2d", { willReadFrequently: true });
    const seen = [];
    for (const side of [".before", "video:not(.before)"]) {
        const each = document.querySelector(`.slider ${side}`);
        while (each.seeking) await new Promise((done) => setTimeout(done, 10));
        canvas.drawImage(each, 0, 0, 64, 48);
        seen.push([...canvas.getImageData(0, 0, 64, 48).data]);
    }
    return seen;
}"""


def distance(one: list[int], other: list[int]) -> float:
    """How much two pictures differ."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def drop(page, path: Path) -> None:
    page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


@pytest.mark.slow
@pytest.mark.browser
def test_a_dropped_clip_is_previewed_enhanced_and_taken_home(page, clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"nothing " * 1000)
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Anything else").fill('model = ["bicubic-x2"]\npreset = "ultrafast"')
    # A file that is none says so, and is not to be ordered.
    drop(page, tmp_path / "broken.mp4")
    card = page.locator("#page-enhance article")
    card.get_by_text("cannot read 'broken.mp4'").wait_for()
    assert card.get_by_role("button", name="Enhance: broken.mp4").is_disabled()
    card.get_by_role("button", name="Take away").press("Enter")
    card.wait_for(state="detached")
    drop(page, clip)
    card.get_by_text("128 × 96, bicubic-x2 on cpu").wait_for()
    assert "64 × 48, 25 frames a second, 0:02, H.264" in card.inner_text()

    # A preview; the line between before and after by keys alone.
    card.get_by_role("button", name="Preview: two words.mp4").press("Enter")
    line = card.get_by_role("slider", name="Line between before and after")
    for key, at in (("Home", "0"), ("ArrowRight", "2"), ("End", "100"), ("PageDown", "90")):
        line.press(key)
        assert line.get_attribute("aria-valuenow") == at
    sizes = card.locator(".slider img").evaluate_all("all => all.map((each) => each.naturalWidth)")
    assert sizes == [128, 64]
    assert faults(page) == []

    # The clips step together, a frame at a time: each side shows what the other does, and not the next.
    card.get_by_role("button", name="Preview 3 seconds").press("Enter")
    frame = card.get_by_role("slider", name="Frame")
    frame.wait_for()
    shown = [page.evaluate(SIDES)]
    for _ in range(3):
        frame.press("ArrowRight")
        shown.append(page.evaluate(SIDES))
    assert frame.get_attribute("aria-valuetext") == "4 / 40"
    for (before, after), (_, following) in pairwise(shown):
        assert distance(before, after) < distance(before, following) / 2
    card.get_by_role("button", name="Play or stop").press("Enter")
    page.wait_for_function(
        "[...document.querySelectorAll('.slider video')].every((each) => each.currentTime > 0.4)"
    )
    assert faults(page) == []

    # Ordered with a key; the jobs' page opens with its heading focused, and a reload shows the same.
    card.get_by_role("button", name="Enhance: two words.mp4").press("Enter")
    page.locator("#page-jobs article").first.wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Jobs"
    page.reload()
    job = page.locator("#page-jobs article").first
    with page.expect_download() as download:
        job.get_by_role("link", name="Download").press("Enter")
    assert download.value.suggested_filename == "two words_x2.mp4"
    ours = tmp_path / "cli.mp4"
    words = ("--model", "bicubic-x2", "--scale", "2", "--preset", "ultrafast", "--quiet")
    assert run(["enhance", str(clip), "-o", str(ours), *words]) == 0
    hashes = [hashlib.sha256(Path(each).read_bytes()).hexdigest() for each in (download.value.path(), ours)]
    assert hashes[0] == hashes[1]
    job.get_by_text("frames verified: 40").wait_for()
    assert faults(page) == []


@pytest.mark.slow
@pytest.mark.browser
def test_a_queue_is_paused_canceled_and_seen_on_a_phone_in_the_dark(page, web_server, tmp_path):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{web_server.address}#jobs")
    client = web_server.client
    # A job that another program orders is seen without a reload.
    upload = client.upload(write_clip(tmp_path / "long.mp4", ClipOptions(num_frames=1500)))
    job = client.order(upload, model=["base-x2"], self_ensemble=True)["id"]
    card = page.locator(f"[data-job='{job}']")
    card.get_by_role("button", name="Pause").press("Enter")
    card.get_by_role("button", name="Go on").wait_for()
    assert client.get(f"/v1/jobs/{job}")["state"] == "paused"
    # It goes on, and a reload in its midst shows how far it is.
    card.get_by_role("button", name="Go on").press("Enter")
    card.get_by_text(re.compile("of 1,500 frames")).wait_for()
    page.reload()
    card.get_by_text(re.compile("of 1,500 frames")).wait_for()
    card.get_by_role("button", name="Cancel").press("Enter")
    card.get_by_text("Cancelled", exact=True).wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    for way in ("Enhance", "Jobs", "This machine"):
        page.get_by_role("link", name=re.compile(way)).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, way
        assert faults(page) == [], way
    page.get_by_role("row", name=re.compile("^fast-x2 ")).wait_for()
    page.goto(f"{web_server.address}#jobs")
    card.get_by_role("button", name="Clear").click()
    card.wait_for(state="detached")
