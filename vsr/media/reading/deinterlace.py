"""Interlaced pictures to progressive ones, by FFmpeg's bwdif: one for each
picture, or one for each of its fields.

What a source then gives is another stream than the file holds, with twice the
pictures in finer ticks: `as_read` says.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import av
from av import error
from av.filter import Graph

from vsr.frames import StreamInfo
from vsr.media.pixels import PlanarConverter
from vsr.options import ReadOptions

PARITY = {"auto": "auto", "top": "tff", "bottom": "bff"}
"""Values of `ReadOptions.field_order` to FFmpeg's."""


class Fields(Protocol):
    """A passive stage that makes progressive pictures: `push` gives 0 or more, `flush` the rest."""

    num_deinterlaced: int

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a picture with its final pts; yield those that are finished."""
        ...

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures that are still held."""
        ...


class Filters:
    """FFmpeg filters that run here, on planar pictures of one format; made when the first one is there."""

    def __init__(self, info: StreamInfo, stages: Sequence[tuple[str, str]]):
        self._converter = PlanarConverter(info.format)
        self._time_base = info.time_base
        self._stages = stages
        self._graph: Graph | None = None

    @property
    def has_begun(self) -> bool:
        return self._graph is not None

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a picture; yield what the filters have finished, with times of their own."""
        # The filters know planar formats only, and a graph has one size for good.
        planar = self._converter.convert(picture)
        planar.pts, planar.time_base, planar.duration = picture.pts, self._time_base, picture.duration
        if self._graph is None:
            self._graph = self._build(planar)
        self._graph.vpush(planar)
        yield from self._finished(self._graph)

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures that the filters still hold."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._finished(self._graph)

    def _build(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=self._time_base
        )
        own = [graph.add(name, arguments) for name, arguments in self._stages]
        # bwdif knows no 10-bit grey: back from what it was given.
        nodes = [source, *own, graph.add("format", self._converter.name), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        return graph

    def _finished(self, graph: Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                yield graph.vpull()
            except (error.BlockingIOError, error.EOFError):
                return


class Deinterlacer:
    """One picture for each one, with its own time.

    With `auto` nothing happens until the first picture flagged interlaced; from there on bwdif holds one
    picture back, and passes progressive ones through untouched.
    """

    def __init__(self, options: ReadOptions, info: StreamInfo):
        self._mode = options.deinterlace
        which = "all" if self._mode == "on" else "interlaced"
        parity = PARITY[options.field_order]
        self._filters = Filters(info, [("bwdif", f"mode=send_frame:parity={parity}:deint={which}")])
        self._time_base = info.time_base
        self._waiting: deque[tuple[int | None, int]] = deque()
        self.num_deinterlaced = 0

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a picture with its final pts; yield those that are finished."""
        fields = picture.interlaced_frame or self._mode == "on"
        if not self._filters.has_begun and (self._mode == "off" or not fields):
            yield picture
            return
        self.num_deinterlaced += fields
        self._waiting.append((picture.pts, picture.duration))
        yield from self._timed(self._filters.push(picture))

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the picture that bwdif still holds."""
        yield from self._timed(self._filters.flush())
        assert not self._waiting, "bwdif gives one picture for each it takes"

    def _timed(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            # bwdif counts in half ticks; what went in comes out again exactly.
            picture.pts, picture.duration = self._waiting.popleft()
            picture.time_base = self._time_base
            yield picture


class Bobber:
    """Two pictures for each one, of its first field and its second, each at its own time, in half ticks.

    All pictures are taken for interlaced, or the rate would change within the film. A second field
    is shown half way to the next picture, but no later than half of its own picture's duration
    says: a gap stays where it is.
    """

    def __init__(self, options: ReadOptions, info: StreamInfo):
        parity = PARITY[options.field_order]
        self._filters = Filters(info, [("bwdif", f"mode=send_field:parity={parity}:deint=all")])
        self._time_base = info.time_base / 2
        self._waiting: deque[tuple[int, int]] = deque()
        self._length = 1
        self._is_second = False
        self.num_deinterlaced = 0

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a picture with its final pts; yield those that are finished."""
        assert picture.pts is not None
        self.num_deinterlaced += 1
        self._waiting.append((picture.pts, picture.duration))
        yield from self._timed(self._filters.push(picture))

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures that bwdif still holds."""
        yield from self._timed(self._filters.flush())
        assert not self._waiting, "bwdif gives two pictures for each it takes"

    def _timed(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            pts, duration = self._waiting[0]
            following = self._waiting[1][0] - pts if len(self._waiting) > 1 else None
            known = [ticks for ticks in (following, duration) if ticks]
            self._length = min(known, default=self._length)
            # In half ticks the length is half the picture's.
            rest = 2 * (following or self._length) - self._length
            picture.pts = 2 * pts + self._is_second * self._length
            picture.duration = rest if self._is_second else self._length
            picture.time_base = self._time_base
            if self._is_second:
                self._waiting.popleft()
            self._is_second = not self._is_second
            yield picture


def as_bobbed(info: StreamInfo) -> StreamInfo:
    """The stream that a `Bobber` makes."""
    return with_other_pictures(info, ticks=2, pictures=Fraction(2))


def with_other_pictures(info: StreamInfo, *, ticks: int, pictures: Fraction) -> StreamInfo:
    """A stream of so many progressive pictures for each one, with so many ticks for each one."""
    return replace(
        info,
        time_base=info.time_base / ticks,
        start_pts=None if info.start_pts is None else ticks * info.start_pts,
        num_frames=None if info.num_frames is None else round(info.num_frames * pictures),
        average_rate=None if info.average_rate is None else info.average_rate * pictures,
        interlaced=False,
    )
