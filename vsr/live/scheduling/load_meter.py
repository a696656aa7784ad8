"""How the engine did lately, on the level in use: what the latency control judges by. Pure: time is told."""

from vsr.live.scheduling.latency_control import MeasuredLoad
from vsr.live.scheduling.recent import RecentValues

_LATELY_S = 3.0


class LoadMeter:
    """Measures one level; another level gets another meter, for what was measured before says nothing about it.

    Args:
        arrived: frames that had been decoded before.
        late: those of them that were dropped because there was no time.
        now: `time.monotonic()`.
    """

    def __init__(self, arrived: int, late: int, now: float):
        self._latencies, self._busy, self._batches = (RecentValues(_LATELY_S, now) for _ in range(3))
        self._arrivals, self._drops, self._queues = (RecentValues(_LATELY_S, now) for _ in range(3))
        self.expect(arrived, late)

    def expect(self, arrived: int, late: int) -> None:
        """Count from these totals on: cameras have come or gone."""
        self._totals = arrived, late

    def worked(self, seconds: float, now: float) -> None:
        """The engine was busy for so long, up to now."""
        self._busy.add(seconds, now)

    def began(self, num_frames: int, now: float) -> None:
        """A round of so many frames has begun."""
        self._batches.add(num_frames, now)

    def delivered(self, latency_s: float, now: float) -> None:
        """A frame has left, so long after it arrived."""
        self._latencies.add(latency_s, now)

    def waits(self, num_frames: float, now: float) -> None:
        """So many frames of a camera wait as a round ends."""
        self._queues.add(num_frames, now)

    def count(self, arrived: int, late: int, now: float) -> None:
        """Take in the newest totals."""
        self._arrivals.add(max(0, arrived - self._totals[0]), now)
        self._drops.add(max(0, late - self._totals[1]), now)
        self._totals = arrived, late

    def busy(self, now: float) -> float:
        """Part of the time that the engine worked, 0–1."""
        return min(1.0, self._busy.rate(now))

    def batch(self, now: float) -> float:
        """Frames in a round."""
        return self._batches.mean(now)

    def load(self, interval_s: float, now: float) -> MeasuredLoad | None:
        """What there is to judge; None where nothing has left lately.

        Args:
            interval_s: between two frames of the quickest camera.
            now: `time.monotonic()`.
        """
        if not self._latencies.values(now):
            return None
        arrived, enhanced = sum(self._arrivals.values(now)), sum(self._batches.values(now))
        return MeasuredLoad(
            latency_p95_s=self._latencies.quantile(0.95, now),
            cost_s=sum(self._busy.values(now)) / max(1, enhanced),
            frames_per_s=self._arrivals.rate(now),
            dropped=sum(self._drops.values(now)) / max(1, arrived),
            queue=self._queues.mean(now),
            batch=self._batches.mean(now),
            interval_s=interval_s,
        )
