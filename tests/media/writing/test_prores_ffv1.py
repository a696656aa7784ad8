"""Masters: ProRes and FFV1 as an archive or an editor expects them, in ten bits of what networks make of eight."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.frames import PictureFormat
from vsr.media.writing.encoders import choose_encoder
from vsr.options import EncodeOptions

TAPE = {"codec": "mpeg2video", "interlaced": "tff", "size": (64, 64), "num_frames": 8}


def ffmpeg_says(path: Path) -> str:
    """What another FFmpeg than the one in PyAV says of the video stream."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    return next(line for line in lines if "Video:" in line)


def planes(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as opened:
        return [frame.to_ndarray() for frame in opened.decode(video=0)]


@pytest.mark.parametrize(
    ("format", "fed", "profile"),
    [
        (PictureFormat(64, 96), "yuv422p10le", "3"),
        (PictureFormat(64, 96, 10, "yuv422"), "yuv422p10le", "3"),
        (PictureFormat(64, 96, 8, "yuv444"), "yuv444p10le", "4"),
        (PictureFormat(64, 96, 8, "rgb"), "yuv444p10le", "4"),
        (PictureFormat(64, 96, 10, "yuv444", alpha=True), "yuva444p10le", "4"),
    ],
)
def test_prores_has_the_profile_of_its_chroma(format, fed, profile):
    choice = choose_encoder(EncodeOptions(encoder="prores"), format, "mov")
    assert choice.pixel_format == fed
    assert dict(choice.arguments)["profile:v"] == profile


def test_prores_names_the_containers_that_hold_it():
    with pytest.raises(ConfigError, match="use mov or mkv"):
        choose_encoder(EncodeOptions(encoder="prores"), PictureFormat(64, 96), "mp4")


@pytest.mark.parametrize("container", ["mov", "mkv"])
def test_a_prores_master_is_422_hq_in_ten_bits_and_progressive(make_clip, tmp_path, container):
    clip = make_clip(
        "tape.mp4", matrix="bt470bg", sample_aspect=Fraction(16, 15), **TAPE | {"codec": "libx264"}
    )
    out = tmp_path / f"out.{container}"
    assert (
        run(["enhance", str(clip), "-o", str(out), "--model", "nano", "--encoder", "prores", "--quiet"]) == 0
    )
    said = ffmpeg_says(out)
    assert "prores (HQ)" in said
    assert "yuv422p10le(tv, bt470bg" in said
    assert "progressive" in said
    assert "SAR 16:15" in said


def test_an_ffv1_master_is_progressive_and_every_picture_stands_alone(make_clip, tmp_path):
    clip, out = make_clip("tape.mpg", **TAPE), tmp_path / "out.mkv"
    flags = ["--encoder", "ffv1", "--bit-depth", "10", "--chroma", "422", "--quiet"]
    assert run(["enhance", str(clip), "-o", str(out), "--model", "nano", *flags]) == 0
    assert "yuv422p10le(tv" in ffmpeg_says(out)
    assert "progressive" in ffmpeg_says(out)
    with av.open(str(out)) as opened:
        assert all(packet.is_keyframe for packet in opened.demux(video=0) if packet.size)


def test_ten_bits_keep_what_eight_would_round_away(make_clip, tmp_path):
    clip, outs = (
        make_clip("in.mkv", codec="ffv1", num_frames=3),
        [tmp_path / f"{depth}.mkv" for depth in (8, 10)],
    )
    for out in outs:
        flags = [
            "--encoder",
            "ffv1",
            "--bit-depth",
            out.stem,
            "--model",
            "nano",
            "--precision",
            "fp32",
            "--quiet",
        ]
        assert run(["enhance", str(clip), "-o", str(out), *flags]) == 0
    for eight, ten in zip(*map(planes, outs), strict=True):
        assert (
            np.abs(ten.astype(int) - 4 * eight.astype(int)).max() <= 3
        )  # the same picture; white is 255 and 1023
        assert (ten % 4 != 0).mean() > 0.1  # in finer steps


def test_a_master_in_segments_has_the_depth_asked_for(make_clip, tmp_path):
    clip, outs = make_clip("in.mkv", num_frames=12), [tmp_path / "whole.mkv", tmp_path / "segments.mkv"]
    for out, segment in zip(outs, ("off", "0.2"), strict=True):
        flags = [
            "--encoder",
            "ffv1",
            "--bit-depth",
            "10",
            "--model",
            "nano",
            "--threads",
            "1",
            "--segment",
            segment,
        ]
        assert run(["enhance", str(clip), "-o", str(out), *flags, "--quiet"]) == 0
    assert all(np.array_equal(a, b) for a, b in zip(*map(planes, outs), strict=True))
