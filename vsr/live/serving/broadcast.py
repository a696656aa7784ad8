"""One view of one camera, and those who watch it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from vsr.live.serving.access_units import AccessUnit, AudioParameters, VideoParameters

_WAITING_S = 4.0
_WAITING_BYTES = 16 << 20
"""How long units may wait for a viewer, and how much of them, before all that waits is dropped."""


@dataclass(frozen=True, slots=True)
class StreamParameters:
    """What is known of a broadcast."""

    video: VideoParameters | None = None
    """None before the first keyframe."""
    audio: AudioParameters | None = None
    """None where there is no sound, or none yet."""


class Broadcast:
    """Hands each unit to all viewers. Any thread may call anything; nothing waits.

    Args:
        name: as viewers ask for it.
        always: whether it is wanted even if nobody watches.
        is_open: whether anybody can watch.
        linger_s: how long it is wanted after the last viewer has left.
    """

    def __init__(self, name: str, *, always: bool, is_open: bool, linger_s: float):
        self.name = name
        self.why = ""
        """Why there is nothing to see, where that is known."""
        self.always, self.is_open = always, is_open
        self._linger_s, self._wanted_s = linger_s, 0.0
        self._viewers: tuple[Subscription, ...] = ()
        self._parameters = StreamParameters()
        self._group: list[AccessUnit] = []
        self._group_s = 0.0
        self._last_dts = -1
        self._ended = False
        self._changed = threading.Condition()

    @property
    def wanted(self) -> bool:
        """Whether somebody watches, or has just now."""
        return self.always or bool(self._viewers) or time.monotonic() < self._wanted_s

    @property
    def num_viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    @property
    def parameters(self) -> StreamParameters:
        """What is known by now."""
        return self._parameters

    def put(self, unit: AccessUnit) -> None:
        """Hand a unit to all viewers."""
        with self._changed:
            if not self.wanted:
                return
            if unit.kind == "video":
                unit = self._in_order(unit)
                self._remember(unit)
            for viewer in self._viewers:
                viewer.put(unit)
            for wake in {
                viewer.wake for viewer in self._viewers
            }:  # viewers of one loop are woken by one call
                wake()

    def _in_order(self, unit: AccessUnit) -> AccessUnit:
        """Decoding times only go forward, whatever a camera says of them."""
        if unit.dts_90k <= self._last_dts:
            unit = replace(unit, dts_90k=self._last_dts + 1)
        self._last_dts = unit.dts_90k
        return unit

    def _remember(self, unit: AccessUnit) -> None:
        """Keep what a viewer may begin with, from the last keyframe on, and what pictures are like."""
        if unit.keyframe:
            self._group, self._group_s = [], time.monotonic()
        if self._group or unit.keyframe:
            self._group.append(unit)
        if time.monotonic() - self._group_s > _WAITING_S:  # it would be too much for a viewer at once
            self._group = []
        parameters = unit.parameters
        if isinstance(parameters, VideoParameters) and parameters is not self._parameters.video:
            self._know(StreamParameters(parameters, self._parameters.audio))

    def know_sound(self, audio: AudioParameters | None) -> None:
        """Take note of what sound there is; it is known before the first picture."""
        with self._changed:
            if audio != self._parameters.audio:
                self._know(StreamParameters(self._parameters.video, audio))

    def _know(self, parameters: StreamParameters) -> None:
        self._parameters = parameters
        self._changed.notify_all()

    def await_video(self, timeout_s: float) -> StreamParameters:
        """Wait until it is known what pictures there are, or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._parameters.video is not None or self._ended, timeout_s)
            return self._parameters

    def add(self, viewer: "Subscription", *, past_s: float) -> None:
        """Let somebody watch, from the last keyframe on if it is no older than `past_s`."""
        with self._changed:
            if not self.wanted:  # what was known has been true of another time
                self._know(StreamParameters(None, self._parameters.audio))
                self._group = []
            if self._group and time.monotonic() - self._group_s <= past_s:
                for unit in self._group:
                    viewer.put(unit)
            self._viewers = (*self._viewers, viewer)
            if self._ended:
                viewer.end()

    def remove(self, viewer: "Subscription") -> None:
        """Let somebody go. Harmless twice."""
        with self._changed:
            if viewer not in self._viewers:
                return
            self._viewers = tuple(one for one in self._viewers if one is not viewer)
            self._wanted_s = time.monotonic() + self._linger_s

    def end(self) -> None:
        """It is over for good: what waits is still read, then all subscriptions end."""
        with self._changed:
            self._ended = True
            for viewer in self._viewers:
                viewer.end()
            self._changed.notify_all()


class Subscription:
    """What one viewer gets, from its opening until it is closed: a context, and an iterator that blocks.

    Args:
        broadcast: what is watched.
        past_s: how far it may begin in the past.
        wake: called, in any thread and without waiting, when there is something to take or the end has come; once for
            all viewers that share it.
    """

    def __init__(self, broadcast: Broadcast, *, past_s: float, wake: Callable[[], object] = lambda: None):
        self.dropped = 0
        """Units that it was too slow for."""
        self.wake = wake
        self._broadcast = broadcast
        self._waiting: deque[tuple[AccessUnit, float]] = deque()
        self._bytes = 0
        self._skipping = True
        self._ended = False
        self._changed = threading.Condition()
        broadcast.add(self, past_s=past_s)

    @property
    def parameters(self) -> StreamParameters:
        """What is known of picture and sound by now."""
        return self._broadcast.parameters

    @property
    def ended(self) -> bool:
        """Nothing comes any more, and all that came has been taken."""
        return self._ended and not self._waiting

    @property
    def waits(self) -> bool:
        """Something can be taken, or the end has come."""
        return bool(self._waiting) or self._ended

    def known(self, timeout_s: float) -> StreamParameters:
        """Wait until it is known what pictures there are, for `timeout_s` at most; return what is known then."""
        return self._broadcast.await_video(timeout_s)

    def put(self, unit: AccessUnit) -> None:
        """Add a unit, waking nobody; where too much waits, all of it goes, and what comes up to the next keyframe.
        Never waits."""
        with self._changed:
            now = time.monotonic()
            if self._waiting and (self._bytes > _WAITING_BYTES or now - self._waiting[0][1] > _WAITING_S):
                self.dropped += len(self._waiting)
                self._waiting.clear()
                self._bytes, self._skipping = 0, True
            if unit.kind == "video":
                self._skipping = self._skipping and not unit.keyframe
                if self._skipping:
                    self.dropped += 1
                    return
            self._waiting.append((unit, now))
            self._bytes += len(unit.data)
            self._changed.notify()

    def end(self) -> None:
        """Nothing comes any more."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.wake()

    def take(self) -> AccessUnit | None:
        """Return the next unit, None where none waits. Never waits itself."""
        with self._changed:
            if not self._waiting:
                return None
            unit, _ = self._waiting.popleft()
            self._bytes -= len(unit.data)
            return unit

    def __iter__(self) -> Iterator[AccessUnit]:
        """Yield units until the broadcast ends or this is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
            unit = self.take()
            if unit is None:
                return
            yield unit

    def close(self) -> None:
        """Watch no more; from any thread, and harmless twice."""
        self._broadcast.remove(self)
        with self._changed:
            self._waiting.clear()
        self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
