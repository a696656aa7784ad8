"""What a camera shows, told of pictures made here."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.picture_watch import PictureWatch

FORMAT = PictureFormat(90, 160)
RANDOM = np.random.default_rng(7)


def frame(luma: np.ndarray) -> Frame:
    planes = [np.clip(luma, 0, 255).astype(np.uint8), *(np.full((45, 80), 128, np.uint8) for _ in range(2))]
    return Frame(tuple(planes), FORMAT, 0, Fraction(1, 90_000))


def noisy(mean: float, shade: float = 0.0, noise: float = 1.5) -> np.ndarray:
    ramp = np.linspace(-shade, shade, 160)[None, :].repeat(90, 0)
    return mean + ramp + RANDOM.normal(0, noise, (90, 160))


PICTURES = {
    "black": lambda: noisy(18),
    "grey": lambda: noisy(126, noise=0.0),
    "covered": lambda: noisy(70, 8),
    "dark": lambda: noisy(26, 10, 4),
    "good": lambda: noisy(120, 90, 3),
}


def play(watch: PictureWatch, made, *, from_s: float, seconds: float) -> list[str]:
    told = []
    for number in range(round(seconds * 25)):
        watch.see(frame(made()), from_s + number / 25)
        told.append(watch.told)
    return told


@pytest.mark.parametrize("shown", list(PICTURES))
def test_what_shows_is_told_when_it_lasts_and_is_over_when_it_is(shown):
    watch = PictureWatch(30)
    play(watch, PICTURES["good"], from_s=100, seconds=3)
    told = play(watch, PICTURES[shown], from_s=103, seconds=4)
    assert told[:45] == ["good"] * 45  # not at once: lamps are switched, things pass
    assert told[-1] == shown
    assert play(watch, PICTURES["good"], from_s=107, seconds=4)[-1] == "good"


def test_the_very_same_picture_is_frozen_after_a_while_and_one_with_noise_is_not():
    still = noisy(120, 90, 3)
    assert "frozen" in play(PictureWatch(5), lambda: still, from_s=10, seconds=9)
    assert "frozen" not in play(PictureWatch(5), lambda: still, from_s=10, seconds=4)
    assert "frozen" not in play(PictureWatch(0), lambda: still, from_s=10, seconds=9)
    assert "frozen" not in play(PictureWatch(5), PICTURES["good"], from_s=10, seconds=9)


def test_all_ranges_and_depths_are_told_alike():
    for format in (replace(FORMAT, range="full"), replace(FORMAT, bit_depth=10)):
        black = 64 if format.bit_depth == 10 else 2
        watch = PictureWatch(30)
        for number in range(100):
            luma = np.full((90, 160), black + number % 2, np.uint16 if format.bit_depth == 10 else np.uint8)
            watch.see(Frame((luma,) * 3, format, 0, Fraction(1, 90_000)), number / 25)
        assert watch.told == "black"
