"""The viewers' server as a process, over HTTP and WebRTC, without a browser."""

import asyncio
import base64
import contextlib
import http.client
import os
import signal
import threading
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from support.clips import read_number
from support.hls_rules import ReadPlaylist, check_reload, read_playlist
from support.live_hub import LARGE, PlayedHub, played_hub
from support.live_player import free_port, wait_for
from support.live_rig import child_pids
from support.processes import lives
from support.units import shown

pytest.importorskip("aiortc", reason="needs the extra `watch`")
pytest.importorskip("uvicorn", reason="needs the extra `watch`")

from vsr.errors import ConfigError
from vsr.live.viewing.viewing_process import ViewingProcess
from vsr.live.watch_options import BrowserOptions

PATIENCE_S = 180.0
LIVE = "/cameras/door/enhanced/live.m3u8"


class Page:
    """A server that shows a hub."""

    def __init__(self, played: PlayedHub, **options: Any):
        health = {"status": "playing", "rung": "bicubic", "cameras": {"door": {"state": "playing"}}}
        self.told: list[str] = []
        options = BrowserOptions(port=free_port(), **options)
        self.played, self.port = played, options.port
        self.process = ViewingProcess(options, played.hub, lambda: health, self.told.append)
        assert self.get("/")[0] in (200, 401)  # who comes while it starts waits
        wait_for(self.answers, PATIENCE_S)

    def answers(self) -> bool:
        """Whether it is there, and knows the camera or wants a token."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _, text = self.get("/cameras")
            return status == 401 or b"door" in text
        return False

    def get(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, given)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def playlist(self, query: str = "") -> ReadPlaylist:
        status, headers, text = self.get(LIVE + query)
        assert (status, headers["content-type"]) == (200, "application/vnd.apple.mpegurl"), text
        return read_playlist(text.decode(), least=0.0)

    def piece(self, name: str) -> bytes:
        status, _, data = self.get(LIVE.replace("live.m3u8", name))
        assert status == 200, data
        return data

    @property
    def num_viewers(self) -> int:
        return sum(one.num_viewers for one in self.played.hub.broadcasts)


@contextlib.contextmanager
def page_of(folder, *, hub: dict[str, Any] | None = None, **options: Any) -> Iterator[Page]:
    """A page; afterwards nothing may be left of it."""
    threads, children = set(threading.enumerate()), child_pids()
    with played_hub(folder, **(hub or {})) as played:
        page = Page(played, **options)
        try:
            yield page
        finally:
            page.process.close()
            page.process.close()
    assert child_pids() == children
    wait_for(lambda: set(threading.enumerate()) <= threads, PATIENCE_S)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Page]:
    with page_of(tmp_path_factory.mktemp("page")) as made:
        yield made


def test_reloads_wait_for_what_is_asked_for_and_pieces_join_to_what_was_sent(page):
    seen = [page.playlist()]
    pieces: dict[str, bytes] = {}
    for _ in range(12):
        last = seen[-1]
        number = last.sequence + len(last.whole)
        parts = last.segments[-1].parts if len(last.segments) > len(last.whole) else []
        seen.append(page.playlist(f"?_HLS_msn={number}&_HLS_part={len(parts)}"))
        check_reload(*seen[-2:])
        now = seen[-1]
        next_number = now.sequence + len(now.whole)
        has = now.segments[-1].parts if len(now.segments) > len(now.whole) else []
        assert (next_number, len(has)) > (number, len(parts))
        for segment in now.segments[-2:]:
            for part, *_ in segment.parts:
                pieces[part] = pieces.get(part) or page.piece(part)
    head = page.piece(seen[-1].segments[-1].head)
    numbers = [number for _, number, _ in shown(head + b"".join(pieces.values()))]
    assert numbers == [number % 250 for number in range(numbers[0], numbers[0] + len(numbers))]
    whole = seen[-1].whole[-1]
    assert page.piece(whole.name) == b"".join(page.piece(part) for part, *_ in whole.parts)


def test_a_part_that_is_hinted_at_is_waited_for(page):
    before = page.playlist()
    assert page.piece(before.hint)[4:8] == b"moof"
    after = page.playlist()
    assert before.hint in after.pieces or after.sequence > before.sequence


def test_what_cannot_be_is_refused_in_a_line(page):
    number = page.playlist().sequence
    for path, status in {
        f"{LIVE}?_HLS_msn={number + 10**6}": 400,
        f"{LIVE}?_HLS_part=1": 400,
        f"{LIVE}?_HLS_msn=-1": 400,
        f"{LIVE}?_HLS_msn=x": 400,
        "/cameras/other/enhanced/live.m3u8": 404,
        "/cameras/door/other/live.m3u8": 404,
        "/cameras/door/enhanced/1.m4s": 404,
        "/cameras/door/enhanced/..%2f..%2fetc%2fpasswd": 404,
        "/page/..%2fviewer_app.py": 404,
        "/page/none.js": 404,
        "/none": 404,
    }.items():
        got, _, text = page.get(path)
        assert (got, text.count(b"\n")) == (status, 1), (path, text)
    sdp = {"Content_Type": "application/sdp"}
    for body in (b"", b"x", b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", b"\xff" * 60000):
        got, _, text = page.get("/cameras/door/enhanced/whep", "POST", body, **sdp)
        assert (got, text.count(b"\n")) == (409, 1), text
    assert page.get("/cameras/door/enhanced/whep", "POST", b"x" * 70_000, **sdp)[0] == 413
    assert page.get("/cameras/door/enhanced/whep", "POST", b"x")[0] == 415
    assert page.get("/cameras/door/enhanced/whep/none", "DELETE")[0] == 404
    assert page.get(LIVE, "POST", b"x")[0] == 405


def test_other_names_and_pages_are_refused_and_answers_say_what_a_page_may_do(page):
    assert page.get("/cameras", Host="evil.example")[0] == 421
    assert page.get("/cameras", Origin="http://evil.example")[0] == 403
    assert page.get("/cameras", Sec_Fetch_Site="cross-site")[0] == 403
    assert page.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert (
        page.get("/cameras", Origin=f"http://127.0.0.1:{page.port}", Host=f"127.0.0.1:{page.port}")[0] == 200
    )
    for path in ("/", "/cameras", LIVE, "/none"):
        headers = page.get(path)[1]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


def test_a_new_size_is_another_head_behind_a_discontinuity(page):
    before = page.playlist()
    page.played.size = LARGE
    wait_for(lambda: page.playlist().segments[-1].head != before.segments[-1].head, PATIENCE_S)
    after = page.playlist()
    check_reload(before, after)
    assert [each.breaks for each in after.segments].count(True) >= 1
    wait_for(lambda: page.playlist().whole[-1].head != before.segments[-1].head, PATIENCE_S)
    last = page.playlist().whole[-1]
    assert {height for height, _, _ in shown(page.piece(last.head) + page.piece(last.name))} == {192}


@pytest.mark.slow
def test_webrtc_passes_coded_pictures_and_sound_on(tmp_path):
    from aiortc import RTCPeerConnection, RTCSessionDescription

    async def watch(page: Page) -> tuple[list[int], int]:
        connection = RTCPeerConnection()
        tracks = {}
        connection.on("track", lambda track: tracks.update({track.kind: track}))
        for kind in ("video", "audio"):
            connection.addTransceiver(kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        offer = connection.localDescription.sdp.encode()
        status, headers, answer = await asyncio.to_thread(
            page.get, "/cameras/door/enhanced/whep", "POST", offer, Content_Type="application/sdp"
        )
        assert status == 201, answer
        await connection.setRemoteDescription(RTCSessionDescription(answer.decode(), "answer"))
        numbers = []
        for _ in range(50):
            picture = await asyncio.wait_for(tracks["video"].recv(), PATIENCE_S)
            numbers.append(read_number(picture.to_ndarray()[: picture.height]))
        heard = await asyncio.wait_for(tracks["audio"].recv(), PATIENCE_S)
        assert page.num_viewers == 1
        assert (await asyncio.to_thread(page.get, headers["Location"], "DELETE"))[0] == 200
        assert (await asyncio.to_thread(page.get, headers["Location"], "DELETE"))[0] == 404
        await connection.close()
        return numbers, heard.sample_rate

    with page_of(tmp_path, hub={"sound": True}) as page:
        numbers, rate = asyncio.run(watch(page))
        assert len({*numbers}) >= 45  # some may be lost where the machine is busy
        assert sorted((number - numbers[0]) % 250 for number in numbers) == [
            (n - numbers[0]) % 250 for n in numbers
        ]
        assert rate == 48000
        wait_for(lambda: page.num_viewers == 0, PATIENCE_S)


def test_others_are_asked_for_the_token_and_it_is_shown_once(tmp_path):
    with pytest.raises(ConfigError, match="name a token_file"):
        BrowserOptions(port=1, host="0.0.0.0")
    with page_of(tmp_path, token_file=str(tmp_path / "token")) as page:
        [told] = page.told
        token = told.split()[5]
        basic = base64.b64encode(f"me:{token}".encode()).decode()
        for path in ("/", "/cameras", LIVE, "/page/cameras.js"):
            assert page.get(path)[0] == 401, path
            assert page.get(path, Authorization="Bearer wrong")[0] == 401
            assert page.get(path, Authorization=f"Bearer {token}")[0] == 200
            assert page.get(path, Authorization=f"Basic {basic}")[0] == 200
        assert page.get("/", Authorization="Basic !")[0] == 401
        assert token not in (tmp_path / "token").read_text()


@pytest.mark.slow
def test_a_server_that_is_killed_is_started_again_at_its_port(tmp_path):
    with page_of(tmp_path) as page:
        before = page.playlist()
        pid = page.process.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not lives(pid), PATIENCE_S)
        assert page.get("/")[0] == 200  # waits for the new one, and is not refused
        wait_for(page.answers, PATIENCE_S)
        check_reload(before, page.playlist())


def test_a_port_that_is_taken_is_refused_in_a_line(tmp_path, page):
    options = BrowserOptions(port=page.port)
    with pytest.raises(
        ConfigError, match=f"port {page.port} of 127.0.0.1 cannot be opened: .*; give another"
    ):
        ViewingProcess(options, page.played.hub, dict)


def test_the_page_is_small():
    folder = files("vsr.live.viewing") / "page"
    assert sum(len(each.read_bytes()) for each in folder.iterdir()) < 16_000
