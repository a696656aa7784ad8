"""Headers may claim any size: what would take too much memory is refused with its figure before it is taken."""

import resource
import struct
from pathlib import Path

import pytest
from support.clips import run_ffmpeg

from vsr.cli.main import run
from vsr.errors import ConfigError, SourceError
from vsr.frames import PictureFormat
from vsr.limits import check_stream, stream_bytes
from vsr.options import JobOptions


def test_the_largest_that_cameras_make_is_allowed():
    for bit_depth, scale in ((8, 2), (10, 2), (10, 1)):
        source = PictureFormat(height=4320, width=7680, bit_depth=bit_depth)
        result = PictureFormat(height=4320 * scale, width=7680 * scale, bit_depth=bit_depth)
        check_stream("8k.mp4", source, result, JobOptions().max_memory)


def test_what_takes_too_much_is_refused_with_its_figure_and_the_flag():
    source, result = PictureFormat(height=9000, width=9000), PictureFormat(height=18000, width=18000)
    need = stream_bytes(source, result) / 1e9
    with pytest.raises(
        SourceError, match=rf"9000x9000 to 18000x18000 take {need:.1f} GB .* --max-memory (\d+)"
    ):
        check_stream("a.mkv", source, result, 8)
    check_stream("a.mkv", source, result, int(need) + 1)
    with pytest.raises(ConfigError, match="max-memory 0 is no number of gigabytes"):
        JobOptions(max_memory=0)


@pytest.mark.parametrize("name", ["many.gif", "flat.avi", pytest.param("flat.mkv", marks=pytest.mark.slow)])
def test_a_small_file_of_a_huge_size_costs_nothing(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
):
    clip, target = tmp_path / name, tmp_path / ("o.png" if name.endswith("gif") else "o.mkv")
    if name.endswith("gif"):
        head = b"GIF89a" + struct.pack("<HH", 16000, 13000) + b"\x80\0\0" + bytes(3) + b"\xff\xff\xff"
        clip.write_bytes(head + b"," + struct.pack("<4HB", 0, 0, 16000, 13000, 0) + b"\2\2\x44\1\0;")
    else:
        codec = "ffv1" if name.endswith("mkv") else "mjpeg"
        run_ffmpeg("-f", "lavfi", "-i", "color=gray:s=9000x9000:r=25:d=0.04", "-c:v", codec, clip)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    words = ["enhance", str(clip), "-o", str(target), "--model", "bicubic", "--scale", "3"]
    assert run(words) == 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1_000_000, f"{grown >> 10} MiB"
    assert "16000x13000" in (line := capfd.readouterr().err) or "GB of memory under way" in line
    assert not target.exists()
