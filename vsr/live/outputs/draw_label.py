"""Text burned into pictures, and pictures dimmed: code values alone, whatever the depth and layout."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsr.frames import Frame, PictureFormat, Plane

_WEIGHT = 500
_DIMMED = 0.4
"""How much of a dimmed picture's light and colour is left."""


@lru_cache(maxsize=16)  # of one text a second and camera
def _letters(text: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Draw white letters on a black plate that fits into a picture of that
    size; (rows, columns), both even."""
    size = max(8, min(40, height // 20))
    font = cv2.FontFace("sans")
    while True:
        _, _, text_width, _ = cv2.getTextSize((width, height), text, (0, 0), font, size, _WEIGHT)
        pad = max(2, size // 2)
        if text_width + 2 * pad <= width or size <= 6:
            break
        size -= 1
    rows, columns = min(height, size + pad) // 2 * 2, min(width, text_width + 2 * pad) // 2 * 2
    plate = np.zeros((rows, columns, 3), np.uint8)
    cv2.putText(plate, text, (pad, round(size * 1.1)), (255, 255, 255), font, size, _WEIGHT)
    return plate[..., 0]


def _levels(format: PictureFormat, index: int) -> tuple[int, int]:
    """Code values of black and white of plane `index`; of a chroma plane both are the neutral one."""
    depth = format.bit_depth
    if format.layout.startswith("yuv") and index in (1, 2):
        return 1 << (depth - 1), 1 << (depth - 1)
    if format.range == "full":
        return 0, (1 << depth) - 1
    return 16 << (depth - 8), 235 << (depth - 8)


def draw_label(frame: Frame, text: str) -> Frame:
    """Write `text` in white on a black plate into the top left corner: legible on any picture. Opacity stays.

    Returns:
        A frame with new planes; the text is shrunk, then cut, where the picture is narrow.
    """
    format = frame.format
    letters = _letters(text, format.height, format.width)
    planes: list[Plane] = []
    for index, plane in enumerate(frame.planes):
        if format.alpha and index == format.num_planes - 1:
            planes.append(plane)
            continue
        height, width = format.plane_size(index)
        rows, columns = letters.shape[0] * height // format.height, letters.shape[1] * width // format.width
        black, white = _levels(format, index)
        drawn = plane.copy()
        if black == white:
            drawn[:rows, :columns] = black
        else:
            drawn[:rows, :columns] = black + letters.astype(np.uint32) * (white - black) // 255
        planes.append(drawn)
    return replace(frame, planes=tuple(planes))


def dim(frame: Frame) -> Frame:
    """Darken a picture and take most of its colour, as what is shown while a camera is away."""
    planes: list[Plane] = []
    for index, plane in enumerate(frame.planes):
        black, _ = _levels(frame.format, index)
        dimmed: Any = black + (plane.astype(np.float32) - black) * _DIMMED
        planes.append(np.rint(dimmed).clip(0, (1 << frame.format.bit_depth) - 1).astype(plane.dtype))
    return replace(frame, planes=tuple(planes))


def black_frame(format: PictureFormat) -> Frame:
    """Make a black picture."""
    planes = (np.full(format.plane_size(i), _levels(format, i)[0]) for i in range(format.num_planes))
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    return Frame(tuple(plane.astype(dtype) for plane in planes), format)
