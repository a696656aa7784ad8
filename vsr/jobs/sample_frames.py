"""A few frames of an input, spread over all that will be read of it."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from vsr.errors import SourceError
from vsr.frames import Frame, StreamInfo
from vsr.media import ImageSource, NumberedSource, VideoSource
from vsr.options import ReadOptions
from vsr.prefetch import closed_after

COUNT = 12
"""Frames of a video."""

SHORT = 1500
"""Frames that are decoded one after the other faster than `COUNT` times from
a key frame on, up to 250 earlier."""

UNKNOWN = 600
"""Frames that are looked at where the container does not tell how many there are."""


def spread_frames(info: StreamInfo, read: ReadOptions) -> Iterator[Frame]:
    """Yield frames from the middles of equal parts of the span that will be read, or of a picture that moves.

    Raises:
        SourceError: nothing can be decoded.
    """
    if info.kind == "image":
        step = max(1, (info.num_frames or 1) // COUNT)
        yield from islice(ImageSource(info.path, most_gb=math.inf).frames(), step // 2, None, step)
        return
    start, end = (float(time or 0) for time in read.span)
    rate = float(info.average_rate or 25)
    last = start + read.frames / rate if read.frames else None
    ends = [time for time in (end, info.duration_s, last) if time]
    total = max(1, round((min(ends) - start) * rate)) if ends else UNKNOWN
    if total > SHORT:
        yield from _at(info, read, [start + (index + 0.5) * total / rate / COUNT for index in range(COUNT)])
        return
    step = max(1, total // COUNT)
    frames = _opened(info, read).frames()
    with closed_after(frames):
        yield from islice(frames, step // 2, total, step)


def _opened(info: StreamInfo, read: ReadOptions) -> VideoSource | NumberedSource:
    return NumberedSource(info, read) if info.pictures else VideoSource(info.path, read, info=info)


def _at(info: StreamInfo, read: ReadOptions, times: list[float]) -> Iterator[Frame]:
    found = 0
    for time in times:
        try:
            here = replace(read, start=f"{time:.6f}", end="", frames=1)
            for frame in _opened(info, here).frames():
                found += 1
                yield frame
        except SourceError:
            if time == times[-1] and not found:
                raise  # elsewhere a damaged part has no say
