"""The command in a pipeline: pictures through standard input and output, lines through standard error alone."""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import ClipOptions, read_video, run_ffmpeg, write_clip
from support.processes import forks

from vsr.cli.main import main, run

AS_IT_IS = ["--scale", "1", "--source", "clean"]
"""No network: what comes out is what went in."""


def in_a_pipeline(words: list[str], into: Path, out: Path, log: Path) -> None:
    for path, flags, number in (
        (into, os.O_RDONLY, 0),
        (out, os.O_WRONLY | os.O_CREAT, 1),
        (log, os.O_WRONLY | os.O_CREAT, 2),
    ):
        os.dup2(os.open(path, flags), number)
    main(words)


class Pipeline:
    """`sender | vsr enhance - WORDS | reader`, which have ended."""

    def __init__(self, folder: Path, sent: bytes, *words: str | Path, takes: int = -1):
        """`takes`: how many bytes the reader takes before it goes away."""
        into, out, log = folder / "into", folder / "out", folder / "log"
        for pipe in (into, out):
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe)
        log.unlink(missing_ok=True)
        everything = ["enhance", "-", *map(str, words), *AS_IT_IS]
        process = forks.Process(target=in_a_pipeline, args=(everything, into, out, log))
        process.start()
        sender = threading.Thread(target=self._send, args=(into, sent))
        sender.start()
        with out.open("rb") as reader:
            self.made = reader.read(takes)
        process.join()
        sender.join()
        self.code, self.said = process.exitcode, log.read_text()

    def _send(self, into: Path, sent: bytes) -> None:
        with suppress(BrokenPipeError):
            into.write_bytes(sent)


def sent_as(clip: Path, *muxer: str) -> bytes:
    """What FFmpeg sends of a clip."""
    target = clip.with_suffix(".sent")
    run_ffmpeg("-i", clip, "-fps_mode", "passthrough", *muxer, target)
    return target.read_bytes()


def frames_of(data: bytes, folder: Path) -> tuple[Sequence[Fraction], list[np.ndarray]]:
    (folder / "received").write_bytes(data)
    times, frames = read_video(folder / "received")
    return times, [frame.to_ndarray() for frame in frames]


@pytest.fixture
def clip(tmp_path) -> Path:
    """Frames of uneven times, with sound."""
    options = ClipOptions(
        pts=[2, 3, 4, 9, 10, 11], time_base=Fraction(1, 25), size=(48, 64), codec="ffv1", audio=True
    )
    return write_clip(tmp_path / "in.mkv", options)


def test_raw_pictures_go_through_with_their_times(clip, tmp_path):
    done = Pipeline(tmp_path, sent_as(clip, "-an", "-c:v", "rawvideo", "-f", "nut"), "-o", "-")
    assert done.code == 0
    assert "-: 6 frames" in done.said
    times, frames = frames_of(done.made, tmp_path)
    assert [time * 25 for time in times] == [0, 1, 2, 7, 8, 9]
    for made, expected in zip(frames, read_video(clip)[1], strict=True):
        assert np.array_equal(made, expected.to_ndarray())


def test_y4m_in_ten_bits_goes_through_and_says_what_it_cannot_hold(clip, tmp_path):
    ten = sent_as(clip, "-c:v", "rawvideo", "-pix_fmt", "yuv422p10le", "-strict", "-1", "-f", "yuv4mpegpipe")
    done = Pipeline(tmp_path, ten, "-o", "-", "--container", "y4m")
    assert done.code == 0
    assert frames_of(done.made, tmp_path)[1][3].tobytes() == frames_of(ten, tmp_path)[1][3].tobytes()
    done = Pipeline(tmp_path, sent_as(clip, "-c", "copy", "-f", "matroska"), "-o", "-", "--container", "y4m")
    assert done.code == 0
    assert "left out: times: frames are shown for longer and shorter" in done.said
    assert "left out: audio 1" in done.said
    cut = Pipeline(tmp_path, ten[:-1000], "-o", "-", "--container", "y4m")
    assert cut.code == 0
    assert "5 frames" in cut.said
    assert "has ended in the middle of a picture" in cut.said


@pytest.mark.parametrize("container", ["ts", "mkv"])
def test_what_is_encoded_is_sent_while_it_is_made(clip, tmp_path, container):
    sent = sent_as(clip, "-c:v", "libx264", "-crf", "1", "-an", "-f", "mpegts")
    done = Pipeline(tmp_path, sent, "-o", "-", "--container", container, "--preset", "ultrafast")
    assert done.code == 0, done.said
    (tmp_path / "received").write_bytes(done.made)
    with av.open(str(tmp_path / "received")) as opened:
        assert opened.format.name == {"ts": "mpegts", "mkv": "matroska,webm"}[container]
        assert len(list(opened.decode(video=0))) == 6


def test_a_pipe_becomes_a_file(clip, tmp_path):
    out = tmp_path / "out.mkv"
    done = Pipeline(tmp_path, sent_as(clip, "-c", "copy", "-f", "matroska"), "-o", out, "--encoder", "ffv1")
    assert done.code == 0, done.said
    assert done.made == b""
    assert "left out: audio 1" in done.said
    times, frames = read_video(out)
    assert [round(time * 25) for time in times] == [2, 3, 4, 9, 10, 11]
    assert np.array_equal(frames[-1].to_ndarray(), read_video(clip)[1][-1].to_ndarray())


def test_who_goes_away_early_ends_the_run_with_a_line(clip, tmp_path):
    sent = sent_as(clip, "-an", "-c:v", "rawvideo", "-vf", "scale=640:480", "-f", "nut")
    for words in ([], ["--container", "mkv", "--encoder", "ffv1"]):
        done = Pipeline(tmp_path, sent, "-o", "-", *words, takes=1000)
        assert done.code == 1
        assert "who reads standard output has gone after" in done.said
        assert "Traceback" not in done.said


def test_a_pipe_without_a_video_is_said_in_a_line(tmp_path):
    for sent, line in ((b"", "standard input is empty"), (b"no video" * 99, "can be read from a pipe")):
        done = Pipeline(tmp_path, sent, "-o", "-")
        assert done.code == 1
        assert line in done.said
        assert done.said.count("\n") == 1


def test_what_a_pipe_cannot_be_asked_is_said(clip, capfd):
    for words, line in (
        (["-"], "-o"),
        ([str(clip), "-o", "-", "--container", "mp4"], "nut, y4m, ts, mkv are"),
        ([str(clip), "-o", "-", "--container", "y4m", "--encoder", "x264"], "raw pictures alone"),
        ([str(clip), "-o", "-", "--also", "_view.mp4"], "exclude each other"),
        ([str(clip), "--container", "ts"], "is for a pipe"),
    ):
        assert run(["enhance", *words, *AS_IT_IS]) == 2
        assert line in capfd.readouterr().err
