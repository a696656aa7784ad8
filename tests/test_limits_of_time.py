"""What hangs is noticed and ended: FFmpeg, a worker, a command that hears no Ctrl-C; and nothing is left behind."""

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from support.archives import FLAGS, wait_until
from support.clips import ClipOptions, write_clip
from support.processes import forks, lives

from vsr.archive import supervisor
from vsr.archive.state import read_entries
from vsr.cli.main import run
from vsr.cli.signals import within
from vsr.errors import SinkError
from vsr.frames import Frame, PictureFormat
from vsr.jobs.workers.worker_process import WorkerProcess, become_worker
from vsr.media import ffmpeg, is_image, probe, probe_image
from vsr.media.writing.encode import VideoEncoder
from vsr.media.writing.encoders import choose_encoder
from vsr.offspring import end_within
from vsr.options import EncodeOptions
from vsr.pulse import Pulse, at_work, beat

FORMAT = PictureFormat(height=720, width=1280)


def never_ends() -> None:
    """Hang in a library: the main thread does not come back to Python, and hears no signal."""
    endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"
    sqlite3.connect(":memory:").execute(endless)


def encoder(path: Path) -> VideoEncoder:
    choice = choose_encoder(EncodeOptions(preset="ultrafast"), FORMAT, "mkv", None)
    return VideoEncoder(path, choices=[choice], format=FORMAT, time_base=Fraction(1, 25))


def frame(pts: int) -> Frame:
    planes = tuple(np.zeros(FORMAT.plane_size(i), np.uint8) for i in range(3))
    return Frame(planes=planes, format=FORMAT, pts=pts, time_base=Fraction(1, 25), duration=1)


def feed(encoder: VideoEncoder, num: int) -> None:
    for pts in range(1, 1 + num):
        encoder.write(frame(pts))
    encoder.finish()


@pytest.mark.parametrize("when", ["while it is fed", "while it flushes"])
def test_a_stopped_ffmpeg_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str):
    monkeypatch.setattr(ffmpeg, "FROZEN_S", 1.0)
    monkeypatch.setattr(ffmpeg, "_LOOK_EVERY_S", 0.1)
    feeding = encoder(tmp_path / "a.nut")
    feeding.write(frame(0))
    os.kill(feeding.pid, signal.SIGSTOP)
    num = 100 if when == "while it is fed" else 0
    with pytest.raises(SinkError, match="FFmpeg has done nothing for 1 s and was ended"):
        feed(feeding, num)
    assert not lives(feeding.pid)


def test_an_ffmpeg_that_waits_for_us_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ffmpeg, "FROZEN_S", 0.3)
    monkeypatch.setattr(ffmpeg, "_LOOK_EVERY_S", 0.05)
    feeding = encoder(tmp_path / "a.nut")
    feeding.write(frame(0))
    time.sleep(1)
    feeding.write(frame(1))
    assert len(feeding.finish().pts) == 2


def test_life_is_a_beat_or_a_piece_of_work():
    pulse = Pulse()
    assert pulse.silent_s() < 0.04
    time.sleep(0.05)
    assert pulse.silent_s() > 0.04
    beat()
    assert pulse.silent_s() < 0.04
    with at_work():
        time.sleep(0.05)
        assert pulse.silent_s() < 0.04


def hang(ready: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end_within(0.5, signal.SIGTERM, signal.SIGINT, code=130)
    child = ffmpeg.Child(["sleep", "1000"])
    ready.send(child.pid)
    never_ends()


def hang_as_worker(pipe: Connection) -> None:
    become_worker(SystemExit(7))
    pipe.send(ffmpeg.Child(["sleep", "1000"]).pid)
    never_ends()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_hangs_ends_with_its_children_when_told_to(number: int):
    ours, theirs = forks.Pipe()
    process = forks.Process(target=hang, args=(theirs,))
    process.start()
    child = ours.recv()
    time.sleep(0.3)  # until it hangs
    assert process.pid
    os.kill(process.pid, number)
    process.join(10)
    assert process.exitcode == 130
    wait_until(lambda: not lives(child))


def test_a_worker_that_hangs_ends_with_its_children_when_told_to():
    worker = WorkerProcess(hang_as_worker, name="test")
    worker.start()
    child = worker.pipe.recv()
    time.sleep(0.3)
    worker.terminate()
    began = time.monotonic()
    worker.join(10)
    assert time.monotonic() - began < 5
    wait_until(lambda: not lives(child))


def limited(log: Path) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
    with within(0.5, "a.mkv was not seen through in 0.5 s"):
        never_ends()


def test_a_limit_of_time_says_so_and_ends(tmp_path: Path):
    process = forks.Process(target=limited, args=(tmp_path / "log",))
    process.start()
    process.join(20)
    assert process.exitcode == 1
    assert (tmp_path / "log").read_text() == "error: a.mkv was not seen through in 0.5 s\n"


@pytest.mark.slow
def test_a_file_at_which_nothing_gets_on_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervisor, "STUCK_S", 2.0)
    tapes, out = tmp_path / "tapes", tmp_path / "out"
    tapes.mkdir()
    write_clip(tapes / "a.mp4", ClipOptions(num_frames=4000, size=(96, 128)))
    write_clip(tapes / "b.mp4", ClipOptions(num_frames=4, size=(32, 48)))
    stopped: list[int] = []

    def stop() -> None:
        wait_until(lambda: any(path.stat().st_size > 1000 for path in out.glob(".a.mp4.vsr/*")))
        (worker,) = (each for each in multiprocessing.active_children() if each.name == "vsr-archive")
        assert worker.pid
        stopped.append(worker.pid)
        os.kill(worker.pid, signal.SIGSTOP)

    stopper = threading.Thread(target=stop)
    stopper.start()
    assert run(["batch", str(tapes), "-o", str(out), *FLAGS, "--parallel", "1", "--segment", "off"]) == 1
    stopper.join()
    states = {key: (entry.status, entry.error) for key, entry in read_entries(out).items()}
    assert states["b.mp4"] == ("done", "")
    assert states["a.mp4"][0] == "failed"
    assert "got on with nothing for 2 s" in states["a.mp4"][1]
    assert not lives(stopped[0])


@pytest.mark.parametrize("ask", [probe, probe_image, is_image])
def test_a_pipe_is_named_before_it_is_opened(tmp_path: Path, ask: Callable[[Path], object]):
    os.mkfifo(tmp_path / "a.png")
    try:
        assert ask(tmp_path / "a.png") is False
    except Exception as error:
        assert "it is a pipe or device" in str(error)  # noqa: PT017
