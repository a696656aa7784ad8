"""The page in a real browser: a file's whole way, as somebody without a terminal goes it."""

import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from support.browser import PHONE, browsing, drop, faults, opened, sideways, tab_to, until
from support.clips import ClipOptions, write_clip
from support.web_server import web

from vsr.cli.main import run

PAGE = files("vsr.web") / "page"
OURS = 60_000


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


@pytest.fixture
def page(web_server) -> Iterator:
    """The page at a desk's size, in English."""
    with browsing() as context:
        yield opened(context, web_server.address)


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


@pytest.mark.slow
@pytest.mark.browser
def test_a_dropped_clip_is_previewed_enhanced_and_taken_home(page, clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"nothing " * 1000)
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Anything else").fill('model = ["bicubic-x2"]\npreset = "ultrafast"')
    page.get_by_label("Record of evidence", exact=True).select_option("yes")
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
    line = card.get_by_role("slider", name="Before and after")
    for key, at in (("Home", "0"), ("ArrowRight", "1"), ("End", "100"), ("PageDown", "90")):
        line.press(key)
        assert line.input_value() == at
        assert line.get_attribute("aria-valuetext") == f"Before: {at} %"
    sizes = card.locator(".slider img").evaluate_all("all => all.map((each) => each.naturalWidth)")
    assert sizes == [128, 64]
    # Lines over what the source does not support come at a press, and go at the next.
    lines = card.get_by_role("button", name="What the source does not support")
    for state in ("true", "false"):
        lines.press("Enter")
        card.locator(f"button[aria-pressed={state}]").wait_for()
        assert card.locator(".slider img").nth(1).is_visible() == (state == "true")
    assert card.locator(".slider img").count() == 3
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
    until(
        lambda: page.evaluate(
            "[...document.querySelectorAll('.slider video')].every((each) => each.currentTime > 0.4)"
        )
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
    with page.expect_download() as download:
        job.get_by_role("link", name="Record of evidence").press("Enter")
    assert download.value.suggested_filename == "two words_x2.mp4.evidence.zip"
    assert faults(page) == []


@pytest.mark.slow
@pytest.mark.browser
def test_a_queue_is_seen_by_two_tabs_on_a_phone_in_the_dark(web_server, tmp_path):
    with browsing(viewport=PHONE, color_scheme="dark") as context:
        one, other = (opened(context, f"{web_server.address}#jobs") for _ in range(2))
        assert one.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        client = web_server.client
        # Jobs that another program orders are seen without a reload, by both.
        # Large enough that none is finished meanwhile, however slow the browser is.
        upload = client.upload(
            write_clip(tmp_path / "long.mp4", ClipOptions(num_frames=1500, size=(144, 192)))
        )
        jobs = [
            client.order(upload, model=["base-x2"], self_ensemble=True, start=f"0:{n}")["id"]
            for n in range(3)
        ]
        first, second, third = (one.locator(f"[data-job='{job}']") for job in jobs)
        first.get_by_role("button", name="Pause").press("Enter")
        first.get_by_role("button", name="Go on").wait_for()
        other.locator(f"[data-job='{jobs[0]}']").get_by_role("button", name="Go on").wait_for()
        assert client.get(f"/v1/jobs/{jobs[0]}")["state"] == "paused"
        # Paused, too, so that two wait in an order that one tab changes and the other one sees.
        other.locator(f"[data-job='{jobs[1]}']").get_by_role("button", name="Pause").press("Enter")
        second.get_by_role("button", name="Go on").wait_for()
        third.get_by_text(re.compile("of 1,4")).wait_for()
        for card in (first, second):
            card.get_by_role("button", name="Go on").press("Enter")
        second.get_by_role("button", name="Earlier").press("Enter")
        # Those of other tests are on the page, too.
        shown = "[...document.querySelectorAll('#page-jobs [data-job]')].map((each) => each.dataset.job)"
        for tab in (one, other):
            until(lambda tab=tab: [each for each in tab.evaluate(shown) if each in jobs] == jobs[::-1])
            assert faults(tab) == []
            assert sideways(tab) <= 0
        # A reload in the midst shows how far it is.
        one.reload()
        third.get_by_text(re.compile("of 1,4")).wait_for()
        for card in (first, second, third):
            card.get_by_role("button", name="Cancel").press("Enter")
            card.get_by_text("Cancelled", exact=True).wait_for()
        one.on("dialog", lambda dialog: dialog.accept())
        one.get_by_role("button", name="Clear all").press("Enter")
        for job in jobs:
            other.locator(f"[data-job='{job}']").wait_for(state="detached")


@pytest.mark.slow
@pytest.mark.browser
def test_a_token_is_asked_for_and_the_keyboard_is_enough(tmp_path, clip):
    with (
        web(tmp_path, "--token-file", str(tmp_path / "token")) as server,
        browsing(refusals=(401,)) as context,
    ):
        page = opened(context, server.address)
        page.get_by_label("Token").wait_for()
        assert faults(page) == []
        page.keyboard.type("guessed")
        page.keyboard.press("Enter")
        page.get_by_text("that is not the token").wait_for()
        page.keyboard.type(server.token)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Drop videos").wait_for()
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert server.token not in str(cookie)

        tab_to(page, "Choose files")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(clip)
        start = page.get_by_role("button", name="Enhance: two words.mp4")
        until(start.is_enabled)
        tab_to(page, "Enhance: two words.mp4")
        page.keyboard.press("Enter")
        start.wait_for(state="detached")
        tab_to(page, "Cancel: two words.mp4")
        page.keyboard.press("Enter")
        page.get_by_text("Cancelled", exact=True).wait_for()

        # Another tab is logged in, too, and out with this one.
        other = opened(context, f"{server.address}#machine")
        other.get_by_role("row", name=re.compile("^fast-x2 ")).wait_for()
        assert faults(other) == []
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Token").wait_for()
        other.reload()
        other.get_by_label("Token").wait_for()
        assert context.cookies() == []


@pytest.mark.slow
@pytest.mark.browser
def test_every_page_speaks_its_readers_language(web_server):
    for locale, lang, words in (
        ("de-AT", "de", ("Videos oder Bilder hier ablegen", "Aufträge", "Dieser Rechner")),
        ("zh-CN", "zh", ("把视频或图片拖到这里", "任务", "本机")),
        ("pt-BR", "en", ("Drop videos or pictures here", "Jobs", "This machine")),
    ):
        with browsing(locale=locale, viewport=PHONE) as context:
            page = opened(context, web_server.address)
            for name, word in zip(("enhance", "jobs", "machine"), words, strict=True):
                page.goto(f"{web_server.address}#{name}")
                page.get_by_role("heading", name=word, exact=True, level=1).wait_for()
                assert page.evaluate("document.documentElement.lang") == lang
                assert sideways(page) <= 0, (locale, name)
                assert faults(page) == [], (locale, name)
