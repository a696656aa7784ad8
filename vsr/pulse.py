"""Signs of life: whoever gets on with something says so, and whoever waits can tell slow work from none.

    beat()                 # a packet has been read, a frame written
    with at_work(): ...    # one piece that may take minutes, such as a network's step: counts as life while it lasts
    Pulse().silent_s()     # how long there has been neither

They are the whole process's, as in a profiler: nobody has to be handed anything.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

STUCK_S = 60.0
"""Silence after which a file, or what reads or writes it, counts as hanging."""

_lock = threading.Lock()
_beats = 0
_pieces = 0


def beat() -> None:
    """Say that something has got on."""
    global _beats
    _beats += 1  # one that is lost between two threads is none that is missed


@contextmanager
def at_work() -> Generator[None, None, None]:
    """Say that the block is work as long as it lasts, however long."""
    global _pieces
    with _lock:
        _pieces += 1
    try:
        yield
    finally:
        with _lock:
            _pieces -= 1
        beat()


class Pulse:
    """Listens to this process. Used by one thread."""

    def __init__(self) -> None:
        self._heard, self._last_s = _beats, time.monotonic()

    def silent_s(self) -> float:
        """Seconds since a beat was heard; they count from one call to the next."""
        if _pieces or self._heard != _beats:
            self._heard, self._last_s = _beats, time.monotonic()
        return time.monotonic() - self._last_s
