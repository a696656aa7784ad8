import cv2
import numpy as np
import pytest

from vsr.frames import Frame, PictureFormat
from vsr.media.roundtrip import through_codec
from vsr.quality.metrics import psnr


def moving(codec: str, *, num: int = 5) -> list[Frame]:
    """47 x 65 pixels with some detail, panned by a pixel a frame."""
    rng = np.random.default_rng(0)
    format = PictureFormat(47, 65, range="full" if codec == "mjpeg" else "limited")
    soft = cv2.resize(rng.integers(40, 200, (8, 10), np.uint8), (80, 64), interpolation=cv2.INTER_CUBIC)
    whole = np.clip(soft + rng.normal(0, 6, soft.shape), 16, 235).astype(np.uint8)
    sizes = [format.plane_size(index) for index in range(3)]
    return [
        Frame(tuple(whole[:height, n : n + width] for height, width in sizes), format, pts=n)
        for n in range(num)
    ]


@pytest.mark.parametrize(
    ("codec", "good", "bad"),
    [("h264", 18, 40), ("hevc", 18, 40), ("mpeg4", 2, 20), ("mpeg2", 2, 20), ("mjpeg", 2, 20)],
)
def test_a_codec_loses_more_the_worse_its_quality(codec, good, bad):
    clip, scores = moving(codec), []
    for quality in (good, bad):
        decoded = through_codec(clip, codec, quality)
        assert [(frame.format, frame.pts) for frame in decoded] == [
            (frame.format, frame.pts) for frame in clip
        ]
        scores += [
            [np.mean([psnr(a.planes[k], b.planes[k], peak=255) for a, b in zip(clip, decoded, strict=True)])]
            for k in range(3)
        ]
    luma, chroma, _, bad_luma, bad_chroma, _ = np.array(scores).ravel()
    assert luma > bad_luma + 3
    assert chroma > bad_chroma + 1
    assert min(bad_luma, bad_chroma) > 15  # still the same picture


def test_a_codec_gives_the_same_each_time():
    one, two = (through_codec(moving("h264"), "h264", 30) for _ in range(2))
    assert all((a.planes[0] == b.planes[0]).all() for a, b in zip(one, two, strict=True))


def test_preset_and_distance_of_i_frames_change_what_is_left():
    usual, fast, intra = (
        through_codec(moving("h264"), "h264", 30, **how)
        for how in ({}, {"preset": "ultrafast"}, {"group": 1})
    )
    assert not np.array_equal(usual[3].planes[0], fast[3].planes[0])
    assert not np.array_equal(usual[3].planes[0], intra[3].planes[0])
