"""Which rung holds the latency target: larger networks, smaller ones, bicubic, fewer frames. Pure: time is
told.

Down when the target is missed, at once as far as the measured times say; up by one rung, and only when that
one's cost leaves a margin. At most one change in a few seconds; a rung that failed is let alone for a time
that doubles with every failure, so that a load between two rungs does not make the picture change for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LatencyLevel:
    """One way to enhance, as the controller sees it."""

    name: str
    work: float
    """What a frame costs, in any unit that all rungs share; measured times correct it."""
    every: int = 1
    """Of so many frames one is enhanced."""
    latency: int = 0
    """Frames that must come before a frame can leave."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured lately, all of it on the rung in use."""

    latency_p95_s: float
    """From a frame's arrival to its output's encoder."""
    cost_s: float
    """Of the engine's time a frame took."""
    frames_per_s: float
    """What the cameras send, all together."""
    dropped: float = 0.0
    """Share of these that nobody had time for, 0–1."""
    queue: float = 0.0
    """Frames that waited when a round ended, per camera."""
    batch: float = 1.0
    """Frames in a round: none of them leaves before the last is done."""
    interval_s: float = 0.04
    """Between two frames of a camera."""


@dataclass(frozen=True, slots=True)
class Patience:
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
    """Part of the time and of the target that a larger rung may take by the estimate."""
    known_margin: float = 0.9
    """The same for the time of a rung that has been in use: its cost was measured and not worked out."""
    forget_s: float = 180.0
    """Half-life of what is known against a rung that is not in use: its cost may have been that of a bad
    moment."""
    learn_s: float = 3.0
    """On a rung for the first time: how long its cost is learnt rather than taken for a change of load."""
    ban_s: float = 10.0
    """How long a rung that failed is not tried again, the first time."""
    most_ban_s: float = 600.0
    proven_s: float = 30.0
    """A rung that held for so long before it failed is tried again once, at the load that it held, whatever
    it is thought to cost by then: what ended it may have been short."""
    settled_s: float = 300.0
    """A rung that held for so long before it failed begins again with the first ban."""


@dataclass(frozen=True, slots=True)
class Change:
    """A step on the ladder."""

    rung: int
    """Index of the new one; 0 is the top."""
    reason: str


_WEIGHT = 0.3
"""Of the newest measurement in a mean."""

_SAME = 1.05
"""Times a load that is still the same one."""


class _Costs:
    """What each rung costs: a figure of its own, times how slow the machine is now.

    Other programs, decoders and encoders slow every rung down alike. So a rung that is not in use is judged
    by its own figure, from when it was, and by how the one in use does now against then. The longer it was
    not in use the better it is thought of, so that it is tried again some day; a ban that doubles keeps that
    from going on for ever.
    """

    def __init__(self, rungs: Sequence[LatencyLevel], patience: Patience):
        self._rungs, self._learn_s, self._forget_s = rungs, patience.learn_s, patience.forget_s
        self._own: dict[int, float] = {}
        self._seen_s: dict[int, float] = {}
        self._now = 0.0
        self._learning_until: dict[int, float] = {}
        self._slowness = 1.0

    def measure(self, rung: int, cost_s: float, now: float) -> None:
        self._now = self._seen_s[rung] = now
        if now < self._learning_until.setdefault(rung, now + self._learn_s) or rung not in self._own:
            own = cost_s / self._slowness
            self._own[rung] = own + (1 - _WEIGHT) * (self._own.get(rung, own) - own)
        else:
            self._slowness += _WEIGHT * (cost_s / self._own[rung] - self._slowness)

    def is_known(self, rung: int) -> bool:
        """Whether it has been in use."""
        return rung in self._own

    def estimate(self, rung: int, in_use: int) -> float:
        """Seconds a frame; where a rung was never in use, by its work."""
        own = self._own.get(rung)
        if own is None:
            own = self._own[in_use] * self._rungs[rung].work / self._rungs[in_use].work
        away_s = self._now - self._seen_s.get(rung, self._now)
        return own * self._slowness * 0.5 ** (away_s / self._forget_s)


