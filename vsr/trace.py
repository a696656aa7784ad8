"""Who worked when: spans of time, by thread. Where nobody records, a span costs a call and nothing is kept.

    with recording() as trace:
        enhance(source, engine, sink)
    print(trace.lanes())

What is recorded is the work of the whole process, as a profiler would: one recording at a time. Spans of one
thread follow one another and never nest, so that what lies between them is waiting.
"""

import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work."""

    name: str
    """Such as `decode` or `model`."""
    lane: str
    """Name of the thread that did it."""
    start_s: float
    """Since the recording began."""
    end_s: float


class Trace:
    """What has been recorded. Threads may add to it at the same time."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        """In the order in which they ended; a list's `append` needs no lock."""
        self._began = time.perf_counter()

    def add(self, name: str, start: float, end: float) -> None:
        """Add what the calling thread has done; times by `time.perf_counter`."""
        self.spans.append(Span(name, threading.current_thread().name, start - self._began, end - self._began))

    def lanes(self) -> dict[str, list[Span]]:
        """The spans of each thread in the order of time; threads in the order in which they first worked."""
        lanes: dict[str, list[Span]] = {}
        for span in sorted(self.spans, key=lambda span: span.start_s):
            lanes.setdefault(span.lane, []).append(span)
        return lanes


class _Timer:
    """The `with` block of a span; also recorded when it ends with an exception."""

    __slots__ = ("_name", "_start", "_trace")

    def __init__(self, trace: Trace, name: str):
        self._trace, self._name, self._start = trace, name, 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._trace.add(self._name, self._start, time.perf_counter())


_recorded: Trace | None = None
_NOTHING = nullcontext()


def span(name: str) -> AbstractContextManager[None]:
    """Mark the work of a `with` block, in the thread that runs it."""
    trace = _recorded
    return _NOTHING if trace is None else _Timer(trace, name)


@contextmanager
def recorded_spans() -> Generator[Trace, None, None]:
    """Record every span of the process while the block runs.

    Raises:
        RuntimeError: something is being recorded already.
    """
    global _recorded
    if _recorded is not None:
        raise RuntimeError("one trace at a time can be recorded")
    _recorded = trace = Trace()
    try:
        yield trace
    finally:
        _recorded = None
