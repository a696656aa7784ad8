"""Cameras against a real RTSP server that is killed, frozen, restarted and that says no.

The server is `rtsp_server.py`, run by the system's Python with Debian's GStreamer; its frames carry their number.
"""

import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from support.live_player import QUICK, Player, assert_goes_forward, wait_for
from support.rtsp import Server
from support.whole import times

from vsr.live.cameras import camera as camera_module
from vsr.live.cameras.camera import Camera
from vsr.live.options import CameraOptions
from vsr.live.retry import Retry

STEP = 3600
"""Ticks between frames at 25 a second."""

rtsp = pytest.mark.rtsp


@rtsp
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_camera_plays_every_frame_at_its_own_time(server, clips, transport):
    server.start(f"/a={clips}/a.h264")
    with Player(server.url(), transport=transport) as player:
        player.wait(40)
        numbers, frames = player.numbers, player.seen
        status = player.camera.status
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [frame.pts for frame in frames] == [STEP * n for n in range(len(frames))]
    assert [frame.reset for frame in frames] == [True] + [False] * (len(frames) - 1)
    assert {frame.stream for frame in frames} == {1}
    assert (status.state, status.height, status.width, status.rate) == ("playing", 96, 128, 25.0)
    assert (status.reconnects, status.corrupt, status.last_error) == (0, 0, "")


@rtsp
def test_killed_server_is_played_again_and_time_goes_on_by_the_wall(server, clips):
    server.start(f"/a={clips}/a.h264")
    with Player(server.url()) as player:
        player.wait(10)
        server.kill()
        player.wait_state("away")
        assert (
            "connection refused" in player.camera.status.last_error
            or "ended" in player.camera.status.last_error
        )
        before = len(player.seen)
        time.sleep(0.5)
        server.start(f"/a={clips}/a.h264")
        player.wait(10)
        frames, numbers = player.seen, player.numbers
        assert player.camera.status.reconnects == 1
    assert_goes_forward(frames)
    again = frames[before]
    assert again.reset
    assert not any(frame.reset for frame in frames[before + 1 :])
    assert numbers[before] < 5
    elapsed = again.arrived_s - frames[before - 1].arrived_s
    assert elapsed > 0.5
    # Frames that came late, on a busy machine, keep their own times.
    assert (again.pts - frames[before - 1].pts) / 90_000 == pytest.approx(elapsed, abs=0.3)


@rtsp
def test_another_resolution_after_a_restart_is_taken_up(server, clips):
    server.start(f"/a={clips}/a.h264")
    with Player(server.url()) as player:
        player.wait(5)
        server.kill()
        before = len(player.seen)
        server.start(f"/a={clips}/b.h264")
        wait_for(lambda: len(player.seen) > max(before, 5) + 5)
        frames = player.seen
        status = player.camera.status
    first = next(i for i, frame in enumerate(frames) if frame.format.height == 120)
    assert frames[first].reset
    assert frames[first].planes[0].shape == (120, 160)
    assert {frame.format.height for frame in frames[first:]} == {120}
    assert (status.height, status.width) == (120, 160)
    assert_goes_forward(frames)


@rtsp
def test_frozen_server_that_goes_on_in_time_costs_no_frame(server, clips):
    server.start(f"/a={clips}/a.h264")
    with Player(server.url()) as player:
        player.wait(10)
        server.signal(signal.SIGSTOP)
        player.wait_state("stalled", 3.0)
        time.sleep(0.7)
        server.signal(signal.SIGCONT)
        player.wait_state("playing", 3.0)
        player.wait(50)
        numbers, frames = player.numbers, player.seen
        assert player.camera.status.reconnects == 0
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert_goes_forward(frames)


