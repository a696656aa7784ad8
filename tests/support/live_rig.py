"""A live sink that is fed with numbered frames."""

import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from support.clips import draw_number

from vsr.frames import Frame, PictureFormat
from vsr.live.outputs.live_sink import LiveSink

FORMAT = PictureFormat(96, 128)
STEP = 3600
"""Ticks between frames."""


def frame(number: int, format: PictureFormat = FORMAT, pts: int | None = None, *, noise: int = 0) -> Frame:
    planes = [np.full(format.plane_size(i), 128, np.uint8) for i in range(3)]
    draw_number(planes[0], number, black=16 + noise, white=235 - noise)
    if noise:
        random = np.random.default_rng(number)
        planes[0] += random.integers(-noise, noise, planes[0].shape).astype(np.uint8)  # modulo 256
    return Frame(tuple(planes), format, 10**9 + number * STEP if pts is None else pts, Fraction(1, 90_000))


def child_pids() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


class Rig:
    """A sink that is fed with numbered frames."""

    def __init__(self, sink: LiveSink):
        self.sink, self.number, self.noise = sink, 0, 0

    def feed(self, count: int, format: PictureFormat = FORMAT) -> None:
        """Write so many frames, 100 a second, or as fast as the encoder takes them where this machine is busy."""
        for _ in range(count):
            self.sink.write(frame(self.number, format, noise=self.noise))
            self.number += 1
            end = time.monotonic() + 0.04
            time.sleep(0.01)
            while self.taken < self.number and time.monotonic() < end:
                time.sleep(0.002)

    @property
    def taken(self) -> int:
        return self.sink.status.written + self.sink.status.dropped

    def feed_until(self, condition, timeout_s: float = 90.0, format: PictureFormat = FORMAT) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, self.sink.status
            self.feed(1, format)

    def wait_until(self, condition, timeout_s: float = 90.0) -> None:
        """Let time pass, without a frame."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, self.sink.status
            time.sleep(0.01)

    def output(self, kind: str):
        return next(one for one in self.sink._outputs if one.options.kind == kind)

    def state(self, kind: str) -> str:
        return next(one.state for one in self.sink.status.outputs if one.kind == kind)

    def run(self) -> "Rig":
        """Feed until all outputs run."""
        self.feed_until(lambda: all(one.state in ("running", "paused") for one in self.sink.status.outputs))
        return self
