"""Black borders (letterbox, pillarbox): finding them on decoded frames, and
cutting them off as frames pass by.

A border is what is black and flat in every frame that is looked at; in doubt it is picture.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vsr.color import chroma_scale, luma_scale
from vsr.errors import ConfigError
from vsr.frames import SUBSAMPLING, Frame, PictureFormat
from vsr.prefetch import mapped

Lines = npt.NDArray[np.bool_]

DARK, DARK_MEAN, FLAT = 0.12, 0.02, 0.026
"""Largest sample, mean and standard deviation that a border's line may have (black is 0, white 1).

At the edge of the picture compression rings into the border: x264 at crf 36 left up to 0.105, 0.009
and 0.025 there (four clips at 640x360 in bars). Where the edge lies on no block's, deblocking
smears one line of picture over it, which nothing tells from picture, so it stays. A night sky has
grain, or is not as black on average."""

COLOURLESS = 0.08
"""No chroma sample of a border is further than this from none."""

LIT = 0.2
"""A frame that is nowhere brighter than this says little about where its picture ends."""

MIN_LIT = 3
"""Frames that must be lit, or all of them where there are fewer."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Part of a picture, in samples of its first plane."""

    top: int
    left: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.left}, {self.top}"

    def within(self, outer: "Rectangle | None") -> "Rectangle":
        """The same part, in samples of the picture that `outer` was cut from."""
        return self if outer is None else replace(self, top=self.top + outer.top, left=self.left + outer.left)


def cut_sides(format: PictureFormat, sides: Mapping[str, int]) -> Rectangle | None:
    """Return what is left without so many lines or columns at each side; None where nothing is cut off.

    Raises:
        ConfigError: a cut goes through a chroma sample, or leaves nothing.
    """
    down, across = SUBSAMPLING[format.layout]
    for side, lines in sides.items():
        step = down if side in ("top", "bottom") else across
        if lines % step:
            raise ConfigError(
                f"crop_{side} {lines} goes through chroma samples of {format.layout}; multiples of {step} are accepted"
            )
    height, width = (
        format.height - sides["top"] - sides["bottom"],
        format.width - sides["left"] - sides["right"],
    )
    if height <= 0 or width <= 0:
        raise ConfigError(f"crop leaves nothing of {format.width}x{format.height}; cut off less")
    return Rectangle(sides["top"], sides["left"], height, width) if any(sides.values()) else None


def find_borders(frames: Iterable[Frame]) -> Rectangle | None:
    """Return the least rectangle that holds the picture of every frame, or
    None where there is nothing to cut off.

    Its edges lie on whole chroma samples, outside of the picture where they do not meet. Frames should be
    spread over the clip: black ones and dark ones do no harm, since whatever shows in any frame is kept.

    Args:
        frames: all of one format.
    """
    rows: Lines | None = None
    columns: Lines | None = None
    format: PictureFormat | None = None
    num_frames = num_lit = 0
    for frame in frames:
        format = frame.format
        in_rows, in_columns = _picture_lines(frame)
        rows = in_rows if rows is None else rows | in_rows
        columns = in_columns if columns is None else columns | in_columns
        num_frames += 1
        num_lit += _is_lit(frame)
    if format is None or rows is None or columns is None or num_lit < min(MIN_LIT, num_frames):
        return None
    if not rows.any() or not columns.any():
        return None
    down, across = SUBSAMPLING[format.layout]
    top, bottom = _span(rows, down)
    left, right = _span(columns, across)
    found = Rectangle(top, left, bottom - top, right - left)
    return None if found == Rectangle(0, 0, format.height, format.width) else found


def crop(frames: Iterable[Frame], rectangle: Rectangle) -> Generator[Frame, None, None]:
    """Cut every frame to a rectangle whose edges lie on whole chroma samples;
    planes are views, nothing is copied.

    `frames` is closed, if it can be, in the thread that runs or closes this generator.

    Raises:
        ConfigError: the rectangle does not lie within the picture.
    """
    return mapped(lambda frame: cut(frame, rectangle), frames)


def cropped_format(format: PictureFormat, rectangle: Rectangle) -> PictureFormat:
    """The format of cropped frames: samples keep their shape, the picture has another.

    Raises:
        ConfigError: the rectangle does not lie within the picture.
    """
    if rectangle.top + rectangle.height > format.height or rectangle.left + rectangle.width > format.width:
        raise ConfigError(f"crop {rectangle} does not lie within {format.width}x{format.height}")
    return replace(format, height=rectangle.height, width=rectangle.width)


def cut(frame: Frame, rectangle: Rectangle) -> Frame:
    """Cut one frame, as `crop` does.

    Raises:
        ConfigError: the rectangle does not lie within the picture.
    """
    format = cropped_format(frame.format, rectangle)
    planes: list[npt.NDArray[Any]] = []
    for index, plane in enumerate(frame.planes):
        down, across = SUBSAMPLING[format.layout] if index in (1, 2) else (1, 1)
        top, left, (height, width) = rectangle.top // down, rectangle.left // across, format.plane_size(index)
        planes.append(plane[top : top + height, left : left + width])
    return replace(frame, planes=tuple(planes), format=format)


def _picture_lines(frame: Frame) -> tuple[Lines, Lines]:
    """For each row and column of the first plane, whether it is not border from edge to edge."""
    format = frame.format
    black, span = luma_scale(format)
    first = frame.planes[:3] if format.layout == "rgb" else frame.planes[:1]
    lines = [_not_black(plane, black, span) for plane in first]
    if format.layout.startswith("yuv"):
        middle, span = chroma_scale(format)
        down, across = SUBSAMPLING[format.layout]
        for plane in frame.planes[1:3]:
            coloured = np.abs(plane.astype(np.int32) - int(middle)) > COLOURLESS * span
            rows = coloured.any(1).repeat(down)[: format.height]
            lines.append((rows, coloured.any(0).repeat(across)[: format.width]))
    rows, columns = zip(*lines, strict=True)
    return np.logical_or.reduce(rows), np.logical_or.reduce(columns)


def _not_black(plane: npt.NDArray[Any], black: float, span: float) -> tuple[Lines, Lines]:
    """Rows and columns of one plane that are not border.

    Columns are judged without the rows that are border already: those would
    make any column look flat and dark.
    """
    values = (plane.astype(np.float32) - black) / span
    rows = _lines_with_picture(values)
    return rows, _lines_with_picture(values[rows].T) if rows.any() else np.zeros(values.shape[1], bool)


def _lines_with_picture(values: npt.NDArray[np.float32]) -> Lines:
    return (values.max(1) > DARK) | (values.mean(1) > DARK_MEAN) | (values.std(1) > FLAT)


def _is_lit(frame: Frame) -> bool:
    black, span = luma_scale(frame.format)
    planes = frame.planes[:3] if frame.format.layout == "rgb" else frame.planes[:1]
    return any(float(plane.max()) > black + LIT * span for plane in planes)


def _span(lines: Lines, step: int) -> tuple[int, int]:
    """First and last + 1 of the lines that hold picture, moved outward to whole steps within the plane."""
    first, last = (int(index) for index in np.flatnonzero(lines)[[0, -1]])
    return first // step * step, min(len(lines), -(-(last + 1) // step) * step)
