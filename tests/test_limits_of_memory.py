"""Headers may claim any size: what would take too much memory is refused with its figure before it is taken."""

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
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


def refusal(capfd: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line with which it is refused, before a gigabyte is taken."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run([*map(str, words)]) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    return line


def tall_tiff(path: Path, **tags: int) -> Path:
    """A TIFF of one small strip or tile that claims more in its tags."""
    tifffile.imwrite(path, np.zeros((16, 16, 3), np.uint8), photometric="rgb", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value)
    return path


def test_a_tiff_is_held_against_what_its_strips_and_tiles_unpack_to(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    wide = tall_tiff(tmp_path / "a.tif", TileWidth=65536, TileLength=65536)
    line = refusal(capfd, "enhance", wide, "-o", tmp_path / "o.png", "--model", "bicubic")
    assert "16x16, unpacked, take 12.9 GB" in line
    assert "--max-memory 13 allows" in line
    whole = tall_tiff(tmp_path / "b.tif", ImageWidth=14000, ImageLength=14000)
    line = refusal(
        capfd, "enhance", whole, "-o", tmp_path / "o.png", "--model", "bicubic", "--max-memory", "0.5"
    )
    assert "14000x14000, unpacked, take 0.6 GB" in line
    capfd.readouterr()
    # What the flag allows goes on to what the file really holds.
    assert run(["enhance", str(wide), "-o", str(tmp_path / "o.png"), "--max-memory", "13", "--dry-run"]) == 0


def test_frames_that_wait_for_an_encoder_together_are_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    clip = tmp_path / "a.gif"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=10:d=2", clip)
    words = ("enhance", clip, "--model", "bicubic", "--scale", "4", "--max-memory", "0.06")
    assert "20 frames of 320x240 to 1280x960 take 0.1 GB" in refusal(capfd, *words, "-o", tmp_path / "o.avif")
    assert run([*map(str, words), "-o", str(tmp_path / "o.webp"), "--dry-run"]) == 0


def test_tiles_as_asked_for_are_held_against_the_limit(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    clip = tmp_path / "a.png"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=1280x960:r=1:d=1", "-frames:v", "1", clip)
    words = ("enhance", clip, "-o", tmp_path / "o.png", "--model", "fast-x2", "--device", "cpu")
    words = (*words, "--max-memory", "0.3")
    line = refusal(capfd, *words, "--tile", "1200", "--batch", "4")
    assert "steps of fast-x2 on" in line
    assert "--tile auto or a smaller one needs less" in line
    assert run([*map(str, words), "--tile", "128", "--dry-run"]) == 0
