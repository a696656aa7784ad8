"""Which level holds the latency target: larger networks, smaller ones,
bicubic, fewer frames. Pure: time is told.

Down when the target is missed, at once as far as the measured times say; up by one level, and only when that
one's cost leaves a margin. At most one change in a few seconds; a level that failed is let alone for a time
that doubles with every failure, so that a load between two levels does not make the picture change for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LatencyLevel:
    """One way to enhance, as the controller sees it."""

    name: str
    work: float
    """What a frame costs, in any unit that all levels share; measured times correct it."""
    every: int = 1
    """Of so many frames one is enhanced."""
    latency: int = 0
    """Frames that must come before a frame can leave."""


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """What was measured lately, all of it on the level in use."""

    latency_p95_s: float
    """From a frame's arrival to its output's encoder."""
    cost_s: float
    """Of the engine's time a frame took."""
    frames_per_s: float
    """What the cameras send, all together."""
    dropped: float = 0.0
    """Share of these that the engine had no time for, 0–1; none that came in a burst."""
    queue: float = 0.0
    """Frames that waited when a round ended, per camera."""
    batch: float = 1.0
    """Frames in a round: none of them leaves before the last is done."""
    interval_s: float = 0.04
    """Between two frames of a camera."""


@dataclass(frozen=True, slots=True)
class ControlTuning:
    """How quick and how bold the controller is."""

    between_s: float = 5.0
    """Least time between two changes."""
    missed_s: float = 1.0
    """The target must have been missed for so long before the first change down."""
    calm_s: float = 5.0
    """And held for so long before one up."""
    dropped: float = 0.03
    """Share of dropped frames from which the target counts as missed, however quick the others are."""
    margin: float = 0.8
    """Part of the time and of the target that a larger level may take by the estimate."""
    known_margin: float = 0.9
    """The same for the time of a level that has been in use: its cost was measured and not worked out."""
    forget_s: float = 180.0
    """Half-life of what is known against a level that is not in use: its cost
    may have been that of a bad moment."""
    learn_s: float = 3.0
    """On a level for the first time: how long its cost is learnt rather than taken for a change of load."""
    ban_s: float = 10.0
    """How long a level that failed is not tried again, the first time."""
    most_ban_s: float = 600.0
    proven_s: float = 30.0
    """A level that held for so long before it failed is tried again once, at the load that it held, whatever
    it is thought to cost by then: what ended it may have been short."""
    settled_s: float = 300.0
    """A level that held for so long before it failed begins again with the first ban."""


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A step to another level."""

    level: int
    """Index of the new one; 0 is the top."""
    reason: str


_WEIGHT = 0.3
"""Of the newest measurement in a mean."""

_SAME = 1.05
"""Times a load that is still the same one."""


class _Costs:
    """What each level costs: a figure of its own, times how slow the machine is now.

    Other programs, decoders and encoders slow every level down alike. So a level that is not in use is judged
    by its own figure, from when it was, and by how the one in use does now against then. The longer it was
    not in use the better it is thought of, so that it is tried again some day; a ban that doubles keeps that
    from going on for ever.
    """

    def __init__(self, levels: Sequence[LatencyLevel], tuning: ControlTuning):
        self._levels, self._learn_s, self._forget_s = levels, tuning.learn_s, tuning.forget_s
        self._own: dict[int, float] = {}
        self._seen_s: dict[int, float] = {}
        self._now = 0.0
        self._learning_until: dict[int, float] = {}
        self._slowness = 1.0

    def measure(self, level: int, cost_s: float, now: float) -> None:
        self._now = self._seen_s[level] = now
        if now < self._learning_until.setdefault(level, now + self._learn_s) or level not in self._own:
            own = cost_s / self._slowness
            self._own[level] = own + (1 - _WEIGHT) * (self._own.get(level, own) - own)
        else:
            self._slowness += _WEIGHT * (cost_s / self._own[level] - self._slowness)

    def relearn(self, level: int) -> None:
        self._learning_until[level] = self._now + self._learn_s

    def is_known(self, level: int) -> bool:
        """Whether it has been in use."""
        return level in self._own

    def estimate(self, level: int, in_use: int) -> float:
        """Seconds a frame; where a level was never in use, by its work."""
        own = self._own.get(level)
        if own is None:
            own = self._own[in_use] * self._levels[level].work / self._levels[in_use].work
        away_s = self._now - self._seen_s.get(level, self._now)
        return own * self._slowness * 0.5 ** (away_s / self._forget_s)


class LatencyControl:
    """Judges the load now and then, and says when to change the level.

    Args:
        levels: the best and slowest first.
        target_s: latency that is to be held, p95.
        start: level to begin with.
    """

    def __init__(
        self,
        levels: Sequence[LatencyLevel],
        *,
        target_s: float,
        start: int = 0,
        tuning: ControlTuning = ControlTuning(),
    ):
        self.level = start
        self.reason = "the start"
        """Why this level, in words."""
        self._levels, self._target_s, self._tuning = list(levels), target_s, tuning
        self._costs = _Costs(self._levels, tuning)
        self._changed_s: float | None = None
        self._missed_since: float | None = None
        self._held_since: float | None = None
        self._bans: dict[int, float] = {}
        self._banned_until: dict[int, float] = {}
        self._proven: dict[int, float] = {}

    def aim(self, target_s: float) -> None:
        """Hold another latency from now on; what the levels cost stays known."""
        if target_s != self._target_s:
            self._target_s = target_s
            self._missed_since = self._held_since = None
            self._banned_until.clear()

    def judge(self, load: MeasuredLoad, now: float) -> LevelChange | None:
        """Look at the last seconds; to be called about twice a second while frames come."""
        if self._changed_s is None:  # what happens while everything starts up says nothing about later
            self._changed_s = now
        self._costs.measure(self.level, load.cost_s, now)
        why = self._missed(load)
        if why:
            self._held_since = None
            self._missed_since = now if self._missed_since is None else self._missed_since
        else:
            self._missed_since = None
            self._held_since = now if self._held_since is None else self._held_since
            if now - self._changed_s > self._tuning.proven_s:
                self._proven[self.level] = load.frames_per_s
        if now - self._changed_s < self._tuning.between_s:
            return None
        if self._missed_since is not None and now - self._missed_since >= self._tuning.missed_s:
            return self._down(why, self._best_below(load), now)
        if self._held_since is not None and now - self._held_since >= self._tuning.calm_s:
            return self._up(load, now)
        return None

    def rest(self) -> None:
        """Nothing is to be enhanced: that the target was missed or held up to now does not go on."""
        self._missed_since = self._held_since = None

    def fail(self, why: str, now: float) -> LevelChange | None:
        """The level in use does not work at all, such as for want of memory: one
        down at once; None at the bottom."""
        return self._down(why, self.level + 1, now)

    def networks_changed(self) -> None:
        """The level in use works with other networks now: what changes of its cost is not the machine's load."""
        self._costs.relearn(self.level)

    def _missed(self, load: MeasuredLoad) -> str:
        if load.latency_p95_s > self._target_s:
            return f"latency {load.latency_p95_s * 1000:.0f} ms is above {self._target_s * 1000:.0f} ms"
        if load.dropped > self._tuning.dropped:
            return f"{load.dropped:.0%} of the frames were dropped"
        return ""

    def _share(self, level: int, load: MeasuredLoad) -> float:
        """Part of the time that the engine would work, above 1 where it could not keep up."""
        return load.frames_per_s / self._levels[level].every * self._costs.estimate(level, self.level)

    def _best_below(self, load: MeasuredLoad) -> int:
        """The next level down that keeps up by the estimate, else the last."""
        below = range(self.level + 1, len(self._levels))
        return next((level for level in below if self._share(level, load) <= 1), len(self._levels) - 1)

    def _down(self, why: str, level: int, now: float) -> LevelChange | None:
        if self.level == len(self._levels) - 1:
            return None
        settled = self._changed_s is not None and now - self._changed_s > self._tuning.settled_s
        ban_s = self._tuning.ban_s if settled else 2 * self._bans.get(self.level, self._tuning.ban_s / 2)
        self._bans[self.level] = min(ban_s, self._tuning.most_ban_s)
        self._banned_until[self.level] = now + self._bans[self.level]
        return self._change(level, f"{why} on {self._levels[self.level].name}", now)

    def _up(self, load: MeasuredLoad, now: float) -> LevelChange | None:
        level = self.level - 1
        if level < 0 or now < self._banned_until.get(level, 0.0):
            return None
        new, old = self._levels[level], self._levels[self.level]
        share = self._share(level, load)
        slower_s = (self._costs.estimate(level, self.level) - load.cost_s) * load.batch
        latency_s = load.latency_p95_s + slower_s + (new.latency - old.latency) * load.interval_s
        margin = self._tuning.known_margin if self._costs.is_known(level) else self._tuning.margin
        fits = share <= margin and latency_s <= self._tuning.margin * self._target_s
        if not fits and load.frames_per_s > _SAME * self._proven.get(level, 0.0):
            return None
        self._proven.pop(level, None)
        return self._change(
            level, f"{new.name} would take {share:.0%} of the time and {latency_s * 1000:.0f} ms", now
        )

    def _change(self, level: int, reason: str, now: float) -> LevelChange:
        self.level, self.reason, self._changed_s = level, reason, now
        self._missed_since = self._held_since = None
        return LevelChange(level, reason)
