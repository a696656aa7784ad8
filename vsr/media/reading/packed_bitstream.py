"""MPEG-4 of DivX in AVI, with two pictures in one packet and none in the next.

Video for Windows shows one picture for each packet: one that others are predicted from comes together with the
B-picture shown before it, and an empty one holds the place of that. The n-th picture thus belongs to the n-th packet;
FFmpeg gives them times for another order, a frame late.
"""

import re
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

from av.packet import Packet

from vsr.frames import StreamInfo
from vsr.media.probe_video import open_container, packets_of

_MARK = re.compile(rb"\x00\x00\x01\xb2DivX\d+(?:b|Build)\d+p")
"""User data of an encoder that packs: version, build, and a `p`."""
_PICTURE = b"\0\0\1\xb6"
_EMPTY = _PICTURE + b"\x40\x7f"
"""A picture that is not coded."""


def is_packed(info: StreamInfo) -> bool:
    """Whether a file's video is packed: its headers or its first packet say so."""
    if info.container != "avi" or info.codec != "mpeg4":
        return False
    with closing(open_container(info.path)) as container:
        stream = container.streams[info.stream_index]
        headers = bytes(getattr(stream.codec_context, "extradata", None) or b"")
        first = next((bytes(packet)[:1024] for packet in packets_of(container, stream) if packet.size), b"")
    return bool(_MARK.search(headers) or _MARK.search(first))


def by_place(packets: Iterable[Any], stream: Any) -> Generator[Any, None, None]:
    """Yield the packets, each with the time of its place. The decoder gives a picture for each, in order; where the
    file ends before the place of the last one has come, that is added."""
    waits, last = False, 0
    for packet in packets:
        if packet.size:
            waits = (waits or bytes(packet).count(_PICTURE) > 1) and packet.size > len(_EMPTY)
            packet.pts, last = packet.dts, last + 1 if packet.dts is None else packet.dts
        elif waits and packet.dts is None:
            place: Any = Packet(_EMPTY)
            place.stream, place.time_base = stream, stream.time_base
            place.pts = place.dts = last + 1
            yield place
        yield packet
