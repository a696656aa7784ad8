"""Cameras of `vsr web`: run inside or beside, their pictures and recordings over HTTP."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from support.browser import PHONE, browsing, faults, opened, sideways, until
from support.clips import ClipOptions, write_clip
from support.processes import begin_command, family, wait_for_the_end_of
from support.web_server import begin_web, free_port, web

from vsr.live import OutputOptions
from vsr.web.cameras.camera_files import CameraFiles

PATIENCE_S = 180


def test_only_what_lies_there_is_found(tmp_path):
    outputs = [OutputOptions("hls", f"{tmp_path}/live"), OutputOptions("record", f"{tmp_path}/rec")]
    files = CameraFiles("door", outputs)
    assert files.live("live.m3u8") is None
    assert files.days("/x") == []
    (tmp_path / "live").mkdir()
    (tmp_path / "rec").mkdir()
    for name in ("live/live.m3u8", "live/live-7.m4s", "live/secret.m4s", "live/live-init.mp4", "live.m3u8"):
        (tmp_path / name).write_bytes(b"x")
    shown = ["door-20250131-235900.mkv", "door-20250131-235900_2-original.mkv", "door-20250201-000000.mkv"]
    others = ["door-2-20250131-235900.mkv", "gate-20250131-235900.mkv", "door-20250131-235900.mkv.part"]
    for name in (*shown, *others):
        (tmp_path / "rec" / name).write_bytes(b"xyz")
    for name in ("live.m3u8", "live-7.m4s", "live-init.mp4"):
        assert files.live(name) == tmp_path / "live" / name
    for name in ("secret.m4s", "../live.m3u8", "../rec/door-20250201-000000.mkv", "", ".", "live"):
        assert files.live(name) is None, name
    assert [(day.day, day.files, day.url) for day in files.days("/x")] == [
        ("2025-02-01", 1, "/x/2025-02-01"),
        ("2025-01-31", 2, "/x/2025-01-31"),
    ]
    assert [each.name for each in files.of_day("2025-01-31", "/x")] == shown[:2]
    assert files.of_day("2025-02-01", "/y")[0].url == f"/y/{shown[2]}"
    assert files.recording("2025-01-31", shown[0]) == tmp_path / "rec" / shown[0]
    for day, name in (
        ("2025-02-01", shown[0]),
        ("2025-01-31", others[0]),
        ("2025-01-31", f"../rec/{shown[0]}"),
    ):
        assert files.recording(day, name) is None, name


def cameras_file(folder: Path, clip: Path, *, port: int = 0) -> Path:
    """A file of one camera that writes all that the page shows."""
    path = folder / "cameras.toml"
    outputs = [
        ("hls", "live/{name}", 0.5),
        ("record", "rec/{name}", 2.0),
        ("snapshot", "live/{name}.jpg", 0.0),
    ]
    rows = [f'{{ kind = "{kind}", target = "{folder}/{at}", segment_s = {s} }}' for kind, at, s in outputs]
    path.write_text(
        f'models = ["bicubic-x2"]\nmetrics_port = {port}\n[[cameras]]\nname = "street"\nurl = "{clip}"\n'
        f"outputs = [{', '.join(rows)}]\n"
    )
    return path


def seen(server) -> dict:
    return json.loads(server.send("GET", "/v1/cameras")[2])


def wait_until(server, condition) -> dict:
    """Ask until what is seen is so; returns it."""
    until = time.monotonic() + PATIENCE_S
    while not condition(now := seen(server)):
        assert time.monotonic() < until, now
        time.sleep(0.1)
    return now


def plays(now: dict) -> bool:
    camera = now["cameras"][0]
    return (
        now["state"] == "running"
        and camera["state"] == "playing"
        and bool(camera["live"] and camera["snapshot"])
    )


@pytest.fixture
def camera_clip(tmp_path) -> Path:
    return write_clip(tmp_path / "street.mp4", ClipOptions(num_frames=75))


@pytest.mark.slow
def test_cameras_run_inside_are_started_again_and_end_with_the_server(tmp_path, camera_clip):
    server = begin_web(tmp_path / "web", "--cameras", str(cameras_file(tmp_path, camera_clip)))
    try:
        now = wait_until(server, plays)
        assert now["model"].startswith("bicubic-x2")
        camera = now["cameras"][0]
        status, headers, playlist = server.send("GET", camera["live"])
        assert (status, headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
        head = re.search(r'EXT-X-MAP:URI="(.+?)"', playlist.decode())
        assert head is not None
        status, headers, piece = server.send("GET", camera["live"].replace("live.m3u8", head[1]))
        assert (status, headers["content-type"], piece[4:8]) == (200, "video/mp4", b"ftyp")
        status, headers, still = server.send("GET", camera["snapshot"])
        assert (status, headers["content-type"], still[:2]) == (200, "image/jpeg", b"\xff\xd8")
        for path in ("..%2f..%2fcameras.toml", "%2e%2e/street.jpg", "none.m4s"):
            assert server.send("GET", f"/v1/cameras/street/live/{path}")[0] == 404, path
        assert server.send("GET", "/v1/cameras/other/snapshot")[0] == 404

        # A recording, as soon as one is finished.
        until = time.monotonic() + PATIENCE_S
        while not (days := json.loads(server.send("GET", camera["recordings"])[2])):
            assert time.monotonic() < until
            time.sleep(0.1)
        files = json.loads(server.send("GET", days[-1]["url"])[2])
        status, headers, recorded = server.send("GET", files[0]["url"])
        assert (status, headers["content-type"]) == (200, "video/matroska")
        assert recorded == (tmp_path / "rec" / "street" / files[0]["name"]).read_bytes()
        assert len(recorded) == files[0]["bytes"]

        # The process of the cameras dies: it is said, and another one is started.
        before = family(server.process.pid)
        process = min(
            (pid for pid in before if b"vsr.live.push" in _said_below(pid)), key=lambda pid: len(family(pid))
        )
        os.kill(process, signal.SIGKILL)
        wait_until(server, lambda now: now["state"] == "restarting" and "signal 9" in now["error"])
        assert wait_until(server, plays)["error"] == ""
        # The server dies: so do they, with files finished.
        left = family(server.process.pid)
        server.end(kill=True)
        wait_for_the_end_of(left)
        assert not list(tmp_path.glob("rec/street/*.part"))
    finally:
        if server.process.is_alive():
            server.end()


def _said_below(pid: int) -> bytes:
    """Command lines of a process's children, and theirs."""
    return b"".join(Path(f"/proc/{each}/cmdline").read_bytes() for each in family(pid))


