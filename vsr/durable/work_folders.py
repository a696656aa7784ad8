"""A work folder: `.NAME.vsr/` beside a file to be, where all that is made for it lies until it has its name.

Results lie among files of others, so nothing here follows a link, opens what was not made here, or removes it.
A mark says that the folder is ours: made with it, exclusively, and locked by the process that is at work.
"""

import contextlib
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Self

from vsr.durable.file_names import longest_name
from vsr.durable.marks import MARK, OWN, NotOursError, entered
from vsr.durable.stamps import stamp
from vsr.errors import SinkError

_TEMPORARY = re.compile(r"(?:[a-z0-9]+-)+[0-9a-f]{16}(?:\.\w+)*")
"""What `fresh_name` gives, and what is named after that."""


def work_folder(target: Path) -> Path:
    """Where what is made for a file lies until it has its name."""
    name = target.name
    is_utf8 = not any("\udc80" <= letter <= "\udcff" for letter in name)
    if not is_utf8 or len(os.fsencode(name)) > min(200, longest_name(target.parent) - 5):
        # FFmpeg takes UTF-8, a file system so many bytes.
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return target.with_name(f".{name}.vsr")


def fresh_name(what: str, ending: str = "") -> str:
    """Return a name for a file in a work folder that nobody can have foreseen.

    Args:
        what: small letters and digits, in words parted by `-`.
        ending: such as `.nut`.
    """
    return f"{what}-{os.urandom(8).hex()}{ending}"


_held = Counter[tuple[int, int]]()
"""How often this process holds each folder, by device and inode."""


