"""Text burned into pictures, and pictures dimmed: code values alone, whatever the depth and layout."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsr.frames import Frame, PictureFormat, Plane

_WEIGHT = 500
_DIMMED = 0.4
"""How much of a dimmed picture's light and colour is left."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is written on pictures, and where, as players show them."""

    text: str
    bottom: bool = False
    right: bool = False
    rotation: int = 0
    """Degrees counter-clockwise by which players turn the picture: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Players mirror it, too: top to bottom before they turn it."""

    def shown(self, plane: Plane) -> Plane:
        """A view of a plane as players show it."""
        return np.rot90(np.flipud(plane) if self.mirrored else plane, self.rotation // 90)


def _size_of(text: str, height: int, width: int) -> tuple[int, int, int]:
    """The size of letters, the text's width, and what is left around it, so that it fits into a picture; the smallest
    there is where none does."""
    size = max(8, min(40, height // 20))
    font = cv2.FontFace("sans")
    while True:
        _, _, text_width, _ = cv2.getTextSize((width, height), text, (0, 0), font, size, _WEIGHT)
        pad = max(2, size // 2)
        if text_width + 2 * pad <= width or size <= 6:
            return size, text_width, pad
        size -= 1


def label_fits(text: str, height: int, width: int) -> bool:
    """Whether a text can be read whole in the upper or lower quarter of a picture."""
    size, text_width, pad = _size_of(text, height, width)
    return size >= 8 and text_width + 2 * pad <= width and 4 * (size + pad) <= height


@lru_cache(maxsize=16)  # of one text a second and camera
def _letters(text: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Draw white letters on a black plate that fits into a picture of that
    size; (rows, columns), both even."""
    size, text_width, pad = _size_of(text, height, width)
    rows, columns = min(height, size + pad) // 2 * 2, min(width, text_width + 2 * pad) // 2 * 2
    plate = np.zeros((rows, columns, 3), np.uint8)
    place = (pad, round(size * 1.1))
    cv2.putText(plate, text, place, (255, 255, 255), cv2.FontFace("sans"), size, _WEIGHT)
    return plate[..., 0]


def _levels(format: PictureFormat, index: int) -> tuple[int, int]:
    """Code values of black and white of plane `index`; of a chroma plane both are the neutral one."""
    depth = format.bit_depth
    if format.layout.startswith("yuv") and index in (1, 2):
        return 1 << (depth - 1), 1 << (depth - 1)
    if format.range == "full":
        return 0, (1 << depth) - 1
    return 16 << (depth - 8), 235 << (depth - 8)


def draw_label(frame: Frame, label: Label) -> Frame:
    """Write in white on a black, opaque plate in a corner: legible on any picture.

    Returns:
        A frame with new planes; the text is shrunk, then cut, where the picture is narrow.
    """
    format = frame.format
    height, width = label.shown(frame.planes[0]).shape
    letters = _letters(label.text, height, width)
    planes: list[Plane] = []
    for index, plane in enumerate(frame.planes):
        drawn = plane.copy()
        shown = label.shown(drawn)  # what is written there is written into `drawn`
        rows = letters.shape[0] * shown.shape[0] // height
        columns = letters.shape[1] * shown.shape[1] // width
        top = shown.shape[0] - rows if label.bottom else 0
        left = shown.shape[1] - columns if label.right else 0
        corner = shown[top : top + rows, left : left + columns]
        if format.alpha and index == format.num_planes - 1:
            corner[:] = (1 << format.bit_depth) - 1
            planes.append(drawn)
            continue
        black, white = _levels(format, index)
        if black == white:
            corner[:] = black
        else:
            corner[:] = black + letters.astype(np.uint32) * (white - black) // 255
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
