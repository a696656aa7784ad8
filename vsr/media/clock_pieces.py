"""A file's clock where it begins again or leaps: joined recordings, a counter that was reset, a broadcast that paused.

All packets' times are looked at once, and the file falls into pieces within which its clock runs on. A piece begins
where a stream's time goes back, or more than a second ahead of all streams. Decodes nothing.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count, pairwise
from typing import Any

_LEAP_S = 1.0
"""A step forward of more than this, in all streams, is none that a recording makes."""
_ALONE_S = 10.0
"""The same where there is but one stream: pictures of a screen or a lonely camera may pause."""
_BACK_S = 0.1
"""A step back of decoding time of more than this neither; smaller ones are a muxer's carelessness."""
_NEAR_S = 0.3
"""Streams on one clock are mostly so near each other in a file."""
_APART_S = 10.0
"""Streams lie at most so far apart in a file."""
_LAP_S = Fraction(1, 10)
"""Sound that outlasts its pictures by up to this laps into the next piece; by more, that begins later."""
_FEW = 3
"""Pictures to a leap, on the average, below which they are far apart by themselves."""


Place = tuple[int, int]
"""Where a packet lies: in bytes from the file's beginning, and how many of its stream before it say the same.

Of several that share a page or a packet of a broadcast only the first has a place of its own."""


@dataclass(eq=False)
class _Span:
    """What a stream has in a piece, in its own ticks."""

    start: int
    end: int
    num_packets: int = 0


@dataclass(eq=False)
class ClockPiece:
    """A stretch of a file within which its clock runs on."""

    number: int
    spans: dict[int, _Span] = field(default_factory=dict[int, _Span])
    """By stream."""
    front: float = float("-inf")
    """How far it has come, in seconds of its own clock."""
    begin: float = float("inf")
    is_leap: bool = False
    """It was ahead of the one before."""
    move: Fraction = Fraction(0)
    """Seconds that are added to its clock."""


@dataclass(eq=False)
class PacedStream:
    """How far a stream has come."""

    time_base: Fraction
    piece: ClockPiece
    step: int = 1
    """From one packet to the next, in ticks."""
    last: int | None = None
    """Time of its last packet."""
    is_decoding: bool = False
    """That is a time of decoding, which nothing that follows is before: those of presentation go to and fro."""
    due: int = 0
    """Time of the next one, as far as the last one tells."""
    changes: list[tuple[Place, ClockPiece, int]] = field(default_factory=list[tuple[Place, ClockPiece, int]])
    """From which place on it belongs to which piece, and by how many ticks it is moved beside that."""

    def __post_init__(self) -> None:
        self.tick = float(self.time_base)


