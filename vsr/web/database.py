"""The server's SQLite file: its tables, transactions that are on the disk when they end, and who hears of changes."""

import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from vsr.errors import SinkError

_STEPS = (
    """
create table uploads (id text primary key, name text, ending text, length integer, touched_s real);
create table jobs (
    id text primary key, upload text, name text, ending text, lane text, options text, state text,
    error text default '', created_s real, began_s real, ended_s real, result text default '', report text,
    key text unique, asked text, deleted integer default 0);
create index by_state on jobs (state, created_s);
create table events (id integer primary key autoincrement, job text, kind text, data text, at_s real);
create index by_job on events (job, id);
create table sessions (hash text primary key, until_s real);
""",
    """
alter table jobs add column turn integer;
update jobs set turn = rowid;
""",
    """
alter table jobs add column webhook text default '';
create table deliveries (
    id text primary key, job text, url text, secret text, body text, tries integer default 0, due_s real);
""",
)
"""What makes each version of the tables of the one before."""


class Database:
    """The file, until `close`. Used by any thread."""

    def __init__(self, path: Path):
        """Open it, or begin it.

        Raises:
            SinkError: it cannot be opened, or is a newer version's.
        """
        self.changed: Callable[[], None] = lambda: None
        """Called after each change, in the thread that made it."""
        self.version = 0
        """Changes with each change."""
        self._lock, self._reading, self._writer = threading.RLock(), threading.Lock(), 0
        try:
            self._db, self._read = _connected(path), _connected(path)
            version = self.rows("pragma user_version")[0][0]
            if version > len(_STEPS):
                raise SinkError(f"{path} was written by another vsr (version {version}, not {len(_STEPS)})")
            with self.writing():
                for statement in "".join(_STEPS[version:]).split(";"):
                    self._db.execute(statement)
                self._db.execute(f"pragma user_version={len(_STEPS)}")
        except sqlite3.Error as error:
            raise SinkError(f"{path} cannot be opened: {error}") from error

    def close(self) -> None:
        with self._lock, self._reading:
            self._read.close()
            self._db.close()

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """Run a block as one transaction, on the disk when it ends."""
        with self._lock:
            self._db.execute("begin immediate")
            self._writer = threading.get_ident()
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
            finally:
                self._writer = 0
            self.version += 1
        self.changed()

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query gives: within `writing` with what is being written, else without waiting for who writes."""
        if self._writer == threading.get_ident():
            return self._db.execute(query, values).fetchall()
        with self._reading:
            return self._read.execute(query, values).fetchall()

    def write(self, statement: str, *values: object) -> int:
        """Change rows, within `writing`; returns how many."""
        return self._db.execute(statement, values).rowcount


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma journal_mode=wal")  # the server's loop reads while a disk takes its time
    connection.execute("pragma synchronous=full")
    return connection
