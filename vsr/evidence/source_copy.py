"""A copy of the source in the folder of its record, for who wants both in one place."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vsr.durable import sha256_of, whole
from vsr.errors import ConfigError, SinkError, VerifyError
from vsr.jobs import COPIES
from vsr.pulse import at_work


def copy_source(files: Sequence[Path], folder: Path, sha256: str) -> dict[str, Any]:
    """Copy files with their times, and hash the copies. What an ended run has copied is not copied again.

    Args:
        files: of the source.
        folder: of the record.
        sha256: of the files' bytes, one after the other.

    Returns:
        What the record tells of it.

    Raises:
        ConfigError: two files have one name.
        SinkError: a copy cannot be written.
        VerifyError: the copies are not what the source was when it was hashed.
    """
    copies = [folder / COPIES / file.name for file in files]
    if len(set(copies)) < len(files):
        raise ConfigError("copy-source: two files of the source have one name; copy them yourself")
    try:
        (folder / COPIES).mkdir(exist_ok=True)
        for file, copy in zip(files, copies, strict=True):
            if not copy.exists():
                with at_work(), whole(copy, replace=False) as part:
                    shutil.copy2(file, part)
    except OSError as error:
        raise SinkError(
            f"{folder / COPIES}: the source cannot be copied: {error.strerror or error}"
        ) from error
    told = {"files": [copy.name for copy in copies], "sha256": sha256}
    check_copy(folder, told)
    return told


def check_copy(folder: Path, told: dict[str, Any]) -> str:
    """Hash the copies once more; returns what is to be said of them.

    Raises:
        VerifyError: one is not there, or they are not what the source was.
    """
    copies = [folder / COPIES / name for name in told["files"]]
    named = copies[0] if len(copies) == 1 else folder / COPIES
    try:
        found = sha256_of(*copies)
    except OSError as error:
        raise VerifyError(f"copy {error.filename} cannot be read: {error.strerror}") from None
    if found != told["sha256"]:
        raise VerifyError(f"copy {named} is not the source of the record: it was changed")
    return f"copy of the source: SHA-256 {found}"
