"""A camera that plays in its own thread, for tests: what it has given so far, and waiting for what it should do."""

import itertools
import socket
import threading
import time
from collections.abc import Callable

from support.clips import read_number

from vsr.frames import Frame
from vsr.live.cameras.camera import Camera
from vsr.live.newest_wins import NewestWins
from vsr.live.options import CameraOptions
from vsr.live.retry import Retry

QUICK = Retry(first_s=0.2, longest_s=0.4, refused_s=0.4, refused_longest_s=0.4)


def wait_for(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def assert_goes_forward(frames: list[Frame]) -> None:
    assert all(b.pts > a.pts for a, b in itertools.pairwise(frames))
    assert all(b.arrived_s >= a.arrived_s > 0 for a, b in itertools.pairwise(frames))


class Player(NewestWins[Frame]):
    """Leaving it stops the camera and asserts that a second is enough and nothing stays behind."""

    def __init__(
        self,
        url: str,
        *,
        retry: Retry = QUICK,
        camera: Camera | None = None,
        leave_s: float = 1.0,
        **options: object,
    ):
        self.camera = camera or Camera(CameraOptions("door", url, **options), 1, retry=retry)  # type: ignore[arg-type]
        self.stop = threading.Event()
        self.leave_s = leave_s
        self.frames: list[Frame] = []
        super().__init__(self.camera.frames(self.stop), depth=10_000, name="camera-test")

    @property
    def seen(self) -> list[Frame]:
        while (frame := self.take()) is not None:
            self.frames.append(frame)
        return self.frames

    @property
    def numbers(self) -> list[int]:
        return [read_number(frame.planes[0]) for frame in self.seen]

    def wait(self, num_frames: int, timeout_s: float = 60.0) -> None:
        wanted = len(self.seen) + num_frames
        wait_for(lambda: len(self.seen) >= wanted, timeout_s)

    def wait_state(self, state: str, timeout_s: float = 60.0) -> None:
        wait_for(lambda: self.camera.status.state == state, timeout_s)

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        began = time.monotonic()
        self.close()
        assert time.monotonic() - began < self.leave_s
        assert self.camera.status.state == "stopped"
        assert not self._thread.is_alive()


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]
