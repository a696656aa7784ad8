"""FFmpeg's command lines, word for word, and that they are ours: no module called `ffmpeg` has a say in them."""

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from vsr.bench import clip
from vsr.frames import PictureFormat
from vsr.live.outputs import encoder as live
from vsr.media import EncoderChoice, vmaf
from vsr.media.ffmpeg import PROTOCOLS, command_line
from vsr.media.writing import encode

QUIET = "-hide_banner -nostdin -y -loglevel error"
FORMAT = PictureFormat(height=36, width=64)
X264 = EncoderChoice(
    "libx264",
    "h264",
    "yuv420p",
    FORMAT,
    (("c:v", "libx264"), ("pix_fmt", "yuv420p"), ("crf", "18.5")),
    ("setparams=range=tv", "setfield=prog"),
    "",
)


def as_text(line: list[str]) -> str:
    return " ".join(line[1:])  # without the program


def test_options_are_named_before_the_file_that_they_are_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VSR_FFMPEG", "false")
    line = command_line(("in", {"ss": 1, "f": "nut"}), ("out", {"c": "copy", "an": None, "f": "null"}))
    assert line[1:] == f"-f nut -ss 1 -i in -f null -an -c copy out {QUIET}".split()
    assert line[0].endswith("/false")


def test_an_encode_takes_the_pictures_once_for_each_stream():
    line = encode._command(Path("/a:b/x.nut"), [X264, X264], Fraction(1001, 30000), None)
    streams = [f"{name}:v:{index}" for name in ("-c", "-crf", "-filter", "-pix_fmt") for index in (0, 1)]
    values = ["libx264", "18.5", "setparams=range=tv,setfield=prog", "yuv420p"]
    said = {name: values[index // 2] for index, name in enumerate(streams)}
    said |= {"-enc_time_base": "1001/30000", "-fps_mode": "passthrough", "-max_interleave_delta": "0"}
    options = " ".join(f"{name} {said[name]}" for name in sorted(said))
    maps = "-map 0:v -map 0:v"
    assert as_text(line) == f"-f nut -i pipe:0 {maps} -f nut {options} file:/a:b/x.nut {QUIET} -copyts"
    piped = as_text(encode._command(Path("x"), [X264], Fraction(1, 25), "matroska"))
    assert piped.startswith("-f nut -i pipe:0 -map 0:v -f matroska -c:v:0 libx264 ")
    assert piped.endswith(f" pipe:1 {QUIET} -copyts")


def test_a_live_encode_waits_for_nothing():
    assert as_text(live._command(X264)) == (
        "-f nut -analyzeduration 0 -probesize 32 -i pipe:0 -f nut -an -c:v libx264 -crf 18.5 -dn "
        "-enc_time_base 1/90000 -flush_packets 1 -fps_mode passthrough -pix_fmt yuv420p -sn "
        f"-vf setparams=range=tv,setfield=prog pipe:1 {QUIET} -copyts"
    )


def test_a_clip_for_benchmarks_is_cut_or_scaled(make_clip: Callable[..., Path]):
    sample_clip = make_clip()
    source = f"-protocol_whitelist {PROTOCOLS} -stream_loop -1 -i file:{sample_clip}"
    cut = clip._command(sample_clip, None, Path("/x.mkv"), 5)
    assert as_text(cut) == f"{source} -map 0:0 -c copy -frames:v 5 file:/x.mkv {QUIET}"
    scaled = clip._command(sample_clip, (48, 64), Path("/x.mp4"), 5)
    coding = "-c:v libx264 -crf 23 -frames:v 5 -pix_fmt yuv420p -preset veryfast"
    graph = "-filter_complex [0:0]scale=64:48[s0];[s0]setsar=1[s1] -map [s1]"
    assert as_text(scaled) == f"{source} {graph} {coding} file:/x.mp4 {QUIET}"


def test_vmaf_is_measured_of_halves():
    line = vmaf._measuring(("pipe:0", {"f": "rawvideo", "r": 25}), "[0:v]split=2[measured]", "it")
    told = "-hide_banner -nostats"
    assert " ".join(line) == (
        f"it -f rawvideo -r 25 -i pipe:0 -filter_complex [0:v]split=2[measured] -map [measured] -f null - {told}"
    )


def test_a_package_that_takes_the_name_ffmpeg_breaks_nothing(tmp_path: Path):
    (tmp_path / "ffmpeg.py").write_text("raise ImportError('somebody else is called so')")
    script = """if True:
        from fractions import Fraction
        from pathlib import Path
        import numpy as np
        from vsr.frames import Frame, PictureFormat
        from vsr.media import VideoEncoder, choose_encoder
        from vsr.options import EncodeOptions
        format = PictureFormat(height=36, width=64)
        choice = choose_encoder(EncodeOptions(encoder="x264"), format, "mkv")
        out = VideoEncoder(Path("x.nut"), choices=[choice], format=format, time_base=Fraction(1, 25))
        planes = tuple(np.zeros(format.plane_size(i), np.uint8) for i in range(3))
        out.write(Frame(planes=planes, format=format, pts=0, time_base=Fraction(1, 25), duration=1))
        print(len(out.finish().pts))
    """
    there = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, cwd=tmp_path, env=there, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
