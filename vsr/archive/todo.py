"""What of an archive is to be done, and why: each source held against what the
state knows of it. Changes nothing."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vsr.archive.entry import Entry, differences, key_of, text_of, what_lies_at
from vsr.archive.file_record import has_record
from vsr.durable import Stamp, sha256_of, were_promised, work_folder
from vsr.jobs import Job, sampled_hash, targets_of


@dataclass(frozen=True, slots=True)
class Again:
    """What is done although it would be left alone."""

    overwrite: bool = False
    """Replace files that lie where results belong and were not made here."""
    retry: bool = False
    """Try again what could not be read or verified before; other failures are tried again in any case."""
    verify: bool = False
    """Hash the results of earlier runs, and make those again whose bytes are not what was written."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A job that cannot be done, because its result would take the place of another one's."""

    job: Job
    reason: str


@dataclass
class Todo:
    """What is to be done."""

    jobs: list[Job] = field(default_factory=list[Job])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    """By result, of each of them."""
    entries: list[Entry] = field(default_factory=list[Entry])
    """What the state must take up before."""
    conflicts: list[Conflict] = field(default_factory=list[Conflict])


def make_todo(
    jobs: Iterable[Job],
    out: Path,
    known: Mapping[str, Entry],
    wishes: Mapping[str, str],
    again: Again = Again(),
    *,
    ending: str = "",
    recorded: bool = False,
) -> Todo:
    """Look at every job and what is known of it. Opens only sources that look
    changed, and with `verify` results.

    Args:
        jobs: with results in `out`.
        out: folder of results.
        known: by result.
        wishes: as `wishes_of` gives them.
        again: what is done although it would be left alone.
        ending: of second outputs; empty for none.
        recorded: what has no record is done again.
    """
    todo, taken = Todo(), dict[str, Job]()
    for job in jobs:
        key = key_of(job, out)
        entry = known.get(key)
        fresh = _fresh(key, job, wishes, entry)
        if conflict := job.clash or _conflict(job, entry, fresh, taken.get(key), again):
            todo.conflicts.append(Conflict(job, conflict))
            continue
        taken[key] = job
        if (foreign := _foreign(job, entry, ending)) and not again.overwrite:
            error = f"{foreign} exists and was not made here; pass --overwrite to replace it"
            todo.entries.append(replace(fresh, status="failed", error=error))
            continue
        reason = "new" if entry is None else _reason(job, entry, fresh, again)
        if not reason and recorded and entry is not None and entry.status == "done":
            reason = "" if has_record(entry) else "has no record"
        if reason:
            todo.jobs.append(job)
            todo.reasons[key] = reason
        todo.entries += _news(entry, fresh, reason)
    return todo


def _news(entry: Entry | None, fresh: Entry, reason: str) -> list[Entry]:
    """What the state must take up of a job that is to be done for this reason, or for none."""
    if entry is None or (reason and reason != UNFINISHED):
        return [fresh]
    if not reason and entry.status == "done" and fresh.stamp not in (None, entry.stamp):
        return [replace(entry, stamp=fresh.stamp)]  # the same contents at another time
    return []


UNFINISHED = "not finished"


def _fresh(key: str, job: Job, wishes: Mapping[str, str], entry: Entry | None) -> Entry:
    """A job as it waits to be done; of an earlier result it is known that it is ours."""
    fresh = Entry(key, text_of(job.path.absolute()), Stamp.of(job.path), wishes=wishes)
    if entry is None:
        return fresh
    return replace(fresh, version=entry.version, made=entry.made, record=entry.record)


def _foreign(job: Job, entry: Entry | None, ending: str) -> Path | None:
    """What lies in a result's place, or its second output's, and was not made here: not by one that is done, and not
    by one that was begun."""
    record = entry.record or {} if entry else {}
    is_begun = entry is not None and entry.before not in (None, what_lies_at(job.target))
    is_made = [entry is not None and entry.made is not None, bool(record.get("also"))]
    there = zip(targets_of(job, ending), is_made, strict=False)
    foreign = [path for path, made in there if os.path.lexists(path) and not made and not is_begun]
    folder = work_folder(job.target)
    return next((path for path in foreign if not were_promised([path], folder)), None)


def _conflict(job: Job, entry: Entry | None, fresh: Entry, other: Job | None, again: Again) -> str:
    """Say whose place a job's result would take; empty where nobody's."""
    if other is not None:
        return f"{job.path} and {other.path} would both become {job.target}; give --name '{{name}}{{ext}}'"
    if (
        entry is None
        or fresh.source == entry.source
        or again.overwrite
        or not _has_changed(job, entry, fresh)
    ):
        return ""
    if entry.made is None and not Path(entry.source).exists():
        return ""
    return (
        f"{job.target} is the result of {entry.source}, another file; name another folder for the results, or pass"
        " --overwrite to replace it"
    )


def _reason(job: Job, entry: Entry, fresh: Entry, again: Again) -> str:
    """Say why a job is to be done; empty where it is not."""
    if _has_changed(job, entry, fresh):
        return "source has changed"
    if entry.wishes != fresh.wishes:
        return f"options have changed: {differences(entry.wishes, fresh.wishes)}"
    if entry.status in ("waiting", "working"):
        return UNFINISHED
    if entry.status == "done":
        return _fault(job, entry, again)
    return "failed before" if again.retry or not entry.lasting else ""


def _has_changed(job: Job, entry: Entry, fresh: Entry) -> bool:
    old, new = entry.stamp, fresh.stamp
    if old == new or old is None or new is None:
        return False  # one that is not there, or was not, has its error
    same = entry.mark and old.size == new.size and sampled_hash(job.path) == entry.mark
    return not same


def _fault(job: Job, entry: Entry, again: Again) -> str:
    """What is wrong with the result of a finished entry."""
    there, record = Stamp.of(job.target), entry.record or {}
    if there is None:
        return "result is missing"
    if there != entry.made:
        return "result has been changed"
    files = [file for file in (record.get("result"), record.get("also")) if file]
    stamps = [Stamp.of(job.target.with_name(file["path"])) for file in files]
    if [stamp and stamp.size for stamp in stamps] != [file["bytes"] for file in files]:
        return "second output is missing or has been changed"
    if again.verify and any(
        sha256_of(job.target.with_name(file["path"])) != file["sha256"] for file in files
    ):
        return "result is damaged on the disk"
    return ""