@rtsp
def test_server_frozen_for_longer_is_left_and_played_again(server, clips):
    server.start(f"/a={clips}/a.h264")
    with Player(server.url(), stall_s=0.8) as player:
        player.wait(10)
        server.signal(signal.SIGSTOP)
        player.wait_state("away", 3.0)
        assert "no picture for" in player.camera.status.last_error
        server.signal(signal.SIGCONT)
        player.wait_state("playing", 12.0)
        player.wait(10)
        assert player.camera.status.reconnects == 1
        assert_goes_forward(player.seen)
        assert sum(frame.reset for frame in player.seen) == 2


@rtsp
def test_wrong_password_and_unknown_path_are_refusals_and_a_closed_port_is_not(server, clips, monkeypatch):
    server.start(f"/a={clips}/a.h264", "--user", "alice", "--password", "geheim")
    for who, path, state, reason in (
        ("alice:falsch@", "/a", "refused", "401"),
        ("", "/a", "refused", "401"),
        ("alice:geheim@", "/b", "refused", "404"),
    ):
        with Player(server.url(path, who)) as player:
            player.wait_state(state)
            assert reason in player.camera.status.last_error
            assert not player.seen
    server.kill()
    with Player(server.url("/a", "alice:geheim@")) as player:
        player.wait_state("away")
        assert "connection refused" in player.camera.status.last_error


@rtsp
def test_password_that_is_put_right_is_taken_up(server, clips, tmp_path):
    server.start(f"/a={clips}/a.h264", "--user", "alice", "--password", "ge:h@im/1")
    secret = tmp_path / "secret"
    secret.write_text("alice:falsch")
    with Player(server.url(), credentials_file=str(secret)) as player:
        player.wait_state("refused")
        secret.write_text("alice:ge:h@im/1\n")
        player.wait(5)


@rtsp
def test_no_secret_is_in_status_errors_logs_or_names(server, clips, caplog, capfd):
    caplog.set_level(0)
    server.start(f"/a={clips}/a.h264", "--user", "alice", "--password", "geheim")
    texts: list[str] = []
    for path, who, reached in (("/a", "alice:geheim@", "playing"), ("/b", "alice:geheim@", "refused")):
        with Player(server.url(path, who)) as player:
            player.wait_state(reached)
            if reached == "playing":
                player.wait(2)
            texts += [repr(player.camera.status), repr(player.camera.options), str(threading.enumerate())]
    server.kill()
    with Player(server.url("/a", "alice:geheim@")) as player:
        player.wait_state("away")
        texts.append(repr(player.camera.status))
    texts += [caplog.text, *capfd.readouterr()]
    assert "***@127.0.0.1" in texts[-4]
    assert not [text for text in texts if "geheim" in text or "alice" in text]


