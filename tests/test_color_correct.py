"""Casts go, levels spread, nothing flickers, and what is in order stays as it is."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from support.clips import run_ffmpeg

from vsr.cli.main import run
from vsr.color_correct import ADAPTS_IN_S, Correction, correct_colors, corrected, correction_of
from vsr.frames import Frame, PictureFormat
from vsr.media.reading.source import VideoSource
from vsr.picture import as_rgb, from_planes, in_ycc, to_planes

HEIGHT, WIDTH = 72, 96
FORMATS = [
    PictureFormat(HEIGHT, WIDTH, matrix="bt709"),
    PictureFormat(HEIGHT, WIDTH, matrix="smpte170m", range="full"),
    PictureFormat(HEIGHT + 1, WIDTH + 1, matrix="bt709"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=10, layout="yuv422", matrix="bt709"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=12, layout="yuv444", matrix="bt2020nc"),
    PictureFormat(HEIGHT, WIDTH, layout="rgb", range="full", matrix="gbr"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=16, layout="rgb", range="full", matrix="gbr", alpha=True),
]
NAMES = [f"{f.layout}-{f.bit_depth}-{f.range}-{f.height}" for f in FORMATS]


def frame_of(rgb: np.ndarray, format: PictureFormat, **about: object) -> Frame:
    """A frame of nominal R'G'B' (height, width, 3), by the conversions that the engine uses."""
    empty = Frame((), format, **about)  # type: ignore[arg-type]
    tensor = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()[None]
    alpha = torch.full((1, 1, *rgb.shape[:2]), 0.25) if format.alpha else None
    planes = [np.zeros(format.plane_size(i), np.uint16) for i in range(format.num_planes)]
    made = replace(from_planes(replace(empty, planes=()), [torch.from_numpy(p) for p in planes]), luma=None)
    picture = replace(made, chroma=None, rgb=tensor, alpha=alpha)
    picture = picture if format.layout == "rgb" else in_ycc(picture)
    return replace(empty, planes=tuple(plane.numpy() for plane in to_planes(picture, format)))


def rgb_of(frame: Frame) -> np.ndarray:
    picture = from_planes(frame, [torch.from_numpy(plane.copy()) for plane in frame.planes])
    return as_rgb(picture)[0].numpy().transpose(1, 2, 0)


def room(format: PictureFormat, seed: int = 0) -> np.ndarray:
    """Walls and things of little colour, from black to white."""
    rng = np.random.default_rng(seed)
    size = (format.width, format.height)
    luma = cv2.resize(rng.random((6, 8)), size, interpolation=cv2.INTER_LINEAR)
    luma = (luma - luma.min()) / (luma.max() - luma.min())
    tint = cv2.resize(0.04 * rng.standard_normal((6, 8, 3)), size, interpolation=cv2.INTER_LINEAR)
    tint -= tint.mean((0, 1))
    return (luma[..., None] * (1 + tint)).clip(0, 1)


def balanced(frames: Sequence[Frame]) -> list[Frame]:
    return list(correct_colors(frames))


def differs(a: Frame, b: Frame) -> int:
    """The largest difference, in codes of 8 bits."""
    step = 1 << (a.format.bit_depth - 8)
    return max(
        int(np.abs(p.astype(int) - q.astype(int)).max()) // step
        for p, q in zip(a.planes, b.planes, strict=True)
    )


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_a_neutral_ramp_stays_as_it_is(format):
    ramp = np.linspace(0, 1, format.width)[None, :, None].repeat(format.height, 0).repeat(3, 2)
    frame = frame_of(ramp, format)
    (out,) = balanced([frame])
    assert differs(out, frame) <= 1


@pytest.mark.parametrize(
    "cast", [(1.0, 1.0, 0.8), (0.85, 1.0, 1.0), (1.0, 0.9, 0.85), (0.9, 1.0, 0.85)], ids=str
)
@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_a_cast_is_removed(format, cast):
    clean = room(format)
    was = frame_of(clean * cast, format)
    (out,) = balanced([was])

    def colour(frame: Frame) -> np.ndarray:
        """Mean R' and B' over G' where something is lit, over what they should be."""
        lit = clean.mean(2) > 0.2
        got, wanted = rgb_of(frame)[lit].mean(0), clean[lit].mean(0)
        return np.abs(np.log((got / got[1]) / (wanted / wanted[1])))

    assert colour(was).max() > 0.09
    assert colour(out).max() < 0.25 * colour(was).max()


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_levels_are_spread_to_black_and_white(format):
    (out,) = balanced([frame_of(0.08 + 0.74 * room(format), format)])
    low, high = np.percentile(rgb_of(out).mean(2), (0.5, 99.5))
    assert -0.01 < low < 0.03  # the margin of 0.02 is left
    assert 0.94 < high < 1.01


def test_levels_that_are_in_order_and_dark_scenes_stay_within_bounds():
    assert correction_of(frame_of(room(FORMATS[0]), FORMATS[0])).black == 0  # type: ignore[union-attr]
    night = correction_of(frame_of(0.25 * room(FORMATS[0]) + 0.1, FORMATS[0]))
    assert night is not None
    assert (night.black, night.white) == (0.08, 0.8)


