"""Interlaced pictures to progressive ones: FFmpeg's bwdif, one picture out for each one in, times untouched."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
from av import error
from av.filter import Graph

from vsr.frames import PictureFormat
from vsr.media.pixels import PlanarConverter


class Deinterlacer:
    """A passive stage: `push` gives 0 or more pictures, `flush` the rest.

    With `auto` nothing happens until the first picture flagged interlaced; from there on bwdif holds one picture
    back, and passes progressive ones through untouched. Field order comes from each picture's own flag.
    """

    def __init__(self, mode: Literal["auto", "on", "off"], time_base: Fraction, format: PictureFormat):
        self._mode = mode
        self._time_base = time_base
        self._converter = PlanarConverter(format)
        self._graph: Graph | None = None
        self._waiting: deque[tuple[int | None, int]] = deque()
        self.num_deinterlaced = 0

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Take a picture with its final pts; yield those that are finished."""
        fields = picture.interlaced_frame or self._mode == "on"
        if self._graph is None and (self._mode == "off" or not fields):
            yield picture
            return
        # bwdif runs on planar formats only, and a graph has one size for good.
        planar = self._converter.convert(picture)
        if self._graph is None:
            self._graph = self._build(planar)
        self.num_deinterlaced += fields
        self._waiting.append((picture.pts, picture.duration))
        planar.pts, planar.time_base, planar.duration = picture.pts, self._time_base, picture.duration
        self._graph.vpush(planar)
        yield from self._finished(self._graph)

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the picture that bwdif still holds."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._finished(self._graph)
            assert not self._waiting, "bwdif gives one picture for each it takes"

    def _build(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=self._time_base
        )
        which = "all" if self._mode == "on" else "interlaced"
        stages = [
            source,
            graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}"),
            graph.add("format", self._converter.name),  # bwdif knows no 10-bit grey: back from what it was given
            graph.add("buffersink"),
        ]
        graph.link_nodes(*stages).configure()
        return graph

    def _finished(self, graph: Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                picture = graph.vpull()
            except (error.BlockingIOError, error.EOFError):
                return
            # bwdif counts in half ticks; what went in comes out again exactly.
            picture.pts, picture.duration = self._waiting.popleft()
            picture.time_base = self._time_base
            yield picture
