"""The threads of live streams, which nobody may hold up: the newest wins,
and what had to be dropped is counted.

The counterpart of `prefetch.py`, whose streams wait for each other and lose nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Generic, TypeVar

from vsr.prefetch import closed_after

T = TypeVar("T")
R = TypeVar("R")


class NewestWins(Generic[T]):
    """Runs a live stream in a thread of its own and keeps its newest items; nobody ever waits.

    The iterable is started, advanced and closed in that one thread. When the queue is full the
    oldest item is dropped and counted, so what `take` gives is never older than the queue is deep.
    A context: leaving it closes.

    Args:
        items: the stream. An endless one must end by itself soon after it has been told to, before `close`.
        depth: how many items may wait.
        name: the thread's name.
        notify: called in the thread after each item and at the end; one `Event.set` may serve many streams.
        usual_s: asked in the thread how far apart items usually come, in seconds; tells bursts.
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        depth: int = 1,
        name: str = "newest",
        notify: Callable[[], None] = lambda: None,
        usual_s: Callable[[], float] = lambda: 0.0,
    ):
        self.dropped = 0
        """Items that nobody took in time."""
        self.in_bursts = 0
        """Those of the dropped that a newer one displaced sooner than one usually comes: nobody could have taken
        them in time, however quick."""
        self._waiting: deque[tuple[T, float]] = deque()
        self._depth, self._notify, self._usual_s = max(1, depth), notify, usual_s
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
            return self._waiting[0][0] if self._waiting else None

    def take(self) -> T | None:
        """Return the oldest item that waits, None where there is none; raise what
        ended the stream, after its items."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()[0]
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def close(self, timeout_s: float | None = None) -> None:
        """Wait until the stream has been closed in its thread, which advances it no more than once before.

        A thread that has not ended in time is left behind, and ends later.
        """
        self._closed = True
        self._thread.join(timeout_s)

    def __enter__(self) -> "NewestWins[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, item: T, now: float) -> None:
        with self._lock:
            self._waiting.append((item, now))
            if len(self._waiting) > self._depth:
                _, since_s = self._waiting.popleft()
                self.dropped += 1
                self.in_bursts += now - since_s < self._usual_s()

    def _keep(self, items: Iterable[T]) -> None:
        """Work of the thread."""
        try:
            with closed_after(items):
                for item in items:
                    if self._closed:
                        break
                    self._add(item, time.monotonic())
                    del item
                    self._notify()
        except BaseException as caught:  # whatever it is, the consumer must hear of it
            self._error = caught
        self._over = True
        self._notify()


def in_background(work: Callable[[], R], *, name: str) -> Future[R]:
    """Run `work` once in a thread of its own. Whoever calls this sees to it
    that it ends, and waits for it."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class DroppingWorker(Generic[T]):
    """Brings items to a function that runs in a thread of its own. Whoever hands
    them over never waits: the newest win.

    An exception in the function ends the thread; the next `put` raises it, and so does `close`.

    Args:
        function: takes one item; may block.
        depth: how many items may wait; when one more comes, the oldest is dropped and counted.
        name: the thread's name.
    """

    def __init__(self, function: Callable[[T], None], *, depth: int = 1, name: str = "newest"):
        self.dropped = 0
        """Items that were never brought."""
        self.depth = depth
        """May be changed at any time; what waits already is not dropped at once."""
        self._function = function
        self._waiting: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()
        self._done = in_background(self._work, name=name)

    def put(self, item: T) -> None:
        """Hand over an item, which is dropped after `close`; from any thread."""
        if self._done.done():
            self._done.result()
        with self._changed:
            self._waiting.append(item)
            if len(self._waiting) > self.depth or self._closed:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.notify()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    def _work(self) -> None:
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
