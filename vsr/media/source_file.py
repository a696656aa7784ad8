"""A local file as FFmpeg reads it here: through us, because its demuxers take a disk that fails for the end
of the file, or for damage, and go on.

Never opens what is no plain file: a pipe would wait for ever.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Generator
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from vsr.errors import ReadError, SourceError

_PAUSES_S = (0.1, 0.4, 1.5)
"""Before each new try where the disk or the network behind a file fails; a drive that wakes up needs about so long."""

_LASTING = frozenset({errno.EISDIR, errno.EINVAL, errno.EBADF})
"""Errors that no new try changes."""

_LOOKED_AT = 4 << 20
"""Bytes of a broadcast."""


class SourceFile:
    """A file that is read from and sought in. After a failure it ends where it failed, and `check` tells.

    Used by one thread at a time. It is closed when nobody has it any more: PyAV's containers do not close what
    they are given.
    """

    def __init__(self, path: Path, begin: int = 0):
        """Open a plain file, as if it began at a position of it.

        Raises:
            SourceError: there is none, or it is a folder, a pipe or a device.
        """
        check_plain(path)
        self.name = str(path)
        """Demuxers look at its ending."""
        self._failures: list[BaseException] = []
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise SourceError(f"cannot open {str(path)!r}: {error.strerror}") from error
        self._begin = begin
        self._file.seek(begin)
        self.read = read_by(partial(_read, self._file), self._failures)
        """Takes a number of bytes, gives at most so many; none at the end, and where reading has failed."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; -1 where there can be none, as hostile files ask for."""
        try:
            return (
                self._file.seek(offset + (self._begin if whence == os.SEEK_SET else 0), whence) - self._begin
            )
        except (OSError, OverflowError):
            return -1

    def rewind(self) -> None:
        """Go to the beginning."""
        self.seek(0)

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._file.tell() - self._begin

    def check(self) -> None:
        """Raise what has stopped the reading, if anything has.

        Raises:
            ReadError: the disk or the network behind the file has failed.
            BaseException: an interrupt that came while FFmpeg was reading.
        """
        failure = self._failures[0] if self._failures else None
        if isinstance(failure, OSError):
            raise ReadError(
                f"cannot read {self.name!r}: {failure.strerror} at byte {self._file.tell()}; the disk or network"
                " failed, not the file: look after it and try again"
            ) from failure
        if failure is not None:
            self._failures.clear()
            raise failure

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it could not be opened
            self._file.close()


def read_by(read: Callable[[int], bytes], failures: list[BaseException]) -> Callable[[int], bytes]:
    """The same function as C may call it: what is raised in it is kept, and nothing is read any more."""
    reading = _reading(read, failures)
    next(reading)
    return reading.send


def _reading(read: Callable[[int], bytes], failures: list[BaseException]) -> Generator[bytes, int, None]:
    """What `read_by` does.

    A generator, because C calls it and drops interrupts: one that comes at that moment is raised inside of the
    block that keeps it, while a function would not have begun its own.
    """
    data = b""
    while True:
        try:
            while True:
                size = yield data
                data = b"" if failures else read(size)
        except GeneratorExit:
            raise
        except BaseException as failure:
            failures.append(failure)
            data = b""


def _read(file: FileIO, size: int) -> bytes:
    for pause in _PAUSES_S:
        try:
            return file.read(size)
        except OSError as error:
            if error.errno in _LASTING:
                raise
            time.sleep(pause)
    return file.read(size)


def check_plain(path: Path, wanted: str = "a video file") -> None:
    """Make sure of a plain file without opening it: a pipe without a writer would wait for ever.

    Raises:
        SourceError: there is none, or it is something else.
    """
    try:
        if path.is_file():
            return
        what = "no such file"
        if path.is_dir():
            what = f"it is a folder, {wanted} is wanted"
        elif path.exists():
            what = f"it is a pipe or device, {wanted} is wanted"
    except (OSError, ValueError) as error:
        what = str(getattr(error, "strerror", None) or error)
    raise SourceError(f"cannot open {str(path)!r}: {what}")


def check_read(container: Any) -> None:
    """Raise what has stopped the reading of a container that `open_container` has opened, if anything has."""
    opened = getattr(container, "file", None)
    if opened is not None:
        opened.file.check()


def is_scrambled(path: Path, pid: int) -> bool:
    """Whether a broadcast's packets of a stream are encrypted, as far as its first megabytes show.

    ISO/IEC 13818-1, 2.4.3.2: packets of 188 bytes that begin with 0x47, 192 with a clock before each; two bits
    of the fourth byte say that the content is scrambled.
    """
    with path.open("rb") as file:
        data = file.read(_LOOKED_AT)
    stride, begin = (188, 0) if data[188:189] == b"G" else (192, 4)
    packets = (data[at : at + 4] for at in range(begin, len(data) - 3, stride))
    own = [head[3] >> 6 for head in packets if head[0] == 0x47 and (head[1] & 31) << 8 | head[2] == pid]
    return bool(own) and all(own)
