"""What work costs: seconds on the clock and seconds of processor cores, per frame of a steady stream."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame costs."""

    wall_s: float
    """Seconds on the clock."""
    core_s: float
    """Seconds that processor cores worked, all threads and FFmpeg together."""

    @property
    def fps(self) -> float:
        return 1 / self.wall_s


Work = Callable[[int], object]
"""Does its work on so many frames, to the very end: when it returns, children and a GPU have finished."""


def measure_cost(work: Work, *, few: int, many: int, repeat: int) -> Cost:
    """Measure what a frame costs once the stream is steady: the medians of
    some repetitions, after one to warm up.

    Each repetition works on a few frames, then on many, and the difference counts. What happens once a stream
    drops out that way: start-up (of FFmpeg, of Python for a peer), the first frames through empty queues, the
    last ones out of the encoder, joining and verifying.

    Args:
        work: what is measured.
        few: frames of the short stream.
        many: frames of the long one.
        repeat: repetitions.
    """
    work(few)
    return median_of([steady(spent(work, few), spent(work, many), few, many) for _ in range(repeat)])


def median_of(costs: list[Cost]) -> Cost:
    """The medians of time and of core time."""
    return Cost(median(cost.wall_s for cost in costs), median(cost.core_s for cost in costs))


def steady(short: Cost, long: Cost, few: int, many: int) -> Cost:
    """What one more frame cost; where chance made the short stream the dearer
    one, a frame's part of the long one."""

    def per_frame(a: float, b: float) -> float:
        return (b - a) / (many - few) if b > a else b / many

    return Cost(per_frame(short.wall_s, long.wall_s), per_frame(short.core_s, long.core_s))


def spent(work: Work, count: int) -> Cost:
    """What a whole stream of `count` frames costs."""
    cores, began = _core_seconds(), time.perf_counter()
    work(count)
    return Cost(time.perf_counter() - began, _core_seconds() - cores)


def _core_seconds() -> float:
    """Of this process with all its threads, and of its children that have ended."""
    children = os.times()
    with suppress(ImportError):  # Windows; it counts no children
        import resource

        usage = resource.getrusage(resource.RUSAGE_CHILDREN)  # to the microsecond; `os.times` to 10 ms
        return time.process_time() + usage.ru_utime + usage.ru_stime
    return time.process_time() + children.children_user + children.children_system


def forget_peak_memory() -> None:
    """Begin to look for the peak anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int | None:
    """Most memory that this process has had at once (resident set); None where the system does not tell."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) << 10
    with suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return None
