"""Metrics against known answers, conversion to RGB against its formula, comparison of streams and its pictures."""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from vsr.frames import SUBSAMPLING, Frame, Layout, PictureFormat, StreamInfo
from vsr.quality import drawing
from vsr.quality.compare import compare_pictures, compare_streams
from vsr.quality.drawing import crop_grid, side_by_side, to_frame, to_rgb, wipe
from vsr.quality.metrics import frame_luma, luma_of, luma_psnr, psnr, ssim


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_psnr_of_a_known_error():
    a = np.full((20, 20), 100, np.uint8)
    assert psnr(a, a + 1, peak=255) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(a, a, peak=255) == math.inf
    b = a.copy()
    b[0] = 0
    assert psnr(a, b, peak=255, border=1) == math.inf
    with pytest.raises(ValueError, match="one size"):
        psnr(a, a[1:], peak=255)


def test_ssim_agrees_with_the_reference_implementation():
    reference = pytest.importorskip("skimage.metrics").structural_similarity
    a = cv2.GaussianBlur(noise(60, 70), (0, 0), 2)
    b = cv2.GaussianBlur(a, (0, 0), 1.5)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    # its mean leaves out the border that the window does not fit in
    assert ssim(a, b, peak=255) == pytest.approx(reference(a, b, **options), abs=1e-9)
    assert ssim(a, a, peak=255) == pytest.approx(1)


def test_luma_is_matlabs():
    colors = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    assert luma_of(colors)[0] == pytest.approx([16, 235, 81.481])


def gray(value: int, **changes: object) -> Frame:
    format = replace(PictureFormat(12, 12, layout="gray"), **changes)  # pyright: ignore[reportArgumentType]
    return Frame((np.full((12, 12), value, np.uint8 if format.bit_depth == 8 else np.uint16),), format)


def test_luma_of_frames_agrees_across_depth_and_range():
    for frame in (
        gray(235),
        gray(940, bit_depth=10),
        gray(255, range="full"),
        gray(65535, range="full", bit_depth=16),
    ):
        assert frame_luma(frame) == pytest.approx(235)
    assert frame_luma(to_frame(np.full((12, 12, 3), 255, np.uint8), gray(0))) == pytest.approx(235)
    assert luma_psnr(gray(100), gray(101)) == pytest.approx(48.13, abs=0.01)


WEIGHTS = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}


