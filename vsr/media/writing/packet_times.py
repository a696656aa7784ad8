"""Times of packets on their way from file to file: decode order, the trimmed
window, missing and backward timestamps.

Pure arithmetic on packets; opens and writes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from vsr.errors import SinkError, reason_of
from vsr.media.ffmpeg import local
from vsr.media.writing.clock_jumps import JUMP_S
from vsr.media.writing.encode import Encoded

_REORDERED_S = 2
"""Seconds by which packets may come out of order."""


@dataclass(frozen=True)
class TimeSpan:
    """The span of the original that goes into the output."""

    start: Fraction | None = None
    """Seconds; None where everything goes along."""
    end: Fraction | None = None
    shift: Fraction = Fraction(0)
    """Seconds to subtract from every time."""

    @classmethod
    def of(cls, parts: Sequence[Encoded], *, trim: bool) -> "TimeSpan":
        """Return the span of the encoded frames, or all.

        Pictures before time 0 are moved to it together with everything else: mp4's edit list would hide them.
        """
        first, last = parts[0], parts[-1]
        start = first.pts[0] * first.time_base
        if not trim:
            return cls(shift=min(start, Fraction(0)))
        return cls(start, (last.pts[-1] + last.durations[-1]) * last.time_base, start)

    def is_past(self, packet: "Packet[Any]") -> bool:
        """Whether a packet lies so far behind the window that none after it in its stream can lie inside."""
        time = packet.dts if packet.dts is not None else packet.pts
        if self.end is None or time is None or not packet.time_base:
            return False
        return time * Fraction(packet.time_base) > self.end + _REORDERED_S

    def cut(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction] | None:
        """Return the part of [start, end) inside the window, shifted; None where there is none."""
        if self.start is not None and self.end is not None:
            if start >= self.end or (end <= self.start and start < self.start):
                return None
            start, end = max(start, self.start), min(end, self.end)
        return start - self.shift, end - self.shift


class Track:
    """One copied stream on its way: gives every packet the times that the output wants. For one thread."""

    def __init__(
        self, stream: Any, out: Any, window: TimeSpan, *, span: bool = False, jumps: Sequence[Fraction] = ()
    ):
        self.out = out
        self.time_base = Fraction(stream.time_base)
        self.first: int | None = None
        """Time of the first packet that went along, in `time_base`."""
        self._before: int | None = None
        self._window = window
        self._span = span
        """Packets are shown for a time of their own (subtitles) and are shortened to the window."""
        self._shift = round(window.shift / self.time_base)
        self._next_dts: int | None = None
        self._jumps = list(reversed(jumps))
        """Seconds to move by at each jump back that is still to come, the next one last."""
        self._moved = 0
        self._raw: int | None = None

    @property
    def has_jumps(self) -> bool:
        """Whether times jump back later on, so that what lies behind the window now may come into it."""
        return bool(self._jumps)

    def _move(self, packet: "Packet[Any]") -> None:
        """Move what comes after a jump back as far as the pictures have been moved."""
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None:
            return
        # Half: the sound of a short recording may end well before its pictures.
        if self._raw is not None and self._jumps and (self._raw - time) * self.time_base > JUMP_S / 2:
            self._moved += round(self._jumps.pop() / self.time_base)
        self._raw = time
        packet.pts = None if packet.pts is None else packet.pts + self._moved
        packet.dts = None if packet.dts is None else packet.dts + self._moved

    def admit(self, packet: "Packet[Any]") -> bool:
        """Settle the packet's times; False where it lies outside of the window. Payload stays as it is."""
        self._move(packet)
        pts = packet.pts if packet.pts is not None else packet.dts
        pts = pts if pts is not None else (self._next_dts or 0) + self._shift
        duration = packet.duration or 0
        if self._window.start is not None:
            kept = self._window.cut(pts * self.time_base, (pts + max(duration, 1)) * self.time_base)
            if kept is None:
                return False
            if self._span and duration:
                pts = round(kept[0] / self.time_base) + self._shift
                packet.duration = max(1, round((kept[1] - kept[0]) / self.time_base))
        dts = packet.dts if packet.dts is not None and not self._span else pts
        pts, dts = pts - self._shift, dts - self._shift
        # Muxers refuse a dts that stands still or goes back; the time of presentation stays as it is.
        if self._next_dts is not None and dts < self._next_dts:
            dts = self._next_dts
        packet.pts, packet.dts = max(pts, dts), dts
        self._next_dts = dts + 1
        self._before, self.first = self.first, packet.pts if self.first is None else self.first
        packet.stream = self.out
        return True

    def take_back(self) -> None:
        """Forget the packet that was admitted last: it could not be written."""
        self.first = self._before

    @property
    def first_s(self) -> Fraction | None:
        """Seconds of the first packet, as written."""
        return None if self.first is None else self.first * self.time_base


