"""The story of live: cameras → rounds → engine → sinks, on the level that holds the latency.

Each camera is read and decoded in a thread of its own, which keeps its newest frames; one thread, the
caller's, gives rounds of them to the engine and what comes back to the sinks, which never block. A round
begins while the one before it is still under way, so that no core waits. Dropping happens in one place,
before the engine, and is counted.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing

from vsr.engine import ManyStreams
from vsr.errors import DeviceLostError
from vsr.frames import Frame
from vsr.live.newest_wins import in_background
from vsr.live.scheduling.camera_slot import CameraSlot, close_together
from vsr.live.scheduling.channel import Channel, DesiredState
from vsr.live.scheduling.engines import EngineLevel, LivePlan, first_level
from vsr.live.scheduling.latency_control import LatencyControl, LevelChange
from vsr.live.scheduling.load_meter import LoadMeter
from vsr.live.scheduling.overview import Overview, SharedOverview
from vsr.live.scheduling.rounds import Rounds

log = logging.getLogger("vsr.live")
log.addHandler(logging.NullHandler())

_JUDGE_S = 0.5
_LOOK_S = 0.1
"""Nothing goes unseen for longer: `stop`, a new desired state, a camera that has gone away."""
_DEADLINE_S = {"cpu": 0.0, "cuda": 0.005}
"""How long a round waits for frames that are about to come; on a CPU batches gain nothing."""
_MOST_BATCH = 16


def run_cameras(
    desired: DesiredState, *, stop: threading.Event, shared: SharedOverview | None = None
) -> None:
    """Enhance what the cameras see until `stop` is set; ends within a
    second, and what the sinks take to close.

    Args:
        desired: the channels and the plan; put others into it at any time.
        stop: set from any thread or a signal handler.
        shared: shows what happens, twice a second.
    """
    with closing(LiveLoop(desired.plan, shared or SharedOverview())) as loop:
        while not stop.is_set():
            loop.follow(desired)
            if not loop.enhance_next():
                loop.wait()
            loop.stand_in()
            loop.judge()


class LiveLoop:
    """The parts of `run_cameras`: all state of the loop. Used by one thread."""

    def __init__(self, plan: LivePlan, shared: SharedOverview):
        self._shared = shared
        self._slots: dict[int, CameraSlot] = {}
        self._leaving: list[Future[None]] = []
        self._channels: tuple[object, ...] = ()
        self._wakeup = threading.Event()
        self._wait_s: float | None = None
        self._num_changes = 0
        self._notes: set[str] = set()
        self._judge_s = self._stand_in_s = self._metered_s = 0.0
        self._begin(plan, first_level(plan.levels))

    def _begin(self, plan: LivePlan, start: int) -> None:
        self._plan = plan
        engine = plan.levels[0].engine
        device = engine.device.type
        target_s = plan.latency_ms / 1000
        self._control = LatencyControl(plan.levels, target_s=target_s, start=start, tuning=plan.tuning)
        # On a CPU more frames than threads make all of them later.
        least, most = (engine.threads, engine.threads) if device == "cpu" else (1, _MOST_BATCH)
        self._spreads = device == "cpu"
        self._rounds = Rounds(deadline_s=_DEADLINE_S.get(device, 0.0), least=least, most=most)
        self._streams = self._new_streams()
        self._load = LoadMeter(*self._count(), time.monotonic())

    def _count(self) -> tuple[int, int]:
        """Frames to be enhanced, and those there was no time for: what a camera sends in a burst is its own affair."""
        slots = self._slots.values()
        return sum(slot.wanted for slot in slots), sum(slot.dropped - slot.bursts for slot in slots)

    def follow(self, desired: DesiredState) -> None:
        """Take up another plan, begin the channels that are new in the desired state and end those that are gone."""
        if desired.plan is not self._plan:
            self._take_up(desired.plan)
        if desired.channels is not self._channels:
            self._channels = desired.channels
            self._take_in(desired.channels)

    def _take_up(self, plan: LivePlan) -> None:
        """Go over to other engines or another target. Cameras and sinks go on, and
        so does the level if there is one."""
        if plan.levels is self._plan.levels:
            self._plan = plan
            self._control.aim(plan.latency_ms / 1000)
            return
        self._flush()
        self._streams.close()
        names, before = [level.name for level in plan.levels], self._level.name
        self._begin(plan, names.index(before) if before in names else first_level(plan.levels))
        name = self._level.name
        log.info("%s: as configured now", name, extra={"event": "rung", "rung": name})

    def _take_in(self, channels: Sequence[Channel]) -> None:
        wanted = {channel.number: channel for channel in channels}
        gone = [slot for number, slot in self._slots.items() if wanted.get(number) is not slot.channel]
        for slot in gone:
            number = slot.channel.number
            del self._slots[number]
            self._rounds.drop(number)
            self._streams.drop(number)
        if gone:  # a sink may take seconds to finish its files
            self._leaving = [future for future in self._leaving if not future.done()]
            self._leaving.append(in_background(lambda: close_together(gone), name="vsr-leave"))
        for channel in channels:
            if channel.number not in self._slots:
                slot = CameraSlot(channel, notify=self._wakeup.set, now=time.monotonic())
                slot.choose(self._level)
                self._slots[channel.number] = slot
        self._load.expect(*self._count())

    def enhance_next(self) -> bool:
        """Deliver what is ready and begin the next round; False where there is nothing to do but wait."""
        self._wakeup.clear()
        self._meter()
        delivered = self._deliver(self._try(self._streams.finished))
        return self._choose_engines() or self._begin_round() or delivered

    def _choose_engines(self) -> bool:
        """Give each camera the engine that its pictures want by now; True where one has changed, and begins anew on it.
        What is under way of it, or waits for neighbours, leaves on the old one first."""
        changed = [number for number, slot in self._slots.items() if slot.choose(self._level)]
        for number in changed:
            self._deliver(self._try(lambda: self._streams.finished(wait=True)))
            self._deliver(self._try(lambda number=number: self._streams.flush(number)))
        if changed:
            self._control.networks_changed()
        return bool(changed)

    def _begin_round(self) -> bool:
        if not self._streams.has_room:
            self._wait_s = None
            return False
        now = time.monotonic()
        every = self._level.every
        free = [slot for number, slot in self._slots.items() if self._streams.is_free(number)]
        ready = [one for slot in free if (one := slot.look(now, every=every)) is not None]
        plan = self._rounds.choose(ready, now)
        self._wait_s = plan.wait_s
        taken = [self._slots[camera].take() for camera in plan.cameras]
        frames = [frame for frame in taken if frame is not None]
        if self._spreads and len(plan.cameras) == len(ready) and not self._streams.under_way:
            frames += self._second_frames(plan.cameras, now)
        if frames:
            for number in plan.cameras:
                self._streams.tell(number, self._slots[number].damage)
            self._meter()
            self._load.began(len(frames), now)
            self._try(lambda: self._streams.begin(frames), frames)
        return bool(frames)

    def _second_frames(self, cameras: Sequence[int], now: float) -> list[Frame]:
        """Where nobody else waits: frames that keep the other cores busy."""
        frames: list[Frame] = []
        for slot in (self._slots[camera] for camera in cameras):
            spare = len(cameras) + len(frames) < self._rounds.batch
            if spare and slot.look(now, every=self._level.every) and (frame := slot.take()) is not None:
                frames.append(frame)
        return frames

    def _try(self, work: Callable[[], list[Frame] | None], frames: Sequence[Frame] = ()) -> list[Frame]:
        """Have the engine do something with these frames; one that fails must not end the cameras."""
        try:
            return work() or []
        except DeviceLostError:
            raise  # no other level would work either
        except Exception as error:
            for frame in {id(frame): frame for frame in (*frames, *self._streams.under_way)}.values():
                if frame.stream in self._slots:
                    self._slots[frame.stream].lose()
            self._begin_streams()
            name = self._level.name
            log.error("%s: %s", name, error, extra={"event": "engine", "rung": name})
            self._step(self._control.fail(" ".join(str(error).split()), time.monotonic()))
            return []

    def _begin_streams(self) -> None:
        self._streams.close()
        self._streams = self._new_streams()

    def _new_streams(self) -> ManyStreams:
        level = self._level
        for slot in self._slots.values():
            slot.choose(level)
        return ManyStreams(
            level.engine, ring=self._wakeup.set, engine_of=lambda number: self._slots[number].engine
        )

    def _meter(self) -> None:
        """Count the time since the last call as busy where something has been under way."""
        now = time.monotonic()
        if self._streams.under_way:
            self._load.worked(now - self._metered_s, now)
        self._metered_s = now

    def _deliver(self, frames: Sequence[Frame]) -> bool:
        for frame in frames:
            now = time.monotonic()
            if frame.stream in self._slots:
                self._load.delivered(self._slots[frame.stream].deliver(frame, now), now)
        if frames:
            waiting = sum(slot.waiting for slot in self._slots.values())
            self._load.waits(waiting / max(1, len(self._slots)), time.monotonic())
        return bool(frames)

    @property
    def _level(self) -> EngineLevel:
        return self._plan.levels[self._control.level]

    def wait(self) -> None:
        """Wait until a frame comes, a round's deadline passes or a camera that is away is due."""
        until_due_s = self._stand_in_s - time.monotonic()
        self._wakeup.wait(max(0.001, min(_LOOK_S, until_due_s, self._wait_s or _LOOK_S)))

    def stand_in(self) -> None:
        """Keep the outputs of absent cameras going, and let go the streams that nobody watches."""
        now = time.monotonic()
        self._stand_in_s = min([now + _LOOK_S, *(slot.stand_in(now) for slot in self._slots.values())])
        under_way = {frame.stream for frame in self._streams.under_way}
        for number, slot in self._slots.items():
            if slot.is_idle and number not in under_way:
                self._deliver(self._try(lambda number=number: self._streams.flush(number)))

    def judge(self) -> None:
        """Twice a second: see how it goes, change the level where that is needed, and show it all."""
        now = time.monotonic()
        if now < self._judge_s:
            return
        self._judge_s = now + _JUDGE_S
        self._load.count(*self._count(), now)
        load = self._load.load(min((slot.interval_s for slot in self._slots.values()), default=0.04), now)
        if all(slot.is_idle for slot in self._slots.values()):
            self._control.rest()
        elif load is not None:
            self._step(self._control.judge(load, now))
        self._show(now)

    def _step(self, change: LevelChange | None) -> None:
        """Go to another level: what still waits for neighbours leaves on the old one."""
        if change is None:
            return
        self._flush()
        name, reason = self._level.name, change.reason
        log.warning("%s: %s", name, reason, extra={"event": "rung", "rung": name, "reason": reason})
        self._begin_streams()
        self._num_changes += 1
        self._load = LoadMeter(*self._count(), time.monotonic())

    def _flush(self) -> None:
        """Let go what is under way and what waits for neighbours."""
        try:
            self._deliver(self._streams.finished(wait=True))
            for number in self._slots:
                self._deliver(self._streams.flush(number))
        except Exception as error:  # it may be why the level changes
            log.error("%s", error, extra={"event": "engine"})

    def _show(self, now: float) -> None:
        for note in (note for engine in self._level.engines for note in engine.notes):
            if note not in self._notes:
                self._notes.add(note)
                log.warning("%s", note, extra={"event": "note"})
        self._shared.overview = Overview(
            level=self._level.name,
            reason=self._control.reason,
            num_changes=self._num_changes,
            busy=self._load.busy(now),
            batch=self._load.batch(now),
            channels=tuple(slot.overview(now) for slot in self._slots.values()),
        )

    def close(self) -> None:
        """End all cameras and close all sinks, together."""
        close_together(list(self._slots.values()))
        self._streams.close()
        for future in self._leaving:
            future.result()
        self._show(time.monotonic())
