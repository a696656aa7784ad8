"""Cameras in a real Chromium: what it shows, and when, is read from the pixels of the numbered pictures."""

import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="needs the extra `watch`")
pytest.importorskip("uvicorn", reason="needs the extra `watch`")

from support.browser import PHONE, browsing, faults, opened, sideways
from support.live_hub import LARGE, RATE, SMALL, PlayedHub, played_hub
from support.live_player import free_port
from support.lossy_relay import LossyRelay
from support.seen_frames import HLS_JS, seen_frames, watch_frames
from support.watch_delays import await_playing, back_after_a_restart, watched_camera, watching

from vsr.live.viewing.viewing_process import ViewingProcess
from vsr.live.watch_options import BrowserOptions

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_S = 180.0
LIVE = "/cameras/door/enhanced/live.m3u8"
CAMERA = {
    "state": "playing", "picture": "good", "fps_in": 25.0, "fps_out": 25.0, "latency_p95_ms": 33, "dropped": 0,
    "reconnects": 0, "last_error": "",
}  # fmt: skip
HEALTH = {"status": "playing", "rung": "fast-x2", "cameras": {"door": CAMERA}}
MEANT = (404, 409, 503)
"""What a browser calls an error: a piece that is gone, a session refused, a camera of which nothing comes."""


@pytest.fixture
def played(tmp_path) -> Iterator[PlayedHub]:
    with played_hub(tmp_path, sound=True) as made:
        yield made


@pytest.fixture
def address(played) -> Iterator[str]:
    port = free_port()
    with closing(ViewingProcess(BrowserOptions(port=port), played.hub, lambda: HEALTH)):
        wait_for(lambda: answers(port))
        yield f"http://127.0.0.1:{port}/"


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (got := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    return got


def answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/cameras", timeout=30) as answer:
        return b"door" in answer.read()
    return False


def late(played: PlayedHub, seen: list[tuple[float, int, int]]) -> list[float]:
    return sorted(played.late_s(number, when) for when, number, _ in seen)


def first_seen(page: Any, is_it: Callable[[float, int, int], bool]) -> tuple[float, int, int]:
    return wait_for(lambda: next((one for one in seen_frames(page) if is_it(*one)), None))


def back_after_another_size(page: Any, played: PlayedHub) -> float:
    """Change the size; return after how many seconds pictures of it are seen."""
    played.size = LARGE if played.size == SMALL else SMALL
    when, number, _ = first_seen(page, lambda when, number, height: height == played.size[0])
    return played.late_s(number - number % RATE, when)


def back_after_a_pause(page: Any, played: PlayedHub) -> float:
    """Send nothing for four seconds; return after how many seconds what follows is seen."""
    played.is_silent = True
    time.sleep(4.0)
    again_s = time.time()
    played.is_silent = False
    return first_seen(page, lambda when, number, _: played.late_s(number, when) < when - again_s)[0] - again_s


def plays_through(page: Any, played: PlayedHub, way: str) -> None:
    """Pictures come, also behind another size and behind a pause; says how late, and how soon after."""
    wait_for(lambda: len(seen_frames(page)) > 100)
    times = late(played, seen_frames(page)[50:])
    assert times[len(times) // 2] < 15.0  # whatever else runs
    print(f"\n{way}: {len(times)} pictures seen {times[len(times) // 2] * 1000:.0f} ms after they were sent, "
          f"p95 {times[int(0.95 * len(times))] * 1000:.0f}")  # fmt: skip
    for what, back_s in (
        ("another size", back_after_another_size(page, played)),
        ("a pause", back_after_a_pause(page, played)),
    ):
        print(f"{way}: back {back_s:.2f} s after {what}")
        assert back_s < 60.0
    before = len(seen_frames(page))
    wait_for(lambda: len(seen_frames(page)) > before + 50)


@pytest.mark.parametrize("way", ["whep", "parts"])
def test_the_page_plays_over_another_size_and_a_pause(played, address, way):
    with browsing(refusals=MEANT) as context:
        page = opened(context, address)
        page.select_option("#way", way)
        page.locator("[data-camera=door] .by:not(:empty)").wait_for()
        watch_frames(page)
        plays_through(page, played, way)
        page.get_by_role("button", name="Original").click()
        page.locator("[data-camera=door] .by:not(:empty)").wait_for()
        assert faults(page) == []


def test_the_page_falls_back_to_hls_where_webrtc_is_closed(played, address):
    with browsing(refusals=MEANT, viewport=PHONE) as context:
        context.route("**/whep", lambda route: route.fulfill(status=409, body="closed"))
        page = opened(context, address)
        page.locator("[data-camera=door] .by").get_by_text("HLS").wait_for()
        watch_frames(page)
        wait_for(lambda: len(seen_frames(page)) > 50)
        assert sideways(page) == 0


def test_hls_js_plays_over_another_size_and_a_pause(played, address):
    library = os.environ.get("VSR_HLS_JS")
    if not library:
        pytest.skip("VSR_HLS_JS names no hls.min.js")
    with browsing(refusals=MEANT) as context:
        page = opened(context, address)
        page.select_option("#way", "parts")
        page.evaluate(Path(library).read_text(encoding="utf-8") + "\n;0")
        page.evaluate(HLS_JS, LIVE)
        watch_frames(page)
        plays_through(page, played, "hls.js")
        assert not [what for what in page.evaluate("window.fatal") if "Parsing" in what]


def test_webrtc_goes_on_where_datagrams_are_lost(played, address):
    with closing(LossyRelay(0.05)) as relay, browsing(refusals=MEANT) as context:

        def answered(route: Any) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, body=relay.into(answer.text()))

        context.route("**/whep", answered)
        page = opened(context, address)
        page.select_option("#way", "whep")
        page.locator("[data-camera=door] .by:not(:empty)").wait_for()
        watch_frames(page)
        plays_through(page, played, "whep, 5 % lost")
        assert relay.lost > 0.02 * relay.passed > 0


@pytest.mark.rtsp
@pytest.mark.parametrize("way", ["whep", "parts", "hls.js"])
def test_pictures_are_back_after_a_camera_was_away(gstreamer, tmp_path, way):
    library = os.environ.get("VSR_HLS_JS", "")
    if way == "hls.js" and not library:
        pytest.skip("VSR_HLS_JS names no hls.min.js")
    with watched_camera(tmp_path, "bicubic") as camera:
        await_playing(camera.page)
        with watching(camera.page, way, library) as page:
            wait_for(lambda: len(seen_frames(page)) > 25)
            print(f"\n{way}: back {back_after_a_restart(page, camera):.2f} s after the camera")
