"""Packets on their way to one output: bounded, and cut only at keyframes."""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass

from vsr.live.packets import END, Message


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    since_s: float
    """By `time.monotonic()`."""

    @property
    def must_arrive(self) -> bool:
        """What is no packet is never dropped."""
        return self.message.describes or self.message.stream == END


class PacketQueue:
    """A queue between the encoder's thread, which never waits, and an output's.

    When it is full, all that waits is dropped, and what comes up to the next keyframe.

    Args:
        max_s: how long a packet may wait.
        max_bytes: how much may wait.
    """

    def __init__(self, *, max_s: float, max_bytes: int):
        self.dropped = 0
        """Packets that were never sent."""
        self._max_s, self._max_bytes = max_s, max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._skipping = True
        self._taken_s = 0.0
        """Since when the message that was taken last had waited."""
        self._lock = threading.Lock()
        self._wakeup_fd, self._wakeup_end = os.pipe()
        os.set_blocking(self._wakeup_fd, False)
        os.set_blocking(self._wakeup_end, False)

    @property
    def wakeup_fd(self) -> int:
        """A descriptor that can be read when something has come; `clear_wakeup` then."""
        return self._wakeup_fd

    def wake(self) -> None:
        """Wake the thread that waits on `wakeup_fd`."""
        try:
            os.write(self._wakeup_end, b"!")
        except BlockingIOError:
            return  # it is awake

    def clear_wakeup(self) -> None:
        """Take note that something has come."""
        try:
            os.read(self._wakeup_fd, 4096)
        except BlockingIOError:
            return

    def put(self, message: Message) -> None:
        """Add a packet, or the description that holds for what follows. Never waits."""
        item = _Waiting(message, time.monotonic())
        with self._lock:
            if item.must_arrive or self._admits(item):
                self._waiting.append(item)
                self._bytes += len(message.data)
            else:
                self.dropped += 1
        self.wake()

    def _admits(self, item: _Waiting) -> bool:
        """Make room for a packet where the queue is full; say whether it may go along."""
        first = self._waiting[0] if self._waiting else item
        if self._bytes > self._max_bytes or item.since_s - first.since_s > self._max_s:
            self._clear()
            self._skipping = True
        self._skipping = self._skipping and not item.message.keyframe
        return not self._skipping

    def _clear(self, until: int | None = None) -> None:
        """Drop the first packets that wait, but not the descriptions among them."""
        count = len(self._waiting) if until is None else until
        first = [self._waiting.popleft() for _ in range(count)]
        kept = [item for item in first if item.must_arrive]
        self.dropped += len(first) - len(kept)
        self._waiting.extendleft(reversed(kept))
        self._bytes = sum(len(item.message.data) for item in self._waiting)

    def take(self) -> Message | None:
        """Return the next message, or None where nothing waits."""
        with self._lock:
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._bytes -= len(item.message.data)
            self._taken_s = item.since_s
            return item.message

    def give_back(self, message: Message) -> None:
        """Put the message that was taken last back to the front, as old as it was: else an output that is started
        again and again would never count as too slow, and all that comes would wait."""
        with self._lock:
            self._waiting.appendleft(_Waiting(message, self._taken_s))
            self._bytes += len(message.data)

    def restart(self, *, newest: bool) -> None:
        """Drop what comes before the first keyframe that waits, or before the
        newest; where there is none, everything.

        Sound from after that keyframe stays.
        """
        with self._lock:
            starts = [index for index, item in enumerate(self._waiting) if item.message.keyframe]
            self._clear((starts[-1] if newest else starts[0]) if starts else None)
            self._skipping = self._skipping or not starts

    def close(self) -> None:
        """Close the descriptor; nothing may be put any more."""
        os.close(self._wakeup_fd)
        os.close(self._wakeup_end)
