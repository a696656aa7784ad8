"""Packets to pictures: reading past damage, seeking to the frame, and times that only go forward.

Works on an open container and never opens or closes one.
"""

import heapq
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias, cast

import av
from av import error
from av.packet import Packet
from av.video.stream import VideoStream

from vsr.media.file_clock import MendedReader
from vsr.media.probe_video import check_clear

VideoPacket: TypeAlias = "Packet[VideoStream]"  # generic for type checkers only

_MAX_READ_ERRORS = 100
"""Errors of the container in a row after which the file counts as ended."""
_MOST_HEADERS = 4096
"""Bytes at the beginning of a packet in which they are."""
_MAX_EARLY = 8
"""Pictures in a row that come too early before that counts as a jump back."""


@dataclass(slots=True)
class ReadCounts:
    """What happened while a file was read. Written by the reading thread;
    complete when `frames()` has ended."""

    frames: int = 0
    """Frames delivered."""
    corrupt_packets: int = 0
    """Packets that were damaged or that the decoder refused."""
    concealed: int = 0
    """Delivered or skipped pictures that the decoder flagged as damaged and patched up."""
    concealed_at: set[Fraction] = field(default_factory=set[Fraction])
    """Their times in seconds, of those that had one."""
    resampled: int = 0
    """Pictures whose size or pixel format differed from the first one's and were brought to it."""
    fitted: int = 0
    """Pictures of another shape than the first one's, which have been given bars."""
    recoloured: int = 0
    """Pictures whose matrix, range, transfer or primaries differed from the first one's and were converted."""
    misread: int = 0
    """Pictures with a matrix that cannot be converted, taken as the first one's."""
    deinterlaced: int = 0
    """Pictures made progressive."""
    retimed: int = 0
    """Pictures whose time was missing or did not come after the one before, and was moved."""
    jumped: int = 0
    """Times that pictures went back by more than a second in a file whose clock is none that may."""
    dropped: int = 0
    """Damaged or repeated pictures left out because no time was free for them between their neighbours."""
    notes: list[str] = field(default_factory=list[str])
    """Lines for the user."""
    doubt: str = ""
    """That far less came than the file promises, and nothing that was met says why; empty where all is well."""


COUNTED = {
    "corrupt_packets": "damaged packets were met; pictures may be missing there",
    "concealed": "damaged pictures were patched up by the decoder",
    "deinterlaced": "interlaced pictures were deinterlaced",
    "resampled": "pictures of another size or pixel format were brought to that of the video",
    "fitted": "pictures of another shape than the video's were given black bars",
    "recoloured": "pictures of other colours (matrix, range, transfer or primaries) were converted to the first one's",
    "misread": "pictures have a colour matrix that cannot be converted, and were taken as the first one's",
    "retimed": "pictures had no time of their own and were given the next free one",
    "jumped": "times the pictures went back where no clock does; they were moved, sound and all else was not",
    "dropped": "damaged or repeated pictures had no time of their own, none was free, and were left out",
}
"""What is said of each of `ReadCounts` that is not 0."""


def read_packets(
    reader: MendedReader, stream: VideoStream, counts: ReadCounts
) -> Generator[VideoPacket, None, None]:
    """Yield the stream's packets, then an empty one that flushes the decoder; go on after read errors."""
    errors = 0
    while True:
        try:
            with closing(reader.packets(stream)) as packets:
                for packet in packets:
                    errors = 0
                    check_clear(packet, reader.container.name)
                    yield packet
            return
        except error.FFmpegError:
            errors += 1
            counts.corrupt_packets += errors == 1
            if errors > _MAX_READ_ERRORS:
                counts.notes.append("the file cannot be read further")
                flush = cast(Any, Packet())
                flush.stream = stream
                yield flush
                return


_HEADERS = {
    **dict.fromkeys(("mpeg1video", "mpeg2video"), re.compile(rb"\A\x00\x00\x01\xb3(.{3})", re.DOTALL)),
    "mpeg4": re.compile(rb"\x00\x00\x01[\x20-\x2f](.+?)\x00\x00\x01", re.DOTALL),
}
"""What in a packet tells the pictures' size: ISO/IEC 13818-2, 6.2.2.1; of ISO/IEC 14496-2, 6.2.3, all of the layer."""


