"""What becomes of each frame of a camera, for whoever keeps a record of it: noted where it happens, taken by another
thread."""

import itertools
import time
from collections import deque
from typing import Literal, NamedTuple

from vsr.frames import Frame

_MOST = 100_000
"""Notes that are kept for a reader who is late: over half an hour of 25 fps. Numbers tell that more were there."""


class FrameNote(NamedTuple):
    """One thing that happened."""

    what: Literal["decoded", "shown", "stood in"]
    """`shown`: enhanced, and given to the encoder; `stood in`: the last picture once more, as the camera is away."""
    number: int
    """Of the camera's frames, from 0, where one was decoded; else -1."""
    pts: int
    """The frame's time, in ticks of its time base; 0 for what stood in."""
    at_s: float
    """`time.monotonic()`."""


class FrameNotes:
    """The notes of one camera, each kept until it is taken. Any thread may write, one reads."""

    def __init__(self) -> None:
        self._notes: deque[FrameNote] = deque(maxlen=_MOST)
        self._numbers = itertools.count()

    def decoded(self, frame: Frame) -> None:
        """Note a frame that comes; to be called by one thread."""
        self._notes.append(FrameNote("decoded", next(self._numbers), frame.pts, time.monotonic()))

    def shown(self, frame: Frame | None) -> None:
        """Note a picture that the encoder has got; None for one that stands in."""
        what, pts = ("shown", frame.pts) if frame is not None else ("stood in", 0)
        self._notes.append(FrameNote(what, -1, pts, time.monotonic()))

    def take(self) -> list[FrameNote]:
        """Return what has been noted since the last call, in order."""
        return [self._notes.popleft() for _ in range(len(self._notes))]
