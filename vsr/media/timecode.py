"""SMPTE time codes, HH:MM:SS:FF, with a ; before FF where frame numbers are dropped (SMPTE ST 12-1)."""

import re
import struct
from fractions import Fraction

_HOURS = 24


def later_timecode(text: str, seconds: Fraction, rate: Fraction, new_rate: Fraction) -> str:
    """Return the time code that lies so many seconds later, counted at another rate.

    A text that is no time code, and a rate that is not known, give the text itself.
    """
    match = re.fullmatch(r"(\d+):(\d+):(\d+)([:;.,])(\d+)", text.strip())
    if match is None or not rate or not new_rate or (not seconds and rate == new_rate):
        return text
    hours, minutes, since, frame = (int(match[group]) for group in (1, 2, 3, 5))
    drops = match[4] != ":"
    number = _number((hours * 60 + minutes) * 60 + since, frame, round(rate), drops=drops)
    return _text(round((number / rate + seconds) * new_rate), round(new_rate), drops=drops)


def _dropped(minutes: int, fps: int) -> int:
    """Numbers left out by so many minutes: two (of 30) at each, but the tenth."""
    return fps // 15 * (minutes - minutes // 10)


def _number(seconds: int, frame: int, fps: int, *, drops: bool) -> int:
    return seconds * fps + frame - (_dropped(seconds // 60, fps) if drops else 0)


def _text(number: int, fps: int, *, drops: bool) -> str:
    drops = drops and fps % 30 == 0
    number %= _number(_HOURS * 3600, 0, fps, drops=drops)
    if drops:
        tens, rest = divmod(number, _number(600, 0, fps, drops=True))
        number += _dropped(10 * tens, fps) + fps // 15 * max(0, (rest - fps // 15) // (60 * fps - fps // 15))
    seconds, frame = divmod(number, fps)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}{';' if drops else ':'}{frame:02}"


def timecode_in(found: dict[int, bytes]) -> str:
    """Return the time code of a picture by its side data (FFmpeg's kinds 16, S12M, and 12, MPEG's GOP header).

    All zeros, which encoders write out of habit, count for none.
    """
    if len(found.get(16, b"")) >= 8:
        value = struct.unpack_from("=2I", found[16])[1]
        parts = [value & 0x3F, value >> 8 & 0x7F, value >> 16 & 0x7F, value >> 24 & 0x3F]
        parts, drops = [(part >> 4) * 10 + (part & 15) for part in parts], value >> 30 & 1
    elif len(found.get(12, b"")) >= 8:
        (value,) = struct.unpack_from("=q", found[12])
        parts, drops = [value >> 19 & 31, value >> 13 & 63, value >> 6 & 63, value & 63], value >> 24 & 1
    else:
        return ""
    return (
        "{:02}:{:02}:{:02}{}{:02}".format(*parts[:3], ";" if drops else ":", parts[3]) if any(parts) else ""
    )
