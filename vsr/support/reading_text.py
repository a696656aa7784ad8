"""Characters that are read in a result and not in a plain enlargement of its source: they may have been invented."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import cv2
import numpy as np

from vsr.errors import ConfigError
from vsr.frames import Frame
from vsr.quality import Rgb, to_rgb

LEAST_SCORE = 0.5
"""Of a reading, below which it counts as none."""

_SMALLEST = 640
"""Pixels of the longer side below which pictures are enlarged before they are read, both alike."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text as it was read."""

    text: str
    box: tuple[float, float, float, float]
    """Left, top, right, bottom as shares of the picture's sides."""


class TextReader:
    """Reads text by RapidOCR, whose networks come with it."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            ConfigError: it is not installed.
        """
        try:
            from rapidocr import RapidOCR  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigError("text is read by RapidOCR; pip install 'vsr[text]' installs it") from error
        self._engine: Any = RapidOCR(params={"Global.log_level": "critical"})

    def read(self, picture: Rgb) -> list[TextLine]:
        """All lines of a picture."""
        height, width = picture.shape[:2]
        found = self._engine(picture[..., ::-1], use_cls=False)
        if found.txts is None:
            return []
        lines: list[TextLine] = []
        for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True):
            if score >= LEAST_SCORE:
                across, down = np.asarray(box)[:, 0] / width, np.asarray(box)[:, 1] / height
                lines.append(TextLine(text, (across.min(), down.min(), across.max(), down.max())))
        return lines

    def invented(self, source: Frame, result: Frame) -> list[dict[str, Any]]:
        """What is read in a result, line by line, with those of its characters that are not read in the source's plain
        (bicubic) enlargement at the same place.

        Returns:
            Lines that have such characters: `text`, `in_source`, `not_in_source` and `region` in source pixels.
        """
        made = to_rgb(result)
        large = max(1.0, _SMALLEST / max(made.shape[:2]))
        size = (round(made.shape[1] * large), round(made.shape[0] * large))
        plain, shown = (_sized(each, size) for each in (to_rgb(source), made))
        before = self.read(plain)
        format = source.format
        return [
            {
                "text": line.text,
                "in_source": "".join(other.text for other in same),
                "not_in_source": extra,
                "region": _region(line, format.width, format.height),
            }
            for line, same in _paired(self.read(shown), before)
            if (extra := unread(line.text, "".join(other.text for other in same)))
        ]


def unread(text: str, other: str) -> str:
    """The characters of a text that another one does not have in the same order; spaces do not count."""
    one, two = ("".join(each.split()) for each in (text, other))
    blocks = SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks()
    found = {place for block in blocks for place in range(block.a, block.a + block.size)}
    return "".join(letter for place, letter in enumerate(one) if place not in found)


def _paired(
    lines: Sequence[TextLine], others: Sequence[TextLine]
) -> Iterator[tuple[TextLine, list[TextLine]]]:
    """Each line with those that lie where it lies, from left to right."""
    for line in lines:
        same = [other for other in others if _shared(line.box, other.box) > 0.3]
        yield line, sorted(same, key=lambda other: other.box[0])


def _shared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Part of the smaller box that lies in the other."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    least = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(0.0, width) * max(0.0, height) / least if least > 0 else 0.0


def _region(line: TextLine, width: int, height: int) -> str:
    left, top = round(line.box[0] * width), round(line.box[1] * height)
    return f"{left},{top},{round(line.box[2] * width) - left},{round(line.box[3] * height) - top}"


def _sized(picture: Rgb, size: tuple[int, int]) -> Rgb:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
