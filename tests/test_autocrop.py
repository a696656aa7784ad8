"""Black borders are found exactly and cut off; what may be picture stays."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from support.clips import plane_view, read_number, run_ffmpeg

from vsr.autocrop import Rectangle, crop, cropped_format, find_borders
from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.jobs.sample_frames import COUNT, spread_frames
from vsr.media.probe_video import probe
from vsr.options import ReadOptions

HEIGHT, WIDTH = 72, 96
FORMATS = [
    PictureFormat(HEIGHT, WIDTH),
    PictureFormat(HEIGHT, WIDTH, range="full"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=10, layout="yuv422"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=10, layout="yuv420", range="full"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=16, layout="gray", range="full"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=10, layout="rgb", range="full"),
]


def frame(luma: np.ndarray, format: PictureFormat = FORMATS[0], chroma: float = 0.0) -> Frame:
    """A frame of nominal luma, the same in R, G and B; `chroma` is that of both chroma planes."""
    peak, step = (1 << format.bit_depth) - 1, 1 << (format.bit_depth - 8)
    black, span = (0, peak) if format.range == "full" else (16 * step, 219 * step)
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    plane = np.clip((black + span * luma).round(), 0, peak).astype(dtype)
    others = [
        np.full(format.plane_size(i), round(peak * (0.5 + chroma)), dtype)
        for i in range(1, format.num_planes)
    ]
    return Frame((plane, *([plane, plane] if format.layout == "rgb" else others)), format)


def boxed(top: int, bottom: int, left: int, right: int, *, seed: int = 0, level: float = 0.5) -> np.ndarray:
    """A picture of grain around a level, with black borders of so many samples."""
    rng = np.random.default_rng(seed)
    luma = np.zeros((HEIGHT, WIDTH))
    inside = (slice(top, HEIGHT - bottom), slice(left, WIDTH - right))
    luma[inside] = level * (1 + 0.4 * rng.standard_normal(luma[inside].shape).clip(-2, 2))
    return luma


def found(pictures: Sequence[np.ndarray], format: PictureFormat = FORMATS[0]) -> Rectangle | None:
    return find_borders([frame(picture, format) for picture in pictures])


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.layout}-{f.bit_depth}-{f.range}")
@pytest.mark.parametrize("borders", [(10, 10, 0, 0), (0, 0, 12, 12), (8, 4, 6, 2), (0, 20, 0, 0)])
def test_borders_are_found_to_the_sample(format, borders):
    top, bottom, left, right = borders
    wanted = Rectangle(top, left, HEIGHT - top - bottom, WIDTH - left - right)
    assert found([boxed(*borders, seed=n) for n in range(4)], format) == wanted


def test_edges_lie_on_whole_chroma_samples_outside_of_the_picture():
    assert found([boxed(9, 9, 7, 7)] * 3) == Rectangle(8, 6, 72 - 16, 96 - 12)
    assert found([boxed(9, 9, 7, 7)] * 3, replace(FORMATS[2])) == Rectangle(9, 6, 72 - 18, 96 - 12)
    assert found([boxed(9, 9, 7, 7)] * 3, FORMATS[4]) == Rectangle(9, 7, 72 - 18, 96 - 14)


def test_a_picture_without_borders_is_left_alone():
    assert found([boxed(0, 0, 0, 0)] * 5) is None
    assert found([]) is None


def test_a_dark_opening_hides_no_picture():
    opening = [np.zeros((HEIGHT, WIDTH))] * 4
    spot = np.zeros((HEIGHT, WIDTH))
    spot[30:40, 40:50] = 0.6
    assert found([*opening, spot, *[boxed(10, 10, 0, 0, seed=n) for n in range(3)]]) == Rectangle(
        10, 0, 52, 96
    )
    assert found(opening) is None
    assert found([*opening, spot]) is None  # one lit frame is too little to go by


@pytest.mark.parametrize("where", range(5))
def test_one_frame_that_fills_the_border_keeps_it(where):
    pictures = [boxed(10, 10, 0, 0, seed=n) for n in range(5)]
    pictures[where] = boxed(4, 10, 0, 0)
    assert found(pictures) == Rectangle(4, 0, 58, 96)


def test_a_single_star_in_a_black_sky_is_picture():
    pictures = [boxed(30, 0, 0, 0, seed=n) for n in range(4)]
    pictures[2][5, 50] = 0.3
    assert found(pictures) == Rectangle(4, 0, 68, 96)


def test_grain_of_a_night_sky_is_picture_and_noise_of_a_tape_is_not():
    rng = np.random.default_rng(1)
    for level, amount, kept in (
        (0.03, 0.02, None),
        (0.01, 0.03, None),
        (0.005, 0.01, Rectangle(20, 0, 52, 96)),
    ):
        pictures = [boxed(20, 0, 0, 0, seed=n) for n in range(4)]
        for picture in pictures:
            picture[:20] = (level + amount * rng.standard_normal((20, WIDTH))).clip(-0.05, 0.11)
        assert found(pictures) == kept


def test_a_dark_clip_is_not_cropped():
    assert found([boxed(20, 20, 0, 0, level=0.08, seed=n) for n in range(6)]) is None


def test_a_coloured_border_is_not_black():
    assert find_borders([frame(boxed(10, 10, 0, 0, seed=n), chroma=0.2) for n in range(4)]) is None


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("layout", ["yuv420", "yuv444", "rgb", "gray"])
def test_cropping_takes_the_same_part_of_every_plane(layout, alpha):
    format = PictureFormat(20, 30, layout=layout, alpha=alpha)
    rng = np.random.default_rng(0)
    planes = tuple(
        rng.integers(0, 256, format.plane_size(i)).astype(np.uint8) for i in range(format.num_planes)
    )
    (out,) = crop([Frame(planes, format, pts=7, reset=True)], Rectangle(4, 6, 9, 11))
    assert (out.pts, out.reset, out.format.height, out.format.width) == (7, True, 9, 11)
    for index, (plane, whole) in enumerate(zip(out.planes, planes, strict=True)):
        half = 2 if layout == "yuv420" and index in (1, 2) else 1
        height, width = out.format.plane_size(index)
        top, left = 4 // half, 6 // half
        np.testing.assert_array_equal(plane, whole[top : top + height, left : left + width])
        assert plane.shape == (height, width)


def test_a_rectangle_outside_of_the_picture_is_refused():
    with pytest.raises(ConfigError, match="does not lie within 96x72"):
        cropped_format(FORMATS[0], Rectangle(40, 0, 40, 96))


def test_cropping_closes_what_it_reads_from():
    closed = []

    def source():
        try:
            yield frame(boxed(4, 4, 0, 0))
            yield frame(boxed(4, 4, 0, 0))
        finally:
            closed.append(True)

    frames = crop(source(), Rectangle(4, 0, 64, 96))
    next(frames)
    frames.close()
    assert closed


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [(ReadOptions(), 2, 57), (ReadOptions(start="1"), 26, 58), (ReadOptions(frames=12), 0, 11)],
)
def test_frames_are_looked_at_all_over_what_is_read(make_clip, options, first, last):
    info = probe(make_clip("in.mp4", num_frames=60, gop=12))
    numbers = [read_number(found.planes[0]) for found in spread_frames(info, options)]
    assert COUNT <= len(numbers) <= 2 * COUNT
    assert (numbers[0], numbers[-1]) == (first, last)
    assert numbers == sorted(set(numbers))


def test_frames_of_a_long_clip_are_looked_at_all_over(make_clip, monkeypatch):
    monkeypatch.setattr("vsr.jobs.sample_frames.SHORT", 20)
    info = probe(make_clip("in.mp4", num_frames=60, gop=12))
    numbers = [read_number(found.planes[0]) for found in spread_frames(info, ReadOptions())]
    assert numbers == [3 + 5 * n for n in range(COUNT)]


def pictures_of(path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    "codec", [["libx264", "-crf", "16"], ["libx265", "-pix_fmt", "yuv420p10le", "-crf", "16"]]
)
def test_a_letterboxed_clip_comes_out_without_its_bars(make_clip, tmp_path, capsys, codec):
    clip = make_clip("plain.mp4", num_frames=20, size=(96, 160))
    boxed_clip, out = tmp_path / "boxed.mkv", tmp_path / "out.mkv"
    quiet = ["-x265-params", "log-level=none"] if "libx265" in codec else []
    run_ffmpeg("-i", clip, "-vf", "pad=192:160:16:32,setsar=4/3", "-c:v", *codec, *quiet, boxed_clip)
    words = ["enhance", str(boxed_clip), "--autocrop", "--model", "bicubic-x2"]
    assert run([*words, "--dry-run"]) == 0
    assert "320x192" in capsys.readouterr().out
    assert run([*words, "-o", str(out), "--preset", "ultrafast"]) == 0
    assert "autocrop: 160x96 at 16, 32 of 192x160 is picture" in " ".join(capsys.readouterr().err.split())
    frames = pictures_of(out)
    assert (frames[0].height, frames[0].width) == (192, 320)
    assert frames[0].format.components[0].bits == (10 if quiet else 8)
    assert [read_number(plane_view(frame, 0)) for frame in frames] == list(range(20))
    assert probe(out).format.sample_aspect == Fraction(4, 3)


@pytest.mark.parametrize("crf", ["18", "28", "36"])
def test_compression_widens_the_picture_by_its_smear_at_most(test_data, tmp_path, crf):
    clip, out = test_data / "clips" / "sam2_bedroom.mp4", tmp_path / "boxed.mp4"
    bars = "scale=320:180,pad=320:240:0:30"
    run_ffmpeg("-i", clip, "-vf", bars, "-frames:v", "24", "-an", "-c:v", "libx264", "-crf", crf, out)
    rectangle = find_borders(spread_frames(probe(out), ReadOptions()))
    assert rectangle is not None
    assert 28 <= rectangle.top <= 30
    assert 210 <= rectangle.top + rectangle.height <= 212


def test_heights_are_those_of_what_is_left(make_clip, tmp_path):
    clip = make_clip("plain.mp4", num_frames=4, size=(48, 96))
    run_ffmpeg("-i", clip, "-vf", "pad=96:80:0:16", "-c:v", "libx264", "-crf", "16", tmp_path / "boxed.mp4")
    out = tmp_path / "out.mp4"
    fast = ["--preset", "ultrafast", "--quiet"]
    assert (
        run(["enhance", str(tmp_path / "boxed.mp4"), "--autocrop", "--height", "96", "-o", str(out), *fast])
        == 0
    )
    assert (pictures_of(out)[0].height, pictures_of(out)[0].width) == (96, 192)


def test_a_clip_without_borders_says_so_and_keeps_its_size(make_clip, tmp_path, capsys):
    clip, out = make_clip("plain.mp4", num_frames=8, size=(48, 64)), tmp_path / "out.mp4"
    chroma_is_coloured = run(["enhance", str(clip), "--autocrop", "--scale", "1", "-o", str(out)])
    assert chroma_is_coloured == 0
    assert "no black borders found" in capsys.readouterr().err
    assert pictures_of(out)[0].height == 48


def test_a_picture_is_cropped_too(tmp_path):
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[10:50, 5:75] = np.random.default_rng(0).integers(30, 256, (40, 70, 3))
    cv2.imwrite(str(tmp_path / "p.png"), photo)
    words = ["enhance", str(tmp_path / "p.png"), "--autocrop", "--scale", "1", "--quiet"]
    assert run([*words, "-o", str(tmp_path / "o.png")]) == 0
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "o.png")), photo[10:50, 5:75])
