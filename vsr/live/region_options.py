"""Options of a region: which part of a camera's picture is enhanced by itself, by how much, and where it goes."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from vsr.autocrop import Rectangle
from vsr.errors import ConfigError
from vsr.frames import PictureFormat
from vsr.live.target_options import OutputOptions, above

_STEP = 2
"""Samples of a chroma sample in 4:2:0, in which all outputs are encoded."""


@dataclass(frozen=True)
class RegionOptions:
    """A part of a camera's picture that is enhanced beside the whole: a gate, a plate, a till."""

    name: str
    """Letters, digits, - and _; the region is shown as CAMERA-NAME."""
    x: float
    """Of its left edge, from the left of the picture."""
    y: float
    """Of its upper edge, from the top of the picture."""
    width: float
    """In pixels of the camera; with `height`, `x` and `y` all 1 or less: parts of the picture, whatever its size."""
    height: float
    scale: Literal[2, 3, 4] = 2
    """Enlargement of its height and width."""
    outputs: tuple[OutputOptions, ...] = ()
    """Where it goes, all from one encode; {name} in a target stands for CAMERA-NAME."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ConfigError(f"name {self.name!r} cannot be used; letters, digits, - and _ are accepted")
        above(0, width=self.width, height=self.height)
        above(-1e-9, x=self.x, y=self.y)
        if self._in_parts and max(self.x + self.width, self.y + self.height) > 1 + 1e-9:
            raise ConfigError(
                "x + width and y + height are more than 1, the whole picture; less is accepted, or pixels"
            )

    @property
    def _in_parts(self) -> bool:
        return max(self.x, self.y, self.width, self.height) <= 1

    def within(self, format: PictureFormat) -> Rectangle:
        """The region in a picture of `format`, its edges moved outward to even samples.

        Raises:
            ConfigError: it does not lie within the picture.
        """
        across, down = (format.width, format.height) if self._in_parts else (1, 1)
        left, right = _even(self.x * across, (self.x + self.width) * across, format.width)
        top, bottom = _even(self.y * down, (self.y + self.height) * down, format.height)
        if max(self.x + self.width, 0) * across > format.width + 0.5 or right <= left or bottom <= top:
            raise self._outside(format)
        if (self.y + self.height) * down > format.height + 0.5:
            raise self._outside(format)
        return Rectangle(top, left, bottom - top, right - left)

    def _outside(self, format: PictureFormat) -> ConfigError:
        return ConfigError(
            f"{self} does not lie within the picture of {format.width}x{format.height};"
            " give one that does, or parts of the picture (0 to 1), which hold at every size"
        )

    def is_exact(self, rectangle: Rectangle) -> bool:
        """Whether a rectangle is the very one that was asked for, in pixels or in parts."""
        asked = (self.x, self.y, self.width, self.height)
        return self._in_parts or asked == (rectangle.left, rectangle.top, rectangle.width, rectangle.height)

    def __str__(self) -> str:
        return f"region {self.width:g}x{self.height:g} at {self.x:g}, {self.y:g}"


def _even(first: float, last: float, size: int) -> tuple[int, int]:
    """Edges moved outward to even samples, or to the picture's own edge."""
    return math.floor(first / _STEP) * _STEP, min(math.ceil(last / _STEP) * _STEP, size)
