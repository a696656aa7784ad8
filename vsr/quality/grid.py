"""A picture of results: one row per picture, one column per candidate, the same detail in all, with PSNR."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from vsr.quality.drawing import Rgb
from vsr.quality.score import Score, Show

_DETAIL = 72
"""Edge of the detail shown, in pixels of the original."""
_MAGNIFY = 3
_GAP = 8
_TEXT_HEIGHT = 26
_FONT_SIZE = 15
_INK, _FAINT, _PAPER = (30, 30, 30), (110, 110, 110), 255

REFERENCE = "original"
"""Heading of the first column."""


@dataclass
class _Row:
    original: Rgb
    pictures: dict[str, tuple[Rgb, float]] = field(default_factory=dict[str, tuple[Rgb, float]])
    """Picture and PSNR in dB by column."""


class Gallery:
    """Collects results of some pictures and draws them. Only the rows named are kept."""

    def __init__(self, rows: Iterable[str]):
        self._wanted = frozenset(rows)
        self._rows: dict[str, _Row] = {}

    def column(self, heading: str) -> Show:
        """Begin a column; what comes back takes its pictures, of the rows that are drawn."""

        def show(name: str, result: Rgb, original: Rgb, score: Score) -> None:
            if name in self._wanted:
                self._rows.setdefault(name, _Row(original)).pictures[heading] = (result, score.psnr)

        return show

    def draw(self) -> Rgb:
        """Draw all rows; the detail of a row is where its first column is furthest from the original.

        Raises:
            ValueError: nothing has been added.
        """
        if not self._rows:
            raise ValueError("a gallery without pictures cannot be drawn")
        return np.concatenate(
            [_draw_row(name, row) for name, row in self._rows.items()] + [_blank(_GAP, self._width())]
        )

    def _width(self) -> int:
        return max(len(row.pictures) + 1 for row in self._rows.values()) * (_DETAIL * _MAGNIFY + _GAP) + _GAP


def _draw_row(name: str, row: _Row) -> Rgb:
    first = next(iter(row.pictures.values()))[0]
    top, left, edge = hardest_detail(first, row.original)
    cells = [_cell(row.original, (top, left, edge), REFERENCE, name)]
    for column, (picture, psnr) in row.pictures.items():
        cells.append(
            _cell(picture, (top, left, edge), column, "equal" if math.isinf(psnr) else f"{psnr:.2f} dB")
        )
    gap = _blank(cells[0].shape[0], _GAP)
    drawn = np.concatenate([part for cell in cells for part in (gap, cell)] + [gap], axis=1)
    return np.concatenate([_blank(_GAP, drawn.shape[1]), drawn])


def hardest_detail(result: Rgb, original: Rgb) -> tuple[int, int, int]:
    """Find the square where a result is furthest from the original: top, left and edge in pixels."""
    edge = min(_DETAIL, *original.shape[:2])
    error = np.square(result.astype(np.float32) - original).mean(2)
    means = cv2.boxFilter(error, -1, (edge, edge), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = means[: original.shape[0] - edge + 1, : original.shape[1] - edge + 1]
    top, left = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return int(top), int(left), edge


def _cell(picture: Rgb, box: tuple[int, int, int], above: str, below: str) -> Rgb:
    top, left, edge = box
    side = _DETAIL * _MAGNIFY
    detail = np.ascontiguousarray(picture[top : top + edge, left : left + edge])
    large = cv2.resize(detail, (side, side), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return np.concatenate([_line(above, side, _INK), large, _line(below, side, _FAINT)])


def _line(text: str, width: int, color: tuple[int, int, int]) -> Rgb:
    """One centred line, in smaller letters where it is long."""
    line, font, size = _blank(_TEXT_HEIGHT, width), cv2.FontFace("sans"), _FONT_SIZE

    def measure(size: int) -> int:
        return cv2.getTextSize((width, _TEXT_HEIGHT), text, (0, 0), font, size, 500)[2]

    while size > 9 and measure(size) > width:
        size -= 1
    left = max(0, (width - measure(size)) // 2)
    cv2.putText(line, text, (left, round(_TEXT_HEIGHT * 0.7)), color, font, size, 500)
    return line


def _blank(height: int, width: int) -> Rgb:
    return np.full((height, width, 3), _PAPER, np.uint8)


def encode_png(picture: Rgb) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
