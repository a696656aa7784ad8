"""What was measured lately. Pure: time is told."""

import math
from collections import deque


class RecentValues:
    """Values of the last seconds.

    Args:
        span_s: how long a value counts.
        now: when measuring begins.
        most: how many are kept at most.
    """

    def __init__(self, span_s: float, now: float, *, most: int = 1000):
        self._span_s, self._since_s = span_s, now
        self._values: deque[tuple[float, float]] = deque(maxlen=most)

    def add(self, value: float, now: float) -> None:
        """Note a value."""
        self._values.append((now, value))

    def values(self, now: float) -> list[float]:
        """Those that count still, oldest first."""
        while self._values and now - self._values[0][0] > self._span_s:
            self._values.popleft()
        return [value for _, value in self._values]

    def rate(self, now: float) -> float:
        """Their sum per second, also while the span has not passed yet; 0 without values."""
        values = self.values(now)
        if not values:
            return 0.0
        full = len(values) == self._values.maxlen
        since_s = self._values[0][0] if full else max(self._since_s, now - self._span_s)
        return sum(values) / max(now - since_s, 1e-3)

    def mean(self, now: float) -> float:
        """0 without values."""
        values = self.values(now)
        return sum(values) / len(values) if values else 0.0

    def quantile(self, share: float, now: float) -> float:
        """The smallest value that `share` of them do not exceed; 0 without values."""
        values = sorted(self.values(now))
        return values[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0
