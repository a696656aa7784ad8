"""Motion between frames, and pictures moved by it."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.models.layers.flow import SMALLEST, anchors, motion_between, moved


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Detail of several sizes, luma 0–1."""
    rng = np.random.default_rng(seed)
    coarse = [rng.random((height // k, width // k)).astype(np.float32) for k in (4, 8, 24)]
    layers = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in coarse]
    return np.clip(sum(layers) / 3, 0, 1)


def shown(picture: np.ndarray, x: float, y: float, height: int = 96, width: int = 128) -> Tensor:
    """What a camera sees at a place of a scene, between its samples too."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return torch.from_numpy(cv2.warpAffine(picture, matrix, (width, height), flags=flags))[None, None]


SCENE = scene(200, 240)


@pytest.mark.parametrize("step", [(0.0, 0.0), (0.25, -0.5), (1.0, 0.75), (-3.0, 2.0), (6.0, 5.0)])
def test_a_pan_is_found_to_a_tenth_of_a_pixel(step):
    x, y = step
    now, other = shown(SCENE, 40, 40), shown(SCENE, 40 + x, 40 + y)
    flow = motion_between(anchors(now), other)
    error = (flow - torch.tensor([-x, -y]).view(1, 2, 1, 1)).norm(dim=1)[..., 8:-8, 8:-8]
    assert error.median() < 0.1


def test_a_good_guess_is_corrected_at_full_size():
    now, other = shown(SCENE, 40, 40), shown(SCENE, 45, 43)
    guess = torch.tensor([-4.6, -2.7]).view(1, 2, 1, 1).expand(1, 2, 96, 128)
    flow = motion_between(anchors(now), other, start=guess)
    before, after = (
        (f - torch.tensor([-5.0, -3.0]).view(1, 2, 1, 1)).norm(dim=1).median() for f in (guess, flow)
    )
    assert after < 0.4 * before


def test_two_things_that_move_apart_each_have_their_motion():
    left, right = scene(200, 240, 1), scene(200, 240, 2)
    now, other = (
        torch.cat([shown(left, 40 + 2 * t, 40, width=64), shown(right, 40 - 2 * t, 40, width=64)], 3)
        for t in (0, 1)
    )
    flow = motion_between(anchors(now), other)
    assert flow[0, 0, 10:-10, 10:50].median() == pytest.approx(-2, abs=0.15)
    assert flow[0, 0, 10:-10, 78:-10].median() == pytest.approx(2, abs=0.15)


def test_nothing_moves_where_there_is_nothing_to_see():
    flat, other = torch.full((1, 1, 64, 64), 0.5), torch.full((1, 1, 64, 64), 0.55)
    assert motion_between(anchors(flat), other).abs().max() == 0


def test_each_of_a_batch_has_its_own_motion():
    now = torch.cat([shown(SCENE, 40, 40), shown(SCENE, 20, 60)])
    other = torch.cat([shown(SCENE, 42, 40), shown(SCENE, 20, 58)])
    together = motion_between(anchors(now), other)
    alone = torch.cat([motion_between(anchors(now[i : i + 1]), other[i : i + 1]) for i in (0, 1)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    "size", [(1, 1), (3, 40), (SMALLEST - 1, 60), (SMALLEST, SMALLEST), (25, 31), (49, 50)]
)
def test_any_size_has_a_motion(size):
    frame = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    flow = motion_between(anchors(frame), frame)
    assert flow.shape == (1, 2, *size)
    assert flow.abs().max() < 1e-3


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_picture_of_any_scale_is_moved_by_whole_pixels_exactly(scale):
    picture = torch.rand(1, 2, 12 * scale, 16 * scale, generator=torch.Generator().manual_seed(1))
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 12, 16)
    result = moved(picture, flow)
    inner = (..., slice(3 * scale, -3 * scale), slice(3 * scale, -4 * scale))
    torch.testing.assert_close(
        result[inner], picture.roll((2 * scale, -3 * scale), (2, 3))[inner], atol=1e-4, rtol=0
    )


def test_standing_still_moves_nothing():
    picture = torch.rand(1, 1, 30, 41, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(moved(picture, torch.zeros(1, 2, 30, 41)), picture, atol=1e-5, rtol=0)