def encode(rgb: np.ndarray, format: PictureFormat) -> Frame:
    """Code an RGB picture of 0..1 as Y'CbCr by the book; chroma by taking the samples at its left siting."""
    red, blue = WEIGHTS[format.matrix]
    r, g, b = (rgb[..., c] for c in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    step, peak = 1 << (format.bit_depth - 8), (1 << format.bit_depth) - 1
    limited = format.range == "limited"
    offset, span, chroma = (16 * step, 219 * step, 224 * step) if limited else (0, peak, peak)
    rows, columns = SUBSAMPLING[format.layout]
    planes = [y * span + offset]
    for difference in ((b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)):
        plane = difference * chroma + 128 * step
        plane = (plane[::2] + plane[1::2]) / 2 if rows == 2 else plane
        planes.append(plane[:, ::columns])
    kind = np.uint8 if format.bit_depth == 8 else np.uint16
    return Frame(tuple(np.rint(plane).astype(kind) for plane in planes), format)


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize(("layout", "depth"), [("yuv420", 8), ("yuv420", 10), ("yuv422", 12), ("yuv444", 16)])
def test_to_rgb_inverts_the_coding_and_the_siting(matrix: str, range_: str, layout: Layout, depth: int):
    y, x = np.mgrid[0:16, 0:32]
    ramp = np.stack(
        [0.2 + x / 60, 0.3 + y / 40, 0.7 - x / 80], axis=2
    )  # linear, so that interpolated chroma is exact
    format = PictureFormat(16, 32, depth, layout, matrix=matrix, range=range_, siting="left")  # type: ignore[arg-type]
    result = to_rgb(encode(ramp, format))
    assert result.shape == (16, 32, 3)
    error = np.abs(result - ramp * 255)[4:-4, 4:-4]  # at the edges chroma repeats, and no ramp goes on
    assert error.max() < (2.1 if depth == 8 else 0.8)


def test_siting_moves_chroma():
    format = PictureFormat(4, 16, siting="left")
    planes = (
        np.full((4, 16), 100, np.uint8),
        np.full((2, 8), 128, np.uint8),
        np.tile(np.uint8(range(60, 220, 20)), (2, 1)),
    )
    left = to_rgb(Frame(planes, format))[0, :, 0].astype(float)
    centre = to_rgb(Frame(planes, replace(format, siting="center")))[0, :, 0].astype(float)
    slope = (left[10] - left[6]) / 4
    assert left[6:10] - centre[6:10] == pytest.approx(slope / 2, abs=2)  # half a luma sample further right


def test_to_rgb_takes_grey_odd_sizes_and_deep_rgb():
    assert to_rgb(gray(16)).max() == 0
    odd = PictureFormat(5, 7)
    planes = tuple(np.full(odd.plane_size(i), 128, np.uint8) for i in range(3))
    assert to_rgb(Frame(planes, odd)).shape == (5, 7, 3)
    deep = PictureFormat(2, 2, 16, "rgb", matrix="gbr", range="full", alpha=True)
    assert to_rgb(Frame(tuple(np.full((2, 2), 65535, np.uint16) for _ in range(4)), deep)).min() == 255


class Clip:
    """A stream of given frames that notes whether it was closed."""

    def __init__(self, frames: list[Frame]):
        self.given, self.closed = frames, False
        self.info = StreamInfo("clip", "video", "mp4", "h264", "yuv420p", frames[0].format)

    def frames(self) -> Iterator[Frame]:
        try:
            yield from self.given
        finally:
            self.closed = True


def clip(num_frames: int, size: tuple[int, int] = (24, 32), change: int = 0) -> Clip:
    format = PictureFormat(*size, layout="gray", range="full")
    frames = [
        Frame((noise(*size, seed=n) // 2 + np.uint8(change),), format, pts=n, time_base=Fraction(1, 25))
        for n in range(num_frames)
    ]
    return Clip(frames)


def test_equal_streams_are_equal():
    result = compare_streams(clip(3), clip(3))
    assert (result.psnr, result.ssim, result.notes, len(result.scores)) == (math.inf, pytest.approx(1), (), 3)


def test_differences_are_scored_and_named():
    a, b = clip(5), clip(4, change=4)
    b.given[1] = replace(b.given[1], pts=7)
    result = compare_streams(a, b)
    assert result.psnr == pytest.approx(20 * math.log10(255 / (4 * 219 / 255)), abs=0.01)
    assert [score.pts for score in result.scores] == [0, 1, 2, 3]
    assert result.notes == (
        "clip has 5 frames and clip has 4",
        "1 of 4 frames are shown at different times",
    )
    assert a.closed
    assert b.closed


def test_sizes_that_differ_have_no_score_and_still_a_picture():
    a, b = clip(2), clip(2, (48, 64))
    result = compare_streams(a, b)
    assert math.isnan(result.psnr)
    assert "differ in size" in result.notes[0]
    drawn = list(compare_pictures(a, b))
    assert [(f.format.height, f.format.width, f.pts) for f in drawn] == [(48, 130, 0), (48, 130, 1)]
    (first, _) = compare_pictures(a, b, style="wipe", labels=("", ""), position=0.25)
    assert first.format.width == 64


def test_frames_below_the_window_have_no_score():
    result = compare_streams(clip(2, (8, 8)), clip(2, (8, 8)))
    assert math.isnan(result.ssim)
    assert "too small" in result.notes[0]


def test_a_stopped_comparison_closes_both_streams():
    a, b = clip(5), clip(5)
    drawn = compare_pictures(a, b)
    next(drawn)
    drawn.close()  # type: ignore[attr-defined]
    assert a.closed
    assert b.closed


def test_wipe_takes_each_side_from_its_picture():
    a, b = np.full((40, 60, 3), 50, np.uint8), np.full((40, 60, 3), 200, np.uint8)
    mixed = wipe(a, b, 0.5)
    assert (mixed[:, :28] == 50).all()
    assert (mixed[:, 32:] == 200).all()
    assert (mixed[:, 29:31] == 255).all()
    assert (wipe(a, b, 0) == 200).all()
    assert (wipe(a, b, 1) == 50).all()


def test_the_smaller_picture_is_enlarged_and_says_so(monkeypatch: pytest.MonkeyPatch):
    texts: list[str] = []
    monkeypatch.setattr(
        drawing, "draw_caption", lambda picture, text, right=False: (texts.append(text), picture)[1]
    )
    assert side_by_side(noise(20, 30, 3), noise(40, 60, 3), ("before", "after")).shape == (40, 122, 3)
    assert side_by_side(noise(40, 60, 3), noise(20, 30, 3), ("before", "after")).shape == (40, 122, 3)
    assert texts == ["before (bicubic)", "after", "before", "after (bicubic)"]


def test_labels_are_drawn_and_leave_the_rest_alone():
    picture = np.full((200, 300, 3), 120, np.uint8)
    drawn = drawing.draw_caption(picture, "after ×2")
    assert (picture == 120).all()
    assert drawn[:40, :150].max() > 230
    assert (drawn[60:] == 120).all()


def test_a_crop_grid_magnifies_without_smoothing():
    a = noise(40, 60, 3)
    grid = crop_grid([("", a), ("", a[::2, ::2]), ("", a)], (10, 20, 8, 8), magnify=3, columns=2)
    assert grid.shape == (2 * 24 + 3 * 6, 2 * 24 + 3 * 6, 3)
    assert (grid[6:30:3, 6:30:3] == a[10:18, 20:28]).all()
