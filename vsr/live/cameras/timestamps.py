"""A camera's times, made monotonic for its whole life: over wrap-around, jumps, missing times and reconnects.

Knows numbers only. Every result is in ticks of 1/90000 s since the camera's first frame, and keeps to the clock on
the wall: a camera's own steps are kept, and where they add up to more or less than the wall's, they are stretched
by a little until they agree again.
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
_TRUE_S = 0.05
"""Times that are off the wall's by less are left alone."""
_FAR_S = 0.5
"""Off by more: late ones are set right at once, early ones by half of each step."""
_STRETCH = 0.1
"""Part of a step by which it is stretched."""
_BEGINNING_S = 5.0
"""How long the first frame's arrival may turn out to have been late; where time begins is then set anew."""


class BestLately:
    """The least of what was measured in the last seconds; a stalled network makes frames late and never early.

    Args:
        span: seconds, whole ones; longer than a stall that is sat out.
    """

    def __init__(self, span: int = 6):
        self._seconds: deque[tuple[int, float]] = deque()
        self._span = span

    def add(self, value: float, now: float) -> float:
        """Note a value; return the least one."""
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            value = min(value, self._seconds.pop()[1])
        self._seconds.append((second, value))
        while second - self._seconds[0][0] > self._span:
            self._seconds.popleft()
        return self.value

    @property
    def value(self) -> float:
        """The least one; 0 without any."""
        return min((value for _, value in self._seconds), default=0.0)

    def move(self, by: float) -> None:
        """What was measured has changed by so much."""
        self._seconds = deque((second, value + by) for second, value in self._seconds)

    def clear(self) -> None:
        """Forget all."""
        self._seconds.clear()


class CameraTimeline:
    """Places frames. A frame keeps the step to its predecessor that the
    camera tells, as long as that is sane.

    Where it is not, and over a reconnect, time goes on by the clock on the wall. One frame with a mad time is
    taken for an accident; two that agree are the camera's new clock. Used by one thread.
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
        self._last_source = 0
        self._last_arrived_s = self._first_arrived_s = 0.0
        self._odd: int | None = None
        self._zero_s = 0.0
        self._lags = BestLately()

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
        self.shift = self._odd = None
        self._lags.clear()

    def at(self, arrived_s: float) -> int:
        """The time of a picture that arrives at `arrived_s`, by `time.monotonic()`, if it is not late."""
        return round((arrived_s - self._zero_s - self._lags.value) * TICKS)

    def place(self, pts: int | None, arrived_s: float) -> tuple[int, bool]:
        """Return a frame's time, after that of the frame before, and whether it does not continue that frame.

        Args:
            pts: the camera's own time, in its time base; None where it gave none.
            arrived_s: when the frame had been decoded, by `time.monotonic()`.
        """
        source = None if pts is None else round(pts * self._base * TICKS)
        if self.shift is None or self._last is None:
            time, reset = self._resume(arrived_s), True
            self._settle(time, source or 0)  # a stream whose first frame has no time begins at 0
        else:
            time, reset = self._next(source, self._last, self.shift, arrived_s)
        self._last, self._last_arrived_s = time, arrived_s
        self._compare(arrived_s)
        return time, reset

    def _resume(self, arrived_s: float) -> int:
        if self._last is None:
            self._zero_s = self._first_arrived_s = arrived_s
            return 0
        return max(self._last + 1, round((arrived_s - self._zero_s) * TICKS))

    def _settle(self, time: int, source: int) -> None:
        """Take a camera's time for true."""
        self._last_source, self.shift, self._odd = source, time - source, None

    def _next(self, source: int | None, last: int, shift: int, arrived_s: float) -> tuple[int, bool]:
        waited = max(0, round((arrived_s - self._last_arrived_s) * TICKS))
        step, sane = self._step_to(source, waited)
        if source is not None and sane:
            time = last + max(1, step + self._stretched(step))
            self._settle(time, source)
            if step > 0:
                self._learn(step)
            return time, self._is_gap(step)
        time = last + max(1, step)
        if (
            source is not None
            and self._odd is not None
            and 0 < source - self._odd <= waited + _JUMP_S * TICKS
        ):
            self._settle(time, source)
            self._lags.clear()
            return time, True
        self._odd, self._last_source = source, time - shift
        return time, self._is_gap(step)

    def _step_to(self, source: int | None, waited: int) -> tuple[int, bool]:
        """Return the step to a frame and whether it is the camera's own."""
        usual = waited if self._is_gap(waited) else self.step or waited
        if source is None:
            return usual, True
        step = source - self._last_source
        if step < -_BACK_S * TICKS:
            turns = (round((1 << bits) * self._base * TICKS) for bits in _COUNTERS)
            step = min((step, *(step + turn for turn in turns)), key=abs)
        if step < -_BACK_S * TICKS or step > waited + _JUMP_S * TICKS:
            return usual, False
        return step, True

    def _compare(self, arrived_s: float) -> None:
        """See how far times are behind the wall's."""
        assert self._last is not None
        lag_s = self._lags.add(arrived_s - self._zero_s - self._last / TICKS, arrived_s)
        if lag_s < 0 and arrived_s - self._first_arrived_s < _BEGINNING_S:
            self._zero_s += lag_s
            self._lags.move(-lag_s)

    def _stretched(self, step: int) -> int:
        """Ticks to add to a step, that times agree with the wall's again."""
        lag_s = self._lags.value
        if abs(lag_s) < _TRUE_S:
            return 0
        far = abs(lag_s) > _FAR_S
        most = step * (0.5 if far else _STRETCH)
        ticks = round(lag_s * TICKS if far and lag_s > 0 else max(-most, min(most, lag_s * TICKS)))
        self._lags.move(-ticks / TICKS)
        return ticks

    def _learn(self, step: int) -> None:
        usual = self.step
        self.lost += max(0, round(step / usual) - 1) if usual and len(self._steps) == _STEPS else 0
        self._steps.append(step)

    def _is_gap(self, step: int) -> bool:
        return step > max(_GAP_S * TICKS, _GAP_STEPS * self.step)
