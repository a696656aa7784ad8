"""Encoding through the child: exact pixels, exact times, and every way in which it can fail."""

import os
import threading
import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from support.encoding import TICK, noise

from vsr.errors import SinkError
from vsr.frames import Frame, PictureFormat
from vsr.media.pixels import PlanarConverter, read_planes
from vsr.media.writing.encode import VideoEncoder
from vsr.media.writing.encoders import choose_encoder
from vsr.options import EncodeOptions


def start(path, format, *, encoder="ffv1", time_base=TICK, preset=""):
    choice = choose_encoder(EncodeOptions(encoder=encoder, preset=preset), format, "mkv")
    return VideoEncoder(path, choices=[choice], format=format, time_base=time_base)


def write_all(encoder, frames):
    for frame in frames:
        encoder.write(frame)
    return encoder.finish()


FORMATS = [
    PictureFormat(33, 35), PictureFormat(32, 34, 10, "yuv422"), PictureFormat(32, 34, 8, "yuv444"),
    PictureFormat(32, 34, 12, "yuv444"), PictureFormat(33, 35, 8, "gray"), PictureFormat(32, 34, 10, "gray"),
    PictureFormat(33, 35, 8, "rgb"), PictureFormat(32, 34, 10, "rgb"), PictureFormat(32, 34, range="full"),
    PictureFormat(32, 34, 8, "rgb", alpha=True), PictureFormat(32, 34, alpha=True),
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.layout}-{f.bit_depth}-{f.range}-{f.alpha}")
def test_ffv1_is_lossless_to_the_bit(tmp_path, format):
    frames = list(noise(format, [-7, 0, 5000]))
    encoder = start(tmp_path / "a.nut", format)
    for frame in frames:
        encoder.write(frame)
    encoder.finish()
    converter = PlanarConverter(format)
    with av.open(str(tmp_path / "a.nut")) as opened:
        for picture, frame in zip(opened.decode(video=0), frames, strict=True):
            for plane, wanted in zip(
                read_planes(converter.convert(picture), format), frame.planes, strict=True
            ):
                assert np.array_equal(plane, wanted)


@pytest.mark.parametrize("time_base", [TICK, Fraction(1001, 24000), Fraction(1, 1000)])
@pytest.mark.parametrize("encoder", ["x264", "vp9"])
def test_times_are_kept_to_the_tick(tmp_path, time_base, encoder):
    pts = [-500, -100, 0, 33, 70, 71, 150, 1000, 400_000]
    format = PictureFormat(32, 64)
    child = start(tmp_path / "a.nut", format, encoder=encoder, time_base=time_base)
    for frame in noise(format, pts, time_base=time_base):
        child.write(frame)
    encoded = child.finish()
    assert list(encoded.pts) == pts
    assert list(encoded.durations)[:3] == [400, 100, 33]
    with av.open(str(tmp_path / "a.nut")) as opened:
        stream = opened.streams.video[0]
        found = sorted(p.pts * Fraction(stream.time_base) for p in opened.demux(stream) if p.size)
    assert [time_ - found[0] for time_ in found] == [(p - pts[0]) * time_base for p in pts]


@pytest.mark.parametrize(
    ("encoder", "depth", "range"),
    [
        ("vp9", 8, "limited"),
        ("vp9", 8, "full"),
        ("vp9", 10, "limited"),
        ("vp9", 10, "full"),
        ("prores", 8, "limited"),
    ],
)
def test_grey_keeps_its_black_and_white_where_an_encoder_wants_colour(tmp_path, encoder, depth, range):
    black, white = (0, 255) if range == "full" else (16, 235)
    pixels = np.full((48, 64), black << depth - 8, np.uint8 if depth == 8 else np.uint16)
    pixels[:, 32:] = (1 << depth) - 1 if range == "full" else white << depth - 8
    format = PictureFormat(48, 64, depth, "gray", range=range)
    write_all(start(tmp_path / "a.nut", format, encoder=encoder), [Frame((pixels,), format, time_base=TICK)])
    with av.open(str(tmp_path / "a.nut")) as opened:
        found = next(opened.decode(video=0)).reformat(format="gray16le", src_color_range=2, dst_color_range=2)
    luma = found.to_ndarray() / 65535 * 255
    assert abs(luma[24, 8] - black) < 2
    assert abs(luma[24, 56] - white) < 2


