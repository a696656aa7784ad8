"""Cameras that speak SRT: called and listened to by FFmpeg's program, against FFmpeg as the camera."""

import contextlib
import itertools
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import av
import pytest
from support.clips import read_number
from support.live_player import Player, assert_goes_forward, wait_for
from support.live_rig import child_pids

from vsr.errors import ConfigError, SinkError
from vsr.live.address import resolve
from vsr.live.cameras.camera import Camera
from vsr.live.cameras.srt_reader import SrtReader
from vsr.live.options import CameraOptions
from vsr.media.protocols import find_ffmpeg_with, pyav_speaks

STEP = 3600
SECRET = "?passphrase=s3cr3t-word"

pytestmark = pytest.mark.skipif(pyav_speaks("srt"), reason="PyAV speaks SRT itself")


@pytest.fixture
def program() -> str:
    try:
        return find_ffmpeg_with("srt")
    except SinkError as error:
        pytest.skip(str(error))


@pytest.fixture
def clip(make_clip) -> Path:
    """As it is sent: 50 numbered frames and sound, in two seconds."""
    flags = {"codec_options": {"bf": "0"}, "audio": True}
    return make_clip("clip.ts", num_frames=50, size=(96, 128), gop=10, b_frames=0, **flags)


@pytest.fixture
def send(program, clip):
    """Send the clip over and over in real time, to `url`, again whenever the connection ends; gives the process."""
    with contextlib.ExitStack() as stack:

        def send(url: str) -> "subprocess.Popen[bytes]":
            command = [program, "-v", "quiet", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy"]
            line = shlex.join([*command, "-f", "mpegts", url])
            process = subprocess.Popen(
                ["sh", "-c", f"while :; do {line}; sleep 0.1; done"],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(end, process)
            return process

        yield send


def end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return f"srt://127.0.0.1:{one.getsockname()[1]}"


def listening(url: str) -> str:
    return url + ("&" if "?" in url else "?") + "mode=listener"


@pytest.mark.parametrize("secret", ["", SECRET], ids=["as it comes", "by a list"])
def test_pictures_and_sound_come_with_their_times_and_no_secret_shows(send, clip, secret):
    url, packets = free_address() + secret, []
    send(listening(url))
    camera = Camera(CameraOptions("door", url), 1)
    camera.tap = lambda packet, shift, streams: packets.append(
        (packet.stream.type, packet.pts, bytes(packet))
    )
    before = child_pids()
    with Player(url, camera=camera) as player:
        player.wait(30)
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in child_pids() - before]
        assert b"copyts" in b"".join(lines)
        assert not any(b"s3cr3t" in line for line in lines)
        assert "s3cr3t" not in repr(camera.status)
        frames = list(player.seen)
    assert child_pids() <= before
    numbers = [read_number(frame.planes[0]) for frame in frames]
    pairs = itertools.pairwise(zip(numbers, frames, strict=True))
    steps = [b.pts - a.pts for (one, a), (other, b) in pairs if other == one + 1]
    assert len(steps) > 10
    assert set(steps) == {STEP}
    assert_goes_forward(frames)
    assert_lie_as_they_were_sent(packets, clip)


def assert_lie_as_they_were_sent(packets: list[tuple[str, int | None, bytes]], clip: Path) -> None:
    """Each packet is one that was sent, and sound lies to the pictures as it did. The clip is sent over and over."""
    with av.open(str(clip)) as opened:
        sent = [(packet.stream.type, bytes(packet), packet.pts) for packet in opened.demux() if packet.size]
    at = {(kind, data): pts for kind, data, pts in sent}
    once = Counter((kind, data) for kind, data, _ in sent)
    shifts: dict[str, set[int]] = {"video": set(), "audio": set()}
    for kind, pts, data in packets:
        assert (kind, data) in at
        if pts is not None and once[kind, data] == 1:
            shifts[kind].add(pts - at[kind, data])
    apart = min(abs(sound - picture) for sound in shifts["audio"] for picture in shifts["video"])
    assert apart <= 2  # ticks of 1/90000 s


@pytest.mark.parametrize("secret", ["", SECRET], ids=["as it comes", "by a list"])
def test_a_camera_that_calls_is_listened_to(send, secret):
    url = free_address() + secret
    with Player(listening(url.replace("127.0.0.1", ""))) as player:
        time.sleep(0.5)
        assert player.camera.status.state == "connecting"
        send(url)
        player.wait(20)


def test_a_camera_that_goes_says_why_and_is_played_again(send):
    url = free_address()
    sender = send(listening(url))
    with Player(url, stall_s=30.0) as player:
        player.wait(20)
        os.killpg(sender.pid, signal.SIGTERM)  # it takes its leave
        wait_for(lambda: player.camera.status.last_error)
        assert f"{url}: the stream ended (" in player.camera.status.last_error
        send(listening(url))
        player.wait(20)
        assert player.camera.status.reconnects == 1
        assert_goes_forward(player.seen)


@pytest.mark.slow
def test_silence_is_a_stall_and_can_be_left(send):
    url = free_address()
    sender = send(listening(url + "?linger=0"))
    with Player(url, stall_s=3.0) as player:
        player.wait(10)
        os.killpg(sender.pid, signal.SIGSTOP)
        player.wait_state("stalled")
        player.wait_state("away")
        os.killpg(sender.pid, signal.SIGCONT)


def test_another_passphrase_is_a_refusal_and_shows_none(send):
    url = free_address()
    send(listening(url + SECRET))
    with Player(url + SECRET + "-wrong") as player:
        wait_for(lambda: "passphrase" in player.camera.status.last_error)
        player.wait_state("refused")
        assert "s3cr3t" not in repr(player.camera.status)


@pytest.mark.slow
def test_nobody_there_is_said_and_can_be_left(program):
    with Player(free_address()) as player:
        player.wait_state("away")
        assert "nobody answers" in player.camera.status.last_error
    with Player(listening(free_address())) as player:
        assert player.camera.status.state == "connecting"


def test_the_program_ends_by_itself_when_nobody_reads_any_more(send):
    url = free_address()
    send(listening(url))
    stop = threading.Event()
    reader = SrtReader(resolve(url), stop, patience_s=5.0)
    try:
        os.close(reader._piped.read_end)  # as when we are killed
        reader._piped.read_end = -1
        wait_for(lambda: reader._piped.child.has_ended)
    finally:
        reader.close()


def test_who_speaks_srt_is_looked_for_and_said(program, tmp_path, monkeypatch):
    deaf = tmp_path / "ffmpeg"
    deaf.write_text("#!/bin/sh\necho 'Input:'; echo '  file'; echo 'Output:'; echo '  srt'\n")
    deaf.chmod(0o755)
    monkeypatch.setenv("VSR_FFMPEG", str(deaf))
    assert find_ffmpeg_with("file") == str(deaf)
    assert find_ffmpeg_with("srt") != str(deaf)
    with pytest.raises(SinkError, match="no FFmpeg here has NOTHING"):
        find_ffmpeg_with("nothing")


def test_a_user_and_a_password_are_refused(program):
    with pytest.raises(ConfigError, match=r"srt://\*\*\*@host: SRT has no user and password; \?passphrase"):
        _ = CameraOptions("door", "srt://al:geheim@host").address