def drained_at_changes(
    packets: Iterable[VideoPacket], stream: VideoStream
) -> Generator[VideoPacket, None, None]:
    """Pass packets on; before one of MPEG-1, 2 or 4 that begins another size, yield one that drains the decoder.

    It drops the picture that it holds back there.
    """
    header = _HEADERS.get(stream.codec_context.name)
    if header is None:
        yield from packets
        return
    size = b""
    for packet in packets:
        if packet.is_keyframe and (found := header.search(bytes(packet)[:_MOST_HEADERS])):
            if size and found[1] != size:
                drain = cast(Any, Packet())
                drain.stream = stream
                yield drain
                stream.codec_context.flush_buffers()
            size = found[1]
        yield packet


def decode_packet(packet: VideoPacket, counts: ReadCounts) -> list[av.VideoFrame]:
    """Return the pictures that a packet completes; a damaged packet is counted and may give none."""
    if packet.size == 0 and packet.dts is not None:
        return []  # AVI repeats a picture by an empty packet; to FFmpeg an empty packet means the end
    counts.corrupt_packets += packet.is_corrupt
    try:
        return packet.decode()
    except error.EOFError:
        return []
    except error.FFmpegError:
        counts.corrupt_packets += not packet.is_corrupt
        return []


class Timestamps:
    """A passive stage that gives every picture a time of its own, after the one before it.

    A sound stream's times pass through unchanged. Otherwise: a picture without a time takes the earliest one
    still due among its packets (presentation order is the sorted order). One that repeats a time or comes
    early waits for the next picture in order and takes a free tick before it; if there is none it is left out
    and counted, because moving all that follows would part the pictures from the sound. A jump back by more
    than a second (joined files, a wrapped counter) does move all that follows. `sort` distrusts the pictures'
    own times altogether: AVI stores none, and FFmpeg's guesses come out of order for H.264 with B-frames.
    """

    def __init__(self, counts: ReadCounts, time_base: Fraction, *, sort: bool = False):
        self._counts = counts
        self._time_base = time_base
        self._sort = sort
        self._due: list[int] = []
        self._early: list[av.VideoFrame] = []
        self._last: int | None = None
        self._step = 1
        self._shift = 0
        self.jumps: set[int] = set()
        """Times of the pictures that do not continue what was before them."""

    @property
    def end(self) -> int | None:
        """When the last picture ends, in ticks."""
        return None if self._last is None else self._last + self._step

    def expect(self, packet: VideoPacket) -> None:
        """Note the time of a packet about to be decoded."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.size and not packet.is_discard:
            heapq.heappush(self._due, time)

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a decoded picture; yield those whose pts and time base are now final."""
        time = picture.pts
        self._forget(picture)
        if time is None or self._sort:
            self._counts.retimed += time is None
            time = self._earliest(time)
        time += self._shift
        if self._last is not None and time <= self._last:
            if (self._last - time) * self._time_base <= 1 and len(self._early) < _MAX_EARLY:
                self._early.append(picture)
                return
            yield from self.flush()
            self._counts.jumped += 1
            self._shift += self._last + self._step - time
            time = self._last + self._step
            self.jumps.add(time)
        yield from self._place(before=time)
        yield self._stamp(picture, time)

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures that were waiting."""
        yield from self._place(before=None)

    def _place(self, *, before: int | None) -> Iterator[av.VideoFrame]:
        early, self._early = self._early, []
        for picture in early:
            assert self._last is not None
            if before is not None and self._last + 1 >= before:
                self._counts.dropped += 1
            else:
                self._counts.retimed += 1
                yield self._stamp(picture, self._last + 1, keep_step=True)

    def _stamp(self, picture: av.VideoFrame, time: int, *, keep_step: bool = False) -> av.VideoFrame:
        if not keep_step:
            self._step = max(1, picture.duration or (time - self._last if self._last is not None else 1))
        self._last = picture.pts = time
        picture.time_base = self._time_base
        return picture

    def _forget(self, picture: av.VideoFrame) -> None:
        """Drop the times of packets that gave no picture: those gone by, and those
        before a key frame when sorting."""
        if self._sort:
            bound = picture.pts if picture.key_frame else None
        else:
            bound = None if self._last is None else self._last - self._shift + 1
        while bound is not None and self._due and self._due[0] < bound:
            heapq.heappop(self._due)

    def _earliest(self, fallback: int | None) -> int:
        last = self._last
        if self._due:
            return heapq.heappop(self._due)
        if fallback is not None:
            return fallback
        return 0 if last is None else last + self._step - self._shift
