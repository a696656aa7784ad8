"""Noise left: a known deviation comes out, wherever the picture is busy, sloped or moving besides."""

import math

import numpy as np
import pytest

from vsr.quality.metrics import chroma_of, luma_of
from vsr.quality.noise_left import NoiseOverTime, noise_left

FLAT = np.add.outer(np.linspace(40, 80, 160), np.linspace(0, 60, 320))
"""A slope: flat, but not of one value."""


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def busy(random: np.random.Generator) -> np.ndarray:
    """A slope whose right three quarters are full of texture."""
    picture = FLAT.copy()
    picture[:, 80:] += random.uniform(-60, 60, picture[:, 80:].shape)
    return picture


@pytest.mark.parametrize("sigma", [0, 2, 10, 30])
def test_white_noise_is_measured_where_the_original_is_flat(sigma: float, random):
    original = busy(random)
    assert noise_left(original + random.normal(0, sigma, FLAT.shape), original) == pytest.approx(
        sigma, rel=0.05, abs=1e-9
    )


def test_what_is_lost_or_too_dark_is_no_noise(random):
    original = busy(random)
    smooth = np.full_like(original, 20)
    assert noise_left(smooth, original) < 1e-9
    assert noise_left(original - 7, original) < 1e-9


def test_blotches_count(random):
    blotches = np.kron(random.normal(0, 5, (20, 40)), np.ones((8, 8)))
    assert 3 < noise_left(FLAT + blotches, FLAT) < 6


def test_a_picture_without_room_for_a_block_has_no_figure():
    assert math.isnan(noise_left(FLAT[:15], FLAT[:15]))


def test_over_time_only_new_noise_counts_and_only_where_nothing_moves(random):
    stays, renews = NoiseOverTime(), NoiseOverTime()
    dirt = random.normal(0, 8, FLAT.shape)
    for number in range(6):
        original = busy(random)  # the texture is another one in every frame, the left quarter holds still
        stays.add(original + dirt, original)
        renews.add(original + random.normal(0, 8, FLAT.shape), original, cut=number == 3)
    assert stays.deviation < 1e-9
    assert renews.deviation == pytest.approx(8, rel=0.05)
    assert math.isnan(NoiseOverTime().deviation)


@pytest.mark.parametrize(
    ("rgb", "ycc"), [((0, 0, 255), (41, 240, 110)), ((255, 0, 0), (81, 90, 240)), ((9, 9, 9), (24, 128, 128))]
)
def test_colour_differences_are_bt_601_s(rgb, ycc):
    pixel = np.array([[rgb]], np.uint8)
    got = [luma_of(pixel), *chroma_of(pixel)]
    assert [round(float(value[0, 0])) for value in got] == list(ycc)
