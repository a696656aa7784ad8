"""A log of steps, a line of JSON each, chained by seals.

It only grows, and each line is on the disk before the next step. A run that was killed leaves it as it is; the run that
goes on goes on with it.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from vsr.durable import hold
from vsr.errors import SinkError, VerifyError
from vsr.evidence.seals import sealed, unsealed
from vsr.jobs import RECORD_LOG

LOG = RECORD_LOG
CUT_OFF = "is cut off, or its end was changed"
"""What is said of a text of a record that does not end as such a text does."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class ChainLog:
    """A log that this process writes, and no other meanwhile."""

    def __init__(self, folder: Path):
        """Begin a log in a folder, or go on with the one that lies there. What of its last line was cut off is removed,
        and said.

        Raises:
            VerifyError: what lies there was changed.
            SinkError: it cannot be written, or another process writes it.
        """
        self.path = folder / LOG
        try:
            self._descriptor = os.open(self.path, _FLAGS, 0o644)
        except OSError as error:
            raise SinkError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            hold(self._descriptor, folder)
            raw = self.path.read_bytes()
            whole = whole_lines(raw)
            entries, self.seal = read_log(whole, self.path)
            self.num_lines = len(entries)
            self.first = entries[0] if entries else None
            """What an earlier run began with."""
            if len(raw) > len(whole):
                os.ftruncate(self._descriptor, len(whole))
                if entries:  # else the log begins anew
                    self.add("cut off", bytes=len(raw) - len(whole))
        except BaseException:
            os.close(self._descriptor)
            raise

    def add(self, what: str, **facts: Any) -> None:
        """Write a line.

        Args:
            what: the step.
            facts: as JSON takes them.

        Raises:
            SinkError: it cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"line": self.num_lines + 1, "step": what, "at": now, "clock_s": round(time.monotonic(), 6)}
        line = sealed(entry | facts, before=self.seal)
        before = os.fstat(self._descriptor).st_size
        try:
            rest = memoryview(f"{line}\n".encode())
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # of a full disk: half a line would break the chain
                os.ftruncate(self._descriptor, before)
            raise SinkError(f"{self.path} cannot be written: {error.strerror}") from error
        self.num_lines += 1
        self.seal = unsealed(line, before=self.seal)[1]

    def close(self) -> None:
        """Let go of the file. Harmless twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def whole_lines(raw: bytes) -> bytes:
    """A log without what was cut off of its last line."""
    return raw[: raw.rfind(b"\n") + 1]


def read_log(raw: bytes, path: Path) -> tuple[list[dict[str, Any]], str]:
    """Read a log's lines; returns them and the last one's seal, which is empty where there is none.

    Raises:
        VerifyError: names the first line that was changed, moved, cut off, or is not there.
    """
    lines = list(each_line(raw, path))
    return [entry for entry, _ in lines], lines[-1][1] if lines else ""


def each_line(raw: bytes, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each line of a log with its seal.

    Raises:
        VerifyError: as `read_log`.
    """
    seal = ""
    *lines, rest = raw.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            entry, seal = unsealed(line.decode(), before=seal)
        except ValueError:
            raise VerifyError(f"{path}: line {number} {_what_happened(line, number)}") from None
        yield entry, seal
    if rest:
        raise VerifyError(f"{path}: line {len(lines) + 1} {CUT_OFF}")


def _what_happened(line: bytes, number: int) -> str:
    """A line whose seal fits no more because another one stands before it still tells its own number."""
    told = line.split(b",", 1)[0].removeprefix(b'{"line": ')
    other = int(told) if told.isdigit() and len(told) < 20 else number
    if other == number + 1:
        return "is missing, or another one stands in its place"
    return "was changed" if other == number else f"is not there: line {other} stands in its place"
