"""Pictures that show a difference: side by side, a wipe, magnified details. Draws on RGB arrays alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vsr.color import to_codes
from vsr.frames import Frame, PictureFormat
from vsr.picture import Picture, as_rgb, from_planes, to_planes

Array = npt.NDArray[Any]
Rgb = npt.NDArray[np.uint8]
"""(height, width, 3)."""

_DIVIDER = (255, 255, 255)
_GAP = 6
"""Pixels between the pictures of a row."""


def to_rgb(frame: Frame) -> Rgb:
    """Convert any frame to 8-bit RGB for looking at, by its matrix, range,
    depth and siting; alpha is ignored.

    The transfer function stays: HDR looks flat. An unknown matrix is BT.601
    below 720 lines and BT.709 from there.

    Returns:
        (height, width, 3) uint8, a new array.
    """
    planes = [torch.from_numpy(np.array(plane)) for plane in frame.planes]
    rgb = as_rgb(from_planes(frame, planes))[0].permute(1, 2, 0)
    return to_codes(rgb, (0.0, 255.0), 8).contiguous().numpy()


def as_frame(rgb: Rgb) -> Frame:
    """Make a frame of an 8-bit sRGB picture."""
    height, width = rgb.shape[:2]
    format = PictureFormat(
        height, width, layout="rgb", matrix="gbr", range="full", primaries="bt709", transfer="iec61966-2-1"
    )
    return Frame(tuple(np.ascontiguousarray(rgb[..., channel]) for channel in range(3)), format)


def to_frame(rgb: Rgb, like: Frame) -> Frame:
    """Make an 8-bit RGB frame of a picture, with the time and colour tags of another frame."""
    frame = as_frame(rgb)
    format = replace(frame.format, primaries=like.format.primaries, transfer=like.format.transfer)
    return replace(like, planes=frame.planes, format=format, arrived_s=0.0)


def to_playable(frame: Frame) -> Frame:
    """Convert an 8-bit RGB frame to BT.709 4:2:0, the one format that every phone and browser shows."""
    tags = {"matrix": "bt709", "primaries": "bt709", "transfer": "bt709"}
    format = replace(frame.format, layout="yuv420", range="limited", siting="left", **tags)
    rgb = from_planes(frame, [torch.from_numpy(np.array(plane)) for plane in frame.planes]).rgb
    picture = Picture(replace(frame, planes=(), format=format), rgb=rgb)
    return replace(frame, planes=tuple(plane.numpy() for plane in to_planes(picture, format)), format=format)


def draw_caption(picture: Rgb, text: str, *, right: bool = False) -> Rgb:
    """Write a small caption on a dark plate into the top left (or right) corner, unless it is empty."""
    if not text:
        return picture
    height, width = picture.shape[:2]
    size = max(11, min(28, height // 22, width // 12))
    font = cv2.FontFace("sans")
    _, _, text_width, _ = cv2.getTextSize((width, height), text, (0, 0), font, size, 500)
    pad = size // 2
    plate = (min(width, text_width + 2 * pad), min(height, size + pad))
    left = width - plate[0] if right else 0
    drawn = picture.copy()
    corner = drawn[: plate[1], left : left + plate[0]]
    corner[:] = corner // 4
    cv2.putText(drawn, text, (left + pad, round(size * 1.1)), (255, 255, 255), font, size, 500)  # in place
    return drawn


def same_size(a: Rgb, b: Rgb, labels: tuple[str, str]) -> tuple[Rgb, Rgb, tuple[str, str]]:
    """Enlarge the smaller picture to the larger one's size, bicubically, and say so in its label."""
    if a.shape == b.shape:
        return a, b, labels
    if a.shape[0] * a.shape[1] > b.shape[0] * b.shape[1]:
        large_b, large_a, (label_b, label_a) = same_size(b, a, (labels[1], labels[0]))
        return large_a, large_b, (label_a, label_b)
    height, width = b.shape[:2]
    enlarged = cv2.resize(a, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    return enlarged, b, (f"{labels[0]} (bicubic)".strip(), labels[1])


def side_by_side(a: Rgb, b: Rgb, labels: tuple[str, str] = ("", "")) -> Rgb:
    """Put two pictures next to each other with a thin divider; the smaller is
    enlarged bicubically and labelled so."""
    a, b, labels = same_size(a, b, labels)
    divider = np.full((a.shape[0], 2, 3), _DIVIDER, np.uint8)
    return np.concatenate(
        [draw_caption(a, labels[0]), divider, draw_caption(b, labels[1], right=True)], axis=1
    )


def wipe(a: Rgb, b: Rgb, position: float, labels: tuple[str, str] = ("", "")) -> Rgb:
    """Show `a` left and `b` right of a divider in one picture; sizes as in `side_by_side`.

    Args:
        position: place of the divider, 0 (only `b`) to 1 (only `a`).
    """
    a, b, labels = same_size(a, b, labels)
    width = a.shape[1]
    at = round(min(max(position, 0.0), 1.0) * width)
    a, b = draw_caption(a, labels[0]), draw_caption(b, labels[1], right=True)
    mixed = np.concatenate([a[:, :at], b[:, at:]], axis=1)
    if 0 < at < width:
        mixed[:, max(0, at - 1) : at + 1] = _DIVIDER
    return mixed


def crop_grid(
    pictures: Sequence[tuple[str, Rgb]], box: tuple[int, int, int, int], *, magnify: int = 3, columns: int = 0
) -> Rgb:
    """Show one detail of several pictures, magnified without smoothing, each with its label.

    Args:
        pictures: label and picture; smaller ones are enlarged bicubically to the largest.
        box: top, left, height, width of the detail in the largest picture.
        magnify: whole factor.
        columns: details in a row; 0 puts all in one row.
    """
    largest = max(
        (picture for _, picture in pictures), key=lambda picture: picture.shape[0] * picture.shape[1]
    )
    top, left, height, width = box
    cells: list[Rgb] = []
    for text, picture in pictures:
        picture, _, (text, _) = same_size(picture, largest, (text, ""))
        detail = picture[top : top + height, left : left + width]
        cells.append(draw_caption(detail.repeat(magnify, axis=0).repeat(magnify, axis=1), text))
    columns = columns or len(cells)
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    framed = [np.pad(cell, ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=255) for cell in cells]
    rows = [np.concatenate(framed[at : at + columns], axis=1) for at in range(0, len(framed), columns)]
    return np.pad(np.concatenate(rows, axis=0), ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
