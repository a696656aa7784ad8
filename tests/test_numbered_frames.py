"""Numbered pictures through the command, in and out: colours, depth, gaps, and whose files stay."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.clips import run_ffmpeg

from vsr.cli.main import run
from vsr.media.images.numbered import by_number, describe_gaps, is_numbered, numbered_files
from vsr.options import parse_rate

AS_IT_IS = ["--scale", "1", "--source", "clean"]
"""No network: what comes out is what went in."""


def picture(number: int, shape: tuple[int, ...] = (48, 64, 3), depth: type = np.uint16) -> np.ndarray:
    """A picture of noise, RGB: nothing of it can be guessed from another one, or from fewer bits."""
    top = np.iinfo(depth).max
    return np.random.default_rng(number).integers(0, top, shape, depth, endpoint=True)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def decoded(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """Time and RGB of every frame of a video, as deep as they are."""
    with av.open(str(path)) as container:
        frames = [(frame.pts * frame.time_base, frame) for frame in container.decode(video=0)]
        return [(time, frame.to_ndarray(format=_packed(frame))) for time, frame in frames]


def _packed(frame: av.VideoFrame) -> str:
    return "rgb48le" if frame.format.components[0].bits > 8 else "rgb24"


def enhance(*words: str | Path) -> int:
    return run(["enhance", *map(str, words)])


def test_a_name_with_one_number_means_pictures():
    assert is_numbered("in/%05d.png")
    assert is_numbered("a_%d.tif")
    for name in (
        "a.png",
        "in/%5.png",
        "%d_%d.png",
        "100%.png",
        "%d/a.png",
        "%s.png",
        "%d%.png",
        "a %03d.mkv",
    ):
        assert not is_numbered(name), name


def test_names_without_numbers_of_their_own_count_as_people_read_them():
    names = ["b10.png", "b2.png", "a.png"]
    assert [path.name for path in by_number(map(Path, names)).values()] == ["a.png", "b2.png", "b10.png"]
    assert list(by_number(map(Path, names))) == [1, 2, 3]
    assert list(by_number(map(Path, ["x7.png", "x0012.png", "x9.png"]))) == [7, 9, 12]
    assert describe_gaps([1, 2, 5, 7]) == "3 numbers are missing: 3 to 4, 6"
    assert describe_gaps([4, 5]) == ""


def test_rates_are_exact():
    told = {
        "24": Fraction(24),
        "23.976": Fraction(24000, 1001),
        "29.97": Fraction(30000, 1001),
        "12.5": Fraction(25, 2),
    }
    assert {text: parse_rate(text) for text in told} == told
    assert enhance("x%d.png", "--fps", "none") == 2


def test_sixteen_bits_of_rgb_arrive_untouched_at_times_of_their_numbers(tmp_path, capfd):
    numbers = [998, 999, 1000, 1003]
    for number in numbers:
        write(tmp_path / "in" / f"{number:04}.png", picture(number))
    write(tmp_path / "in" / "12.png", picture(0))  # not as %04d writes it
    out = tmp_path / "out.mkv"
    assert enhance(tmp_path / "in" / "%04d.png", "-o", out, "--encoder", "ffv1", *AS_IT_IS) == 0
    said = capfd.readouterr().err
    assert "2 numbers are missing: 1001 to 1002" in said
    assert "24 frames a second are assumed" in said
    frames = decoded(out)
    assert [round(time * 24) for time, _ in frames] == [number - 998 for number in numbers]
    for number, (_, pixels) in zip(numbers, frames, strict=True):
        assert np.array_equal(pixels, picture(number))


def test_a_list_as_the_shell_makes_it_of_a_pattern_is_one_video(tmp_path, capfd):
    names = [f"shot 7 {number}.tif" for number in range(11)]
    for number, name in enumerate(names):
        write(tmp_path / "in" / name, picture(number, depth=np.uint8))
    out = tmp_path / "out.mov"
    files = [tmp_path / "in" / name for name in sorted(names)]  # 10 comes before 2
    flags = ["--as-video", "--fps", "23.976", "--encoder", "ffv1", "--segment", "0.2", *AS_IT_IS]
    assert enhance(*files, "-o", out.with_suffix(".mkv"), *flags) == 0
    assert "missing" not in capfd.readouterr().err
    frames = decoded(out.with_suffix(".mkv"))
    assert len(frames) == 11
    for number, (time, pixels) in enumerate(frames):
        assert abs(time - number * Fraction(1001, 24000)) <= Fraction(1, 2000)
        assert np.array_equal(pixels, picture(number, depth=np.uint8))


def test_what_has_no_colour_or_less_depth_in_between_is_brought_to_the_others(tmp_path):
    shapes = [((48, 64), np.uint8), ((48, 64, 3), np.uint8), ((48, 64), np.uint16), ((48, 64, 3), np.uint16)]
    for number, (shape, depth) in enumerate(shapes):
        write(tmp_path / "in" / f"{number}.png", picture(number, shape, depth))
    out = tmp_path / "out.mkv"
    assert enhance(tmp_path / "in", "--as-video", "-o", out, "--encoder", "ffv1", *AS_IT_IS) == 0
    for number, (shape, depth) in enumerate(shapes):
        pixels = picture(number, shape, depth).astype(np.uint16) * (257 if depth == np.uint8 else 1)
        pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        assert np.array_equal(decoded(out)[number][1], pixels)


def test_pictures_that_only_ffmpeg_reads_are_frames_too(tmp_path):
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", "3", "-pix_fmt", "gbrp10be", tmp_path / "%03d.dpx"
    )  # fmt: skip
    out = tmp_path / "out.mkv"
    assert enhance(tmp_path / "%03d.dpx", "-o", out, "--encoder", "ffv1", *AS_IT_IS) == 0
    with av.open(str(out)) as made:
        frames = list(made.decode(video=0))
    for number, frame in enumerate(frames, 1):
        with av.open(str(tmp_path / f"{number:03}.dpx")) as original:
            expected = next(original.decode(video=0))
        assert frame.format.name == "gbrp10le"
        assert np.array_equal(frame.to_ndarray(), expected.to_ndarray(format="gbrp10le"))


@pytest.mark.parametrize("odd", [1, 60])
def test_a_picture_of_another_size_is_refused_by_name(tmp_path, capfd, odd):
    for number in range(1, 100):
        shape = (48, 66, 3) if number == odd else (48, 64, 3)
        write(tmp_path / "in" / f"{number}.png", picture(number, shape, np.uint8))
    out = tmp_path / "out.mkv"
    assert enhance(tmp_path / "in" / "%d.png", "-o", out, *AS_IT_IS) == 1
    said = capfd.readouterr().err
    assert "66x48" in said
    assert "of one " in said
    assert f"{60 if odd == 60 else 1}.png" in said
    assert not out.exists()


def test_what_is_no_sequence_is_said(tmp_path, capfd):
    for words, line in (
        ([tmp_path / "%d.png"], "means no picture"),
        ([tmp_path / "a.mp4", "--as-video"], "no picture by its ending"),
    ):
        (tmp_path / "a.mp4").touch()
        assert enhance(*words, "-o", tmp_path / "out.mkv") in (1, 2)
        assert line in capfd.readouterr().err
    assert numbered_files(tmp_path / "none" / "%d.png") == {}
