"""What the server remembers: uploads, jobs, what happened to them, who has logged in. In SQLite, one process.

How far a job has come is not told here but in its archive; bytes of uploads lie in files, whose size is how much of
them has come.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from vsr.web.database import Database
from vsr.web.records import (
    MOVES,
    OVER,
    Action,
    Delivery,
    JobEvent,
    JobState,
    Lane,
    Place,
    Upload,
    Webhook,
    WebJob,
)


class Store:
    """The database of a data folder, until `close`. Used by any thread."""

    def __init__(self, path: Path):
        """Open it, or begin it. What was running when the last server ended waits again.

        Raises:
            SinkError: it cannot be opened, or is another version's.
        """
        self.database = Database(path)
        self.close = self.database.close
        self._rows, self._write = self.database.rows, self.database.write
        self._writing = self.database.writing
        with self._writing():
            for job in self._jobs("state = 'running'"):
                self._set(job.id, "queued")

    # Uploads

    def add_upload(self, upload: Upload) -> None:
        with self._writing():
            self._write("insert into uploads values (?, ?, ?, ?, ?)", *astuple(upload))

    def uploads(self) -> list[Upload]:
        return [Upload(*row) for row in self._rows("select * from uploads order by touched_s")]

    def upload(self, id: str) -> Upload | None:
        return next((Upload(*row) for row in self._rows("select * from uploads where id = ?", id)), None)

    def touch(self, id: str, at_s: float | None = None) -> None:
        """Count an upload's time from now, or from another time; from 0, it has expired."""
        with self._writing():
            at_s = time.time() if at_s is None else at_s
            self._write("update uploads set touched_s = ? where id = ?", at_s, id)

    def remove_upload(self, id: str) -> bool:
        """Forget an upload; False where a job needs it."""
        with self._writing():
            unneeded = "id = ? and id not in (select upload from jobs)"
            return bool(self._write(f"delete from uploads where {unneeded}", id))

    # Jobs

    def _jobs(self, where: str, *values: object) -> list[WebJob]:
        rows = self._rows(f"select * from jobs where {where} order by turn", *values)
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
            values = {name: getattr(job, name) for name in columns}
            values |= {"options": json.dumps(dict(job.options)), "key": key, "asked": asked}
            values |= {"webhook": json.dumps(asdict(job.webhook))} if job.webhook else {}
            marks = ", ".join("?" * len(values))
            turn = "(select coalesce(max(turn), 0) + 1 from jobs)"
            self._write(
                f"insert into jobs ({', '.join(values)}, turn) values ({marks}, {turn})", *values.values()
            )
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

    def reorder(self, id: str, where: Place) -> WebJob | None:
        """Have a job that waits done earlier or later than others of its lane; None where it does not wait."""
        with self._writing():
            job = self.job(id)
            if job is None or job.state != "queued":
                return None
            waiting = "state = 'queued' and lane = ? and not deleted order by turn"
            rows = self._rows(f"select id, turn from jobs where {waiting}", job.lane)
            line, turns = [row["id"] for row in rows], [row["turn"] for row in rows]
            there = line.index(id)
            to = {"first": 0, "up": max(0, there - 1), "down": there + 1, "last": len(line)}[where]
            line.insert(to, line.pop(there))
            for each, turn in zip(line, turns, strict=True):
                self._write("update jobs set turn = ? where id = ?", turn, each)
            self._tell(id, "moved", {})
            return job

    def finish(self, id: str, state: JobState, error: str, report: Mapping[str, Any] | None) -> None:
        """Write down how a job has ended, unless it has been stopped meanwhile."""
        with self._writing():
            if self._rows("select 1 from jobs where id = ? and state = 'running'", id):
                told = None if report is None else json.dumps(report)
                self._set(id, state, error=error, report=told, ended_s=time.time())

    def _set(self, id: str, state: JobState, **columns: object) -> None:
        values = {"state": state, **columns}
        columns_set = ", ".join(f"{name} = ?" for name in values)
        self._write(f"update jobs set {columns_set} where id = ?", *values.values(), id)
        said = {"state": state} | ({"error": columns["error"]} if columns.get("error") else {})
        self._tell(id, "state", said)
        if state in OVER:
            self._announce(id)

    def mark_deleted(self, id: str) -> None:
        """Show a job no more; `forget` takes it away when nobody works on it."""
        with self._writing():
            is_over = self._rows("select 1 from jobs where id = ? and ended_s is not null", id)
            self._write("update jobs set deleted = 1, key = null, state = 'canceled' where id = ?", id)
            self._tell(id, "deleted", {})
            if not is_over:
                self._announce(id)

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
            self._write("delete from jobs where id = ?", id)
            self._write("delete from events where job = ? and kind != 'deleted'", id)

    # Events

    def _tell(self, job: str, kind: str, data: Mapping[str, Any]) -> None:
        values = (job, kind, json.dumps(data), time.time())
        self._write("insert into events (job, kind, data, at_s) values (?, ?, ?, ?)", *values)

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
            self._write("delete from events where at_s < ? and job not in (select id from jobs)", before_s)

    # Messages to webhooks

    def _announce(self, id: str) -> None:
        """Have a webhook told that its job is over."""
        for job in self._jobs("id = ? and webhook != ''", id):
            about = {
                "job": id,
                "upload": job.upload,
                "name": job.name,
                "state": job.state,
                "error": job.error,
            }
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            body = json.dumps({"type": f"job.{job.state}", "timestamp": now, "data": about})
            assert job.webhook is not None
            values = (f"msg_{secrets.token_hex(12)}", id, job.webhook.url, job.webhook.secret, body)
            columns = "id, job, url, secret, body, due_s"
            self._write(f"insert into deliveries ({columns}) values (?, ?, ?, ?, ?, 0)", *values)

    def due_deliveries(self, most: int) -> list[Delivery]:
        """Messages whose time has come, those that have waited longest first."""
        fields = "id, job, url, secret, body, tries"
        query = f"select {fields} from deliveries where due_s <= ? order by due_s limit ?"
        return [Delivery(*row) for row in self._rows(query, time.time(), most)]

    def put_off(self, delivery: Delivery, due_s: float) -> None:
        """Try a message again at a time."""
        with self._writing():
            tries = delivery.tries + 1
            self._write("update deliveries set tries = ?, due_s = ? where id = ?", tries, due_s, delivery.id)

    def settle(self, delivery: Delivery, note: str) -> None:
        """Forget a message that was taken or never will be; a note tells its job of it."""
        with self._writing():
            self._write("delete from deliveries where id = ?", delivery.id)
            if note and self.job(delivery.job):
                self._tell(delivery.job, "note", {"text": note})

    # Sessions

    def add_session(self, hash: str, until_s: float) -> None:
        with self._writing():
            self._write("delete from sessions where until_s < ?", time.time())
            self._write("insert into sessions values (?, ?)", hash, until_s)

    def has_session(self, hash: str) -> bool:
        return bool(self._rows("select 1 from sessions where hash = ? and until_s > ?", hash, time.time()))

    def remove_session(self, hash: str) -> None:
        with self._writing():
            self._write("delete from sessions where hash = ?", hash)


_PLAIN = (
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
"""Columns that are fields of a job as they stand."""


def _job_of(row: sqlite3.Row) -> WebJob:
    report = json.loads(row["report"]) if row["report"] else None
    webhook = Webhook(**json.loads(row["webhook"])) if row["webhook"] else None
    plain = {name: row[name] for name in _PLAIN}
    return WebJob(**plain, options=json.loads(row["options"]), report=report, webhook=webhook)
