"""Which frames of which cameras are enhanced together next. Pure: time is
told, nothing is waited for here."""

from collections.abc import Sequence
from dataclasses import dataclass

_SLACK = 0.25
"""Of a frame interval, by which a frame may be late and still be waited for; a
camera that is later has stalled."""

_GAP_WEIGHT = 0.2
"""Of the newest interval in a camera's mean one."""


@dataclass(frozen=True, slots=True)
class ReadyFrame:
    """The oldest frame of a camera that waits."""

    camera: int
    size: tuple[int, ...]
    """Height, width, and whatever else must be equal for frames to go together."""
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """What to do now."""

    cameras: tuple[int, ...] = ()
    """Take one frame of each of these; of none: wait."""
    wait_s: float | None = None
    """Seconds after which to ask again if nothing has come; None where only a frame changes anything."""


class _Cadence:
    """When a camera's frames come."""

    def __init__(self, ready: ReadyFrame):
        self.size, self.last_s, self.interval_s = ready.size, ready.arrived_s, 0.0

    def learn(self, ready: ReadyFrame) -> None:
        gap = ready.arrived_s - self.last_s
        if gap > 0:
            self.interval_s = (
                gap if not self.interval_s else self.interval_s + _GAP_WEIGHT * (gap - self.interval_s)
            )
            self.size, self.last_s = ready.size, ready.arrived_s

    @property
    def expected_s(self) -> float:
        """When the next frame will have come, unless the camera is stalled; for
        ever after two frames at the least."""
        return self.last_s + self.interval_s * (1 + _SLACK) if self.interval_s else float("inf")


class Rounds:
    """Forms batches: equal sizes together, oldest first, in fair turns.

    No camera is served twice while another one waits that was ready at the first time. A round waits up to a
    deadline for frames that are about to come, and never for a camera that is late. The batch grows while
    more frames wait than it takes, and shrinks when it stays half empty: small rounds are quick, large ones
    cost less per frame.

    Args:
        deadline_s: how long after its arrival the oldest frame may be held back for
            others; 0 where batches gain nothing.
        least: smallest limit of a batch.
        most: largest.
    """

    def __init__(self, *, deadline_s: float = 0.0, least: int = 1, most: int = 16):
        self.batch = least
        """Frames that a round takes at most, now."""
        self._deadline_s, self._least, self._most = deadline_s, least, most
        self._served: dict[int, int] = {}
        self._habits: dict[int, _Cadence] = {}
        self._number = 0

    def choose(self, ready: Sequence[ReadyFrame], now: float) -> Round:
        """Choose from the cameras that have a frame; those chosen count as served."""
        for one in ready:
            self._habits.setdefault(one.camera, _Cadence(one)).learn(one)
        if not ready:
            return Round()
        fit = self._fit_together(ready)
        wait_s = self._worth_waiting(fit, now) if len(fit) < self.batch else 0.0
        if wait_s > 0:
            return Round(wait_s=wait_s)
        chosen = fit[: self.batch]
        self._resize(len(fit), len(chosen))
        for one in chosen:
            self._number += 1
            self._served[one.camera] = self._number
        return Round(tuple(one.camera for one in chosen))

    def drop(self, camera: int) -> None:
        """Forget a camera that is gone for good."""
        self._served.pop(camera, None)
        self._habits.pop(camera, None)

    def _turn(self, one: ReadyFrame) -> int:
        return self._served.get(one.camera, 0)

    def _fit_together(self, ready: Sequence[ReadyFrame]) -> list[ReadyFrame]:
        """Frames of the size whose turn it is, in turn; none that would overtake a frame of another size."""
        waiting = sorted(ready, key=lambda one: (self._turn(one), one.arrived_s))
        others = [self._turn(one) for one in waiting if one.size != waiting[0].size]
        last_turn = min(others, default=self._number)
        return [one for one in waiting if one.size == waiting[0].size and self._turn(one) <= last_turn]

    def _worth_waiting(self, fit: Sequence[ReadyFrame], now: float) -> float:
        """Seconds until the last of the frames that should come before the deadline."""
        deadline = min(one.arrived_s for one in fit) + self._deadline_s
        here = {one.camera for one in fit}
        coming = [
            habit.expected_s
            for camera, habit in self._habits.items()
            if camera not in here and habit.size == fit[0].size and now < habit.expected_s <= deadline
        ]
        return max(coming, default=now) - now

    def _resize(self, num_fit: int, num_chosen: int) -> None:
        if num_fit > num_chosen:
            self.batch = min(self._most, self.batch * 2)
        elif num_chosen <= self.batch // 2:
            self.batch = max(self._least, self.batch - 1)