class WorkFolder:
    """A work folder, made or taken up, and held by this process until `close`. Used by one thread.

    Who holds it while others of this process do so, too, has the mark stay for as long: what has got its name is
    known for ours until all is done that belongs to it.
    """

    def __init__(self, path: Path, adopt: "Callable[[WorkFolder], bool]" = lambda _: False):
        """Make the folder, or take up what a process that was killed has left of it.

        Args:
            path: as `work_folder` gives it.
            adopt: whether a folder without a mark is ours in spite of that.

        Raises:
            NotOursError: it is a link, or was not made here, or somebody else's.
            SinkError: it cannot be written to, or another process is at work in it.
        """
        self.path, self._mark = path, -1
        self._key: tuple[int, int] | None = None
        self._descriptor: int | None = None
        made = False
        try:
            with contextlib.suppress(FileExistsError):
                path.mkdir(0o700)
                made = True
            self._descriptor = entered(path)
            self._uid = self._own_uid()
            self._mark = self._marked(adopt)
            self._hold()
        except OSError as error:
            if made:
                self.close()
            self.release()
            raise SinkError(
                f"folder {str(path)!r} cannot be written to: {error.strerror or error}"
            ) from error
        except BaseException:
            self.release()
            raise

    def _hold(self) -> None:
        facts = os.stat(self.path if self._descriptor is None else self._descriptor)
        key = facts.st_dev, facts.st_ino
        if not _held[key]:
            hold(self._mark, self.path)
            self.sweep()
        self._key = key
        _held[key] += 1

    def _own_uid(self) -> int:
        """Whose files are in here; raise NotOursError where these are not of this user.

        Asked of the file system where numbers differ, which may show ours as another's (NFS, SMB).
        """
        uid = os.stat(self.path if self._descriptor is None else self._descriptor).st_uid
        if hasattr(os, "geteuid") and uid != os.geteuid():
            probe = fresh_name("probe")
            descriptor = os.open(
                self._at(probe), os.O_CREAT | os.O_EXCL | os.O_WRONLY | OWN, 0o600, dir_fd=self._descriptor
            )
            try:
                made_as = os.fstat(descriptor).st_uid
            finally:
                os.close(descriptor)
                self.remove(probe)
            if made_as != uid:
                raise NotOursError(self.path, "is the folder of another user")
        return uid

    def _marked(self, adopt: "Callable[[WorkFolder], bool]") -> int:
        flags = os.O_RDWR | os.O_APPEND
        with contextlib.suppress(FileNotFoundError):
            return self.open(MARK, flags)
        if self.names() and not adopt(self):
            raise NotOursError(self.path, "was not made by vsr")
        if self._descriptor is not None:  # an empty one may be anybody's to write to; ours never are
            with contextlib.suppress(OSError):
                os.fchmod(self._descriptor, 0o700)
        try:
            mark = self.open(MARK, flags | os.O_CREAT | os.O_EXCL)
        except FileExistsError:  # another process was quicker
            return self.open(MARK, flags)
        os.write(mark, b"vsr works here, and removes this folder when the file beside it is finished.\n")
        return mark

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self.path / name)

    def open(self, name: str, flags: int) -> int:
        """Open a file of the folder by its descriptor; returns the file's.

        Raises:
            NotOursError: it is a link, has a second name, or is another user's.
            OSError: it cannot be opened.
        """
        try:
            descriptor = os.open(self._at(name), flags | OWN, 0o600, dir_fd=self._descriptor)
        except OSError:
            if self._is_link(name):
                raise NotOursError(self.path / name, "is a link") from None
            raise
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1 or facts.st_uid != self._uid:
            os.close(descriptor)
            raise NotOursError(self.path / name, "was not made by vsr")
        return descriptor

    def _is_link(self, name: str) -> bool:
        with contextlib.suppress(OSError):
            return stat.S_ISLNK(
                os.stat(self._at(name), follow_symlinks=False, dir_fd=self._descriptor).st_mode
            )
        return False

    def names(self) -> list[str]:
        """Return what lies in the folder, but for the mark."""
        found = os.listdir(self.path if self._descriptor is None else self._descriptor)
        return [name for name in found if name != MARK]

    def fresh(self, what: str, ending: str = "") -> Path:
        """Return where a file may be made, as `fresh_name` has it; it goes with `sweep` and `close`."""
        return self.path / fresh_name(what, ending)

    def rename(self, old: str, new: str) -> None:
        """Rename a file within the folder, over what bears the name."""
        by = self._descriptor
        os.replace(self._at(old), self._at(new), src_dir_fd=by, dst_dir_fd=by)

    def remove(self, *names: str) -> None:
        """Remove files, each if it is there; links are removed, not followed."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._at(name), dir_fd=self._descriptor)

    def size_of(self, name: str) -> int:
        """Bytes of a file; 0 where there is none."""
        with contextlib.suppress(OSError):
            return os.stat(self._at(name), follow_symlinks=False, dir_fd=self._descriptor).st_size
        return 0

    def sweep(self) -> int:
        """Remove the files that are not wanted beyond the process that made them; returns the size of the largest."""
        left = [name for name in self.names() if _TEMPORARY.fullmatch(name)]
        largest = max(map(self.size_of, left), default=0)
        self.remove(*left)
        return largest

    def promise(self, *finished: Path) -> None:
        """Write down which files are about to get their names, so that one who was killed then knows his own."""
        lines = "".join(f"{' '.join(map(str, stamp(each)))}\n" for each in finished)
        rest = memoryview(lines.encode())
        while rest:
            rest = rest[os.write(self._mark, rest) :]
        os.fsync(self._mark)

    def close(self) -> Collection[str]:
        """Remove what is temporary, and the folder if nothing else lies in it; returns what does. Harmless twice."""
        if self._key is None and self._mark < 0:
            return ()
        try:
            self.sweep()
            left = self.names()
            if not left and self._key is not None and _held[self._key] == 1:
                self.remove(MARK)
                os.rmdir(self.path)
            return left
        except OSError:
            return ()  # what is left is taken up by the next run
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the folder, and leave it as it is. Harmless twice."""
        for descriptor in (self._mark, self._descriptor):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        if self._key is not None:
            _held[self._key] -= 1
        self._mark, self._descriptor, self._key = -1, None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hold(descriptor: int, folder: Path) -> None:
    """Take an open file of a work folder for this process, until it is closed.

    Raises:
        SinkError: another process holds it, or has just taken the folder away.
    """
    try:
        import fcntl
    except ImportError:
        return  # Windows
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SinkError(f"another process is at work in {str(folder)!r}; wait for it or end it") from None
    except OSError:
        return  # a file system without locks
    if os.fstat(descriptor).st_nlink == 0:
        raise SinkError(f"{str(folder)!r} has just been finished or removed by another process; start again")
