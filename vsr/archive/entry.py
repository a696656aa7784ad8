"""What the state of an archive knows of one source, and its row in the database."""

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vsr.durable import Stamp
from vsr.errors import SinkError, one_line
from vsr.jobs import Job

TABLE = """
create table files (
    result text primary key, source text, size integer, mtime_ns integer, mark text, wishes text,
    status text, owner integer, deaths integer default 0, before text, lasting integer default 0, error text,
    result_size integer, result_mtime_ns integer, record text, version integer default 0,
    unsigned integer default 0);
create index by_status on files (status);
"""
UNSIGNED = "alter table files add column unsigned integer default 0"
"""Of a state that was written before there was this column."""

Status = Literal["waiting", "working", "done", "failed", "unverified"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one source."""

    result: str
    """Path of the result in the folder of results, with /."""
    source: str
    """Absolute path."""
    stamp: Stamp | None = None
    """Of the source when it was entered or claimed."""
    mark: str = ""
    """Hash of samples of the source, once it is done."""
    wishes: Mapping[str, str] = field(default_factory=dict[str, str])
    status: Status = "waiting"
    owner: int | None = None
    """The worker that has claimed it."""
    deaths: int = 0
    """How often a process has died at it."""
    before: str | None = None
    """What lay in the result's place when it was claimed first; empty for
    nothing, None where it was not claimed."""
    lasting: bool = False
    """It failed for what the source is, and would fail again."""
    unsigned: bool = False
    """It failed for what signs records, and for nothing of the file; another try may do."""
    error: str = ""
    made: Stamp | None = None
    """Of the finished result."""
    record: Mapping[str, Any] | None = None
    """Where the result comes from."""
    version: int = 0
    """Counts changes."""


def what_lies_at(place: Path) -> str:
    """Describe what lies in a result's place, so that it is known again; empty where nothing does."""
    there = Stamp.of(place)
    return f"{there.size}:{there.mtime_ns}" if there else ""


def text_of(path: Path | str) -> str:
    """Return a path as text that every file and database takes; bytes that are not UTF-8 are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def key_of(job: Job, out: Path) -> str:
    """Return by what name the state knows a job whose result lies in `out`."""
    return text_of(job.target.relative_to(out).as_posix())


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Say which options differ, in a few words."""
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    told = [f"{name} {old.get(name) or 'none'} (now {new.get(name) or 'none'})" for name in names[:3]]
    return ", ".join(told) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


_PLAIN = ("result", "source", "mark", "status", "owner", "deaths", "before", "error", "version")
"""Columns that hold a field as it is."""


def from_row(row: sqlite3.Row) -> Entry:
    """Return the entry of a row.

    Raises:
        SinkError: the row is damaged.
    """
    try:
        return _from_row(row)
    except (ValueError, TypeError, LookupError) as error:
        raise SinkError(
            f"the state's row of {row['result']!r} is damaged ({one_line(error, 80)}); remove .vsr/state.sqlite beside"
            " the results to begin anew"
        ) from error


def _from_row(row: sqlite3.Row) -> Entry:
    return Entry(
        **{name: row[name] for name in _PLAIN},
        stamp=_stamp(row["size"], row["mtime_ns"]),
        wishes=json.loads(row["wishes"]),
        lasting=bool(row["lasting"]),
        unsigned="unsigned" in row.keys() and bool(row["unsigned"]),  # noqa: SIM118
        made=_stamp(row["result_size"], row["result_mtime_ns"]),
        record=json.loads(row["record"]),
    )


def _stamp(size: int | None, mtime_ns: int | None) -> Stamp | None:
    return None if size is None or mtime_ns is None else Stamp(size, mtime_ns)


def to_row(entry: Entry) -> dict[str, Any]:
    """Return an entry's row, by the names of its columns."""
    stamp, made = entry.stamp, entry.made
    return {name: getattr(entry, name) for name in _PLAIN} | {
        "size": stamp and stamp.size,
        "mtime_ns": stamp and stamp.mtime_ns,
        "wishes": json.dumps(entry.wishes),
        "lasting": int(entry.lasting),
        "unsigned": int(entry.unsigned),
        "result_size": made and made.size,
        "result_mtime_ns": made and made.mtime_ns,
        "record": json.dumps(entry.record),
    }
