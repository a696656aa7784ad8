import numpy as np
import pytest

from vsr.frames import Frame, PictureFormat
from vsr.quality import Label, black_frame, dim, draw_label, label_fits

FORMATS = [
    PictureFormat(90, 161),
    PictureFormat(90, 161, bit_depth=10, layout="yuv422"),
    PictureFormat(90, 161, layout="rgb", range="full"),
    PictureFormat(90, 161, layout="gray"),
    PictureFormat(90, 161, alpha=True),
]


def filled(format: PictureFormat, value: float) -> Frame:
    """Every sample at `value` of all codes."""
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    code = round(value * ((1 << format.bit_depth) - 1))
    return Frame(tuple(np.full(format.plane_size(i), code, dtype) for i in range(format.num_planes)), format)


@pytest.mark.parametrize(
    "format", FORMATS, ids=lambda format: f"{format.layout}{format.bit_depth}{format.alpha}"
)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_label_is_light_on_dark_whatever_the_picture_is(format, value):
    frame = filled(format, value)
    labelled = draw_label(frame, Label("door  12:00:00"))
    first = labelled.planes[0]
    scale = 1 << (format.bit_depth - 8)
    assert first.dtype == frame.planes[0].dtype
    corner = first[:10, :40]
    assert corner.max() >= 220 * scale
    assert np.median(corner) <= 16 * scale
    assert (first[40:] == frame.planes[0][40:]).all()
    if format.alpha:
        assert (labelled.planes[-1][:10, :40] == 255).all()
        assert (labelled.planes[-1][40:] == frame.planes[-1][40:]).all()
    assert (frame.planes[0] == frame.planes[0][0, 0]).all()  # the frame itself stays


def test_a_plate_has_no_colour():
    labelled = draw_label(filled(PictureFormat(90, 160), 0.9), Label("door"))
    assert labelled.planes[1][0, 0] == labelled.planes[2][0, 0] == 128
    assert labelled.planes[1][-1, -1] == 230


def test_a_label_fits_into_a_picture_that_is_too_narrow():
    frame = filled(PictureFormat(18, 20), 0.5)
    labelled = draw_label(frame, Label("a very long name of a camera  2025-01-31 23:59:59  enhanced"))
    assert labelled.planes[0].shape == (18, 20)


def test_a_label_stands_upright_in_its_corner_as_players_show_it():
    upright = draw_label(filled(PictureFormat(120, 200), 0.5), Label("enhanced", bottom=True, right=True))
    assert (upright.planes[0][:90] == 128).all()
    assert (upright.planes[0][:, :100] == 128).all()
    for turns in range(4):
        for mirrored in (False, True):
            size = (200, 120) if turns % 2 else (120, 200)
            label = Label("enhanced", True, True, 90 * turns, mirrored)
            stored = draw_label(filled(PictureFormat(*size), 0.5), label)
            for plane, wanted in zip(stored.planes, upright.planes, strict=True):
                assert (np.rot90(np.flipud(plane) if mirrored else plane, turns) == wanted).all()


def test_what_does_not_fit_into_a_quarter_is_told():
    assert label_fits("enhanced by vsr", 120, 200)
    assert not label_fits("enhanced by vsr", 40, 200)
    assert not label_fits("enhanced by vsr", 120, 60)


@pytest.mark.parametrize("format", FORMATS[:4], ids=lambda format: f"{format.layout}{format.bit_depth}")
def test_dimming_keeps_black_and_takes_light_and_colour(format):
    black = black_frame(format)
    assert all((a == b).all() for a, b in zip(dim(black).planes, black.planes, strict=True))
    bright = filled(format, 0.9)
    for index, (before, after) in enumerate(zip(bright.planes, dim(bright).planes, strict=True)):
        neutral = black.planes[index][0, 0]
        assert after[0, 0] - neutral == pytest.approx(0.4 * (int(before[0, 0]) - neutral), abs=1)
