import cv2
import numpy as np
import pytest

from vsr.quality.known_damage import DAMAGE_TABLE, KnownDamage, damaged

PICTURE = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (42, 63, 3), np.uint8), (0, 0), 3)


def test_a_picture_is_damaged_the_same_way_each_time():
    for row in DAMAGE_TABLE:
        low = damaged(PICTURE, row)
        assert low.shape == (42 // row.scale, 63 // row.scale, 3)
        assert np.array_equal(low, damaged(PICTURE, row))


def test_undegraded_is_nothing_but_reduced():
    whole = PICTURE[:40, :60]
    assert (
        np.abs(
            damaged(PICTURE, KnownDamage(4)) - cv2.resize(whole, (15, 10), interpolation=cv2.INTER_AREA)
        ).max()
        <= 1
    )


@pytest.mark.parametrize("noise", [8, 25])
def test_noise_has_the_strength_that_is_named(noise):
    grey = np.full((128, 128, 3), 128, np.uint8)
    assert damaged(grey, KnownDamage(1, noise=noise)).std() == pytest.approx(noise, rel=0.05)


def test_a_row_says_what_is_done():
    assert [str(row) for row in DAMAGE_TABLE[1:6:4]] == ["x4 noise 8 JPEG 70 blur 0.6", "x4 undegraded"]
