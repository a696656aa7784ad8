"""What arrives, as a file that FFmpeg reads from, and waiting for it in a way that can be left at any time."""

import select
import threading
import time
from typing import Protocol

_LOOK_MS = 200
"""Time between looks at the stop flag."""


class Arrivals(Protocol):
    """Bytes from a camera, one after the other. The caller closes it."""

    @property
    def why_over(self) -> str:
        """Why nothing more comes."""
        ...

    def read(self, size: int) -> bytes:
        """Return what comes next, at most `size` bytes of it; nothing at the end."""
        ...

    def close(self) -> None: ...


def await_arrival(descriptor: int, stop: threading.Event, *, patience_s: float) -> bool:
    """Wait until something can be read, or the other end has closed; say whether that was so.

    Args:
        descriptor: what is waited for.
        stop: when it is set, the wait ends.
        patience_s: how long to wait.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    until = time.monotonic() + patience_s
    while not stop.is_set() and time.monotonic() < until:
        if poll.poll(_LOOK_MS):
            return True
    return False
