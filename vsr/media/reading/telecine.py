"""Film that was spread over interlaced video, back to its own pictures.

A telecine at 30000/1001 pictures a second shows 24000/1001 frames of film as fields, three of one and
two of the next: five pictures hold four frames. FFmpeg's fieldmatch puts the fields that belong
together into one picture again, bwdif repairs what finds no partner, and of every five pictures the
one that repeats the one before it goes. At 25 a second film runs a little faster and nothing is
repeated; there fields are only matched.

Times come from the source's own and not from a count, so nothing drifts: groups of five are those of a grid
that begins with the stream, and the four that stay are spread evenly over their five. A group thus does not
depend on where reading begins, and a resumed job meets the same ones.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np

from vsr.frames import Plane, StreamInfo
from vsr.media.pixels import read_planes
from vsr.media.reading.deinterlace import PARITY, Filters, with_other_pictures
from vsr.options import ReadOptions

_NTSC, _PAL = (Fraction(30000, 1001), Fraction(30)), Fraction(25)
_NEAR = Fraction(1, 200)
"""By how much a rate that a container tells may be off."""

GROUP = 5
"""Pictures of video that hold `GROUP` - 1 frames of film."""

_BLOCK = 16
"""Rows and columns that are averaged before pictures are compared: noise goes, movement stays."""

_EARLY = Fraction(1, 4)
"""Pictures by which one may come too early for its place: containers round times."""


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    picture: av.VideoFrame
    difference: float
    """From the picture before it."""
    place: Fraction
    """In its group, in pictures; `_EARLY` more than its time says."""


def film_rate(info: StreamInfo) -> Fraction | None:
    """Return the rate of the video that a telecine made, as defined; None where the stream has another."""
    rate = info.average_rate
    near = [nominal for nominal in (*_NTSC, _PAL) if rate and abs(rate / nominal - 1) < _NEAR]
    return min(near, key=lambda nominal: abs((rate or 0) - nominal), default=None)


def has_repeats(info: StreamInfo) -> bool:
    """Whether one picture of five goes."""
    return film_rate(info) in _NTSC


def as_film(info: StreamInfo) -> StreamInfo:
    """The stream that `Film` makes: a fifth fewer pictures, in quarter ticks."""
    if not has_repeats(info):
        return replace(info, interlaced=False)
    return with_other_pictures(info, ticks=GROUP - 1, pictures=Fraction(GROUP - 1, GROUP))


class Film:
    """A passive stage: `push` gives 0 or more pictures of film, `flush` the rest."""

    def __init__(self, options: ReadOptions, info: StreamInfo):
        order = PARITY[options.field_order]
        matched = [
            ("fieldmatch", f"order={order}"),
            ("bwdif", f"mode=send_frame:parity={order}:deint=interlaced"),
        ]
        self._filters = Filters(info, matched)
        self._groups = _Groups(info) if has_repeats(info) else None
        self._info = info
        self._waiting: deque[tuple[int | None, int]] = deque()
        self._before: Plane | None = None
        self.num_deinterlaced = 0
        """Fields are put together, and what bwdif repairs is not known here."""

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a picture with its final pts; yield those that are finished."""
        self._waiting.append((picture.pts, picture.duration))
        yield from self._timed(self._filters.push(picture))

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield what is still held."""
        yield from self._timed(self._filters.flush())
        assert not self._waiting, "fieldmatch gives one picture for each it takes"
        if self._groups is not None:
            yield from self._groups.finish()

    def _timed(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            picture.pts, picture.duration = self._waiting.popleft()
            picture.time_base = self._info.time_base
            if self._groups is None:
                yield picture
            else:
                yield from self._groups.add(picture, self._difference(picture))

    def _difference(self, picture: av.VideoFrame) -> float:
        """From the picture before: the mean square over blocks, in code values."""
        luma = read_planes(picture, self._info.format)[0]
        before, self._before = self._before, luma
        if before is None:
            return float("inf")
        blocks = (max(1, luma.shape[1] // _BLOCK), max(1, luma.shape[0] // _BLOCK))
        means = cv2.resize(cv2.absdiff(luma, before).astype(np.float32), blocks, interpolation=cv2.INTER_AREA)
        return float(np.square(means).mean())


class _Groups:
    """Collects the pictures of each group; of a full one the repeat goes, and what stays is spread evenly."""

    def __init__(self, info: StreamInfo):
        rate = film_rate(info)
        assert rate is not None
        self._time_base = info.time_base / (GROUP - 1)
        self._quarter = Fraction(GROUP) / rate / info.time_base
        """Of a group's length, in the new ticks: they are a quarter of the old ones."""
        self._pictures_per_tick = rate * info.time_base
        self._start = info.start_pts or 0
        self._number = 0
        self._items: list[_Item] = []

    def add(self, picture: av.VideoFrame, difference: float) -> Iterator[av.VideoFrame]:
        """Take a picture; yield those of the group before, once that has ended."""
        assert picture.pts is not None
        number, place = divmod((picture.pts - self._start) * self._pictures_per_tick + _EARLY, GROUP)
        if number != self._number:
            yield from self.finish()
            self._number = number
        self._items.append(_Item(picture, difference, place))

    def finish(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures of the group that is open."""
        items, self._items = self._items, []
        if not items:
            return
        first = (GROUP - 1) * (items[0].picture.pts or 0)
        is_whole = _is_whole(items)
        if len(items) >= GROUP:
            items.remove(min(items, key=lambda item: item.difference))
        for index, item in enumerate(items):
            picture = item.picture
            begin, end = (round(number * self._quarter) for number in (index, index + 1))
            if is_whole and len(items) == GROUP - 1:
                picture.pts, picture.duration = first + begin, end - begin
            else:  # at a gap or the end: as it was
                picture.pts = (GROUP - 1) * (picture.pts or 0)
                picture.duration = (GROUP - 1) * picture.duration
            picture.time_base = self._time_base
            yield picture


def _is_whole(items: Sequence[_Item]) -> bool:
    """Whether pictures fill their group: nothing is missing at its ends or between them.

    A stream in which repeats are only asked for by flags has four that fill it,
    up to one and a half pictures apart.
    """
    places = [item.place for item in items]
    return (
        places[0] < 1 and places[-1] >= GROUP - 2 and all(b - a < 1 + 3 * _EARLY for a, b in pairwise(places))
    )
