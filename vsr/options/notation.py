"""Times, sizes, rates and shapes as people write them, and the least that a number may be."""

import re
from fractions import Fraction

from vsr.errors import ConfigError


def parse_time(text: str) -> Fraction:
    """Read `SS`, `SS.fff`, `MM:SS.fff` or `HH:MM:SS.fff` as exact seconds.

    Raises:
        ConfigError: the text is none of these.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)", text.strip())
    if match is None:
        raise ConfigError(
            f"time {text!r} is not understood; write seconds (83.5) or HH:MM:SS.fff (00:01:23.500)"
        )
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_size(text: str) -> tuple[int, int]:
    """Read `WIDTHxHEIGHT` as (height, width).

    Raises:
        ConfigError: the text is not two whole numbers above 0.
    """
    match = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise ConfigError(f"size {text!r} is not understood; write WIDTHxHEIGHT, as in 1920x1080")
    return int(match[2]), int(match[1])


def parse_rate(text: str) -> Fraction:
    """Read frames a second, such as 24, 24000/1001 or 23.976, which means the same.

    Raises:
        ConfigError: the text is no number above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(\d+))?", text.strip())
    if match is None or not Fraction(match[1]) or (match[2] and not int(match[2])):
        raise ConfigError(f"fps {text!r} is not understood; write 25, 23.976 or 24000/1001")
    rate = Fraction(match[1]) / int(match[2] or 1)
    if not 1000 * rate > 1 or rate > 1000:
        raise ConfigError(f"fps {text!r} is out of range; 0.001 to 1000 is accepted")
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return ntsc if rate.denominator > 1 and not match[2] and abs(rate - ntsc) < Fraction(1, 100) else rate


def parse_aspect(text: str) -> Fraction:
    """Read `W:H`, such as 4:3 or 2.35:1, as a ratio.

    Raises:
        ConfigError: the text is not two numbers above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text.strip())
    if match is None or not Fraction(match[1]) or not Fraction(match[2]):
        raise ConfigError(f"aspect {text!r} is not understood; write W:H, as in 4:3")
    return Fraction(match[1]) / Fraction(match[2])


def at_least(minimum: int, **values: object) -> None:
    """Raise ConfigError for the first number below `minimum`; words such as `auto` pass."""
    for name, value in values.items():
        if isinstance(value, int) and value < minimum:
            raise ConfigError(f"{name} {value} is too small; {minimum} or more is accepted")
