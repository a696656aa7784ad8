"""Fragmented MP4 (ISO/IEC 14496-12) of access units. Pure.

FFmpeg's muxer writes the head; fragments are written here, for it gives one out only with the packet after, and cuts
where it likes.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import nal_units

SOUND_RATE = 48_000
"""Samples, and ticks, a second of the sound."""

_LEFT_OUT = {"h264": (7, 8, 9), "h265": (32, 33, 34, 35)}
"""Kinds of NAL units that MP4 has in its head, or has no use for: parameter sets and delimiters."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A coded picture, or a packet of sound, in a fragment. Times are in ticks of its track."""

    data: bytes
    start: int
    """When it is decoded."""
    duration: int
    delay: int = 0
    """How much later it is shown."""
    keyframe: bool = True


@dataclass(frozen=True)
class Head:
    """What a player needs before fragments."""

    data: bytes
    has_sound: bool


def write_head(keyframe: bytes, codec: str, *, has_sound: bool) -> Head:
    """Write `ftyp` and `moov`. Tracks have `TICKS` ticks a second for pictures, and as many as samples for sound.

    Args:
        keyframe: Annex B, with its parameter sets.
        codec: `h264` or `h265`.
        has_sound: there is a track of AAC in stereo, too.

    Raises:
        FFmpegError, IndexError: the keyframe is none.
    """
    written, options = io.BytesIO(), {"movflags": "empty_moov+default_base_moof", "use_editlist": "0"}
    raw = "h264" if codec == "h264" else "hevc"
    with (
        av.open(io.BytesIO(keyframe), format=raw) as source,
        av.open(written, "w", format="mp4", options=options) as made,
    ):
        video: Any = made.add_stream_from_template(source.streams.video[0])
        video.time_base = Fraction(1, TICKS)
        if codec == "h265":
            video.codec_tag = "hvc1"  # Safari takes no other
        if has_sound:
            sound: Any = made.add_stream("aac", rate=SOUND_RATE, layout="stereo")
            sound.codec_context.open()
        made.start_encoding()
    data = written.getvalue()
    at = data.index(b"moov") - 4
    return Head(data[: at + int.from_bytes(data[at : at + 4], "big")], has_sound)


def write_fragment(
    number: int, codec: str, pictures: Sequence[Sample], sound: Sequence[Sample] = ()
) -> bytes:
    """Write `moof` and `mdat`; `number` goes up from fragment to fragment."""
    tracks = [_Track(1, [_with_lengths(each.data, codec) for each in pictures], pictures)]
    if sound:
        tracks.append(_Track(2, [each.data for each in sound], sound))
    # Where data begins counts from the moof, whose size does not depend on it.
    size = len(_moof(number, tracks, 0))
    return _moof(number, tracks, size + 8) + _box(b"mdat", *(b"".join(track.data) for track in tracks))


@dataclass(frozen=True)
class _Track:
    number: int
    data: list[bytes]
    samples: Sequence[Sample]


def _moof(number: int, tracks: Sequence[_Track], offset: int) -> bytes:
    made = [_box(b"mfhd", struct.pack("!II", 0, number))]
    for track in tracks:
        rows = (
            struct.pack(
                "!IIIi", each.duration, len(held), 0x2000000 if each.keyframe else 0x1010000, each.delay
            )
            for each, held in zip(track.samples, track.data, strict=True)
        )
        made.append(
            _box(
                b"traf",
                _box(b"tfhd", struct.pack("!II", 0x20000, track.number)),
                _box(b"tfdt", struct.pack("!IQ", 1 << 24, track.samples[0].start)),
                # Offset of the data, and of each sample duration, size, flags and delay (8.8.8).
                _box(b"trun", struct.pack("!IIi", 1 << 24 | 0xF01, len(track.samples), offset), *rows),
            )
        )
        offset += sum(map(len, track.data))
    return _box(b"moof", *made)


def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack("!I", 8 + len(data)) + kind + data


def _with_lengths(picture: bytes, codec: str) -> bytes:
    """The picture as MP4 holds it (ISO/IEC 14496-15)."""
    kinds = ((nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63, nal) for nal in nal_units(picture))
    kept = (nal.rstrip(b"\0") for kind, nal in kinds if kind not in _LEFT_OUT[codec])
    return b"".join(struct.pack("!I", len(nal)) + nal for nal in kept)