class LatencyControl:
    """Judges the load now and then, and says when to change the rung.

    Args:
        rungs: the best and slowest first.
        target_s: latency that is to be held, p95.
        start: rung to begin with.
    """

    def __init__(
        self,
        rungs: Sequence[LatencyLevel],
        *,
        target_s: float,
        start: int = 0,
        patience: Patience = Patience(),
    ):
        self.rung = start
        self.reason = "the start"
        """Why this rung, in words."""
        self._rungs, self._target_s, self._patience = list(rungs), target_s, patience
        self._costs = _Costs(self._rungs, patience)
        self._changed_s: float | None = None
        self._missed_since: float | None = None
        self._held_since: float | None = None
        self._bans: dict[int, float] = {}
        self._banned_until: dict[int, float] = {}
        self._proven: dict[int, float] = {}

    def aim(self, target_s: float) -> None:
        """Hold another latency from now on; what the rungs cost stays known."""
        if target_s != self._target_s:
            self._target_s = target_s
            self._missed_since = self._held_since = None
            self._banned_until.clear()

    def judge(self, load: Load, now: float) -> Change | None:
        """Look at the last seconds; to be called about twice a second while frames come."""
        if self._changed_s is None:  # what happens while everything starts up says nothing about later
            self._changed_s = now
        self._costs.measure(self.rung, load.cost_s, now)
        why = self._missed(load)
        if why:
            self._held_since = None
            self._missed_since = now if self._missed_since is None else self._missed_since
        else:
            self._missed_since = None
            self._held_since = now if self._held_since is None else self._held_since
            if now - self._changed_s > self._patience.proven_s:
                self._proven[self.rung] = load.frames_per_s
        if now - self._changed_s < self._patience.between_s:
            return None
        if self._missed_since is not None and now - self._missed_since >= self._patience.missed_s:
            return self._down(why, self._best_below(load), now)
        if self._held_since is not None and now - self._held_since >= self._patience.calm_s:
            return self._up(load, now)
        return None

    def fail(self, why: str, now: float) -> Change | None:
        """The rung in use does not work at all, such as for want of memory: one down at once; None at the
        bottom."""
        return self._down(why, self.rung + 1, now)

    def _missed(self, load: Load) -> str:
        if load.latency_p95_s > self._target_s:
            return f"latency {load.latency_p95_s * 1000:.0f} ms is above {self._target_s * 1000:.0f} ms"
        if load.dropped > self._patience.dropped:
            return f"{load.dropped:.0%} of the frames were dropped"
        return ""

    def _share(self, rung: int, load: Load) -> float:
        """Part of the time that the engine would work, above 1 where it could not keep up."""
        return load.frames_per_s / self._rungs[rung].every * self._costs.estimate(rung, self.rung)

    def _best_below(self, load: Load) -> int:
        """The next rung down that keeps up by the estimate, else the last."""
        below = range(self.rung + 1, len(self._rungs))
        return next((rung for rung in below if self._share(rung, load) <= 1), len(self._rungs) - 1)

    def _down(self, why: str, rung: int, now: float) -> Change | None:
        if self.rung == len(self._rungs) - 1:
            return None
        settled = self._changed_s is not None and now - self._changed_s > self._patience.settled_s
        ban_s = self._patience.ban_s if settled else 2 * self._bans.get(self.rung, self._patience.ban_s / 2)
        self._bans[self.rung] = min(ban_s, self._patience.most_ban_s)
        self._banned_until[self.rung] = now + self._bans[self.rung]
        return self._change(rung, f"{why} on {self._rungs[self.rung].name}", now)

    def _up(self, load: Load, now: float) -> Change | None:
        rung = self.rung - 1
        if rung < 0 or now < self._banned_until.get(rung, 0.0):
            return None
        new, old = self._rungs[rung], self._rungs[self.rung]
        share = self._share(rung, load)
        slower_s = (self._costs.estimate(rung, self.rung) - load.cost_s) * load.batch
        latency_s = load.latency_p95_s + slower_s + (new.latency - old.latency) * load.interval_s
        margin = self._patience.known_margin if self._costs.is_known(rung) else self._patience.margin
        fits = share <= margin and latency_s <= self._patience.margin * self._target_s
        if not fits and load.frames_per_s > _SAME * self._proven.get(rung, 0.0):
            return None
        self._proven.pop(rung, None)
        return self._change(
            rung, f"{new.name} would take {share:.0%} of the time and {latency_s * 1000:.0f} ms", now
        )

    def _change(self, rung: int, reason: str, now: float) -> Change:
        self.rung, self.reason, self._changed_s = rung, reason, now
        self._missed_since = self._held_since = None
        return Change(rung, reason)
