"""Cameras that are not RTSP: files in real time, MPEG-TS by UDP, RTMP, HLS, and what is refused. No server needed."""

import contextlib
import functools
import http.server
import itertools
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from support.live_player import Player, assert_goes_forward, wait_for

from vsr.live.cameras import connection
from vsr.live.cameras.camera import Camera
from vsr.live.options import CameraOptions
from vsr.live.retry import Backoff, Retry
from vsr.media.ffmpeg import find_ffmpeg
from vsr.media.probe_video import open_container
from vsr.media.reading.nvdec import why_no_nvdec

STEP = 3600


@pytest.fixture
def clip(make_clip) -> Path:
    return make_clip("clip.mkv", num_frames=50, size=(96, 128), gop=10, b_frames=0, codec_options={"bf": "0"})


@pytest.fixture
def send(clip):
    """Send the clip over and over in real time; gives the process, which is a shell where it is to serve for ever."""
    with contextlib.ExitStack() as stack:

        def send(*arguments: str, serve: bool = False) -> "subprocess.Popen[bytes]":
            command = [
                find_ffmpeg(),
                "-v",
                "quiet",
                "-re",
                "-stream_loop",
                "-1",
                "-i",
                str(clip),
                "-c",
                "copy",
            ]
            command += arguments
            if serve:  # FFmpeg as a server takes one connection
                command = ["sh", "-c", f"while :; do {shlex.join(command)}; done"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            stack.callback(end, process)
            return process

        yield send


def end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def web(tmp_path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL under which it is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    folder = tmp_path / "web"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_file_plays_over_and_over_in_real_time(make_clip):
    path = make_clip("clip.mkv", num_frames=15, size=(48, 64))
    with Player(f"file:{path}") as player:
        player.wait(40)
        frames, numbers = player.seen, player.numbers
    assert numbers[:40] == [n % 15 for n in range(40)]
    assert [frame.reset for frame in frames[:40]] == [n % 15 == 0 for n in range(40)]
    assert_goes_forward(frames)
    assert frames[14].pts == 14 * STEP
    # Each time round begins when it does, on a busy machine a little late.
    assert 38 * STEP <= frames[39].pts <= (frames[39].arrived_s - frames[0].arrived_s) * 90_000 + STEP
    assert frames[39].arrived_s - frames[0].arrived_s == pytest.approx(39 * 0.04, abs=0.5)


def test_damaged_file_is_counted_and_goes_on(make_clip):
    path = make_clip("clip.ts", num_frames=50, size=(96, 128), gop=10, codec_options={"bf": "0"})
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) // 2, 700):
        data[at : at + 8] = b"\xff\x00\xaa\x55\xff\x00\xaa\x55"
    path.write_bytes(data)
    with Player(str(path)) as player:
        wait_for(lambda: player.camera.status.decoded > 60)
        status, numbers = player.camera.status, player.numbers
    assert status.corrupt > 0
    assert {0, 1, 48, 49} <= set(numbers)
    assert status.reconnects == 0


def test_transport_stream_by_udp_plays_and_survives_a_pause(send):
    port = free_port(socket.SOCK_DGRAM)
    sender = send("-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316")
    with Player(f"udp://127.0.0.1:{port}") as player:
        player.wait(30)
        sender.send_signal(signal.SIGSTOP)
        player.wait_state("stalled", 2.0)
        time.sleep(1.0)
        sender.send_signal(signal.SIGCONT)
        player.wait(40)
        assert player.camera.status.state == "playing"
        assert player.camera.status.reconnects == 0
        numbers, frames = player.numbers, player.seen
    assert all(b == (a + 1) % 50 for a, b in itertools.pairwise(numbers))
    assert_goes_forward(frames)


def test_udp_that_is_silent_is_away_and_can_be_left():
    port = free_port(socket.SOCK_DGRAM)
    with Player(f"udp://127.0.0.1:{port}", stall_s=0.5) as player:
        player.wait_state("away")
    with Player(f"udp://127.0.0.1:{port}") as player:
        time.sleep(0.3)
        assert player.camera.status.state == "connecting"


def test_rtmp_plays_and_is_played_again(send):
    url = f"rtmp://127.0.0.1:{free_port()}/live/geheim"
    sender = send("-f", "flv", "-listen", "1", url, serve=True)
    with Player(url, leave_s=2.5) as player:
        player.wait(30, 20.0)
        end(sender)
        player.wait_state("away")
        assert "geheim" not in repr(player.camera.status)
        send("-f", "flv", "-listen", "1", url, serve=True)
        player.wait(20, 20.0)
        assert player.camera.status.reconnects == 1
        assert_goes_forward(player.seen)


def test_hls_plays_at_its_own_pace(send, web):
    folder, url = web
    send(
        "-f",
        "hls",
        "-hls_time",
        "0.4",
        "-hls_list_size",
        "8",
        "-hls_flags",
        "delete_segments",
        str(folder / "a.m3u8"),
    )
    wait_for(lambda: (folder / "a.m3u8").exists() and len(list(folder.glob("*.ts"))) > 3)
    with Player(f"{url}/a.m3u8", leave_s=2.0) as player:
        player.wait(60, 20.0)
        numbers, frames = player.numbers, player.seen
        assert player.camera.status.reconnects == 0
    assert all(b == (a + 1) % 50 for a, b in itertools.pairwise(numbers))
    assert_goes_forward(frames)
    steps = [b.arrived_s - a.arrived_s for a, b in itertools.pairwise(frames)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(0.04, abs=0.02)


@pytest.mark.parametrize("leads_to", ["file:{clip}", "{clip}"])
def test_playlist_may_not_lead_to_files(web, clip, leads_to):
    folder, url = web
    lines = [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:2",
        "#EXTINF:2,",
        leads_to.format(clip=clip),
        "#EXT-X-ENDLIST",
        "",
    ]
    (folder / "bad.m3u8").write_text("\n".join(lines))
    with Player(f"{url}/bad.m3u8", leave_s=11.0) as player:
        wait_for(lambda: player.camera.status.last_error)
        assert not player.seen


def test_what_cannot_be_a_camera_is_refused_and_says_why(tmp_path, web):
    folder, url = web
    (folder / "text.txt").write_text("no video")
    for where, reason in (
        (str(tmp_path / "nothing.mp4"), "no such file"),
        (f"{url}/nothing", "404"),
        ("/dev/video-none", "no such file"),
    ):
        with Player(where) as player:
            player.wait_state("refused")
            assert reason in player.camera.status.last_error
    with Player(f"{url}/text.txt") as player:
        player.wait_state("away")
        assert "invalid data" in player.camera.status.last_error


def test_waits_double_up_to_a_bound_and_begin_again():
    backoff = Backoff(Retry(first_s=1, longest_s=8, refused_s=5, refused_longest_s=60))
    waits = [backoff.next_s() for _ in range(6)]
    assert all(
        longest / 2 <= wait <= longest for wait, longest in zip(waits, (1, 2, 4, 8, 8, 8), strict=True)
    )
    assert 30 <= backoff.next_s(refused=True) <= 60
    backoff.worked()
    assert backoff.next_s(refused=True, for_good=True) <= 5
    assert 5 <= backoff.next_s(refused=True, for_good=True) <= 10


def test_what_has_just_worked_is_tried_every_second_for_a_minute_and_then_more_and_more_seldom():
    now = 0.0
    backoff = Backoff(clock=lambda: now)
    for _ in range(10):  # it was never there for long
        backoff.next_s()
    assert backoff.next_s() >= 15
    backoff.worked()
    while now < 60:
        wait_s = backoff.next_s(refused=20 < now < 40)  # a server that does not know the path yet
        assert wait_s <= 1
        now += wait_s
    waits = [backoff.next_s() for _ in range(6)]
    assert all(
        longest / 2 <= wait <= longest for wait, longest in zip(waits, (1, 2, 4, 8, 16, 30), strict=True)
    )


def test_host_that_does_not_exist_is_away():
    camera = Camera(CameraOptions("door", "rtsp://does-not-exist.invalid/a"), 0)
    with Player("", camera=camera, leave_s=20.0) as player:
        player.wait_state("away", 20.0)
        assert "rtsp://does-not-exist.invalid" in player.camera.status.last_error


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_nvdec_that_cannot_be_had_is_refused_and_auto_does_without(clip):
    with Player(str(clip), decoder="nvdec") as player:
        player.wait_state("refused")
        assert "auto and software are accepted" in player.camera.status.last_error
    with Player(str(clip), decoder="auto") as player:
        player.wait(3)


@pytest.mark.parametrize(
    ("decoder", "gpu", "decodes"),
    [("auto", None, None), ("auto", 1, 1), ("nvdec", None, 0), ("nvdec", 1, 1), ("software", 1, None)],
)
def test_the_gpu_that_enhances_decodes_and_none_does_for_a_cpu(clip, decoder, gpu, decodes, monkeypatch):
    opened: list[HWAccel | None] = []

    def opening(path: str, *, hwaccel: HWAccel | None) -> InputContainer:
        opened.append(hwaccel)
        return open_container(path)

    monkeypatch.setattr(connection, "why_no_nvdec", lambda: "")
    monkeypatch.setattr(connection, "open_container", opening)
    with Player("", camera=Camera(CameraOptions("door", str(clip), decoder=decoder), 0, gpu=gpu)) as player:
        player.wait(3)
    assert [each and each.device_id for each in opened] == [decodes]


@pytest.mark.gpu
def test_pictures_decoded_on_the_gpu_are_those_of_software(cuda, clip):
    if reason := why_no_nvdec():
        pytest.skip(f"no NVDEC: {reason}")
    seen = {}
    for decoder in ("nvdec", "software"):
        with Player(str(clip), decoder=decoder) as player:
            player.wait(20)
            seen[decoder] = player.seen[:20]
    for one, other in zip(*seen.values(), strict=True):
        assert one.format == other.format
        assert all((a == b).all() for a, b in zip(one.planes, other.planes, strict=True))
