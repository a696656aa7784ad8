"""One camera's place in the loop: its newest frames, its sink, and what is counted of both.

Nothing that goes wrong with the camera or the sink leaves this module.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from vsr.engine import Engine
from vsr.errors import redact
from vsr.frames import Frame
from vsr.live.newest_wins import NewestWins
from vsr.live.scheduling.channel import Channel
from vsr.live.scheduling.engines import EngineChoice, EngineLevel
from vsr.live.scheduling.overview import ChannelOverview
from vsr.live.scheduling.recent import RecentValues
from vsr.live.scheduling.rounds import ReadyFrame
from vsr.models import Damage, damage_to_tell
from vsr.prefetch import parallel_map

_WAITING = 2
"""Decoded frames that may wait; one more takes the place of the oldest."""
_LATELY_S = 5.0
_AWAY_S, _AWAY_FRAMES = 0.5, 4
"""A camera counts as away after this long without a frame, and after so many of its frame times."""
_STAND_IN_S = 0.2
"""Between two pictures that stand in, at least: nothing moves in them but the seconds."""
_LEAVE_S = 1.0
"""How long a camera's thread is waited for; a read of HLS may take ten
seconds, and nobody else waits for it."""
_FIRST_PAUSE_S, _MOST_PAUSE_S = 1.0, 30.0
"""Before a camera whose thread failed is begun again."""


@dataclass(frozen=True, slots=True)
class _SceneFrame:
    frame: Frame
    scene: int
    """Its number: a reset is known of even if the frame that had it is dropped."""


class CameraSlot:
    """One channel under way. All methods but the camera's own thread belong to the loop.

    Args:
        channel: camera and sink; the sink is closed with the slot.
        notify: called when there may be something to do.
        now: `time.monotonic()`.
    """

    def __init__(self, channel: Channel, *, notify: Callable[[], None], now: float):
        self.channel = channel
        self._choice: EngineChoice | None = None
        self._notify = notify
        self._stop = threading.Event()
        self._dropped_before = self._bursts_before = 0
        self._interval_s, self._scene = 0.04, -1
        self._newest = self._begin()
        self._broken = False
        self._again_s: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._last = float("-inf")
        """Number of the frame that was enhanced last, of all that came."""
        self._idle, self._unwatched = False, 0
        self._taken = self._thinned = self._delivered = self._failed = self._arrived = 0
        self._arrivals, self._departures, self._latencies = (RecentValues(_LATELY_S, now) for _ in range(3))
        self._last_arrival_s, self._next_stand_in_s = now, now
        self._last_error = ""

    def _begin(self) -> NewestWins[_SceneFrame]:
        name = f"vsr-camera-{self.channel.name}"
        return NewestWins(
            self._watched(), depth=_WAITING, name=name, notify=self._notify, usual_s=lambda: self.interval_s
        )

    def _watched(self) -> Generator[_SceneFrame, None, None]:
        """The camera's frames, those left out that go nowhere. The first of each scene never is: by it the engine gets
        ready for the size, and there is a picture to stand in. In the camera's thread."""
        scene = 0
        with closing(self.channel.camera.frames(self._stop)) as frames:
            for frame in frames:
                scene += frame.reset
                if frame.reset or not self.channel.sink.is_idle:
                    yield _SceneFrame(frame, scene)
                else:
                    self._unwatched += 1
                    scene += 1

    @property
    def is_idle(self) -> bool:
        """Whether its enhanced frames go nowhere, as of the last `stand_in`."""
        return self._idle

    @property
    def wanted(self) -> int:
        """Frames decoded so far that were to be enhanced."""
        return self._taken + self.dropped + len(self._newest)

    def choose(self, level: EngineLevel) -> bool:
        """Choose its engine of a level by what its pictures look like now; True where it has had another."""
        before, verdict = self._choice, self.channel.camera.status.verdict
        self._choice = level.choose(self.channel.scale, self.channel.wish, verdict)
        return before is not None and before.engine is not self._choice.engine

    @property
    def engine(self) -> Engine:
        """Its engine, once one was chosen."""
        assert self._choice is not None
        return self._choice.engine

    @property
    def damage(self) -> Damage:
        """What networks are to be told of its pictures."""
        verdict = self.channel.camera.status.verdict
        return damage_to_tell(self.channel.wish, verdict.damage if verdict else Damage())

    @property
    def waiting(self) -> int:
        """Decoded frames that wait."""
        return len(self._newest)

    @property
    def dropped(self) -> int:
        """Frames that a newer one took the place of."""
        return self._dropped_before + self._newest.dropped

    @property
    def bursts(self) -> int:
        """Those of the dropped that came in bursts: the engine could not have taken them, however quick."""
        return self._bursts_before + self._newest.in_bursts

    @property
    def arrived(self) -> int:
        """Frames decoded so far, as of the last `look`."""
        return self._arrived

    @property
    def interval_s(self) -> float:
        """Between two frames, as the camera or else the clock says; at the
        usual rate before the first ones."""
        rate = self.channel.camera.status.rate
        return 1 / min(max(rate, 1.0), 240.0) if rate else self._interval_s

    def look(self, now: float, *, every: int = 1) -> ReadyFrame | None:
        """See whether a frame waits, the `every`-th after the one before or a later one; those between are left out."""
        self._revive(now)
        while (head := self._newest.head) is not None and self._taken + self.dropped - self._last < every:
            self._take()
            self._thinned += 1
        arrived = self.wanted + self._unwatched
        if arrived > self._arrived:
            self._arrivals.add(arrived - self._arrived, now)
            self._arrived, self._last_arrival_s = arrived, now
            self._interval_s = 1 / min(max(self._arrivals.rate(now), 1.0), 240.0)
        if head is None:
            return None
        format = head.frame.format
        # Frames of two engines never go together.
        size = (format.height, format.width, id(self._choice and self._choice.engine))
        return ReadyFrame(self.channel.number, size, head.frame.arrived_s)

    def take(self) -> Frame | None:
        """The oldest frame that waits; a reset is handed on where the frame that had it was left out."""
        item = self._take()
        if item is None:
            return None
        self._last = self._taken + self.dropped - 1
        reset, self._scene = item.scene != self._scene, item.scene
        return replace(item.frame, stream=self.channel.number, reset=reset)

    def _take(self) -> _SceneFrame | None:
        try:
            item = self._newest.take()
        except Exception as error:  # not one of the camera's own, which its status tells
            self._note(error)
            self._broken = True
            return None
        self._taken += item is not None
        return item

    def _revive(self, now: float) -> None:
        """Begin a camera anew, after a pause, whose thread an error has ended."""
        if not self._newest.ended or self._stop.is_set():
            return
        if not self._broken:
            self._take()  # brings the error to light, if one has ended it
        if self._broken and self._again_s is None:
            self._again_s = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _MOST_PAUSE_S)
        elif self._again_s is not None and now >= self._again_s:
            self._newest.close()
            self._dropped_before, self._bursts_before = self.dropped, self.bursts
            self._broken, self._again_s, self._scene, self._newest = False, None, -1, self._begin()

    def deliver(self, frame: Frame, now: float) -> float:
        """Hand an enhanced frame to the sink; returns the time since it arrived."""
        latency_s = now - frame.arrived_s
        if self._guard(lambda: self.channel.sink.write(frame)):
            self._delivered += 1
            self._departures.add(1, now)
            self._latencies.add(latency_s, now)
        else:
            self._failed += 1
        return latency_s

    def lose(self) -> None:
        """Count a frame that the engine could not enhance."""
        self._failed += 1

    def stand_in(self, now: float) -> float:
        """Tell the sink now and then while the camera is away, unless nobody sees it; returns when to come again."""
        was_idle, self._idle = self._idle, self.channel.sink.is_idle
        if self._idle:
            if not was_idle:
                self._guard(self.channel.sink.rest)
            return now + _STAND_IN_S
        interval_s = self.interval_s
        away_from_s = self._last_arrival_s + max(_AWAY_S, _AWAY_FRAMES * interval_s)
        if now < away_from_s:
            return away_from_s
        if now >= self._next_stand_in_s:
            self._guard(lambda: self.channel.sink.away(now - self._last_arrival_s))
            interval_s = max(interval_s, _STAND_IN_S)
            # In step, unless the loop has fallen behind.
            self._next_stand_in_s = max(self._next_stand_in_s + interval_s, now + interval_s / 2)
        return self._next_stand_in_s

    def _guard(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception as error:  # whatever it is, the other cameras go on
            self._note(error)
            return False
        return True

    def _note(self, error: Exception) -> None:
        self._last_error = redact(" ".join(str(error).split())) or type(error).__name__

    def overview(self, now: float) -> ChannelOverview:
        """What there is to say of it."""
        away_s = now - self._last_arrival_s
        return ChannelOverview(
            number=self.channel.number,
            name=self.channel.name,
            camera=self.channel.camera.status,
            fps_in=self._arrivals.rate(now),
            fps_out=self._departures.rate(now),
            latency_p50_s=self._latencies.quantile(0.5, now),
            latency_p95_s=self._latencies.quantile(0.95, now),
            arrived=self._arrived,
            delivered=self._delivered,
            dropped=self.dropped,
            bursts=self.bursts,
            thinned=self._thinned,
            failed=self._failed,
            unwatched=self._unwatched,
            idle=self._idle,
            away_s=away_s if away_s > max(_AWAY_S, _AWAY_FRAMES * self.interval_s) else 0.0,
            last_error=self._last_error,
            network=self._choice.name if self._choice else "",
            look=self._choice.look if self._choice else "",
        )

    def end(self) -> None:
        """Tell the camera to stop; `close` waits for it."""
        self._stop.set()

    def close(self) -> None:
        """Finish the sink, and wait for the camera's thread, which should have ended meanwhile."""
        self.end()
        self._guard(self.channel.sink.close)
        self._newest.close(_LEAVE_S)


def close_together(slots: Sequence[CameraSlot]) -> None:
    """Close slots within the time that the slowest of them takes."""
    for slot in slots:
        slot.end()
    if slots:
        for _ in parallel_map(CameraSlot.close, slots, workers=len(slots), name="vsr-close"):
            pass
