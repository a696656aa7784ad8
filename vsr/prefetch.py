"""The only file that starts pipeline threads. One call marks one thread border; nothing else knows of threads."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_POLL_S = 0.1
"""How often a blocked side looks whether the other one is still there."""


class _Budget:
    """Bytes that may wait in one queue; an item larger than all of it still passes, alone."""

    def __init__(self, limit: int):
        self._limit, self._used = limit, 0
        self._changed = threading.Condition()

    def take(self, amount: int, stop: threading.Event) -> bool:
        with self._changed:
            while self._used and self._used + amount > self._limit:
                if stop.is_set():
                    return False
                self._changed.wait(_POLL_S)
            self._used += amount
            return True

    def give(self, amount: int) -> None:
        with self._changed:
            self._used -= amount
            self._changed.notify()


class _End:
    """The last thing in a queue: why the worker stopped."""

    def __init__(self, error: BaseException | None):
        self.error = error


def prefetch(
    items: Iterable[T],
    *,
    depth: int,
    num_bytes: Callable[[T], int] = lambda _: 0,
    budget_bytes: int = 1 << 30,
    name: str = "prefetch",
) -> Generator[T, None, None]:
    """Run `items` in a thread of its own, a few items ahead of the consumer.

    The iterable is started, advanced and closed in that one thread. An exception in it is raised again here, with
    its traceback, once the items before it have been consumed. When the consumer stops early (`close()`, or an
    exception of its own), the thread is told, closes the iterable and is joined before this generator ends.

    Args:
        items: the stream; a generator's `close()` is called in the worker thread.
        depth: how many items may wait.
        num_bytes: size of an item, counted against `budget_bytes`.
        budget_bytes: how many bytes may wait; one item always may.
        name: the thread's name.
    """
    waiting: queue.Queue[tuple[T | _End, int]] = queue.Queue(maxsize=max(1, depth))
    stop = threading.Event()
    budget = _Budget(budget_bytes)

    def put(item: T | _End, size: int) -> bool:
        while not stop.is_set():
            try:
                waiting.put((item, size), timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            with closing(_as_generator(items)) as source:
                for item in source:
                    size = num_bytes(item)
                    if not (budget.take(size, stop) and put(item, size)):
                        break
                    del item
        except BaseException as caught:  # whatever it is, the consumer must hear of it
            error = caught
        put(_End(error), 0)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        while True:
            item, size = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            budget.give(size)
            yield item
            del item
    finally:
        stop.set()
        thread.join()


def parallel_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    initializer: Callable[[], None] = lambda: None,
    name: str = "worker",
) -> Generator[R, None, None]:
    """Apply a function to each item in threads of its own; results come in the order of the items.

    At most `workers + 1` items are under way. Items are drawn in the consumer's thread. An exception in `function` is
    raised here in its item's turn; threads have ended when this generator ends, however it does.

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


def _as_generator(items: Iterable[T]) -> Generator[T, None, None]:
    """Give any iterable a `close()` that reaches it, whether or not it has been started."""
    try:
        yield from items
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
