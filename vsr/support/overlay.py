"""Support drawn: over the result, in three steps, or as a gray picture of its own."""

from dataclasses import replace

import cv2
import numpy as np

from vsr.frames import Frame, PictureFormat
from vsr.quality import Rgb, draw_caption, to_frame, to_rgb
from vsr.support.measuring import FrameSupport
from vsr.support.signals import BLOCK, Map

BLACK_FROM = 64.0
"""Expected error, in code values, that is drawn black in a gray map; none is white."""

_VEIL = np.array([150, 60, 140], np.float32)
"""Colour of what lies over the parts that are not supported; told from their hatching without seeing colours."""

_OPACITY = {0: 0.62, 1: 0.3}
"""Of the hatching, by step."""

_PERIOD = {0: 6, 1: 12}
"""Pixels from line to line, by step."""


def hatched(support: FrameSupport) -> Frame:
    """The result with lines over what is partly supported, and thick ones over what is not, and their shares."""
    picture = to_rgb(support.result)
    steps = _at_pixels(support.steps, support)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    scale = max(1, picture.shape[0] // 720)
    drawn = picture.astype(np.float32)
    for step, period in _PERIOD.items():
        lines = ((x + y) // scale % period) < (period // 2 if step == 0 else 2)
        where = (steps == step) & lines
        drawn[where] += (_VEIL - drawn[where]) * _OPACITY[step]
    painted: Rgb = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    supported, partly, not_at_all = shares(support.steps)
    text = f"supported {supported:.0%}, partly {partly:.0%}, not {not_at_all:.0%}"
    return to_frame(draw_caption(painted, text), support.result)


def gray_map(support: FrameSupport) -> Frame:
    """The score in the source's own grid: white where no error is expected, black from `BLACK_FROM` on."""
    values = 255 * (1 - np.clip(support.scores / BLACK_FROM, 0, 1))
    source = support.source
    height, width = support.reduction.small
    large = np.kron(np.rint(values).astype(np.uint8), np.ones((BLOCK, BLOCK), np.uint8))[:height, :width]
    format = PictureFormat(
        height, width, layout="gray", range="full", sample_aspect=source.format.sample_aspect
    )
    return replace(source, planes=(np.ascontiguousarray(large),), format=format)


def shares(steps: Map) -> tuple[float, float, float]:
    """Parts of the blocks that are supported, partly supported, and not."""
    return tuple(float(np.mean(steps == step)) for step in (2, 1, 0))  # type: ignore[return-value]


def _at_pixels(steps: Map, support: FrameSupport) -> Map:
    """Each pixel of the result by its block."""
    small, large = support.reduction.small, support.reduction.large
    grid = np.kron(steps, np.ones((BLOCK, BLOCK), np.float32))[: small[0], : small[1]]
    return np.asarray(cv2.resize(grid, large[::-1], interpolation=cv2.INTER_NEAREST), np.float32)
