"""How large the pictures of a file get: one that begins small must not be kept small.

Reads the packets of the first minute and decodes none but those whose headers are new. Only streams that carry
their headers on the way, as broadcasts and bare streams do, can change like this and be looked at so.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.error import FFmpegError
from av.video.stream import VideoStream

from vsr.frames import PictureFormat

_HEADER = "new_extradata"
_SPAN_S = 60
_MAX_HEADERS = 32
_MAX_PACKETS = 20_000
"""Where the clock jumps back, a minute may never be over."""
_WITH_HEADERS = frozenset({"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "av1"})
"""Codecs whose headers FFmpeg's `extract_extradata` finds among the pictures."""
_SIZES = {"vp8": slice(3, 10), "vp9": slice(9)}
"""Bytes of a key frame that begin it and say its size (RFC 6386, 9.1; VP9 Bitstream, 6.2)."""
_STREAMS = frozenset({"mpegts", "mpeg", "flv", "h264", "hevc", "vvc", "mpegvideo", "m4v", "vc1", "obu"})
_RECORDED = _STREAMS | {"matroska", "webm", "ivf"}
"""FFmpeg's names of containers where headers can be among the pictures: of VP8 and VP9, as calls are recorded."""


def largest_picture(packets: Iterable[Any], stream: VideoStream) -> tuple[int, int, Fraction] | None:
    """Return height, width and sample aspect of the largest pictures of the next minute of packets.

    None where all have the headers that the stream began with, or nothing can be told.
    """
    name = stream.codec_context.codec.canonical_name
    container = set(stream.container.format.name.split(","))
    if not container & (_RECORDED if name in _SIZES else _STREAMS if name in _WITH_HEADERS else set[str]()):
        return None
    largest: tuple[int, int, Fraction] | None = None
    with suppress(FFmpegError, ValueError):
        for packet, header in _with_new_headers(packets, stream, name):
            found = _size_of(packet, name, b"" if name in _SIZES else header)
            if found is not None and (largest is None or found[0] * found[1] > largest[0] * largest[1]):
                largest = found
    return largest


def at_most(
    packets: Iterable[Any], stream: VideoStream, format: PictureFormat, aspect: Fraction | None
) -> tuple[PictureFormat, Fraction | None]:
    """Return a first picture's format in the largest size of the next minute, and the coded aspect with it."""
    largest = largest_picture(packets, stream)
    if largest is None or largest[0] * largest[1] <= format.height * format.width:
        return format, aspect
    height, width, coded = largest
    if aspect is not None:
        format, aspect = replace(format, sample_aspect=coded), coded
    return replace(format, height=height, width=width), aspect


def coded_aspect_of(stream: VideoStream) -> Fraction | None:
    """Return the sample aspect by the pictures, or None where the container says another one for all of them."""
    coded, shown = (Fraction(each.sample_aspect_ratio or 1) for each in (stream.codec_context, stream))
    return coded if coded == shown else None


def _with_new_headers(packets: Iterable[Any], stream: VideoStream, codec: str) -> Iterator[tuple[Any, bytes]]:
    headers, first, base = set[bytes](), None, Fraction(stream.time_base or 1)
    finder = None if codec in _SIZES else BitStreamFilterContext("extract_extradata", stream)
    for packet in islice(packets, _MAX_PACKETS):
        if packet.dts is not None:
            first = packet.dts if first is None else first
            if (packet.dts - first) * base > _SPAN_S:
                return
        if not packet.is_keyframe or not packet.size:
            continue
        header = bytes(packet)[_SIZES[codec]] if finder is None else bytes(packet.get_sidedata(_HEADER))
        if not header and finder is not None:
            with suppress(FFmpegError):  # FLV's headers are not among the pictures
                (packet,) = finder.filter(packet)
                header = bytes(packet.get_sidedata(_HEADER))
        if header and header not in headers and len(headers) < _MAX_HEADERS:
            headers.add(header)
            yield packet, header


def _size_of(packet: Any, codec: str, header: bytes) -> tuple[int, int, Fraction] | None:
    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.extradata = header or None
    decoder.thread_count = 1
    for part in (packet, None):
        for picture in decoder.decode(part):
            aspect = Fraction(decoder.sample_aspect_ratio or 1)
            return picture.height, picture.width, aspect
    return None
