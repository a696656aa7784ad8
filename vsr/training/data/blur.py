"""Blur of motion and of focus, made on sharp pictures: what the deblurring network learns to undo.

A still is filmed by a camera that moves along a smooth path while the shutter is open: neighbouring frames
show the path going on, as they do in a real clip, so a network that sees them can tell the direction.
"""

import math
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vsr.errors import SinkError
from vsr.training.data.footage import Footage, find_pictures, read_picture
from vsr.training.data.scaling import gaussian
from vsr.training.data.storage import through_jpeg

_SHARP = 0.1
"""Share of examples without blur: what is sharp must stay as it is."""

_ALONE = 0.4
"""Share of examples that repeat one frame: photos, and `--window 1`."""

_COMPRESSED = 0.35
"""Share of examples that are stored as JPEG: the seams between its blocks are not edges to be sharpened."""

_QUALITIES = (50, 97)

_MOTION = 0.6
"""Share of blur that is of motion; the rest is of focus."""

MOST_PIXELS = 16.0
"""Longest path of the camera while the shutter is open. Pictures to learn from are about 480 pixels wide:
that is a thirtieth of the width, and of more than that little can be brought back."""

WIDEST_DISC = 3.5
"""Largest radius of a point out of focus, in pixels."""

_POINTS = 48
"""Points of the path per frame."""

Kernel = npt.NDArray[np.float32]

Kind = Literal["motion", "focus"]


def filmed(still: Footage, frames: int, rng: np.random.Generator) -> tuple[Footage, Footage]:
    """Film a picture with an unsteady or badly focused camera.

    Args:
        still: (1, H, W, 3).
        frames: how many; the sharp twin shows each as it was at the middle of its exposure.
        rng: every choice comes from it.

    Returns:
        What the camera recorded and the sharp twin, each (T, H, W, 3).
    """
    recorded, sharp = _recorded(still[0], frames, rng)
    if rng.random() < _COMPRESSED:
        recorded = through_jpeg(recorded.astype(np.float32), _QUALITIES, rng)[0].astype(np.uint8)
    return recorded, sharp


def _recorded(
    picture: npt.NDArray[np.uint8], frames: int, rng: np.random.Generator
) -> tuple[Footage, Footage]:
    if rng.random() < _SHARP:
        both = np.repeat(_finished(picture.astype(np.float32), rng)[None], frames, 0)
        return both, np.repeat(picture[None], frames, 0)
    kernels = _kernels(frames, "motion" if rng.random() < _MOTION else "focus", rng)
    recorded, sharp = zip(*(_filmed_through(picture, *kernel, rng) for kernel in kernels), strict=True)
    if rng.random() < _ALONE:
        middle = frames // 2
        return np.repeat(recorded[middle][None], frames, 0), np.repeat(sharp[middle][None], frames, 0)
    return np.stack(recorded), np.stack(sharp)


def write_blurred(folder: Path, kind: Kind, *, high: Path, low: Path) -> None:
    """Make a test set of blur: each picture of a folder as one frame of an unsteady or badly focused camera.

    The same pictures give the same set: the generator of picture n is seeded by n.

    Args:
        folder: sharp pictures.
        kind: what blurs them.
        high: empty folder for the sharp twins, as PNG.
        low: empty folder for what the camera recorded, as PNG of the same names.

    Raises:
        SourceError: the folder holds no pictures.
        SinkError: a picture cannot be written.
    """
    for index, path in enumerate(find_pictures((str(folder),))):
        rng = np.random.default_rng(index)
        ((kernel, shift),) = _kernels(1, kind, rng)
        recorded, sharp = _filmed_through(read_picture(path)[0], kernel, shift, rng)
        for target, picture in ((high, sharp), (low, recorded)):
            if not cv2.imwrite(str(target / f"{path.stem}.png"), picture[..., ::-1]):
                raise SinkError(f"{target / path.stem}.png cannot be written")


def _kernels(frames: int, kind: Kind, rng: np.random.Generator) -> list[tuple[Kernel, tuple[int, int]]]:
    """For each frame its kernel, and by how many whole pixels (y, x) it is shifted against the picture."""
    if kind == "motion":
        shutter = rng.uniform(0.4, 1.0)
        path = _path(frames, MOST_PIXELS * rng.random() ** 1.5 / shutter, rng)
        soft = gaussian(0.6, 0.6, 0)
        exposures = [
            path[t * _POINTS : t * _POINTS + max(2, round(shutter * _POINTS))] for t in range(frames)
        ]
        return [
            (np.asarray(cv2.filter2D(_trace(points), -1, soft), np.float32), _middle(points))
            for points in exposures
        ]
    sigma = rng.uniform(0.6, 2.2)
    lens = _disc(rng.uniform(0.8, WIDEST_DISC)) if rng.random() < 0.6 else gaussian(sigma, sigma, 0)
    drift = rng.normal(0, 3, 2)
    return [(lens, (round(drift[0] * t), round(drift[1] * t))) for t in range(frames)]


def _path(frames: int, speed: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Where the camera looks, (T * _POINTS, 2) y and x in pixels, from 0 on: a curve, or a trembling hand."""
    num = frames * _POINTS
    direction, bend = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.8) * (rng.random() < 0.7)
    tremble = np.cumsum(rng.normal(0, 0.12, num)) * (rng.random() < 0.4)
    angles = direction + bend * np.arange(num) / _POINTS + tremble
    steps = np.stack([np.sin(angles), np.cos(angles)], 1) * (speed / _POINTS)
    return np.cumsum(steps, axis=0)


def _middle(points: npt.NDArray[np.float64]) -> tuple[int, int]:
    y, x = np.rint(points[len(points) // 2]).astype(int)
    return int(y), int(x)


def _trace(points: npt.NDArray[np.float64]) -> Kernel:
    """The path as a kernel around its own middle: each point shared among the four pixels around it.

    Around the very middle, not the pixel next to it: the twin is shifted by whole pixels, and what is left over would
    move the recorded picture against it by up to half a pixel, which nobody can tell from the picture.
    """
    around = points - points[len(points) // 2]
    reach = int(np.ceil(np.abs(around).max())) + 3
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    floor = np.floor(around).astype(int)
    part = around - floor
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
            np.add.at(kernel, (floor[:, 0] + dy + reach, floor[:, 1] + dx + reach), weight.astype(np.float32))
    return kernel / kernel.sum()


def _disc(radius: float) -> Kernel:
    """A point out of focus; its edge is antialiased."""
    reach = math.ceil(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    return (disc / disc.sum()).astype(np.float32)


def _filmed_through(
    picture: npt.NDArray[np.uint8], kernel: Kernel, shift: tuple[int, int], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    height, width = picture.shape[:2]
    matrix = np.array([[1.0, 0.0, shift[1]], [0.0, 1.0, shift[0]]])
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    sharp = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    # The camera looks along the path, so the picture moves against it:
    # correlation, which is what filter2D computes.
    blurred = cv2.filter2D(sharp.astype(np.float32), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return _finished(np.asarray(blurred, np.float32), rng), np.asarray(sharp, np.uint8)


def _finished(blurred: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A little sensor noise and the rounding of a file."""
    sigma = np.float32(3 * rng.random() ** 2)
    noisy = blurred + sigma * rng.standard_normal(blurred.shape, np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
