"""`vsr live … -o -`: one camera's enhanced pictures and sound into a pipe, as go2rtc's `exec:` reads them."""

import itertools
import os
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path

import av
import pytest
from support.clips import read_number
from support.live_player import wait_for
from support.processes import family, forks, wait_for_the_end_of

from vsr.cli.main import main
from vsr.errors import ConfigError
from vsr.live.monitoring import log as monitoring_log
from vsr.live.options import CameraOptions, LiveOptions, OutputOptions
from vsr.live.outputs import live_output

CELL = 188
"""Bytes of a transport stream's packet."""


def into_a_pipe(words: list[str], out: Path, log: Path) -> None:
    os.setsid()
    live_output._PROMISED_S = monitoring_log.DROPS_EVERY_S = 3.0
    for path, flags, number in ((out, os.O_WRONLY, 1), (log, os.O_WRONLY | os.O_CREAT, 2)):
        os.dup2(os.open(path, flags), number)
    main(words)


class PipedLive:
    """`vsr live CLIP -o - | reader`. Leaving it kills what is left."""

    def __init__(self, folder: Path, clip: Path):
        out, self.log = folder / "out", folder / "log"
        os.mkfifo(out)
        words = ["live", str(clip), "-o", "-", "--model", "nano", "--device", "cpu"]
        self.process = forks.Process(target=into_a_pipe, args=(words, out, self.log))
        self.process.start()
        self.pipe = out.open("rb")

    def read(self, size: int) -> bytes:
        """Read so many bytes; what comes after them is read by nobody."""
        data = b""
        while len(data) < size and (more := self.pipe.read1(size - len(data))):
            data += more
        assert len(data) == size, self.log.read_text()
        return data

    def end(self, number: int) -> int:
        """Send a signal and read what still comes; return the exit code."""
        os.kill(self.process.pid, number)
        reader = threading.Thread(target=self.pipe.read)
        reader.start()
        self.process.join(60)
        reader.join(60)
        return self.process.exitcode

    def __enter__(self) -> "PipedLive":
        return self

    def __exit__(self, *_: object) -> None:
        self.pipe.close()
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


@pytest.fixture
def clip(make_clip) -> Path:
    return make_clip("clip.mp4", num_frames=50, size=(96, 128), audio=True)


def test_a_transport_stream_with_sound_comes_until_nobody_reads_any_more(clip, tmp_path):
    with PipedLive(tmp_path, clip) as live:
        data = live.read(400 * CELL)
        children = family(live.process.pid)
        assert children
        live.pipe.close()
        live.process.join(60)
        assert live.process.exitcode == 1
        wait_for_the_end_of(children)
    assert set(data[::CELL]) == {0x47}
    (tmp_path / "got.ts").write_bytes(data)
    with av.open(str(tmp_path / "got.ts")) as got:
        assert [stream.type for stream in got.streams] == ["video", "audio"]
        pictures = [read_number(frame.to_ndarray()[: frame.height]) for frame in got.decode(video=0)]
        assert got.streams.video[0].height == 192
    # A busy machine leaves some out.
    assert len(set(pictures)) > 3
    assert set(pictures) <= set(range(50))
    said = live.log.read_text()
    assert "stdout -" in said
    assert said.count("who reads standard output has gone") == 1
    assert "roken" not in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_it_is_ended_by_a_signal_and_nothing_is_left(clip, tmp_path, number, code):
    with PipedLive(tmp_path, clip) as live:
        live.read(100 * CELL)
        children = family(live.process.pid)
        assert children
        assert live.end(number) == code
        wait_for_the_end_of(children)


@pytest.mark.slow
def test_a_reader_that_pauses_is_said_to_and_gets_whole_groups_of_pictures_when_it_goes_on(clip, tmp_path):
    with PipedLive(tmp_path, clip) as live:
        live.read(100 * CELL)
        wait_for(lambda: "stdout -: paused, whoever reads takes nothing" in live.log.read_text())
        wait_for(lambda: re.search(r"stdout -: too slow, \d+ dropped in", live.log.read_text()))
        children = family(live.process.pid)
        data = b""
        while "stdout -: running" not in live.log.read_text().partition("paused")[2]:
            data += live.read(CELL)
        data += live.read(400 * CELL)
        assert family(live.process.pid) == children  # nothing was started again
        assert live.end(signal.SIGTERM) == 0
    (tmp_path / "got.ts").write_bytes(data)
    with av.open(str(tmp_path / "got.ts")) as got:
        times = [packet.pts * packet.time_base for packet in got.demux(video=0) if packet.pts is not None]
    steps = [float(after - before) for before, after in itertools.pairwise(times)]
    assert min(steps) > 0
    assert max(steps) > 3  # what it missed
    assert "restarted" not in live.log.read_text()


def test_standard_output_is_of_one_camera_and_named_by_a_dash():
    with pytest.raises(ConfigError, match="must be -"):
        OutputOptions("stdout", "out.ts")
    into = (OutputOptions("stdout", "-"),)
    cameras = tuple(CameraOptions(name, "rtsp://192.0.2.1/a", outputs=into) for name in ("one", "two"))
    with pytest.raises(ConfigError, match="the same target"):
        LiveOptions(cameras)


def test_a_reader_that_has_gone_is_noticed_and_a_file_is_none(tmp_path, capfd):
    from vsr.media.standard_streams import standard_output_is_read

    read_end, write_end = os.pipe()
    before = os.dup(1)
    try:
        os.dup2(write_end, 1)
        read = [standard_output_is_read()]
        os.close(read_end)
        read.append(standard_output_is_read())
        with (tmp_path / "out.ts").open("wb") as file:
            os.dup2(file.fileno(), 1)
            read.append(standard_output_is_read())
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(write_end)
    assert read == [True, False, True]
