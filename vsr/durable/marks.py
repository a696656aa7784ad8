"""What anybody may ask of a folder before work begins in it: whether it is a work folder of ours, and what its mark
promises. Nothing here follows a link."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from vsr.durable.stamps import stamp
from vsr.errors import SinkError

MARK = "made-by-vsr"
"""A line that says what the folder is, then one for each file that was about to leave it for its name."""

OWN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""How every file of a work folder is opened, whatever it is opened for."""
_BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.listdir in os.supports_fd  # not on Windows


class NotOursError(SinkError):
    """Where work is to lie is something that was not made here."""

    def __init__(self, path: Path, what: str):
        super().__init__(
            f"{str(path)!r} {what}, so it is left alone; move it away or name another output, as work is to lie there"
        )


def entered(path: Path) -> int | None:
    """Open a folder that is no link; None where the system has no descriptors of folders."""
    if path.is_symlink() or not path.is_dir():
        raise NotOursError(path, "is a link" if path.is_symlink() else "is no folder")
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | OWN) if _BY_DESCRIPTOR else None


def read_plain(folder: Path, name: str) -> bytes | None:
    """Read a file of a work folder that may be anybody's, through no link; None where there is none."""
    try:
        at = entered(folder)
    except (OSError, NotOursError):
        return None
    try:
        descriptor = os.open(name if at is not None else str(folder / name), os.O_RDONLY | OWN, dir_fd=at)
    except OSError:
        return None
    finally:
        if at is not None:
            os.close(at)
    with open(descriptor, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def is_marked(folder: Path) -> bool:
    """Whether a folder bears our mark."""
    return read_plain(folder, MARK) is not None


def were_promised(files: Sequence[Path], folder: Path) -> bool:
    """Whether files are such as were about to leave a work folder for their names when the process was killed, or had
    left it and something that belongs to them was not done.

    Args:
        files: what bears a result's name, or the names of its pictures, and a second output's.
        folder: of the result.
    """
    told = read_plain(folder, MARK)
    if told is None or any(file.is_symlink() or not file.is_file() for file in files):
        return False
    return {" ".join(map(str, stamp(file))).encode() for file in files} <= set(told.splitlines())
