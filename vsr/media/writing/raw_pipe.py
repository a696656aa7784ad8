"""Raw pictures through a pipe: a NUT stream, so that every frame has its own time and nothing is derived from a
frame rate.

The framing is our own, and planes are written from where they lie: muxed by FFmpeg's library a picture was copied
twice on the way. What is written is the part of the NUT specification (nut-specification.txt, version 3) that one
stream of key frames needs.
"""

import contextlib
import os
import select
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np

from vsr.errors import SourceError
from vsr.frames import PictureFormat, Plane
from vsr.media.pixels import pixel_format

_PIPE_BYTES = 1 << 20
"""Linux's largest pipe for a user without privileges; the default of 64 KiB costs 20 times the switches."""

_RGB_TO_GBR = (1, 2, 0)

_FILE_ID = b"nut/multimedia container\0"
_MAIN = bytes.fromhex("4e4d7a561f5f04ad")
_STREAM = bytes.fromhex("4e5311405bf2f9db")
_SYNCPOINT = bytes.fromhex("4e4be4adeeca4569")
_INFO = bytes.fromhex("4e49ab68b596ba78")

_KEY, _CODED_PTS, _SIZE_MSB, _CHECKSUM = 1, 8, 32, 64
_FRAME_CODE = 0
_USUAL_RATE = Fraction(24)
_MAX_DISTANCE = 1 << 15
"""Bytes: whatever is larger has a syncpoint and a checksum of its own, and all pictures are given both."""


class RawPipe:
    """Raw pictures as a NUT stream into a pipe, each with its own time. Takes `write_end` over.

    Raises:
        SourceError: FFmpeg has no pixel format for `format`.
    """

    def __init__(
        self,
        write_end: int,
        *,
        format: PictureFormat,
        time_base: Fraction,
        rate: Fraction | None = None,
    ):
        """`rate`: frames a second that the header names, for readers that look there, such as encoders that plan by
        it. One is always named: what is guessed from the first pictures differs from segment to segment of a job.
        """
        self._write_end, self._format, self._closed = write_end, format, False
        self._sample = np.dtype(np.uint8 if format.bit_depth == 8 else "<u2")
        self._record_bytes = 0
        """Of the picture before, from its syncpoint on."""
        try:
            _enlarge_pipe(write_end)
            self._header = _header(format, time_base, rate or _USUAL_RATE)
        except BaseException:
            os.close(write_end)
            raise

    def write(self, planes: tuple[Plane, ...], pts: int) -> None:
        """Hand over one picture; blocks while the pipe is full. NUT has no negative times.

        Raises:
            OSError: nobody reads any more.
        """
        data = [np.ascontiguousarray(plane, self._sample).data.cast("B") for plane in self._arranged(planes)]
        size = sum(len(part) for part in data)
        syncpoint = _packet(_SYNCPOINT, _number(pts) + _number(self._record_bytes >> 4))
        code = bytes([_FRAME_CODE]) + _number(pts + 1) + _number(size)
        parts = [self._header, syncpoint, code, _checksum(code), *data]
        self._header = b""
        self._record_bytes = sum(len(part) for part in parts[1:])
        _send(self._write_end, parts)

    def _arranged(self, planes: tuple[Plane, ...]) -> Sequence[Plane]:
        """The planes in the order of FFmpeg's pixel format, those that it interleaves as one."""
        if self._format.layout == "rgb":
            return *(planes[i] for i in _RGB_TO_GBR), *planes[3:]
        if self._format.layout == "gray" and self._format.alpha:
            return [np.stack(planes, -1)]
        return planes

    def close(self) -> None:
        """Close the pipe. Harmless twice, and never waits."""
        if not self._closed:
            self._closed = True
            os.close(self._write_end)


def _send(descriptor: int, parts: list[bytes | memoryview]) -> None:
    """Write all of it, however little the pipe takes at a time."""
    while parts:
        try:
            sent = os.writev(descriptor, parts)
        except BlockingIOError:  # a pipe that we were given may be one that does not wait
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
            continue
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        if sent:
            parts[0] = memoryview(parts[0])[sent:]


def _header(format: PictureFormat, time_base: Fraction, rate: Fraction) -> bytes:
    """All that comes before the first picture."""
    flags = _KEY | _CODED_PTS | _SIZE_MSB | _CHECKSUM
    # One row of the table of frame codes is for all 255 of them ("N" is none): no pts, size or stream implied.
    codes = b"".join(map(_number, (flags, 6, 0, 1, 0, 0, 0, 255)))
    ticks = _number(1) + _number(time_base.numerator) + _number(time_base.denominator)
    main = _number(3) + _number(1) + _number(_MAX_DISTANCE) + ticks + codes + _number(0)
    # Stream 0, video; time base 0; times are always whole, in any order of size; no delay, no flags, no extradata.
    settings = b"".join(map(_number, (0, 0, 0, 0, 0, 0)))
    size = b"".join(map(_number, (format.width, format.height, 0, 0, 0)))
    stream = _number(0) + _number(0) + _text(_fourcc(format)) + settings + size
    # Of stream 0 and the whole file, one field; 2 is how -1 is written, which says that its value is a text.
    info = b"".join(map(_number, (1, 0, 0, 0, 1))) + _text(b"r_frame_rate") + _number(2)
    info += _text(f"{rate.numerator}/{rate.denominator}".encode())
    return _FILE_ID + _packet(_MAIN, main) + _packet(_STREAM, stream) + _packet(_INFO, info)


def _fourcc(format: PictureFormat) -> bytes:
    """NUT's name of the pictures, which is that of FFmpeg's raw video."""
    context = av.CodecContext.create("rawvideo", "w")
    context.width, context.height, context.time_base = format.width, format.height, Fraction(1)
    context.pix_fmt = pixel_format(format)
    context.open()
    name = context.codec_tag.encode("latin-1")
    if not name.strip(b"\0"):
        raise SourceError(f"NUT has no name for pictures in {context.pix_fmt}; use 8 or 10 bits")
    return name


def _packet(startcode: bytes, payload: bytes) -> bytes:
    return startcode + _number(len(payload) + 4) + payload + _checksum(payload)


def _text(text: bytes) -> bytes:
    return _number(len(text)) + text


def _number(value: int) -> bytes:
    """NUT's `v`: seven bits a byte, the highest first, the top bit set on all bytes but the last."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def _checksum(data: bytes) -> bytes:
    """CRC-32 with the polynomial 0x04C11DB7, highest bit first, begun with 0."""
    crc, table = 0, _crc_table()
    for byte in data:
        crc = crc << 8 & 0xFFFFFFFF ^ table[crc >> 24 ^ byte]
    return crc.to_bytes(4, "big")


@lru_cache
def _crc_table() -> list[int]:
    table = [value << 24 for value in range(256)]
    for _ in range(8):
        table = [crc << 1 & 0xFFFFFFFF ^ (crc >> 31) * 0x04C11DB7 for crc in table]
    return table


def _enlarge_pipe(descriptor: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
