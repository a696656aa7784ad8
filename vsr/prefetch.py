"""The only file that starts a pipeline's threads. One call marks one thread
border; nothing else knows of threads.

Streams that nobody may hold up have threads of their own kind, in `live/newest_wins.py`.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _End:
    """The last thing in a line: why the worker stopped."""

    error: BaseException | None


_filled = threading.local()
"""The line that a thread fills."""


class _Line(Generic[T]):
    """A queue between two threads, bounded in items and bytes; a larger item still passes, alone."""

    def __init__(self, depth: int, budget_bytes: int):
        self._waiting: deque[tuple[T | _End, int]] = deque()
        self._depth, self._budget, self._used = max(1, depth), budget_bytes, 0
        self._stopped = False
        self._taken_for: _Line[Any] | None = None
        """What the thread that takes fills itself."""
        self._changed = threading.Condition()

    def put(self, item: T | _End, size: int = 0) -> bool:
        """Wait for room and add an item; False where the other side has stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(size))
            if not self._stopped:
                self._waiting.append((item, size))
                self._used += size
            self._changed.notify_all()
            return not self._stopped

    def _has_room(self, size: int) -> bool:
        return len(self._waiting) < self._depth and (not self._used or self._used + size <= self._budget)

    def get(self) -> T | _End:
        """Wait for the next item."""
        self._taken_for = getattr(_filled, "line", None)
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting))
            item, size = self._waiting.popleft()
            self._used -= size
            self._changed.notify_all()
            return item

    @property
    def has_stopped(self) -> bool:
        """Whether nobody takes anything any more, or for somebody who does not."""
        return self._stopped or (self._taken_for is not None and self._taken_for.has_stopped)

    def stop(self) -> None:
        """Refuse what is put from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def prefetch(
    items: Iterable[T],
    *,
    depth: int,
    num_bytes: Callable[[T], int] = lambda _: 0,
    budget_bytes: int = 1 << 30,
    name: str = "prefetch",
) -> Generator[T, None, None]:
    """Run `items` in a thread of its own, a few items ahead of the consumer.

    The iterable is started, advanced and closed in that one thread. An exception in it is raised again
    here, with its traceback, once the items before it have been consumed. When the consumer stops
    early (`close()`, or an exception of its own), the thread is told, closes the iterable and is
    joined before this generator ends.

    Args:
        items: the stream; a generator's `close()` is called in the worker thread.
        depth: how many items may wait.
        num_bytes: size of an item, counted against `budget_bytes`.
        budget_bytes: how many bytes may wait; one item always may.
        name: the thread's name.
    """
    line: _Line[T] = _Line(depth, budget_bytes)
    thread = threading.Thread(target=_fill, args=(line, items, num_bytes), name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := line.get(), _End):
            yield item
            del item  # or it would live on while the next one is waited for
        if item.error is not None:
            raise item.error
    finally:
        line.stop()
        thread.join()


def still_wanted() -> bool:
    """Whether what this thread makes is still wanted: who waits for something outside may ask, and end."""
    line: _Line[object] | None = getattr(_filled, "line", None)
    return line is None or not line.has_stopped


def _fill(line: _Line[T], items: Iterable[T], num_bytes: Callable[[T], int]) -> None:
    """Work of the thread."""
    error: BaseException | None = None
    _filled.line = line
    try:
        with closed_after(items):
            for item in items:
                if not line.put(item, num_bytes(item)):
                    break
                del item
    except BaseException as caught:  # whatever it is, the consumer must hear of it
        error = caught
    line.put(_End(error))


def parallel_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    initializer: Callable[[], None] = lambda: None,
    name: str = "worker",
) -> Generator[R, None, None]:
    """Apply a function to each item in threads of its own; results come in the order of the items.

    At most `workers + 1` items are under way. Items are drawn in the consumer's thread. An
    exception in `function` is raised here in its item's turn; threads have ended when this
    generator ends, however it does.

    Args:
        function: must be safe to run in several threads.
        items: the stream.
        workers: number of threads.
        initializer: called once in each thread.
        name: prefix of the threads' names.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name, initializer=initializer)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Workers:
    """Threads that are kept for work that comes piece by piece: new ones would set up memory anew."""

    def __init__(self, num: int, *, name: str = "worker"):
        self._pool = ThreadPoolExecutor(num, thread_name_prefix=name)

    def begin(self, work: Callable[[], R]) -> Future[R]:
        """Do a piece of work as soon as a thread is free; pieces begin in the order in which they came."""
        return self._pool.submit(work)

    def close(self) -> None:
        """End the threads when all pieces are done; may be called twice."""
        self._pool.shutdown()


@contextmanager
def closed_after(items: Iterable[object]) -> Generator[None, None, None]:
    """Close an iterable when the block ends, as a generator can be; what cannot be closed is left as it is."""
    try:
        yield
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def mapped(function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """`map` as a generator: `items` is closed, if it can be, in the thread that runs or closes this one."""
    with closed_after(items):
        for item in items:
            yield function(item)
            del item  # or it would live on while the next one is waited for
