"""A camera's times, made monotonic for its whole life: over wrap-around, jumps, missing times and reconnects.

Knows numbers only. Every result is in ticks of 1/90000 s since the camera's first frame.
"""

from collections import deque
from fractions import Fraction
from statistics import median

TICKS = 90_000
"""Ticks a second."""

_JUMP_S = 1.0
"""A frame may be this much further on by its own time than by the clock on the wall; more is a jump."""
_BACK_S = 1.0
"""A time that goes back by no more than this is one that was repeated or shaken; more is a jump."""
_GAP_S = 0.5
"""A longer step, and one of more than `_GAP_STEPS` usual ones, is a gap: the
frame does not continue the one before."""
_GAP_STEPS = 4
_STEPS = 15
"""Steps whose median is the usual one; losses are counted once there are so many."""
_COUNTERS = (32, 33)
"""Bits of the counters that wrap around: RTP (RFC 3550, 5.1) and MPEG-TS (ISO/IEC 13818-1, 2.4.3.7)."""


class CameraTimeline:
    """Places frames. A frame keeps the step to its predecessor that the
    camera tells, as long as that is sane.

    Where it is not, and over a reconnect, time goes on by the clock on the wall. Used by one thread.
    """

    def __init__(self) -> None:
        self.shift: int | None = None
        """What must be added to the camera's own times, in ticks; None before
        the first frame of a session."""
        self.lost = 0
        """Frames that never came: the camera's own times skip them."""
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._base = Fraction(1, TICKS)
        self._last: int | None = None
        self._last_source: int | None = None
        self._last_arrived_s = 0.0

    @property
    def step(self) -> int:
        """The usual step between frames, in ticks; 0 while unknown."""
        return round(median(self._steps)) if self._steps else 0

    def connect(self, time_base: Fraction, step: int = 0) -> None:
        """Begin a session: the camera's times have nothing to do with those before.

        Args:
            time_base: seconds per tick of the camera's times.
            step: usual step between frames as the stream tells it, in our ticks; 0 where it does not.
        """
        self._base = time_base
        self._steps.clear()
        self._steps.extend([step] if step else [])
        self._last_source = self.shift = None

    def place(self, pts: int | None, arrived_s: float) -> tuple[int, bool]:
        """Return a frame's time, after that of the frame before, and whether it does not continue that frame.

        Args:
            pts: the camera's own time, in its time base; None where it gave none.
            arrived_s: when the frame had been decoded, by `time.monotonic()`.
        """
        waited = max(0, round((arrived_s - self._last_arrived_s) * TICKS))
        source = None if pts is None else round(pts * self._base * TICKS)
        first = self.shift is None
        if first or self._last is None:
            time, reset = self._resume(waited), True
        else:
            step, sane = self._step_to(source, waited)
            time, reset = self._last + max(1, step), not sane or self._is_gap(step)
            if sane and step > 0:
                self._learn(step)
        self._last, self._last_arrived_s = time, arrived_s
        if source is not None:
            self._last_source = source
            self.shift = time - source
        elif first:
            self.shift = time  # a stream whose first frame has no time begins at 0
            self._last_source = 0
        elif self._last_source is not None and self.shift is not None:
            self._last_source = time - self.shift
        return time, reset

    def _resume(self, waited: int) -> int:
        return 0 if self._last is None else self._last + max(1, waited)

    def _step_to(self, source: int | None, waited: int) -> tuple[int, bool]:
        """Return the step to a frame and whether it is the camera's own."""
        if source is None or self._last_source is None:
            return self.step or waited, True
        step = source - self._last_source
        if step < -_BACK_S * TICKS:
            turns = (round((1 << bits) * self._base * TICKS) for bits in _COUNTERS)
            step = min((step, *(step + turn for turn in turns)), key=abs)
        if step < -_BACK_S * TICKS or step > waited + _JUMP_S * TICKS:
            return waited, False
        return step, True

    def _learn(self, step: int) -> None:
        usual = self.step
        self.lost += max(0, round(step / usual) - 1) if usual and len(self._steps) == _STEPS else 0
        self._steps.append(step)

    def _is_gap(self, step: int) -> bool:
        return step > max(_GAP_S * TICKS, _GAP_STEPS * self.step)
