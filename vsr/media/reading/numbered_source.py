"""Numbered pictures as a video: each picture's number is its time, in ticks of a frame.

What one picture holds is found out by whatever reads it singly. Pictures of another size, or that hold more than
the format that was settled before, are refused by name; those that hold less (grey in between, as some programs
store what has no colour) are brought to it without loss.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vsr.errors import SourceError
from vsr.frames import Frame, PictureFormat, Plane, StreamInfo
from vsr.media.images.linear import PQ
from vsr.media.images.probe_image import is_image
from vsr.media.images.probe_numbered import holds, in_words
from vsr.media.images.stream import ImageSource
from vsr.media.reading.decode import ReadCounts
from vsr.media.reading.source import VideoSource
from vsr.options import ReadOptions


def _fitted(frame: Frame, format: PictureFormat) -> tuple[Plane, ...]:
    """A frame's planes as those of a format that holds them."""
    own, planes = frame.format, frame.planes
    white = (1 << format.bit_depth) - 1
    if own.bit_depth < format.bit_depth:
        factor = white / ((1 << own.bit_depth) - 1)
        planes = tuple(np.rint(plane * np.float64(factor)).astype(np.uint16) for plane in planes)
    if own.layout == "gray" and format.layout == "rgb":
        planes = (planes[0], planes[0], *planes)
    if format.alpha and not own.alpha:
        planes = (*planes, np.full_like(planes[0], white))
    return planes


class NumberedSource:
    """Numbered pictures as a source. `frames()` may be called again.

    `info` is what `probe_numbered` has found; `from_pts` leaves out the pictures before a number.
    """

    def __init__(
        self, info: StreamInfo, options: ReadOptions = ReadOptions(), *, from_pts: int | None = None
    ):
        self.info = info
        self.counts = ReadCounts()
        self._options = options
        self._from_pts = from_pts

    def frames(self) -> Iterator[Frame]:
        """Decode the pictures, one after the other.

        Raises:
            SourceError: one cannot be read or does not fit, or the wanted span holds none.
        """
        counts = self.counts = ReadCounts()
        last: int | None = None
        num_cut = 0
        for number, path, duration in self._wanted():
            source = _open_one(path, self.info.format.transfer)
            frame = next(iter(source.frames()))
            num_cut += source.info.format.transfer == PQ != self.info.format.transfer
            if not holds(self.info.format, frame.format):
                wanted, found = (in_words(each) for each in (self.info.format, frame.format))
                raise SourceError(
                    f"{path} is {found}, and the pictures that were looked at are {wanted}; "
                    "pictures of one size and kind are accepted"
                )
            counts.frames += 1
            yield Frame(
                _fitted(frame, self.info.format),
                self.info.format,
                pts=number,
                time_base=self.info.time_base,
                duration=duration,
                reset=last is not None and number != last + 1,
            )
            last = number
        if num_cut:
            counts.notes.append(
                f"{num_cut} pictures have light beyond white, which is cut: those that were looked at have none"
            )
        if not counts.frames:
            raise SourceError(f"{self.info.path} has no picture in the span that is wanted")

    def _wanted(self) -> Iterator[tuple[int, Path, int]]:
        """Number, file and ticks until the next one, of all pictures that are wanted."""
        pictures, tick = self.info.pictures, self.info.time_base
        start, end = self._options.span
        left = self._options.frames or len(pictures)
        following = [*(number for number, _ in pictures[1:]), pictures[-1][0] + 1]
        for (number, path), after in zip(pictures, following, strict=True):
            time = (number - pictures[0][0]) * tick
            if number < (self._from_pts or number) or (self._from_pts is None and time < start):
                continue
            if not left or (end is not None and time >= end):
                return
            left -= 1
            yield number, path, after - number


def _open_one(path: Path, transfer: str) -> ImageSource | VideoSource:
    return (
        ImageSource(path, transfer=transfer) if is_image(path) else VideoSource(path, ReadOptions(frames=1))
    )
