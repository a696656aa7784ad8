"""The state of an archive: one row for each source, in SQLite, in
`OUT/.vsr/`. Several processes may work by it.

A file is claimed before it is enhanced; the claim of a process that has died goes back. How far a long file
has come is not told here but in its journal. SQLite's rollback journal and not its write-ahead log: that
works over network file systems too, and two commits a file of 0.8 ms each (measured on ext4) are no load.
"""

import json
import os
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from vsr.archive.alive import Alive, lives
from vsr.archive.entry import TABLE, UNSIGNED, Entry, differences, from_row, key_of, to_row, what_lies_at
from vsr.durable import Stamp
from vsr.errors import ConfigError, SinkError
from vsr.jobs import LEAST_FREE, Job, wait_for_room
from vsr.pulse import at_work

T = TypeVar("T")

_FOLDER, _FILE = ".vsr", "state.sqlite"
_VERSION = 1
_FAILURES = (sqlite3.Error, ValueError)
"""What comes of a state that is damaged or cannot be reached: SQLite's errors quote what need not be text."""
_PATIENCE_S = 120.0
"""How long another process may hold the state."""

_WORKERS = """
create table workers (id integer primary key autoincrement, name text, wishes text);
"""


class State:
    """An archive's state, open for one process until `close`. Used by one thread."""

    def __init__(self, out: Path, wishes: Mapping[str, str], tell: Callable[[str], None] = lambda line: None):
        """Open the state of a folder of results, or begin it; `tell` is told where it waits for room.

        Raises:
            ConfigError: another process is at work there with other options.
            SinkError: the state cannot be read or written, or something of others lies in its place.
        """
        self.out, self.wishes, self._tell = out, dict(wishes), tell
        self._folder = out / _FOLDER
        self._alive: Alive | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _check_place(self._folder)
            self._db = sqlite3.connect(self._folder / _FILE, isolation_level=None, timeout=_PATIENCE_S)
        except (OSError, sqlite3.Error) as error:
            raise SinkError(f"state of {out} cannot be opened: {error}") from error
        self._db.row_factory = sqlite3.Row
        self._jobs: dict[str, Job] = {}
        try:
            self._write(self._begin)
            self._write(self._register)
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise SinkError(
                f"state of {self.out} was written by another vsr (version {version}, not {_VERSION})"
            )
        tables = {name for (name,) in self._db.execute("select name from sqlite_master where type = 'table'")}
        if not tables >= {"files", "workers"} and (version or tables):
            raise SinkError(f"{self._folder / _FILE} is a database of another program, so it is left alone")
        if version == 0:
            for statement in f"{TABLE}{_WORKERS}".split(";"):
                self._db.execute(statement)
            self._db.execute(f"pragma user_version={_VERSION}")
        elif "unsigned" not in {row["name"] for row in self._db.execute("pragma table_info(files)")}:
            self._db.execute(UNSIGNED)

    def _register(self) -> None:
        self._release_claims()
        for row in self._db.execute("select name, wishes from workers"):
            theirs = json.loads(row["wishes"])
            if not isinstance(theirs, dict):
                raise ValueError("the wishes of another process are damaged")
            if theirs != self.wishes:
                raise ConfigError(
                    f"{row['name']} is at work in {self.out} with {differences(theirs, self.wishes)}; wait for it, or"
                    " name another folder"
                )
        name = f"process {os.getpid()} on {socket.gethostname()}"
        added = self._db.execute(
            "insert into workers (name, wishes) values (?, ?)", (name, json.dumps(self.wishes))
        )
        assert added.lastrowid is not None
        self.worker = added.lastrowid
        self._alive = Alive(self._lock_of(self.worker))  # inside of the transaction: nobody may look before

    def _lock_of(self, worker: int) -> Path:
        return self._folder / f"alive-{worker}"

    def close(self) -> None:
        """Take leave; what is claimed is let go."""
        if self._alive is not None:
            self._alive.close()
            self._write(self._release_claims)
            self._alive = None
        self._db.close()

    def _write(self, action: Callable[[], T]) -> T:
        """Run an action as one transaction; wait where the disk is full.

        Raises:
            SinkError: the state cannot be written.
        """
        while True:
            try:
                with at_work():  # others may hold it for a while
                    self._db.execute("begin immediate")
                try:
                    value = action()
                    self._db.execute("commit")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("rollback")
                    raise
                return value
            except _FAILURES as error:
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                    raise SinkError(_unusable(self.out, "written", error)) from error
                wait_for_room(self.out, LEAST_FREE, self._tell)

    def _release_claims(self) -> None:
        """Let go of what dead processes have claimed."""
        for (worker,) in self._db.execute("select id from workers").fetchall():
            if not lives(self._lock_of(worker)):
                self._db.execute(
                    "update files set status = 'waiting', owner = null, deaths = deaths + 1, version = version + 1"
                    " where owner = ? and status = 'working'",
                    (worker,),
                )
                self._db.execute("delete from workers where id = ?", (worker,))

    def entries(self) -> dict[str, Entry]:
        """Return what is known, by result."""
        return _entries(self._db, self.out)

    def enter(self, entries: Iterable[Entry]) -> None:
        """Take up entries, each unless it has changed since it was read; the version of a new one is 0."""
        self._write(lambda: [self._put(entry) for entry in entries])

    def _put(self, entry: Entry) -> None:
        row = to_row(entry)
        names = ", ".join(row)
        self._db.execute(
            f"insert into files ({names}) values ({', '.join(f':{name}' for name in row)})"
            f" on conflict (result) do update set ({names}) = ({', '.join(f'excluded.{name}' for name in row)})"
            " where files.version = :old and files.status != 'working'",
            row | {"old": entry.version, "version": entry.version + 1},
        )

    def take_on(self, jobs: Iterable[Job]) -> None:
        """Say what `claim` may give, in which order."""
        self._jobs = {key_of(job, self.out): job for job in jobs}
        self._db.execute("create temp table if not exists mine (result text primary key, place integer)")
        self._db.execute("delete from mine")
        self._db.executemany("insert into mine values (?, ?)", ((key, n) for n, key in enumerate(self._jobs)))

    def claim(self) -> tuple[Job, Entry] | None:
        """Take the next job that waits; those at which a process has died come
        last. None where there is none."""
        return self._write(self._claim)

    def _claim(self) -> tuple[Job, Entry] | None:
        find = (
            "select files.* from files join temp.mine using (result) where status = 'waiting'"
            " order by deaths, place limit 1"
        )
        row = self._db.execute(find).fetchone()
        if row is None:
            self._release_claims()
            row = self._db.execute(find).fetchone()
        if row is None:
            return None
        entry = from_row(row)
        job = self._jobs[entry.result]
        before = what_lies_at(job.target) if entry.before is None else entry.before
        claimed = replace(entry, status="working", owner=self.worker, before=before, stamp=Stamp.of(job.path))
        return job, self._change(claimed)

    def settle(self, entry: Entry) -> None:
        """Write down what became of a claimed entry."""
        self._write(lambda: self._change(replace(entry, owner=None)))

    def _change(self, entry: Entry) -> Entry:
        row = to_row(replace(entry, version=entry.version + 1))
        changes = ", ".join(f"{name} = :{name}" for name in row)
        changed = self._db.execute(
            f"update files set {changes} where result = :result and version = :old",
            row | {"old": entry.version},
        )
        if changed.rowcount != 1:
            raise SinkError(f"{entry.result} was taken for dead by another process, which does it again")
        return replace(entry, version=entry.version + 1)

    def fail_claimed(self, worker: int, error: str) -> list[Entry]:
        """Write down why a worker's process died: the file that it was at has
        failed. Returns that one, if any."""
        change = (
            "update files set status = 'failed', owner = null, error = ?, unsigned = 0, version = version + 1"
            " where owner = ? and status = 'working' returning *"
        )
        return [
            from_row(row) for row in self._write(lambda: self._db.execute(change, (error, worker)).fetchall())
        ]

    def apart(self, action: Callable[[], T]) -> T:
        """Run an action while no other process changes the state."""
        return self._write(action)