@pytest.mark.slow
def test_cameras_run_beside_are_shown_while_they_run(tmp_path, camera_clip):
    file = cameras_file(tmp_path, camera_clip, port=free_port())
    live = begin_command("live", file, log=tmp_path / "live.log")
    try:
        with web(tmp_path / "web", "--cameras", str(file), "--cameras-beside") as server:
            assert wait_until(server, plays)["cameras"][0]["fps_out"] >= 0
            live.terminate()
            live.join(40)
            now = wait_until(server, lambda now: now["state"] == "ended")
            assert "no vsr live answers" in now["error"]
            assert now["cameras"][0]["state"] == ""
    finally:
        live.kill()


@pytest.mark.slow
@pytest.mark.browser
def test_a_camera_is_watched_live_and_its_recordings_are_taken_home(tmp_path, camera_clip):
    file = cameras_file(tmp_path, camera_clip)
    with web(tmp_path / "web", "--cameras", str(file)) as server, browsing(viewport=PHONE) as context:
        wait_until(server, plays)
        page = opened(context, server.address)
        page.get_by_role("link", name="Cameras").click()
        card = page.locator("[data-camera=street]")
        live = card.get_by_label("Live picture: street")
        until(lambda: live.evaluate("each => each.currentTime > 0.5 && each.videoWidth === 128"))
        card.get_by_text("frames a second").wait_for()
        until(lambda: json.loads(server.send("GET", "/v1/cameras/street/recordings")[2]))
        card.get_by_text("Recordings").click()
        card.get_by_role("button", name="Watch").first.press("Enter")
        recording = card.get_by_label("Recordings", exact=True)
        until(lambda: recording.evaluate("each => each.duration > 0 && each.currentTime > 0"))
        assert faults(page) == []
        assert sideways(page) <= 0
        with page.expect_download() as download:
            card.get_by_role("link", name="Download").first.press("Enter")
        name = download.value.suggested_filename
        assert Path(download.value.path()).read_bytes() == (tmp_path / "rec" / "street" / name).read_bytes()
        # Nobody looks: nothing is streamed.
        page.get_by_role("link", name="Jobs").click()
        until(lambda: not live.evaluate("each => each.hasAttribute('src')"))
