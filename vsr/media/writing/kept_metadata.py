"""Names and values that go along with a film: which are the film's and not the old file's, where they are kept."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from vsr.frames import StreamInfo
from vsr.media.timecode import later_timecode

_STALE = (
    *("major_brand", "minor_version", "compatible_brands", "encoder"),
    *("duration", "number_of_", "bps", "_statistics", "alpha_mode", "stereo_mode"),
)
"""Beginnings of keys that describe the old file and not the film."""
_EVERY_TRACK = frozenset({"language", "handler_name", "vendor_id", "creation_time", "filename", "mimetype"})
"""Keys of streams that muxers write by themselves, or in a place of their own."""
_SAME = {"name": "title"}
"""Keys that QuickTime gives another name when it is read than when it is written."""


def fresh(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what is the film's own."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(_STALE)}


def fresh_of_stream(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what is a stream's own, its name as muxers want to be given it."""
    found = fresh(metadata)
    return found if "name" not in found or "title" in found else found | {"title": found["name"]}


def wants_keys(metadata: Iterable[str]) -> bool:
    """Whether some of it is what cameras and telephones write, `com.MAKER.NAME`.

    mp4 and mov hold it only where all else is written in the same way, which fewer players show.
    """
    return any(key.lower().startswith("com.") for key in fresh(dict.fromkeys(metadata, "")))


def keys_of(metadata: Iterable[str]) -> frozenset[str]:
    """Return the keys that must be found again, as they are compared: containers change case and add languages."""
    lower = (re.sub(r"-[a-z]{3}$", "", key.lower()) for key in fresh(dict.fromkeys(metadata, "")))
    return frozenset(_SAME.get(key, key) for key in lower)


def stream_keys_of(metadata: Iterable[str]) -> frozenset[str]:
    """Return the same of a stream."""
    return keys_of(metadata) - _EVERY_TRACK


@dataclass(frozen=True)
class Move:
    """How the time code of a first picture moves along."""

    start: Fraction | None
    """Seconds of the original at which the result begins; None for its own beginning."""
    rate: Fraction
    """Pictures a second of the original."""
    new_rate: Fraction
    """Of the result; 0 where it changes."""


def write_timecode(source: StreamInfo, move: Move, of_file: dict[str, str], of_video: dict[str, str]) -> None:
    """Write the time code of the first picture that goes along where the original has one, else to the video."""
    if not source.timecode:
        return
    begin = (source.start_pts or 0) * source.time_base
    later = Fraction(0) if move.start is None else max(Fraction(0), move.start - begin)
    text = later_timecode(source.timecode, later, move.rate, move.new_rate)
    keys = [(holder, key) for holder in (of_file, of_video) for key in holder if key.lower() == "timecode"]
    for holder, key in keys or [(of_video, "timecode")]:
        holder[key] = text
