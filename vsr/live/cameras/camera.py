"""A camera: the one owner of its container, which opens, reads and closes it,
and comes back after every failure."""

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace

from av.error import FFmpegError

from vsr.errors import SourceError, VsrError, reason_of
from vsr.frames import Frame
from vsr.live.cameras.connection import GoneError, LoginError, RefusedError, connect
from vsr.live.cameras.session import CameraSession, Tap
from vsr.live.cameras.status import CameraStatus, SharedStatus
from vsr.live.cameras.timestamps import CameraTimeline
from vsr.live.cameras.transports import Transport
from vsr.live.frame_notes import FrameNotes
from vsr.live.options import CameraOptions
from vsr.live.retry import Backoff, Retry

_SETTLED_S = 1.0
"""A session that played, and lasted so long, ends the growth of the waits between attempts: some cameras hang up
every few seconds."""


class Camera:
    """A camera that is played for as long as one likes.

    Args:
        options: where it is.
        number: its `Frame.stream`.
        retry: how soon it is tried again.
        gpu: number of the one that the networks run on; None for a CPU.
    """

    def __init__(
        self, options: CameraOptions, number: int, *, retry: Retry = Retry(), gpu: int | None = None
    ):
        self.options = options
        self.gpu = gpu
        """What decodes from the next connection on."""
        self.tap: Tap | None = None
        """Gets every audio and video packet as it came, in the camera's thread; set it before
        `frames`. It must not block, nor keep the packet or its stream, which are part of the
        container: copy what is wanted."""
        self.notes: FrameNotes | None = None
        """Hears of every frame."""
        self.watchers: dict[int, Callable[[Frame], None]] = {}
        """By the number of their stream: each gets every frame as it was decoded, in the camera's thread, and must
        not block. May be added and removed at any time."""
        self.number = number
        self._backoff = Backoff(retry)
        self._timeline = CameraTimeline()
        self._shared = SharedStatus()
        self._transport: Transport | None = None

    @property
    def status(self) -> CameraStatus:
        """What the camera is doing; from any thread."""
        return self._shared.status

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Yield the camera's frames until `stop` is set, connecting again whenever that is needed.

        Times are ticks of 1/90000 s and only go forward; `reset` marks the first frame after a connect, a gap
        or a change of format. No error of the camera is raised: `status` tells it. Ends within a second of
        `stop`, with everything closed; where a camera by TCP has fallen silent, within its `stall_s`. To be run in
        one thread, which owns the connection.
        """
        try:
            while not stop.is_set():
                yield from self._attempt(stop)
        finally:
            self._shared.change(state="stopped")

    def _attempt(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Connect, play until the camera goes, and wait before the next attempt."""
        decoded, began = self.status.decoded, time.monotonic()
        self._shared.change(state="connecting")
        refused = login = False
        try:
            yield from self._session(stop)
        except VsrError as error:
            if stop.is_set():
                return
            refused, login = isinstance(error, RefusedError), isinstance(error, LoginError)
            self._shared.change(state="refused" if refused else "away", last_error=str(error))
        if self.status.decoded > decoded and time.monotonic() - began > _SETTLED_S:
            self._backoff.worked()
        stop.wait(self._backoff.next_s(refused=refused, for_good=login))

    def _session(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Play one connection.

        Raises:
            GoneError: nobody is there, or the camera went.
            RefusedError: it says no.
        """
        try:
            address = self.options.address  # read anew: the password may have been put right
        except VsrError as error:
            raise RefusedError(str(error)) from None
        connection = connect(self.options, address, stop, worked=self._transport, gpu=self.gpu)
        self._transport = connection.transport
        try:
            session = CameraSession(
                connection,
                address.shown,
                shared=self._shared,
                timeline=self._timeline,
                stall_s=self.options.stall_s,
                frozen_s=self.options.frozen_s,
                tap=self.tap,
            )
            for frame in session.frames(stop):
                if self.notes is not None:
                    self.notes.decoded(frame)
                for watcher in list(self.watchers.values()):
                    watcher(frame)
                yield replace(frame, stream=self.number)
        except (GoneError, RefusedError):
            raise
        except (FFmpegError, SourceError, ValueError, OSError, RuntimeError) as error:
            reason = address.redact(reason_of(error)).lower()
            raise GoneError(f"{address.shown}: {reason}") from None
        finally:
            connection.close()