def read_entries(out: Path) -> dict[str, Entry]:
    """Return what is known of a folder of results, by result, and write
    nothing; nothing where there is no state.

    Raises:
        SinkError: the state cannot be read.
    """
    path = out / _FOLDER / _FILE
    _check_place(path.parent)
    if not path.is_file():
        return {}
    with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as db:
        db.row_factory = sqlite3.Row
        return _entries(db, out)


def _check_place(folder: Path) -> None:
    """Raise SinkError where the state would be written through a link, or into a file that has another name, too."""
    places = [folder, *(folder / f"{_FILE}{ending}" for ending in ("", "-journal", "-wal", "-shm"))]
    for place in filter(os.path.lexists, places):
        facts = place.lstat()
        if not stat.S_ISDIR(facts.st_mode) and (not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1):
            raise SinkError(f"{place} is a link, so the state is not written there; move it away")


def _entries(db: sqlite3.Connection, out: Path) -> dict[str, Entry]:
    try:
        rows = db.execute("select * from files order by result").fetchall()
    except _FAILURES as error:
        raise SinkError(_unusable(out, "read", error)) from error
    return {row["result"]: from_row(row) for row in rows}


def _unusable(out: Path, how: str, error: Exception) -> str:
    """What to say of a state that fails, and what to do where it is damaged for good."""
    said = f"state of {out} cannot be {how}: {error}"
    if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return said
    return (
        f"{said}; put back a copy of {out / _FOLDER / _FILE}, or move it away: the same command then takes what lies in"
        f" {out} for others' files, and makes it anew with --overwrite"
    )
