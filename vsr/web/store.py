"""What the server remembers: uploads, jobs, what happened to them, who has logged in. In SQLite, one process.

How far a job has come is not told here but in its archive; bytes of uploads lie in files, whose size is how much of
them has come.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vsr.errors import SinkError

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "unverified", "canceled"]
Lane = Literal["pictures", "videos"]
"""Jobs of one lane are done one after another; a picture need not wait for a film."""
Action = Literal["pause", "resume", "cancel", "retry"]

MOVES: dict[Action, tuple[tuple[JobState, ...], JobState]] = {
    "pause": (("queued", "running"), "paused"),
    "resume": (("paused",), "queued"),
    "cancel": (("queued", "running", "paused"), "canceled"),
    "retry": (("failed", "unverified", "canceled"), "queued"),
}
"""From which states each action leads where."""

OVER: tuple[JobState, ...] = ("succeeded", "failed", "unverified", "canceled")
"""States that a job stays in."""

_VERSION = 1
_TABLES = """
create table uploads (id text primary key, name text, ending text, length integer, touched_s real);
create table jobs (
    id text primary key, upload text, name text, ending text, lane text, options text, state text,
    error text default '', created_s real, began_s real, ended_s real, result text default '', report text,
    key text unique, asked text, deleted integer default 0);
create index by_state on jobs (state, created_s);
create table events (id integer primary key autoincrement, job text, kind text, data text, at_s real);
create index by_job on events (job, id);
create table sessions (hash text primary key, until_s real);
"""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has come, or is coming."""

    id: str
    name: str
    """As its owner calls it; a label and never a path."""
    ending: str
    """One of those that we know, or empty."""
    length: int
    """Bytes that it will have."""
    touched_s: float
    """Seconds since 1970 of the last change."""


@dataclass(frozen=True, slots=True)
class WebJob:
    """An upload to enhance, and what became of it. Times are seconds since 1970."""

    id: str
    upload: str
    name: str
    ending: str
    lane: Lane
    options: Mapping[str, Any]
    """As they were asked for."""
    state: JobState
    error: str
    created_s: float
    began_s: float | None
    ended_s: float | None
    result: str
    """Name for whoever takes it home."""
    report: Mapping[str, Any] | None
    """Where the result comes from."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job."""

    id: int
    job: str
    kind: str
    data: Mapping[str, Any]


