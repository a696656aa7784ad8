"""Packets on their way to one output: bounded, and cut only at keyframes."""

import os
import threading
import time
from collections import deque

from vsr.live.packets import END, Message


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
        self._descriptions: dict[int, Message] = {}
        self._waiting: deque[tuple[Message, float]] = deque()
        self._bytes = 0
        self._skipping = True
        self._lock = threading.Lock()
        self._wakeup_fd, self._wakeup_end = os.pipe()
        os.set_blocking(self._wakeup_fd, False)
        os.set_blocking(self._wakeup_end, False)

    @property
    def wakeup_fd(self) -> int:
        """A descriptor that can be read when something has come; `hush` it then."""
        return self._wakeup_fd

    def wake(self) -> None:
        """Wake the thread that waits on `descriptor`."""
        try:
            os.write(self._wakeup_end, b"!")
        except BlockingIOError:
            return  # it is ringing

    def clear_wakeup(self) -> None:
        """Take note of the descriptor."""
        try:
            os.read(self._wakeup_fd, 4096)
        except BlockingIOError:
            return

    def put(self, message: Message) -> None:
        """Add a packet, or the description that holds for what follows. Never waits."""
        with self._lock:
            if message.describes or message.stream == END:
                self._append(message)
            else:
                self._add(message)
        self.wake()

    def _add(self, message: Message) -> None:
        now = time.monotonic()
        if self._waiting and (self._bytes > self._max_bytes or now - self._waiting[0][1] > self._max_s):
            self._clear()
            self._skipping = True
        if message.keyframe:
            self._skipping = False
        if self._skipping:
            self.dropped += 1
        else:
            self._append(message)

    def _append(self, message: Message) -> None:
        self._waiting.append((message, time.monotonic()))
        self._bytes += len(message.data)

    def _clear(self, until: int | None = None) -> None:
        """Drop the first packets that wait, but not the descriptions among them."""
        count = len(self._waiting) if until is None else until
        first = [self._waiting.popleft() for _ in range(count)]
        kept = [item for item in first if item[0].describes or item[0].stream == END]
        self.dropped += len(first) - len(kept)
        self._waiting.extendleft(reversed(kept))
        self._bytes = sum(len(message.data) for message, _ in self._waiting)

    def take(self) -> Message | None:
        """Return the next message, or None where nothing waits."""
        with self._lock:
            if not self._waiting:
                return None
            message, _ = self._waiting.popleft()
            self._bytes -= len(message.data)
            return message

    def give_back(self, message: Message) -> None:
        """Put a message that was taken back to the front."""
        with self._lock:
            self._waiting.appendleft((message, time.monotonic()))
            self._bytes += len(message.data)

    def restart(self, *, newest: bool) -> None:
        """Drop what comes before the first keyframe that waits, or before the
        newest; where there is none, everything.

        Sound from after that keyframe stays.
        """
        with self._lock:
            starts = [index for index, (message, _) in enumerate(self._waiting) if message.keyframe]
            self._clear((starts[-1] if newest else starts[0]) if starts else None)
            self._skipping = self._skipping or not starts

    def close(self) -> None:
        """Close the descriptor; nothing may be put any more."""
        os.close(self._wakeup_fd)
        os.close(self._wakeup_end)
