"""Work folders without a mark, which 0.4.0 has left behind: whether one is ours beyond doubt."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from vsr.durable import WorkFolder, hold, work_folder
from vsr.jobs.segments.journal_records import JOURNAL, SEGMENT, read_records

_TEMPORARY = re.compile(
    r"\d{6}\.(?:\d+-)?[0-9a-f]{6}\.part|(?:square-)?joined\.(?:mp4|mkv|mov|webm)|seen-[0-9a-f]{32}"
)
"""What else 0.4.0 had in such folders."""

_CARRY = re.compile(r"\.carry-\w{8}")
"""A folder of converted sound and subtitles."""


def is_unmarked_job(folder: Path, names: Iterable[str]) -> bool:
    """Whether a folder without a mark is that of a job of 0.4.0.

    Its journal must begin with a line that is whole and sealed, and tell of a result whose folder this is, and every
    other file must have a name that 0.4.0 gave.
    """
    records = read_records(folder)
    if records is None or work_folder(Path(records.told.get("target", ""))).name != folder.name:
        return False
    known = re.compile("|".join([JOURNAL, *(each.pattern for each in (SEGMENT, _TEMPORARY, _CARRY))]))
    return all(known.fullmatch(name) for name in names)


def adopt_unmarked(work: WorkFolder) -> bool:
    """Take up such a folder if it is one: nobody must be at work there, and what was temporary goes.

    Raises:
        SinkError: another process is at work in it.
    """
    names = work.names()
    if not is_unmarked_job(work.path, names):
        return False
    journal = work.open(JOURNAL, os.O_RDWR)
    try:
        hold(journal, work.path)
        work.remove(*(name for name in names if _TEMPORARY.fullmatch(name)))
        for name in filter(_CARRY.fullmatch, names):
            shutil.rmtree(work.path / name)
    finally:
        os.close(journal)
    return True