class Store:
    """The database of a data folder, until `close`. Used by any thread."""

    def __init__(self, path: Path):
        """Open it, or begin it. What was running when the last server ended waits again.

        Raises:
            SinkError: it cannot be opened, or is another version's.
        """
        self.changed: Callable[[], None] = lambda: None
        """Called after each change, in the thread that made it."""
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            version = self._db.execute("pragma user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise SinkError(f"{path} was written by another vsr (version {version}, not {_VERSION})")
            with self._writing():
                if version == 0:
                    for statement in _TABLES.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"pragma user_version={_VERSION}")
                for job in self._jobs("state = 'running'"):
                    self._set(job.id, "queued")
        except sqlite3.Error as error:
            raise SinkError(f"{path} cannot be opened: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Generator[None, None, None]:
        """Run a block as one transaction, on the disk when it ends."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
        self.changed()

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    # Uploads

    def add_upload(self, upload: Upload) -> None:
        with self._writing():
            values = (upload.id, upload.name, upload.ending, upload.length, upload.touched_s)
            self._db.execute("insert into uploads values (?, ?, ?, ?, ?)", values)

    def uploads(self) -> list[Upload]:
        return [Upload(*row) for row in self._rows("select * from uploads order by touched_s")]

    def upload(self, id: str) -> Upload | None:
        return next((Upload(*row) for row in self._rows("select * from uploads where id = ?", id)), None)

    def touch(self, id: str, at_s: float | None = None) -> None:
        """Count an upload's time from now, or from another time; from 0, it has expired."""
        with self._writing():
            at_s = time.time() if at_s is None else at_s
            self._db.execute("update uploads set touched_s = ? where id = ?", (at_s, id))

    def remove_upload(self, id: str) -> bool:
        """Forget an upload; False where a job needs it."""
        with self._writing():
            return bool(
                self._db.execute(
                    "delete from uploads where id = ? and id not in (select upload from jobs)", (id,)
                ).rowcount
            )

    # Jobs

    def _jobs(self, where: str, *values: object) -> list[WebJob]:
        rows = self._rows(f"select * from jobs where {where} order by created_s, rowid", *values)
        return [_job_of(row) for row in rows]

    def jobs(self) -> list[WebJob]:
        """All jobs, in the order in which they are done."""
        return self._jobs("not deleted")

    def job(self, id: str) -> WebJob | None:
        return next(iter(self._jobs("id = ? and not deleted", id)), None)

    def asked_before(self, key: str, asked: str) -> WebJob | None:
        """The job that the same request made before.

        Raises:
            KeyError: the key came with another request.
        """
        rows = self._rows("select * from jobs where key = ?", key)
        if rows and rows[0]["asked"] != asked:
            raise KeyError(key)
        return _job_of(rows[0]) if rows else None

    def add_job(self, job: WebJob, key: str | None = None, asked: str = "") -> None:
        """Take up a job. A key makes the same request twice one job."""
        with self._writing():
            columns = ["id", "upload", "name", "ending", "lane", "state", "created_s", "result"]
            values = [*(getattr(job, name) for name in columns), json.dumps(dict(job.options)), key, asked]
            names = ", ".join([*columns, "options", "key", "asked"])
            marks = ", ".join("?" * len(values))
            self._db.execute(f"insert into jobs ({names}) values ({marks})", values)
            self._tell(job.id, "state", {"state": job.state})

    def take(self, lane: Lane) -> WebJob | None:
        """The next job that waits, running from now on."""
        with self._writing():
            waiting = self._jobs("state = 'queued' and lane = ? and not deleted", lane)
            if not waiting:
                return None
            self._set(waiting[0].id, "running", began_s=time.time(), ended_s=None, error="")
            return waiting[0]

    def move(self, id: str, action: Action) -> WebJob | None:
        """Take an action on a job; None where its state does not allow it."""
        before, after = MOVES[action]
        with self._writing():
            job = self.job(id)
            if job is None or job.state not in before:
                return None
            over: dict[str, Any] = (
                {"ended_s": time.time()} if after in OVER else {"ended_s": None, "error": ""}
            )
            self._set(id, after, **over)
            return self.job(id)

    def finish(self, id: str, state: JobState, error: str, report: Mapping[str, Any] | None) -> None:
        """Write down how a job has ended, unless it has been stopped meanwhile."""
        with self._writing():
            if self._rows("select 1 from jobs where id = ? and state = 'running'", id):
                told = None if report is None else json.dumps(report)
                self._set(id, state, error=error, report=told, ended_s=time.time())

    def _set(self, id: str, state: JobState, **columns: object) -> None:
        values = {"state": state, **columns}
        self._db.execute(
            f"update jobs set {', '.join(f'{name} = ?' for name in values)} where id = ?",
            (*values.values(), id),
        )
        said = {"state": state} | ({"error": columns["error"]} if columns.get("error") else {})
        self._tell(id, "state", said)

    def mark_deleted(self, id: str) -> None:
        """Show a job no more; `forget` takes it away when nobody works on it."""
        with self._writing():
            self._db.execute(
                "update jobs set deleted = 1, key = null, state = 'canceled' where id = ?", (id,)
            )
            self._tell(id, "deleted", {})

    def leftover(self, id: str) -> Literal["", "files", "all"]:
        """What of a job is to be taken away: its files, or all of it."""
        row = next(iter(self._rows("select state, deleted from jobs where id = ?", id)), None)
        return (
            "" if row is None else "all" if row["deleted"] else "files" if row["state"] == "canceled" else ""
        )

    def deleted(self) -> list[str]:
        return [row["id"] for row in self._rows("select id from jobs where deleted")]

    def forget(self, id: str) -> None:
        """Take a job out of the database, with what happened to it but its end."""
        with self._writing():
            self._db.execute("delete from jobs where id = ?", (id,))
            self._db.execute("delete from events where job = ? and kind != 'deleted'", (id,))

    # Events

    def _tell(self, job: str, kind: str, data: Mapping[str, Any]) -> None:
        values = (job, kind, json.dumps(data), time.time())
        self._db.execute("insert into events (job, kind, data, at_s) values (?, ?, ?, ?)", values)

    def tell(self, job: str, kind: str, data: Mapping[str, Any]) -> None:
        """Write down that something happened."""
        with self._writing():
            self._tell(job, kind, data)

    def events(self, after: int, job: str = "") -> Iterator[JobEvent]:
        """What happened after an event, to one job or to all."""
        rows = self._rows("select * from events where id > ? and ? in ('', job) order by id", after, job)
        return (JobEvent(row["id"], row["job"], row["kind"], json.loads(row["data"])) for row in rows)

    def last_event(self) -> int:
        return self._rows("select coalesce(max(id), 0) from events")[0][0]

    def forget_events(self, before_s: float) -> None:
        """Drop what happened long ago, to jobs that are gone."""
        with self._writing():
            self._db.execute(
                "delete from events where at_s < ? and job not in (select id from jobs)", (before_s,)
            )

    # Sessions

    def add_session(self, hash: str, until_s: float) -> None:
        with self._writing():
            self._db.execute("delete from sessions where until_s < ?", (time.time(),))
            self._db.execute("insert into sessions values (?, ?)", (hash, until_s))

    def has_session(self, hash: str) -> bool:
        return bool(self._rows("select 1 from sessions where hash = ? and until_s > ?", hash, time.time()))

    def remove_session(self, hash: str) -> None:
        with self._writing():
            self._db.execute("delete from sessions where hash = ?", (hash,))


def _job_of(row: sqlite3.Row) -> WebJob:
    plain = (
        "id",
        "upload",
        "name",
        "ending",
        "lane",
        "state",
        "error",
        "created_s",
        "began_s",
        "ended_s",
        "result",
    )
    report = json.loads(row["report"]) if row["report"] else None
    return WebJob(**{name: row[name] for name in plain}, options=json.loads(row["options"]), report=report)
