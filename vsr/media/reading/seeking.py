"""Where reading of a file begins: at the key frame from which the wanted frame can be decoded exactly.

Works on an open container and never opens or closes one.
"""

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from math import floor

import av
from av import error
from av.container import InputContainer
from av.video.stream import VideoStream

from vsr.media.file_clock import MendedReader
from vsr.media.probe_video import packets_of
from vsr.media.reading.decode import ReadCounts, decode_packet, read_packets

_SEEK_BACK_S = (0, 2, 10, 60)
"""Seconds before a wanted start to try, until a key frame before it is met."""
_MAX_SEEK_PACKETS = 500
"""Packets looked at for a first picture after a seek."""


def origin_of(container: InputContainer) -> Fraction:
    """Return the container's start in exact seconds; FFmpeg's whole microseconds may lie past a frame."""
    start = Fraction(container.start_time or 0, 1_000_000)
    exact = [
        Fraction(s.start_time) * Fraction(s.time_base)
        for s in container.streams
        if s.start_time and s.time_base
    ]
    return min((time for time in exact if abs(time - start) <= Fraction(1, 1_000_000)), default=start)


def enter(reader: MendedReader, stream: VideoStream, time: Fraction) -> bool:
    """Go to where the frame shown at `time` can be decoded exactly; say whether such a place was found."""
    if reader.clock.is_steady:
        return seek_before(reader.container, stream, time)
    reader.enter(time)
    return True


def seek_before(container: InputContainer, stream: VideoStream, time: Fraction) -> bool:
    """Seek to a key frame from which the frame shown at `time` is decoded exactly; say whether one was found.

    Containers index key frames by decoding time, and a key frame may be shown after pictures that depend on
    an earlier one; so what a seek reaches is tried out, and if it starts too late, the next try begins
    seconds before.
    """
    assert stream.time_base
    wanted = floor(time / stream.time_base)
    for back in _SEEK_BACK_S:
        target = floor((time - back) / stream.time_base)
        try:
            container.seek(target, stream=stream)
            if _starts_by(container, stream, wanted):
                container.seek(target, stream=stream)
                return True
        except error.FFmpegError:
            return False
    return False


def _starts_by(container: InputContainer, stream: VideoStream, wanted: int) -> bool:
    """Say whether the next key frame and the first picture decoded come no later than `wanted`."""
    key: int | None = None
    with closing(packets_of(container, stream)) as packets:
        for packet in islice(packets, _MAX_SEEK_PACKETS):
            if key is None and packet.is_keyframe:
                key = packet.dts if packet.pts is None else packet.pts
                if key is None or key > wanted:
                    return False
            for picture in decode_packet(packet, ReadCounts()):
                return key is not None and picture.pts is not None and picture.pts <= wanted
    return False


def decode_after(reader: MendedReader, stream: VideoStream, last: int) -> Iterator[av.VideoFrame]:
    """Yield the pictures with a pts above `last` that come out to the end of
    a file opened for this alone.

    PyAV cannot go on draining a decoder after an error, so a damaged packet among the last ones takes sound
    pictures of other frame threads along. Decoding the end once more without frame threads gives them back.
    """
    stream.thread_type = "SLICE"
    if not enter(reader, stream, last * Fraction(stream.time_base or 0)):
        reader.container.seek(0)
    with closing(read_packets(reader, stream, ReadCounts())) as packets:
        for packet in packets:
            for picture in decode_packet(packet, ReadCounts()):
                if picture.pts is not None and picture.pts > last:
                    yield picture
