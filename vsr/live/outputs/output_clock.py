"""The times of the pictures that go out: the frames' own, and the wall's for what stands in."""

from vsr.frames import Frame
from vsr.live.packets import TICKS

_STEP = TICKS // 1000
"""Ticks between two pictures, at least: Matroska and FLV know no less than a millisecond."""

_LATE = 2 * TICKS
"""Frames that are later than this follow another clock, and go by the wall's."""


class OutputClock:
    """Gives each picture a time after the one before. Pictures that stand in take the wall's, and never run ahead of
    it. A frame that comes after its time has been shown follows at once, so that those after it are back at their own.
    Pure.
    """

    def __init__(self) -> None:
        self.shift = 0
        """How far the pictures are ahead of the frames' times, in ticks of 1/90000 s: what stood in at first."""
        self._last, self._last_s = -1, 0.0
        self._has_frame = False

    def next(self, frame: Frame | None, now: float) -> int:
        """Return the time of the next picture in ticks of 1/90000 s; `frame` is None for one that stands in.

        `now` is `time.monotonic()`.
        """
        begun = self._last >= 0
        wall = self._last + max(_STEP, round((now - self._last_s) * TICKS)) if begun else 0
        pts = wall
        if frame is not None:
            own = round(frame.pts * frame.time_base * TICKS)
            if begun and not self._has_frame:
                self.shift = wall - own
            self._has_frame = True
            pts = own + self.shift
            if begun and pts < self._last + _STEP:
                pts = self._last + _STEP if wall - pts < _LATE else wall
        self._last, self._last_s = pts, now
        return pts
