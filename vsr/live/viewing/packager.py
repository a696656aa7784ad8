"""Cutting a stream into parts and segments of HLS, in memory. Knows nothing of requests."""

import time
from collections import deque
from dataclasses import replace

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import AccessUnit, VideoParameters
from vsr.live.viewing.fragments import Head, Sample, write_fragment, write_head
from vsr.live.viewing.part_playlist import PART_S, TARGET_S, MediaPart, PartedSegment, parted_playlist
from vsr.live.viewing.sound import SoundTrack

_SINCE = 1_767_225_600
"""The year 2026: numbers stay below 32 bits, which not all players read."""
_PART = round(PART_S * TICKS)
_LEAST_S = 0.4
"""Keyframes that come sooner begin no segment."""
_JUMP = 2 * TICKS
"""Times that are further apart, or go back, continue nothing."""
_USUAL = TICKS // 25
"""How long a picture is shown before a break, which does not say."""
_SUDDEN = 2
"""A picture that is longer than a part, and than so many times the one before, is a hole and not a camera's rate."""
_LISTED_S = 4.0 * TARGET_S
"""How much is listed; three targets at least, by the standard."""
_NUM_KEPT = 10
"""How many segments stay when they are listed no more."""


class Packager:
    """Makes parts and segments of access units.

    Its numbers only go up, over restarts of the process, too. A part holds whole pictures and is complete with the
    picture after it, which says how long the last one lasts. All but the last of a segment take 85 % of `PART_S`, as
    the standard wants it, at the usual rates; a picture that takes longer than `PART_S` is a segment without parts.
    But where pictures are missing all of a sudden, the last one ends with a full part, and what follows, sound too,
    comes as much earlier: hls.js leaves a segment without parts out among those that have some, and a browser then
    shows nothing before the next keyframe.
    """

    def __init__(self) -> None:
        now = int(time.time()) - _SINCE
        self._segments: deque[PartedSegment] = deque()
        self._gone: deque[PartedSegment] = deque()
        self._heads: dict[str, Head] = {}
        # Above those of an earlier run, for a segment takes more than an eighth of a second, and breaks are rare. Of
        # these there may not be millions: hls.js goes through a list of as many again and again.
        self._next, self._num_breaks, self._num_fragments = now * 8, now // 600, 0
        self._parameters: VideoParameters | None = None
        self._waiting: list[AccessUnit] = []
        self._sound = SoundTrack()
        self._left_out = 0
        """Ticks that the times here are behind those of the units."""
        self._length = 0
        """How long the picture before the last one was shown."""

    @property
    def is_listed(self) -> bool:
        """A segment is complete, so that there is a playlist."""
        return any(segment.whole for segment in self._segments)

    @property
    def next_part(self) -> tuple[int, int]:
        """Number of the segment, and of its part, that comes next."""
        last = self._segments[-1] if self._segments else None
        return (last.number, len(last.parts)) if last and not last.whole else (self._next, 0)

    def playlist(self) -> str:
        """What players see now."""
        return parted_playlist(self._segments, self._num_breaks)

    def piece(self, name: str) -> bytes | None:
        """A head, a segment or a part by its name; None where there is none, not yet or no longer."""
        if name in self._heads:
            return self._heads[name].data
        for segment in (*self._gone, *self._segments):
            if segment.name == name and segment.whole:
                return b"".join(part.data for part in segment.parts)
            for part in segment.parts:
                if part.name == name:
                    return part.data
        return None

    def put(self, unit: AccessUnit) -> bool:
        """Take a unit; say whether there is something new to see."""
        if unit.kind == "audio":
            self._sound.put(unit)
            return False
        before = self.next_part
        unit = _earlier(unit, self._left_out)
        if self._continues(unit):
            unit = self._without_hole(unit)
            self._cut(unit.dts_90k, unit)
            self._waiting.append(unit)
        else:
            self.end()
            self._length = 0
            if unit.keyframe:
                self._begin_segment(unit, breaks=True)
                self._waiting.append(unit)
        return before != self.next_part

    def _without_hole(self, unit: AccessUnit) -> AccessUnit:
        """Let a picture follow as soon as the part before it is full, if pictures are missing."""
        first, last = self._waiting[0].dts_90k, self._waiting[-1].dts_90k
        before, self._length = self._length, unit.dts_90k - last
        if not 0 < _SUDDEN * before < self._length or self._length <= _PART:
            return unit
        hole = unit.dts_90k - first - _PART
        self._left_out += hole
        self._sound.leave_out(first + _PART, hole)
        return _earlier(unit, hole)

    def _cut(self, now: int, unit: AccessUnit) -> None:
        """End what ends before a picture."""
        first, last = self._waiting[0].dts_90k, self._waiting[-1].dts_90k
        if now - first > _PART and last > first:
            self._end_part(last)
            first = last
        is_long = now - first > _PART
        if is_long and self._segments[-1].parts:  # one picture, too long for a part: a segment of its own
            self._end_segment()
            self._begin_segment(self._waiting[0])
        if is_long or self._ends_segment(unit):
            self._end_part(now)
            self._end_segment()
            self._begin_segment(unit)
        elif 2 * now - last - first > _PART:  # with another picture it would be too long
            self._end_part(now)

    def end(self) -> None:
        """What comes next does not go on from what has been."""
        if self._waiting:
            self._end_part(self._waiting[-1].dts_90k + _USUAL)
            self._end_segment()

    def forget(self) -> None:
        """List nothing of what has been; numbers run on."""
        self.end()
        self._num_breaks += sum(segment.breaks for segment in self._segments)
        self._gone.extend(self._segments)
        self._segments.clear()

    def _continues(self, unit: AccessUnit) -> bool:
        """Whether a picture belongs to what has been, by time, size and coding."""
        if not self._waiting or not 0 < unit.dts_90k - self._waiting[-1].dts_90k < _JUMP:
            return False
        has_sound = self._heads[self._segments[-1].head].has_sound
        has_news = unit.keyframe and self._sound.is_there and not has_sound
        return unit.parameters == self._parameters and not has_news

    def _ends_segment(self, unit: AccessUnit) -> bool:
        length_s = self._segments[-1].duration_s + (unit.dts_90k - self._waiting[0].dts_90k) / TICKS
        return length_s >= (_LEAST_S if unit.keyframe else TARGET_S)

    def _begin_segment(self, unit: AccessUnit, *, breaks: bool = False) -> None:
        if breaks:
            assert isinstance(unit.parameters, VideoParameters)
            self._parameters, head = unit.parameters, f"init-{self._next}.mp4"
            self._sound.begin(unit.dts_90k)
            self._heads[head] = write_head(unit.data, unit.codec, has_sound=self._sound.is_there)
        else:
            head = self._segments[-1].head
        self._segments.append(PartedSegment(self._next, head, unit.wall_s, breaks))
        self._next += 1

    def _end_part(self, end: int) -> None:
        """Complete a part of the pictures that are decoded before `end`, until when the last one lasts."""
        units = [each for each in self._waiting if each.dts_90k < end]
        self._waiting = self._waiting[len(units) :]
        starts = [each.dts_90k for each in units]
        pictures = [
            Sample(each.data, start, until - start, each.pts_90k - start, each.keyframe)
            for each, start, until in zip(units, starts, [*starts[1:], end], strict=True)
        ]
        segment = self._segments[-1]
        sound = self._sound.take(end) if self._heads[segment.head].has_sound else ()
        self._num_fragments += 1
        data = write_fragment(self._num_fragments, units[0].codec, pictures, sound)
        length_s = (end - starts[0]) / TICKS
        segment.parts.append(MediaPart(segment.next_part, length_s, pictures[0].keyframe, data))

    def _end_segment(self) -> None:
        self._segments[-1].whole = True
        listed_s = sum(segment.duration_s for segment in self._segments)
        while (listed_s := listed_s - self._segments[0].duration_s) >= _LISTED_S:
            self._gone.append(self._segments.popleft())
            self._num_breaks += self._gone[-1].breaks
        while len(self._gone) > _NUM_KEPT:
            self._gone.popleft()
        used = {segment.head for segment in (*self._gone, *self._segments)}
        self._heads = {name: head for name, head in self._heads.items() if name in used}


def _earlier(unit: AccessUnit, ticks: int) -> AccessUnit:
    return replace(unit, pts_90k=unit.pts_90k - ticks, dts_90k=unit.dts_90k - ticks)
