"""By what a file is told to be as it was: its size and time, or its bytes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


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


def sha256_of(*files: Path | int) -> str:
    """Hash a file's bytes: its fingerprint, as journals, model cards and the catalogue give it. Of several files,
    those of all, one after the other. Files are named by their paths or descriptors; the latter are closed."""
    digest = hashlib.sha256()
    for each in files:
        with open(each, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
