"""Noise is told from texture, whatever else is in the picture."""

import cv2
import numpy as np
import pytest

from vsr.frames import Frame, PictureFormat
from vsr.quality.noise_level import look_at_pictures, luma_codes

SIZE = (256, 320)


def shapes(seed: int = 0) -> np.ndarray:
    """Smooth shapes with edges, 40 to 200."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((8, 10)).astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    picture = 60 + 100 * np.clip(coarse, 0, 1)
    cv2.circle(picture, (120, 120), 60, 180.0, -1)
    return picture


def grain(sigma: float, seed: int = 1) -> np.ndarray:
    return (sigma * np.random.default_rng(seed).standard_normal(SIZE)).astype(np.float32)


def leaves() -> np.ndarray:
    """Texture as strong as noise of 9, in all scales."""
    return 9 * sum(
        cv2.resize(grain(1, n), SIZE[::-1], fx=0, fy=0) if n == 0 else _coarse(n) for n in range(4)
    )


def _coarse(n: int) -> np.ndarray:
    small = np.random.default_rng(n).standard_normal((SIZE[0] >> n, SIZE[1] >> n)).astype(np.float32)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("sigma", [2, 6, 15, 30])
def test_noise_is_as_strong_as_it_is(sigma):
    assert look_at_pictures([[shapes() + grain(sigma)]]).noise == pytest.approx(sigma, rel=0.12)


def test_what_is_clean_has_none():
    look = look_at_pictures([[shapes(), shapes()]])
    assert look.noise < 0.5
    assert look.change is None  # nothing has changed


def test_noise_of_light_is_the_mean_over_dark_and_bright():
    picture = shapes()
    noise = grain(1) * np.sqrt(picture)
    assert look_at_pictures([[picture + noise]]).noise == pytest.approx(float(noise.std()), rel=0.12)


def test_texture_that_stands_still_is_no_noise_and_what_changes_is():
    textured = shapes() + leaves()
    still = look_at_pictures([[textured + grain(2, n) for n in range(3)]])
    assert still.noise > 5
    assert still.change == pytest.approx(2, rel=0.15)


def test_borders_and_what_is_clipped_say_nothing():
    picture = shapes() + grain(10)
    picture[:80] = 0
    picture[:, :60] = 255
    assert look_at_pictures([[picture]]).noise == pytest.approx(10, rel=0.12)


def test_a_picture_that_was_enlarged_is_soft():
    sharp = leaves() + 128
    small = cv2.resize(sharp, (SIZE[1] // 2, SIZE[0] // 2), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    assert look_at_pictures([[enlarged]]).sharpness < 0.3 < look_at_pictures([[sharp]]).sharpness


def test_tiny_and_flat_pictures_are_without_noise():
    for picture in (np.zeros((8, 8), np.float32), np.full((40, 40), 90, np.float32)):
        look = look_at_pictures([[picture]])
        assert (look.noise, look.detail, look.sharpness) == (0, 0, 0)
    assert look_at_pictures([]).noise == 0


def test_codes_count_from_black_to_white_whatever_the_format():
    rows = np.array([[16, 235], [16, 235]])
    limited = Frame((rows.astype(np.uint8),), PictureFormat(2, 2, layout="gray"))
    deep = Frame((rows.astype(np.uint16) * 4,), PictureFormat(2, 2, bit_depth=10, layout="gray"))
    full = np.array([[0, 255], [0, 255]], np.uint8)
    rgb = Frame((full,) * 3, PictureFormat(2, 2, layout="rgb"))
    photo = Frame((full,), PictureFormat(2, 2, layout="gray", range="full"))
    for frame in (limited, deep, rgb, photo):
        assert luma_codes(frame) == pytest.approx(full.astype(float), abs=0.01)
    assert luma_codes(photo, fields=True).shape == (1, 2)


def test_of_a_large_picture_strips_are_looked_at():
    plane = np.zeros((3000, 2000), np.uint8)
    plane[:64] = 7
    codes = luma_codes(Frame((plane,), PictureFormat(3000, 2000, layout="gray", range="full")))
    assert codes.shape[1] == 2000
    assert codes.shape[0] < 600
    assert (codes[:64] == 7).all()
    assert (codes[64:] == 0).all()


@pytest.mark.parametrize("quality", [20, 50])
def test_blocks_are_seen_where_they_were_compressed_in_and_nowhere_else(quality):
    clean = np.clip(shapes() + leaves() / 3, 0, 255)
    file = cv2.imencode(".jpg", clean.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    back = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE).astype(np.float32)
    assert look_at_pictures([[back]]).blocking > 0.2
    assert look_at_pictures([[clean], [clean + grain(8)]]).blocking < 0.05


def test_strips_of_a_large_picture_are_no_blocks():
    rng = np.random.default_rng(2)
    steps = np.repeat(rng.uniform(0, 255, 5), 64)[:, None] + rng.standard_normal((320, 320))
    assert look_at_pictures([[steps.astype(np.float32)]]).blocking < 0.05
