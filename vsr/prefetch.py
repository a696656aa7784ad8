"""The only file that starts pipeline threads. One call marks one thread border; nothing else knows of threads."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _End:
    """The last thing in a line: why the worker stopped."""

    error: BaseException | None


class _Line(Generic[T]):
    """A queue between two threads, bounded in items and bytes; an item larger than all bytes still passes, alone."""

    def __init__(self, depth: int, budget_bytes: int):
        self._waiting: deque[tuple[T | _End, int]] = deque()
        self._depth, self._budget, self._used = max(1, depth), budget_bytes, 0
        self._stopped = False
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
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting))
            item, size = self._waiting.popleft()
            self._used -= size
            self._changed.notify_all()
            return item

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


def _fill(line: _Line[T], items: Iterable[T], num_bytes: Callable[[T], int]) -> None:
    """Work of the thread."""
    error: BaseException | None = None
    try:
        with closing(_as_generator(items)) as source:
            for item in source:
                if not line.put(item, num_bytes(item)):
                    break
                del item
    except BaseException as caught:  # whatever it is, the consumer must hear of it
        error = caught
    line.put(_End(error))


class Newest(Generic[T]):
    """Runs a live stream in a thread of its own and keeps its newest items, as `prefetch` but nobody ever waits.

    The iterable is started, advanced and closed in that one thread. When the queue is full the oldest item is dropped
    and counted, so what `take` gives is never older than the queue is deep. A context: leaving it closes.

    Args:
        items: the stream. An endless one must end by itself soon after it has been told to, before `close`.
        depth: how many items may wait.
        name: the thread's name.
        ring: called in the thread after each item and at the end; one `Event.set` may serve many streams.
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        depth: int = 1,
        name: str = "newest",
        ring: Callable[[], None] = lambda: None,
    ):
        self.dropped = 0
        """Items that nobody took in time."""
        self._waiting: deque[T] = deque()
        self._depth, self._ring = max(1, depth), ring
        self._error: BaseException | None = None
        self._closed = self._over = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, args=(items,), name=name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """The stream is over, and all that was left of it has been taken."""
        return self._over and not self._waiting

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    @property
    def head(self) -> T | None:
        """The item that `take` would give now; a newer one may be in its place by then."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def take(self) -> T | None:
        """Return the oldest item that waits, None where there is none; raise what ended the stream, after its items."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def close(self) -> None:
        """Wait until the stream has been closed in its thread; it is advanced no more than once before."""
        self._closed = True
        self._thread.join()

    def __enter__(self) -> "Newest[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, items: Iterable[T]) -> None:
        """Work of the thread."""
        try:
            with closing(_as_generator(items)) as source:
                for item in source:
                    if self._closed:
                        break
                    with self._lock:
                        self._waiting.append(item)
                        if len(self._waiting) > self._depth:
                            self._waiting.popleft()
                            self.dropped += 1
                    del item
                    self._ring()
        except BaseException as caught:  # whatever it is, the consumer must hear of it
            self._error = caught
        self._over = True
        self._ring()


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


class Workers:
    """Threads that are kept for work that comes in rounds: new ones would each time set up their memory anew."""

    def __init__(self, num: int, *, initializer: Callable[[], None] = lambda: None, name: str = "worker"):
        self._pool = ThreadPoolExecutor(num, thread_name_prefix=name, initializer=initializer)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Apply a function to each item; results in the items' order. What one raises is raised when all have ended."""
        futures = [self._pool.submit(function, item) for item in items]
        wait(futures)
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def in_background(work: Callable[[], R], *, name: str) -> Future[R]:
    """Run `work` once in a thread of its own. Whoever calls this sees to it that it ends, and waits for it."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class Courier(Generic[T]):
    """Brings items to a function that runs in a thread of its own. Whoever hands them over never waits: the newest win.

    An exception in the function ends the thread; the next `put` raises it, and so does `close`.

    Args:
        function: takes one item; may block.
        depth: how many items may wait; when one more comes, the oldest is dropped and counted.
        name: the thread's name.
    """

    def __init__(self, function: Callable[[T], None], *, depth: int = 1, name: str = "courier"):
        self.dropped = 0
        """Items that were never brought."""
        self._function, self._depth = function, depth
        self._waiting: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()
        self._done = in_background(self._carry, name=name)

    def put(self, item: T) -> None:
        """Hand over an item, which is dropped after `close`; from any thread."""
        if self._done.done():
            self._done.result()
        with self._changed:
            self._waiting.append(item)
            if len(self._waiting) > self._depth or self._closed:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.notify()

    def _carry(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                item = self._waiting.popleft()
            self._function(item)
            del item

    def close(self, timeout_s: float | None = None) -> None:
        """Let what waits be brought, and wait for the thread's end.

        Raises:
            TimeoutError: the function has not returned in time; its thread is left behind.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._done.result(timeout_s)


def _as_generator(items: Iterable[T]) -> Generator[T, None, None]:
    """Give any iterable a `close()` that reaches it, whether or not it has been started."""
    try:
        yield from items
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