@rtsp
def test_lost_packets_are_counted_and_the_stream_goes_on(server, clips):
    server.start(f"/a={clips}/a.h264", "--loss", "0.2")
    with Player(server.url(), transport="udp") as player:
        player.wait(70, 20.0)
        frames, status = player.seen, player.camera.status
    assert_goes_forward(frames)
    skipped = sum((b.pts - a.pts) // STEP - 1 for a, b in itertools.pairwise(frames))
    assert status.lost + status.corrupt > 0
    assert status.lost <= skipped
    assert status.rate == 25.0


@rtsp
def test_a_camera_that_played_well_is_back_soon_after_its_server_however_long_that_was_away(
    server, clips, monkeypatch
):
    monkeypatch.setattr(camera_module, "_SETTLED_S", 0.3)
    server.start(f"/a={clips}/a.h264")
    with Player(server.url(), retry=Retry(first_s=0.1, soon_s=0.2)) as player:
        player.wait(20)
        server.kill()
        time.sleep(2.5)  # waits would have grown to more than two seconds
        server.start(f"/b={clips}/a.h264")  # up again, but not yet with what it had
        player.wait_state("refused")
        time.sleep(0.5)
        server.kill()
        began = time.monotonic()
        server.start(f"/a={clips}/a.h264")
        player.wait(1)
        assert time.monotonic() - began < 1.5


@rtsp
def test_tap_gets_sound_and_pictures_with_the_way_to_the_frames_times(server, clips):
    server.start(f"/a={clips}/a.h264", "--audio")
    camera = Camera(CameraOptions("door", server.url()), 1, retry=QUICK)
    tapped: list[tuple[str, float | None, int, str]] = []

    def tap(packet, shift, streams):
        assert [stream.type for stream in streams] == ["video", "audio"]
        time_s = None if packet.pts is None else float(packet.pts * packet.time_base) + shift / 90_000
        tapped.append((packet.stream.type, time_s, packet.size, threading.current_thread().name))

    camera.tap = tap
    with Player("", camera=camera) as player:
        player.wait(30)
        frames = player.seen
    pictures = [time_s for kind, time_s, *_ in tapped if kind == "video"]
    sound = [time_s for kind, time_s, *_ in tapped if kind == "audio"]
    assert {name for *_, name in tapped} == {"camera-test"}
    assert len(pictures) >= len(frames)
    assert pictures[1:30] == pytest.approx([frame.pts / 90_000 for frame in frames[1:30]])
    assert len(sound) > 5
    assert sound == sorted(sound)
    assert abs(sound[0]) < 0.5


@rtsp
@pytest.mark.parametrize("state", ["playing", "frozen", "connecting", "away", "refused", "dead"])
def test_stop_is_obeyed_within_a_second_in_every_state_and_by_a_silent_camera_in_its_time(
    server, clips, state
):
    server.start(f"/a={clips}/a.h264")
    url = {"refused": server.url("/b"), "dead": "rtsp://192.0.2.1/a"}.get(state, server.url())
    if state == "away":
        server.kill()
    if state == "connecting":
        server.signal(signal.SIGSTOP)
    leave_s = 5.0 if state == "frozen" else 1.0  # leaving the player asserts that this is enough
    with Player(url, retry=Retry(30, 30, 30, 30), stall_s=2.0, leave_s=leave_s) as player:
        if state == "connecting":
            time.sleep(0.3)
        elif state == "frozen":
            player.wait(3)
            server.signal(signal.SIGSTOP)
            player.wait_state("stalled")
        elif state != "dead":
            player.wait_state(state)
        else:
            time.sleep(0.3)


FAULTS = ("kill", "swap", "freeze", "freeze longer", "wrong path", "wrong password", "port closed")


def strike(server: Server, clips: Path, fault: str, chance: random.Random) -> None:
    """Do one thing to the server, and undo it."""
    clip = f"/a={clips}/{chance.choice('ab') if fault == 'swap' else 'a'}.h264"
    if fault.startswith("freeze"):
        server.signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.1, 0.3) if fault == "freeze" else 1.3)
        server.signal(signal.SIGCONT)
        return
    server.kill()
    if fault == "port closed":
        time.sleep(chance.uniform(0.2, 0.8))
    elif fault.startswith("wrong"):
        wrong = ("--user", "bob", "--password", "x") if fault == "wrong password" else ()
        server.start(clip if wrong else clip.replace("/a=", "/b="), *wrong)
        time.sleep(chance.uniform(0.2, 0.8))
        server.kill()
    server.start(clip)


@rtsp
@pytest.mark.slow
def test_random_faults_in_a_row_leave_nothing_behind(server, clips):
    chance, num_faults = random.Random(5), times(100, share=30)
    server.start(f"/a={clips}/a.h264")
    with Player(server.url(), stall_s=0.8) as player:
        player.wait(5)
        descriptors = len(os.listdir("/proc/self/fd"))
        for number in range(num_faults):
            strike(server, clips, chance.choice(FAULTS), chance)
            before = player.camera.status.decoded
            wait_for(lambda: player.camera.status.decoded > before + 5, 15.0)  # noqa: B023
            if number % 10 == 9:
                assert_goes_forward(player.seen)
                player.frames.clear()
        assert player.camera.status.reconnects > num_faults / 2
        assert abs(len(os.listdir("/proc/self/fd")) - descriptors) <= 2
        assert sum(thread.name == "camera-test" for thread in threading.enumerate()) == 1
