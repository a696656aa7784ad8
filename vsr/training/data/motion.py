"""Frames in motion made from stills: a camera that pans, zooms and turns, and things that pass before it."""

import cv2
import numpy as np
import numpy.typing as npt

from vsr.training.data.footage import Footage

MOST_SPEED = 6.0
"""Pixels a frame, of the full-resolution picture: at rest and walking pace; faster motion blurs."""

_WHOLE_STEPS = 0.5
"""Share of clips that pan by whole pixels alone: nothing is interpolated, so detail stays exact."""

_PASSERS = 0.4
"""Share of clips with something in front."""


def moving_clip(
    still: Footage, others: list[Footage], frames: int, size: int, rng: np.random.Generator
) -> Footage:
    """Make a clip of `frames` square frames of up to `size` pixels from a picture.

    Args:
        still: (1, H, W, 3).
        others: pictures to take what passes in front from.
        frames: length.
        size: edge of the frames.
        rng: every choice comes from it.
    """
    picture = still[0]
    edge = min(size, *picture.shape[:2])
    path = _camera(frames, rng)
    middle = np.array(picture.shape[1::-1]) / 2
    slack = np.maximum(0, (np.array(picture.shape[1::-1]) - edge) / 2)
    center = middle + rng.uniform(-1, 1, 2) * slack
    if rng.random() < _WHOLE_STEPS:
        path = np.round(path * [1, 1, 0, 0])
        center = np.round(center - edge / 2) + edge / 2
    clip = np.stack([_seen(picture, center, step, edge) for step in path])
    if others and rng.random() < _PASSERS:
        other = others[int(rng.integers(len(others)))][0]
        _pass_by(clip, other, rng)
    return clip


def _camera(frames: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Where the camera looks: (T, 4), x and y in pixels, logarithm of the zoom, angle in radians."""
    time = np.arange(frames)[:, None] - (frames - 1) / 2
    speed = rng.uniform(-1, 1, 2) * MOST_SPEED * rng.random()
    rates = np.array([*speed, rng.normal(0, 0.004), rng.normal(0, 0.004)])
    shake = np.cumsum(rng.normal(0, 1, (frames, 4)) * [0.3, 0.3, 0, 0], axis=0) * (rng.random() < 0.5)
    return time * rates + shake


def _seen(
    picture: npt.NDArray[np.uint8], center: npt.NDArray[np.float64], step: npt.NDArray[np.float64], edge: int
) -> npt.NDArray[np.uint8]:
    x, y, zoom, angle = step
    scale = np.exp(zoom)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    half = (edge - 1) / 2
    cx, cy = center + np.array([x, y]) - 0.5
    matrix = np.array([[cos, -sin, cx - cos * half + sin * half], [sin, cos, cy - sin * half - cos * half]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(picture, matrix, (edge, edge), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(seen, np.uint8)


def _pass_by(clip: Footage, other: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draw an ellipse of another picture that moves over the clip by whole pixels."""
    frames, edge = clip.shape[:2]
    size = int(min(rng.uniform(0.2, 0.5) * edge, *other.shape[:2]))
    top, left = (int(rng.integers(side - size + 1)) for side in other.shape[:2])
    piece = other[top : top + size, left : left + size]
    mask = np.zeros((size, size), np.uint8)
    axes = (int(size * rng.uniform(0.25, 0.49)), int(size * rng.uniform(0.25, 0.49)))
    cv2.ellipse(mask, (size // 2, size // 2), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    start, speed = rng.uniform(0, edge, 2), rng.uniform(-1, 1, 2) * MOST_SPEED
    for t in range(frames):
        y, x = np.round(start + (t - frames / 2) * speed - size / 2).astype(int)
        rows, columns = slice(max(0, y), min(edge, y + size)), slice(max(0, x), min(edge, x + size))
        inside = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
        if rows.start < rows.stop and columns.start < columns.stop:
            clip[t, rows, columns][mask[inside] > 0] = piece[inside][mask[inside] > 0]