def test_a_killed_encoder_is_a_sink_error_in_time(tmp_path):
    format = PictureFormat(64, 96)
    encoder = start(tmp_path / "a.nut", format)
    began = time.monotonic()

    def feed():
        for n, frame in enumerate(noise(format, range(100_000))):
            if n == 20:
                os.kill(encoder.pid, 9)
            encoder.write(frame)

    with pytest.raises(SinkError, match="killed by signal 9") as caught:
        feed()
    assert caught.value.exit_code == -9
    assert time.monotonic() - began < 5
    encoder.abort()
    assert not [thread for thread in threading.enumerate() if thread.name == "ffmpeg-log"]


def test_an_encoder_that_refuses_its_arguments_says_why(tmp_path):
    format = PictureFormat(64, 96)
    good = choose_encoder(EncodeOptions(encoder="x264"), format, "mkv")
    bad = tuple((name, "no-such-preset" if name == "preset" else value) for name, value in good.arguments)
    encoder = VideoEncoder(
        tmp_path / "a.nut", choices=[replace(good, arguments=bad)], format=format, time_base=TICK
    )
    with pytest.raises(SinkError, match=r"exit code \d+ .*no-such-preset") as caught:
        write_all(encoder, noise(format, range(10_000)))
    assert "no-such-preset" in caught.value.log
    encoder.abort()


def test_a_full_disk_is_named(tmp_path):
    full = tmp_path.__class__("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    format = PictureFormat(64, 96)
    encoder = start(full, format)
    with pytest.raises(SinkError, match="disk is full"):
        write_all(encoder, noise(format, range(20)))
    encoder.abort()


def test_abort_does_not_wait_for_a_stopped_child(tmp_path):
    import signal

    format = PictureFormat(64, 96)
    encoder = start(tmp_path / "a.nut", format)
    encoder.write(next(noise(format, [0])))
    os.kill(encoder.pid, signal.SIGSTOP)
    encoder.abort()
    with pytest.raises(ProcessLookupError):
        os.kill(encoder.pid, 0)


def test_the_terminals_interrupt_does_not_reach_the_child(tmp_path):
    encoder = start(tmp_path / "a.nut", PictureFormat(64, 96))
    assert os.getpgid(encoder.pid) != os.getpgid(0)
    encoder.abort()


def test_no_frames_is_an_error_and_leaves_no_child(tmp_path):
    encoder = start(tmp_path / "a.nut", PictureFormat(64, 96))
    with pytest.raises(SinkError, match="no frame"):
        encoder.finish()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Frame((), PictureFormat(64, 98), 9, TICK), "width 98 instead of 96"),
        (Frame((), PictureFormat(64, 96, 10), 9, TICK), "bit_depth 10 instead of 8"),
        (Frame((), PictureFormat(64, 96), 1, TICK), "does not come after"),
        (Frame((), PictureFormat(64, 96), 1, Fraction(1, 7)), "no exact time"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(tmp_path, frame, message):
    format = PictureFormat(64, 96)
    encoder = start(tmp_path / "a.nut", format)
    encoder.write(next(noise(format, [5])))
    with pytest.raises(SinkError, match=message):
        encoder.write(frame)
    encoder.abort()


def test_missing_ffmpeg_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("VSR_FFMPEG", str(tmp_path / "nothing"))
    with pytest.raises(SinkError, match="VSR_FFMPEG"):
        start(tmp_path / "a.nut", PictureFormat(64, 96))
