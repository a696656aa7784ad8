"""How a finished file gets its name: its bytes on the disk before, the name after, nobody else's name lost.

Every file that is kept is named here, whatever made it.
"""

import contextlib
import errno
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vsr.pulse import at_work

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
"""What file systems say that know no such thing for folders (FUSE, SMB, virtual machines' shares)."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
"""The same of second names for one file (FAT, exFAT, some shares)."""


def sync(path: Path) -> None:
    """Wait until a file, or a folder's names, are on the disk; where a folder cannot be asked, do nothing.

    Raises:
        OSError: they cannot be brought there.
    """
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) * (not is_folder))
    except PermissionError:
        if is_folder:
            return  # one that may be written to and not listed, and any on Windows
        raise
    try:
        with at_work():
            os.fsync(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def give_name(finished: Path, target: Path, *, replace: bool = True, synced: bool = True) -> None:
    """Give a finished file its name, on the same file system: at once, and for good.

    Args:
        finished: the file.
        target: the name. A link that bears it is replaced, never followed.
        replace: what bears the name loses it; else the name must be free.
        synced: wait until bytes and name are on the disk.

    Raises:
        FileExistsError: the name is not free.
        OSError: the file cannot have it; then nobody else has lost it, and the file lies where it was.
    """
    if synced:
        sync(finished)
    is_new = not os.path.lexists(target)
    if replace:
        os.replace(finished, target)
    else:
        _take(finished, target)
    if synced:
        try:
            sync(target.parent)
        except OSError:
            if is_new:  # a name that is not safe is not given
                with contextlib.suppress(OSError):
                    os.replace(target, finished)
            raise


def _take(finished: Path, target: Path) -> None:
    """Rename to a name that must be free: a second name is refused where it is not, which a renaming is not."""
    try:
        os.link(finished, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        with contextlib.suppress(OSError):  # it goes with its work folder
            os.unlink(finished)
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.replace(finished, target)


def give_free_name(finished: Path, names: Iterable[Path], *, synced: bool = True) -> Path:
    """Give a finished file, or a link, the first of some names that is free; returns it.

    Raises:
        OSError: it cannot have it.
    """
    for name in names:
        with contextlib.suppress(FileExistsError):
            give_name(finished, name, replace=False, synced=synced)
            return name
    raise FileExistsError(errno.EEXIST, "no name is free", str(finished))


def free_names(path: Path, *, mark: str = "", count: str = " ({})") -> Iterator[Path]:
    """Yield NAME + mark + SUFFIX of a path, then the same with a count after the mark, from 2 on.

    Where there is no room for all of it in a name, the stem is cut.
    """
    folder, stem, suffix = path.parent, path.stem, path.suffix
    yield folder / fitting(folder, stem, f"{mark}{suffix}")
    for number in itertools.count(2):
        yield folder / fitting(folder, stem, f"{mark}{count.format(number)}{suffix}")


def fitting(folder: Path, stem: str, ending: str) -> str:
    """Put an ending to a name; where both are longer than the file system has names, a hash stands for the rest."""
    room = longest_name(folder) - len(os.fsencode(ending))
    raw = os.fsencode(stem)
    if len(raw) <= room:
        return stem + ending
    mark = "~" + hashlib.sha256(raw).hexdigest()[:8]
    return raw[: room - len(mark)].decode("utf-8", "ignore") + mark + ending


def longest_name(folder: Path) -> int:
    """How many bytes a name in a folder may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):
        return 255
