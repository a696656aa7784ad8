"""Times of packets on their way from file to file: decode order, the trimmed
window, missing and backward timestamps.

Pure arithmetic on packets; opens and writes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
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
    film_end: Fraction = Fraction(0)
    """When the last picture ends, shifted."""

    @classmethod
    def of(cls, parts: Sequence[Encoded], *, trim: bool) -> "TimeSpan":
        """Return the span of the encoded frames, or all.

        Pictures before time 0 are moved to it together with everything else: mp4's edit list would hide them.
        """
        first, last = parts[0], parts[-1]
        start = first.pts[0] * first.time_base
        end = (last.pts[-1] + last.durations[-1]) * last.time_base
        if not trim:
            shift = min(start, Fraction(0))
            return cls(shift=shift, film_end=end - shift)
        return cls(start, end, start, end - start)

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
    parts: Sequence[Encoded], inputs: Sequence[InputContainer], out: Any, shift: Fraction, *, in_mp4: bool
) -> Iterator["Packet[Any]"]:
    """Yield the encoded packets with their true times and durations, for `out`.

    Where it lies in mp4 or mov, a track is as long as the time of decoding and the duration of the packet that comes
    last say: it is given what the picture that is shown last needs.
    """
    orders, depth = order_frames(parts)
    time_base = parts[0].time_base
    pts = [time for part in parts for time in part.pts]
    durations = [duration for part in parts for duration in part.durations]
    if any(later <= earlier for earlier, later in pairwise(pts)):
        raise SinkError("the parts of the video overlap in time")
    base = round(shift / time_base)
    step = max(1, pts[1] - pts[0]) if len(pts) > 1 else 1
    least = pts[-1] + durations[-1] - (pts[-1 - depth] if depth < len(pts) else pts[0]) - depth * step
    starts = accumulate((len(part.pts) for part in parts), initial=0)
    for part, order, opened, start in zip(parts, orders, inputs, starts, strict=False):
        packets = (packet for packet in opened.demux(opened.streams.video[part.stream]) if packet.size)
        for decoded, (packet, shown) in enumerate(zip(packets, order, strict=True)):
            place = start + decoded - depth
            packet.time_base = time_base
            packet.pts = pts[start + shown] - base
            packet.dts = (pts[place] if place >= 0 else pts[0] + place * step) - base
            packet.duration = durations[start + shown]
            if in_mp4 and start + decoded == len(pts) - 1:
                packet.duration = max(packet.duration, least)
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


def cut_chapters(chapters: Iterable[Any], window: TimeSpan) -> list[Any]:
    """Return chapters as PyAV has them, cut to the window; those outside are left out."""
    found: list[Any] = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        kept = window.cut(chapter["start"] * base, chapter["end"] * base)
        if kept is not None:
            times = {"start": round(kept[0] / base), "end": round(kept[1] / base)}
            found.append({**chapter, **times, "time_base": base})
    return found
