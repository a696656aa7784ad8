"""By what a file is told: that it is as it was, and which of all files it is, whatever path leads to it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from vsr.pulse import at_work


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is told to be as it was."""

    size: int
    """Bytes."""
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """The stamp of a file; None where there is none."""
        try:
            stat = path.stat()
        except OSError:
            return None
        return cls(stat.st_size, stat.st_mtime_ns)


def stamp(path: Path) -> tuple[int, int, int]:
    """Bytes, time of change and inode of a file; a new name changes none of them."""
    stat = path.lstat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def file_id(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file or folder that a path leads to, through all links; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def real_path(path: Path) -> Path:
    """Where a path leads, through all links; of one that leads in a circle as far as it goes, and no error."""
    return Path(os.path.realpath(path))


def place_of(path: Path) -> tuple[object, str]:
    """The folder that holds a name, and the name: equal for two paths that mean one place, free or taken."""
    return file_id(path.parent) or real_path(path.parent), path.name


def lies_in(path: Path, folder: Path) -> bool:
    """Whether what a path leads to lies below a folder, whatever these are called."""
    wanted = file_id(folder)
    return wanted is not None and any(file_id(parent) == wanted for parent in real_path(path).parents)


def sha256_of(*files: Path | int) -> str:
    """Hash a file's bytes: its fingerprint, as journals, model cards and the catalogue give it. Of several files,
    those of all, one after the other. Files are named by their paths or descriptors; the latter are closed."""
    digest = hashlib.sha256()
    for each in files:
        with open(each, "rb") as file, at_work():
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def begins_with(path: Path, beginning: bytes) -> bool:
    """Whether a place is free, or a plain file lies there, no link, that begins as one of ours does."""
    if not os.path.lexists(path):
        return True
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(beginning)) == beginning
