"""Files that outlive a power cut: hashed, on the disk before they are named, there whole or as they were before.

Never decides what a file is called or when it goes; that is its owner's.
"""

import contextlib
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import SinkError


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
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def sha256_of(*paths: Path) -> str:
    """Hash a file's bytes: its fingerprint, as journals, model cards and the catalogue give it. Of several files,
    those of all, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def whole(path: Path, *, synced: bool = True) -> Generator[Path]:
    """Give a name beside `path` to write to; the file takes its own when the block ends well, else nothing is left.

    Whoever has moved what lies there himself may: then nothing is renamed.

    Args:
        path: where the file is to be; what was there before stays until the new one is whole.
        synced: wait until its bytes are on the disk before it is named.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.name[:40]}.{os.getpid()}.part")
    try:
        yield part
        if part.exists():
            if synced:
                sync(part)
            os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_whole(path: Path, content: str | bytes, *, synced: bool = True) -> None:
    """Write a text (UTF-8) or bytes with `whole`.

    Raises:
        OSError: it cannot be written.
    """
    with whole(path, synced=synced) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def rename(finished: Path, target: Path) -> None:
    """Give a finished file its name, over what bears it.

    Raises:
        SinkError: it cannot have it.
    """
    try:
        os.replace(finished, target)
    except OSError as error:
        raise SinkError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error
