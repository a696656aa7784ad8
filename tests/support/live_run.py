"""The loop of live under way, and waited for."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vsr.live.scheduling.channel import DesiredState
from vsr.live.scheduling.live_loop import run_cameras
from vsr.live.scheduling.overview import SharedOverview


@dataclass
class Run:
    """`run_cameras` in a thread, as a command would have it in its own."""

    desired: DesiredState
    shared: SharedOverview = field(default_factory=SharedOverview)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Run":
        self.before = set(threading.enumerate())
        arguments = {"stop": self.stop, "shared": self.shared}
        self.thread = threading.Thread(target=run_cameras, args=(self.desired,), kwargs=arguments)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        began = time.monotonic()
        self.stop.set()
        self.thread.join(10)
        self.took_s = time.monotonic() - began
        assert not self.thread.is_alive()
        assert set(threading.enumerate()) <= self.before

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.shared.overview
            time.sleep(0.01)
