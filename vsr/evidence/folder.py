"""The folder of a record: what lies in it under which name, how it is begun, and how its record is read."""

import os
from pathlib import Path
from typing import Any

from vsr.durable import write_whole
from vsr.errors import ConfigError, SinkError, VerifyError
from vsr.evidence.chain_log import CUT_OFF, LOG, read_log, whole_lines
from vsr.evidence.live_log import is_live
from vsr.evidence.record_shape import check_record
from vsr.evidence.seals import sealed, unsealed


class OccupiedError(ConfigError):
    """A record cannot be made in a folder, because it holds something else."""


RECORD = "record.json"
REPORT = "report.html"
FORMAT = "vsr evidence"
VERSION = 1


def open_folder(folder: Path) -> None:
    """Make the folder of a record, or take the one of a run that was ended before its record was there.

    Raises:
        OccupiedError: it holds something else.
        SinkError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        inside = os.listdir(folder)
    except OSError as error:
        raise SinkError(f"evidence {folder} cannot be made: {error.strerror}") from error
    if RECORD in inside:
        raise OccupiedError(f"evidence {folder} holds a finished record; name a folder that is new or empty")
    if inside and LOG not in inside:
        raise OccupiedError(f"evidence {folder} holds other files; name a folder that is new or empty")


def put(folder: Path, name: str, content: str | bytes, *, again: bool = False) -> None:
    """Write a file of the record, whole. With `again` a run that was ended may have left one of this name.

    Raises:
        SinkError: it cannot be written, or is there already.
    """
    try:
        write_whole(folder / name, content, replace=again)
    except FileExistsError:
        raise SinkError(f"{folder / name} has come to exist meanwhile; name another folder") from None
    except OSError as error:
        raise SinkError(f"{folder / name} cannot be written: {error.strerror or error}") from error


def get(folder: Path, name: str) -> bytes:
    """Read a file of a record.

    Raises:
        VerifyError: it is not there, cannot be read, or is a pipe or a device, which may have no end.
    """
    path = folder / name
    try:
        if path.exists() and not path.is_file():
            raise VerifyError(f"{path} is no file; a record is made of files")
        return path.read_bytes()
    except OSError as error:
        raise VerifyError(f"{path} cannot be read: {error.strerror}") from error


def record_text(record: dict[str, Any]) -> str:
    """A record as it is written."""
    return sealed({"format": FORMAT, "version": VERSION} | record, indent=1)


def load_record(folder: Path) -> dict[str, Any]:
    """Read a folder's record.

    Raises:
        ConfigError: the folder holds none, or one of a later vsr.
        VerifyError: it was changed, or lacks what a record holds; or the log of one that a run has begun and not ended
            was changed.
    """
    if not (folder / RECORD).is_file():
        if is_live(folder):
            raise ConfigError(
                f"{folder} holds the record of a camera: verify and show read it, nothing else does"
            )
        raise ConfigError(
            f"{folder} holds no record{_how_far_begun(folder)}; name the folder that --evidence has filled"
        )
    raw = get(folder, RECORD)
    try:
        record, _ = unsealed(raw.decode(), indent=1)
    except ValueError:
        what = "was changed, its seal does not fit" if raw.endswith(b"\n}\n") else CUT_OFF
        raise VerifyError(f"{folder / RECORD}: {what}") from None
    if record.get("format") != FORMAT or record.get("version") != VERSION:
        raise ConfigError(f"{folder / RECORD} is of another version; a vsr that writes such reads it")
    check_record(record, folder / RECORD)
    return record


def _how_far_begun(folder: Path) -> str:
    """How far a run has come that has begun a record and not ended it; empty where none has."""
    if not (folder / LOG).is_file():
        return ""
    lines, _ = read_log(whole_lines(get(folder, LOG)), folder / LOG)
    return f": a run was cut off or is at work, its log stands up to line {len(lines)}"