class Pieces:
    """Is shown all packets of sound and pictures in the order of the file, and then knows the pieces."""

    def __init__(self, main: int):
        self._main = main
        """Index of the stream that is enhanced: its pictures follow each other without a gap where pieces meet."""
        self._numbers = count()
        self.all = [ClockPiece(next(self._numbers))]
        self.streams: dict[int, PacedStream] = {}

    def add(self, packet: Any, place: Place) -> None:
        """Take the packet of a place."""
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None:
            return
        stream = self.streams.get(packet.stream_index)
        if stream is None:
            base = Fraction(packet.time_base)
            stream = self.streams[packet.stream_index] = PacedStream(base, self.all[0])
            stream.piece = next(
                (p for p in reversed(self.all) if _meets(p, time * stream.tick)), self.all[-1]
            )
            stream.changes.append((place, stream.piece, 0))
        elif stream.last is not None:
            self._follow(stream, packet, time, place)
        self._extend(stream, packet, time)

    def _follow(self, stream: PacedStream, packet: Any, time: int, place: Place) -> None:
        """See whether a stream goes on, comes back from one wrong time, or goes to another piece."""
        assert stream.last is not None
        if self._was_wrong(stream, packet.stream_index, time, place):
            return
        self._come_back(stream, time)
        tick, seconds = stream.tick, time * stream.tick
        back_s = _BACK_S if stream.is_decoding else _LEAP_S
        ahead_s = seconds - max(stream.due * tick, stream.piece.front)
        leap_s = _LEAP_S if len(self.streams) > 1 else _ALONE_S
        if (time - stream.last) * tick >= -back_s and ahead_s <= leap_s:
            return
        here = stream.piece
        others = {other.piece.number: other.piece for other in self.streams.values() if other is not stream}
        later = [piece for piece in self.all if piece.number > here.number and _meets(piece, seconds)]
        earlier = [p for n, p in others.items() if n < here.number and -0.5 <= seconds - p.front <= _LEAP_S]
        following = next(iter([*later, *earlier]), None)
        if following is None:
            following = ClockPiece(next(self._numbers), is_leap=ahead_s > 0)
            self.all.append(following)
        stream.piece = following
        stream.changes.append((place, following, 0))

    def _come_back(self, stream: PacedStream, time: int) -> None:
        """Bring a stream back to the piece before that it alone has left, where the others are still with it: damage
        has set it back for a moment."""
        piece, seconds = stream.piece, time * stream.tick
        if len(stream.changes) < 2 or len(piece.spans) > 1 or piece.is_leap:
            return
        before = stream.changes[-2][1]
        others = [other.piece for other in self.streams.values() if other is not stream]
        has_run = seconds - piece.begin >= _LEAP_S and abs(seconds - before.front) <= _NEAR_S
        if not has_run or before is piece or before not in others:
            return
        ((index, span),) = piece.spans.items()
        own = before.spans.setdefault(index, span)
        own.end, own.num_packets = max(own.end, span.end), own.num_packets + span.num_packets
        self.all.remove(piece)
        stream.changes[-1] = (stream.changes[-1][0], before, 0)
        stream.piece = before

    def _was_wrong(self, stream: PacedStream, index: int, time: int, place: Place) -> bool:
        """Whether only the packet before had another time than its neighbours: damage, and no piece."""
        if len(stream.changes) < 2:
            return False
        (wrong_place, alone, _), (_, before, _) = stream.changes[-1], stream.changes[-2]
        span, own = alone.spans.get(index), before.spans.get(index)
        if span is None or own is None or span.num_packets != 1 or len(alone.spans) != 1:
            return False
        assert stream.last is not None
        if not 0 <= (time - own.end) * stream.tick <= 0.5:
            return False
        self.all.remove(alone)
        stream.changes[-1] = (wrong_place, before, own.end - stream.last)
        stream.changes.append((place, before, 0))
        stream.piece = before
        return True

    def _extend(self, stream: PacedStream, packet: Any, time: int) -> None:
        piece, before = stream.piece, stream.last
        shown = shown_at(packet)
        shown = time if shown is None else shown
        if before is not None and 0 < (time - before) * stream.tick <= _LEAP_S:
            stream.step = time - before
        stream.due = time + (packet.duration or 0)
        end = shown + max(1, packet.duration or stream.step)
        span = piece.spans.setdefault(packet.stream_index, _Span(shown, end))
        span.start, span.end = min(span.start, shown), max(span.end, end)
        span.num_packets += 1
        piece.front = max(piece.front, time * stream.tick)
        piece.begin = min(piece.begin, time * stream.tick)
        stream.last, stream.is_decoding = time, packet.dts is not None

    def finish(self) -> None:
        """Say of each piece by how much it is moved."""
        ends: dict[int, Fraction] = {}
        leaps, pictures = sum(piece.is_leap for piece in self.all), 0
        if self._main in self.streams:
            pictures = sum(p.spans[self._main].num_packets for p in self.all if self._main in p.spans)
        for number, piece in enumerate(self.all):
            if number and piece.is_leap and pictures < _FEW * leaps:
                piece.move = self.all[number - 1].move
            elif number:
                piece.move = self._move(self.all[number - 1], piece, ends)
            for index, span in piece.spans.items():
                end = span.end * self.streams[index].time_base + piece.move
                ends[index] = max(end, ends.get(index, end))

    @property
    def have_moved(self) -> bool:
        """Whether any packet is moved."""
        wrong = any(change[2] for stream in self.streams.values() for change in stream.changes)
        return wrong or any(piece.move for piece in self.all)

    def borders(self, index: int) -> tuple[tuple[Fraction, ...], Fraction, Fraction]:
        """Return when a stream's pieces begin, of those moved otherwise than the one before, and its start and end."""
        base = self.streams[index].time_base
        held = [piece for piece in self.all if index in piece.spans]
        starts = [piece.spans[index].start * base + piece.move for piece in held]
        moved = [start for (a, b), start in zip(pairwise(held), starts[1:], strict=True) if a.move != b.move]
        return tuple(moved), min(starts), max(piece.spans[index].end * base + piece.move for piece in held)

    def _move(self, before: ClockPiece, piece: ClockPiece, ends: dict[int, Fraction]) -> Fraction:
        start = {index: span.start * self.streams[index].time_base for index, span in piece.spans.items()}
        common = [index for index in start if index in ends]
        if not common:  # whatever follows follows what ended last
            return max(ends.values()) - min(start.values()) if ends and start else before.move
        reached = max(span.end * self.streams[index].tick for index, span in before.spans.items())
        if piece.is_leap and reached >= piece.begin - _LEAP_S:
            return before.move  # other streams ran on meanwhile: the clock is right, and this is a gap
        first = self._main if self._main in common else common[0]
        move = ends[first] - start[first]
        laps = [ends[index] - start[index] - move for index in common]
        return move + max((lap for lap in laps if lap > _LAP_S), default=Fraction(0))


def shown_at(packet: Any) -> int | None:
    """When a packet is shown. FFmpeg takes it from the next one where the file does not say, and a jump may be
    between the two; then it is right after its time of decoding."""
    pts, dts = packet.pts, packet.dts
    if pts is None or dts is None or (pts - dts) * packet.time_base <= _LEAP_S:
        return pts
    return dts + max(1, packet.duration or 1)


def _meets(piece: ClockPiece, seconds: float) -> bool:
    return piece.begin - _APART_S <= seconds <= piece.front + _APART_S