def order_frames(parts: Sequence[Encoded]) -> tuple["list[list[int]]", int]:
    """Return, for every part, the display position of each packet in decode
    order, and the depth of reordering.

    Raises:
        SinkError: the packets are not the frames that went into the encoder.
    """
    orders = [_order(part) for part in parts]
    depth = max(decoded - shown for order in orders for decoded, shown in enumerate(order))
    return orders, max(0, depth)


def _order(part: Encoded) -> list[int]:
    # Opened for this alone: going back to the start misses what lies before the
    # first key frame of another stream.
    with av.open(local(part.path), format="nut") as opened:
        stream = opened.streams.video[part.stream]
        tick = Fraction(stream.time_base or 1)
        found = [packet.pts for packet in opened.demux(stream) if packet.size and packet.pts is not None]
    if len(found) != len(part.pts):
        raise SinkError(f"the encoder wrote {len(found)} of {len(part.pts)} frames into {part.path.name}")
    scale = tick / part.time_base
    origin = min(found)
    ranks = {pts - part.pts[0]: rank for rank, pts in enumerate(part.pts)}
    try:
        # Half a tick of tolerance: an encoder of a foreign name may have a coarser clock of its own.
        return [ranks[round((pts - origin) * scale)] for pts in found]
    except KeyError as error:
        raise SinkError(
            f"the encoder changed a frame's time: {error.args[0]} ticks of {part.time_base} s"
        ) from error


def video_packets(
    parts: Sequence[Encoded], inputs: Sequence[InputContainer], out: Any, shift: Fraction
) -> Iterator["Packet[Any]"]:
    """Yield the encoded packets with their true times and durations, for `out`."""
    orders, depth = order_frames(parts)
    time_base = parts[0].time_base
    pts = [time for part in parts for time in part.pts]
    durations = [duration for part in parts for duration in part.durations]
    if any(later <= earlier for earlier, later in pairwise(pts)):
        raise SinkError("the parts of the video overlap in time")
    base = round(shift / time_base)
    step = max(1, pts[1] - pts[0]) if len(pts) > 1 else 1
    starts = accumulate((len(part.pts) for part in parts), initial=0)
    for part, order, opened, start in zip(parts, orders, inputs, starts, strict=False):
        packets = (packet for packet in opened.demux(opened.streams.video[part.stream]) if packet.size)
        for decoded, (packet, shown) in enumerate(zip(packets, order, strict=True)):
            place = start + decoded - depth
            packet.time_base = time_base
            packet.pts = pts[start + shown] - base
            packet.dts = (pts[place] if place >= 0 else pts[0] + place * step) - base
            packet.duration = durations[start + shown]
            packet.stream = out
            yield packet


def interleave(iterators: Sequence[Iterator["Packet[Any]"]]) -> Iterator["Packet[Any]"]:
    """Merge packets by their time of decoding; one packet of each iterator is in memory."""
    waiting = [(packet, iterator) for iterator in iterators if (packet := next(iterator, None)) is not None]
    while waiting:
        at = min(range(len(waiting)), key=lambda i: _decode_time(waiting[i][0]))
        packet, iterator = waiting[at]
        yield packet
        following = next(iterator, None)
        if following is None:
            del waiting[at]
        else:
            waiting[at] = (following, iterator)


def _decode_time(packet: "Packet[Any]") -> Fraction:
    return (packet.dts or 0) * Fraction(packet.time_base)


def readable(packets: Iterator["Packet[Any]"], broken: "list[str]") -> Iterator["Packet[Any]"]:
    """Yield packets until the end or the first error, which is added to `broken`."""
    try:
        yield from packets
    except FFmpegError as error:
        broken.append(reason_of(error))
