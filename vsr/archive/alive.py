"""Whether a process that has claimed work still lives, asked of the operating
system by a lock on a file of its own.

An SQLite lock, because these work wherever the state beside them does, and a kill lets go of them at once;
there is no heartbeat, and no clock to compare with another machine's.
"""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

from vsr.errors import SinkError


class Alive:
    """A process that lives, until `close`."""

    def __init__(self, path: Path):
        """Begin to be there.

        Raises:
            sqlite3.Error: the lock cannot be had.
            SinkError: a file of others lies in its place.
        """
        if os.path.lexists(path) and not _is_lock(path):
            raise SinkError(f"{path} was not made here, so it is left alone; move it away")
        self._path = path
        self._lock = _open(path)
        _hold(self._lock)

    def close(self) -> None:
        """Be there no more."""
        self._lock.close()
        with contextlib.suppress(OSError):  # who looks for it next removes it
            self._path.unlink()


def lives(path: Path) -> bool:
    """Tell whether some process holds this lock; the file of one that is dead is removed."""
    if not _is_lock(path):
        return False
    lock = _open(path)
    try:
        _hold(lock)
    except sqlite3.OperationalError:
        return True
    finally:
        lock.close()
    with contextlib.suppress(OSError):
        path.unlink()
    return False


def _is_lock(path: Path) -> bool:
    """Whether such a file lies there: plain and empty."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_size == 0


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0)


def _hold(lock: sqlite3.Connection) -> None:
    lock.execute("pragma journal_mode=memory")  # no second file
    lock.execute("begin exclusive")
