"""Numbered pictures as a video: each picture's number is its time, in ticks of a frame.

What one picture holds is found out by whatever reads it singly. Pictures of another size, or that hold more than
the format that was settled before, are refused by name; those that hold less (grey in between, as some programs
store what has no colour) are brought to it without loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsr.errors import SourceError
from vsr.frames import Frame, PictureFormat, Plane, StreamInfo
from vsr.media.images.probe_image import is_image, probe_image
from vsr.media.images.stream import ImageSource
from vsr.media.numbered import describe_gaps
from vsr.media.probe_video import probe
from vsr.media.reading.decode import ReadCounts
from vsr.media.reading.source import VideoSource
from vsr.options import ReadOptions

USUAL_RATE = Fraction(24)
"""Frames a second where nobody says."""

_LOOKED_AT = 32
"""Pictures, spread over all, by which the format is settled."""


def probe_numbered(name: str, pictures: Sequence[tuple[int, Path]], rate: Fraction | None) -> StreamInfo:
    """Tell what a video of numbered pictures holds, from a few of them.

    Args:
        name: for messages, as the user has it.
        pictures: numbers and files, ascending.
        rate: frames a second; None where nobody has said.

    Raises:
        SourceError: there is none, one cannot be read, or one is of another size.
    """
    if not pictures:
        raise SourceError(f"{name} means no picture; numbers such as frames/00001.png are expected there")
    step = max(1, len(pictures) // _LOOKED_AT)
    looked_at = [path for _, path in [*pictures[::step], pictures[-1]]]
    infos = [_probe_one(path) for path in looked_at]
    format = infos[0].format
    for path, info in zip(looked_at, infos, strict=True):
        format = _widest(format, info.format, path, looked_at[0])
    tick = 1 / (rate or USUAL_RATE)
    first, last = pictures[0][0], pictures[-1][0]
    gaps = describe_gaps(number for number, _ in pictures)
    gaps = f"{gaps}; the picture before is shown for longer" if gaps else ""
    return StreamInfo(
        path=name,
        kind="video",
        container="numbered pictures",
        codec=infos[0].codec,
        pixel_format=infos[0].pixel_format,
        format=format,
        time_base=tick,
        start_pts=first,
        duration_s=float((last + 1 - first) * tick),
        num_frames=len(pictures),
        average_rate=1 / tick,
        rotation=infos[0].rotation,
        pictures=tuple(pictures),
        notes=(*infos[0].notes, *([gaps] if gaps else [])),
    )


def _probe_one(path: Path) -> StreamInfo:
    return probe_image(path) if is_image(path) else probe(path)


def _size(format: PictureFormat) -> str:
    return f"{format.width}x{format.height}"


def _widest(known: PictureFormat, new: PictureFormat, path: Path, first: Path) -> PictureFormat:
    """The format that holds pictures of both without loss."""
    if (known.height, known.width) != (new.height, new.width):
        raise SourceError(
            f"{path} is {_size(new)}, and {first} is {_size(known)}; pictures of one size are accepted"
        )
    base = new if _is_coloured(new) and not _is_coloured(known) else known
    wide = replace(base, bit_depth=max(known.bit_depth, new.bit_depth), alpha=known.alpha or new.alpha)
    if not (_holds(wide, known) and _holds(wide, new)):
        raise SourceError(
            f"{path} is {_kind(new)}, and {first} is {_kind(known)}; pictures of one kind are accepted"
        )
    return wide


def _is_coloured(format: PictureFormat) -> bool:
    return format.layout != "gray"


def _kind(format: PictureFormat) -> str:
    return f"{format.bit_depth} bit {format.layout}{' with opacity' if format.alpha else ''}, {format.range} range"


def _holds(wide: PictureFormat, own: PictureFormat) -> bool:
    """Whether every picture of a format can be brought to another one without loss."""
    if (wide.height, wide.width) != (own.height, own.width) or wide.range != own.range:
        return False
    layout = own.layout == wide.layout or (own.layout == "gray" and wide.layout == "rgb")
    depth = own.bit_depth == wide.bit_depth or (own.bit_depth < wide.bit_depth and own.range == "full")
    return layout and depth and own.alpha <= wide.alpha


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
        for number, path, duration in self._wanted():
            frame = _read_one(path)
            if not _holds(self.info.format, frame.format):
                raise SourceError(
                    f"{path} is {_size(frame.format)}, {_kind(frame.format)}, and the pictures that were looked at "
                    f"are {_size(self.info.format)}, {_kind(self.info.format)}; pictures of one kind are accepted"
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


def _read_one(path: Path) -> Frame:
    source = ImageSource(path) if is_image(path) else VideoSource(path, ReadOptions(frames=1))
    return next(iter(source.frames()))