def test_a_lawn_under_a_white_sky_stays_green():
    rng = np.random.default_rng(0)
    lawn = np.array([0.3, 0.5, 0.15]) * (1 + 0.1 * rng.standard_normal((HEIGHT, WIDTH, 1)))
    lawn[: HEIGHT // 4] = 0.93
    lawn[-2:] = 0.0
    frame = frame_of(lawn.clip(0, 1), FORMATS[0])
    wanted = correction_of(frame)
    assert wanted is not None
    assert abs(wanted.red) < 0.01
    assert abs(wanted.blue) < 0.01


def passing(count: int, rate: int = 25) -> list[Frame]:
    """A still room of no extremes, through which something large, bright and warm passes within a second."""
    frames = []
    for n in range(count):
        rgb = 0.1 + 0.6 * room(FORMATS[0])
        left = 6 * (n - 20)
        rgb[10:60, max(0, left) : max(0, left + 40)] = (1.0, 0.95, 0.7)
        frames.append(frame_of(rgb, FORMATS[0], pts=n, time_base=Fraction(1, rate)))
    return frames


def test_nothing_flickers_when_an_object_passes():
    frames = passing(60)
    alone = [rgb_of(balanced([frame])[0])[62:].mean((0, 1)) * 255 for frame in frames]
    steady = [rgb_of(frame)[62:].mean((0, 1)) * 255 for frame in balanced(frames)]
    assert np.ptp(alone, 0).max() > 15  # every frame on its own would make the floor pump
    assert np.abs(np.diff(steady, axis=0)).max() < 0.75
    assert np.ptp(steady, 0).max() < 4


def test_a_new_scene_is_judged_anew_and_a_slow_change_is_followed():
    first, second = room(FORMATS[0]), room(FORMATS[0], seed=3) * (1.0, 1.0, 0.8)
    a = [frame_of(first, FORMATS[0], pts=n, time_base=Fraction(1, 25)) for n in range(3)]
    b = [frame_of(second, FORMATS[0], pts=n, time_base=Fraction(1, 25), reset=n == 3) for n in range(3, 6)]
    alone = balanced([b[0]])[0]
    assert differs(balanced([*a, *b])[3], alone) == 0
    b[0] = replace(b[0], reset=False)
    assert differs(balanced([*a, *b])[3], corrected(b[0], correction_of(a[0]) or Correction())) <= 2
    late = [replace(b[1], pts=round(25 * t)) for t in np.arange(0, 4 * ADAPTS_IN_S, 0.5)]
    assert differs(balanced([*a, *late])[-1], alone) <= 2


def test_streams_are_judged_by_themselves():
    one = [frame_of(room(FORMATS[0]), FORMATS[0], pts=n, stream=0) for n in range(3)]
    two = [frame_of(room(FORMATS[0]) * (1.0, 1.0, 0.8), FORMATS[0], pts=n, stream=1) for n in range(3)]
    mixed = balanced([frame for pair in zip(one, two, strict=True) for frame in pair])
    for got, wanted in zip(
        mixed, [f for pair in zip(balanced(one), balanced(two), strict=True) for f in pair], strict=True
    ):
        assert differs(got, wanted) == 0


def test_black_frames_say_nothing():
    black = frame_of(np.zeros((HEIGHT, WIDTH, 3)), FORMATS[0])
    assert correction_of(black) is None
    assert balanced([black])[0] is black


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_passes_as_it_is(transfer):
    frame = frame_of(0.6 * room(FORMATS[4]) * (1, 1, 0.8), replace(FORMATS[4], transfer=transfer))
    assert balanced([frame])[0] is frame


@pytest.mark.parametrize("matrix", ["ycgco", "unknown"])
def test_only_levels_are_corrected_where_there_is_no_colour_to_balance(matrix):
    luma = np.linspace(40, 180, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)
    layout = "gray" if matrix == "unknown" else "yuv444"
    format = PictureFormat(HEIGHT, WIDTH, layout=layout, matrix=matrix)
    frame = Frame((luma, *[np.full_like(luma, 128 + 20 * i) for i in range(format.num_planes - 1)]), format)
    wanted = correction_of(frame)
    assert wanted is not None
    assert (wanted.red, wanted.blue) == (0, 0)
    (out,) = balanced([frame])
    assert np.ptp(out.planes[0]) > np.ptp(luma) * 1.2
    assert len(out.planes) == format.num_planes
    if layout == "yuv444":
        assert (out.planes[1] == 128).all()
        assert out.planes[2].mean() > 148


def test_alpha_and_the_frames_facts_stay():
    frame = frame_of(0.5 * room(FORMATS[6]), FORMATS[6], pts=9, duration=3)
    out = corrected(frame, Correction(red=0.1, blue=-0.1, black=0.02, white=0.9))
    assert np.array_equal(out.planes[3], frame.planes[3])
    assert (out.pts, out.duration, out.format) == (9, 3, frame.format)
    assert out.planes[0].dtype == np.uint16


def test_the_input_is_closed_when_the_consumer_stops():
    closed = []

    def source():
        try:
            yield from passing(3)
        finally:
            closed.append(True)

    frames = correct_colors(source())
    next(frames)
    frames.close()
    assert closed


def test_the_command_removes_a_cast_and_says_so(tmp_path, capsys):
    photo = (room(FORMATS[0]) * 255).round().astype(np.uint8)
    cv2.imwrite(str(tmp_path / "room.png"), photo[..., ::-1])
    clip, out = tmp_path / "yellow.mp4", tmp_path / "out.mp4"
    yellow = "lutrgb=b=val*0.8"
    run_ffmpeg(
        "-loop", "1", "-i", tmp_path / "room.png", "-frames:v", "6", "-vf", f"{yellow},format=yuv420p", clip
    )
    words = ["enhance", str(clip), "--scale", "1", "-o", str(out), "--preset", "ultrafast", "--color-correct"]
    assert run(words) == 0
    assert "color-correct: white balance and levels" in capsys.readouterr().err
    was, now = (rgb_of(next(iter(VideoSource(path).frames()))).mean((0, 1)) for path in (clip, out))
    assert was[2] / was[1] < 0.87
    assert abs(now[2] / now[1] - 1) < 0.03
