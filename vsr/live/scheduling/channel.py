"""A camera and where its enhanced frames go, as the loop sees them; and both
in memory, for tests and trials."""

import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from vsr.frames import Frame
from vsr.live.cameras.status import CameraStatus, SharedStatus
from vsr.live.scheduling.engines import LivePlan
from vsr.options import ModelOptions


class FrameCamera(Protocol):
    """What the loop asks of a camera."""

    @property
    def status(self) -> CameraStatus:
        """What it is doing; from any thread."""
        ...

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Yield frames until `stop` is set, and then end within a second. Run in a thread of its own."""
        ...


class FrameSink(Protocol):
    """What the loop asks of a camera's outputs. All are called in the loop's
    thread; only `close` may take its time."""

    @property
    def is_idle(self) -> bool:
        """Whether enhanced frames go nowhere now, though they may later; from any thread."""
        ...

    def write(self, frame: Frame) -> None:
        """Take an enhanced frame."""
        ...

    def rest(self) -> None:
        """End what only enhanced frames need, until the next one; called once as it has become idle."""
        ...

    def away(self, since_s: float) -> None:
        """Show that the camera has been away for so many seconds; called a few times a second."""
        ...

    def close(self) -> None:
        """Finish within five seconds."""
        ...


@dataclass(frozen=True)
class Channel:
    """A camera with its outputs."""

    number: int
    """Goes into `Frame.stream`; never used again for another channel of the same run."""
    name: str
    camera: FrameCamera
    sink: FrameSink
    scale: int | None = None
    """Enlargement of height and width; None for the plan's usual one."""
    wish: ModelOptions = field(default_factory=ModelOptions)
    """For a clean or a real network."""


class DesiredState:
    """The channels that should be under way, and how. Both may be replaced
    from any thread; the loop follows."""

    def __init__(self, channels: Sequence[Channel], plan: LivePlan):
        self.channels: tuple[Channel, ...] = tuple(channels)
        self.plan = plan


class ListCamera:
    """Plays frames from memory at their own times, once.

    Args:
        frames: in order; `stream` and `arrived_s` are set.
        number: its `Frame.stream`.
        error: raised after the last frame; None ends quietly.
        linger: stay connected after the last frame, until told to stop, as a camera that sends no more.
    """

    def __init__(
        self, frames: Sequence[Frame], number: int, *, error: Exception | None = None, linger: bool = False
    ):
        self._frames, self._number, self._error, self._linger = list(frames), number, error, linger
        self._shared = SharedStatus()

    @property
    def status(self) -> CameraStatus:
        """Playing or stopped, and how many frames have been given."""
        return self._shared.status

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Yield the frames when they are due."""
        try:
            yield from self._played(stop)
        finally:  # also where whoever plays it goes away
            self._shared.change(state="stopped")

    def _played(self, stop: threading.Event) -> Generator[Frame, None, None]:
        began = time.monotonic()
        for count, frame in enumerate(self._frames):
            due_s = began + float((frame.pts - self._frames[0].pts) * frame.time_base)
            if stop.wait(max(0.0, due_s - time.monotonic())):
                break
            height, width = frame.format.height, frame.format.width
            self._shared.change(state="playing", decoded=count + 1, height=height, width=width)
            yield replace(frame, stream=self._number, arrived_s=time.monotonic())
        if self._error is not None:
            raise self._error
        if self._linger:
            stop.wait()


@dataclass
class MemoryLiveSink:
    """Keeps what it is given."""

    frames: list[Frame] = field(default_factory=list[Frame])
    absences: list[float] = field(default_factory=list[float])
    """Seconds that the camera had been away, at each call of `away`."""
    is_idle: bool = False
    """May be set at any time."""
    num_rests: int = 0
    closed: bool = False

    def write(self, frame: Frame) -> None:
        """Keep a frame."""
        self.frames.append(frame)

    def rest(self) -> None:
        """Count it."""
        self.num_rests += 1

    def away(self, since_s: float) -> None:
        """Keep the time."""
        self.absences.append(since_s)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
