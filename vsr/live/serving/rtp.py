"""RTP: what packets a unit becomes, and the numbers that one viewer's packets carry. Knows no sockets.

Payloads: H.264 by RFC 6184, H.265 by RFC 7798, AAC by RFC 3640, Opus by RFC 7587, MP3 by RFC 2250, G.711 and G.722
by RFC 3551. Sender reports by RFC 3550.
"""

import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import AccessUnit, AudioParameters, VideoParameters, nal_units

_MOST = 1400
"""Bytes of a payload: below what Ethernet carries, with the headers of RTP, UDP, IP and a tunnel."""
_NTP = 2_208_988_800
"""Seconds from 1900, where NTP begins, to 1970."""
_TURN = 1 << 32
_HEAD = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """How RTP names a codec."""

    number: int
    """Of the payload, in each packet."""
    encoding: str
    """As `a=rtpmap` has it."""
    clock: int
    """Ticks a second of its times."""


def payload_format(parameters: VideoParameters | AudioParameters) -> PayloadFormat | None:
    """Return how RTP carries a codec; None for one that it has no usual place for."""
    codec = parameters.codec
    if isinstance(parameters, VideoParameters):
        return PayloadFormat(96, f"{codec.upper()}/90000", 90_000)
    rate, channels = parameters.sample_rate, parameters.channels
    many = f"/{channels}" if channels > 1 else ""
    narrow = {"pcm_mulaw": ("PCMU", 0), "pcm_alaw": ("PCMA", 8)}
    if codec in narrow:
        name, number = narrow[codec]
        return PayloadFormat(number if (rate, channels) == (8000, 1) else 97, f"{name}/{rate}{many}", rate)
    if codec == "aac" and parameters.config:
        return PayloadFormat(97, f"MPEG4-GENERIC/{rate}/{channels}", rate)
    return {
        "opus": PayloadFormat(97, "opus/48000/2", 48_000),
        "mp3": PayloadFormat(14, "MPA/90000", 90_000),
        "adpcm_g722": PayloadFormat(9, "G722/8000", 8000),  # a mistake of RFC 1890 that stays
    }.get(codec)


@lru_cache(maxsize=256)
def payloads(unit: AccessUnit) -> tuple[bytes, ...]:
    """Return the payloads of a unit's packets, the same for all viewers."""
    if isinstance(unit.parameters, VideoParameters):
        split = _fragments_h264 if unit.codec == "h264" else _fragments_h265
        return tuple(part for nal in nal_units(unit.data) for part in split(nal))
    if unit.codec == "aac":
        return (struct.pack("!HH", 16, len(unit.data) << 3 & 0xFFFF) + unit.data,)
    return (bytes(4) + unit.data,) if unit.codec == "mp3" else (unit.data,)


def _fragments_h264(nal: bytes) -> Iterator[bytes]:
    """A NAL unit as it is, or as FU-A (RFC 6184, 5.8)."""
    head = bytes([nal[0] & 0xE0 | 28])
    return _fragments(nal, 1, head, nal[0] & 31)


def _fragments_h265(nal: bytes) -> Iterator[bytes]:
    """The same of H.265 (RFC 7798, 4.4.3)."""
    head = bytes([nal[0] & 0x81 | 49 << 1]) + nal[1:2]
    return _fragments(nal, 2, head, nal[0] >> 1 & 63)


def _fragments(nal: bytes, size: int, head: bytes, kind: int) -> Iterator[bytes]:
    if len(nal) <= _MOST:
        yield nal
        return
    step = _MOST - size - 1
    for at in range(size, len(nal), step):
        place = (at == size) << 7 | (at + step >= len(nal)) << 6
        yield head + bytes([place | kind]) + nal[at : at + step]


class RtpStream:
    """One track of one viewer: numbers its packets and reports their times.

    Args:
        format: of the payload.
    """

    def __init__(self, format: PayloadFormat):
        self.format = format
        self.sequence = secrets.randbelow(1 << 16)
        """Of the next packet."""
        self._source, self._base = secrets.randbits(32), secrets.randbits(32)
        self._packets = self._bytes = 0

    def packets(self, unit: AccessUnit) -> list[bytes]:
        """Make the packets of a unit."""
        parts, stamp, first = payloads(unit), self._stamp(unit), self.sequence
        kinds = [self.format.number] * len(parts)
        kinds[-1] |= (unit.kind == "video") << 7  # the last of a picture is marked
        self.sequence = first + len(parts) & 0xFFFF
        self._packets += len(parts)
        self._bytes += sum(map(len, parts))
        return [
            _HEAD.pack(0x80, kind, first + number & 0xFFFF, stamp, self._source) + part
            for number, (kind, part) in enumerate(zip(kinds, parts, strict=True))
        ]

    def report(self, unit: AccessUnit) -> bytes:
        """Say what time of day a unit's time is, by which players put picture and sound together."""
        ntp, sent = round((unit.wall_s + _NTP) * _TURN), (self._packets % _TURN, self._bytes % _TURN)
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, self._source, ntp, self._stamp(unit), *sent)
        return report + struct.pack("!BBHIBB3s3x", 0x81, 202, 3, self._source, 1, 3, b"vsr")

    def bye(self) -> bytes:
        """Say that nothing more comes."""
        return struct.pack("!BBHI", 0x81, 203, 1, self._source)

    def _stamp(self, unit: AccessUnit) -> int:
        return (self._base + unit.pts_90k * self.format.clock // TICKS) % _TURN
