"""Standard input and output as a source and a target, both named `-`.

Standard input is read once. Its beginning is kept, so that it can be looked at before its frames are wanted.
"""

import contextlib
import os
import select
import sys
from functools import cache
from pathlib import Path

from vsr.errors import ConfigError, SourceError
from vsr.media.source_file import read_by
from vsr.prefetch import still_wanted
from vsr.pulse import beat

STANDARD = "-"
"""What names them."""

_PIPE = "pipe:"
"""FFmpeg's name for the same; what reads the command line takes the other one for a flag."""

_KEPT_BYTES = 256 << 20
"""Of the beginning: a picture of 8K in 16 bits is among them."""

_FRAME_LINE = 80
"""Bytes of the line before a picture of y4m, at most."""

_LOOK_S = 0.2
"""How often somebody who waits for input looks whether anybody still wants it."""


def is_standard(path: str | Path) -> bool:
    """Whether a path means standard input or output."""
    return str(path) in (STANDARD, _PIPE)


def check_standard_output() -> None:
    """Raise ConfigError where somebody would look at bytes."""
    if sys.stdout.isatty():
        raise ConfigError("standard output is a terminal; send it into a program or a file")


def standard_output_is_read() -> bool:
    """Say whether anybody still reads standard output; where it is a file, somebody does."""
    poll = select.poll()
    poll.register(1, 0)  # what is told of a pipe without being asked for: its reader has gone
    return not poll.poll(0)


class StandardInput:
    """What comes through a descriptor, for FFmpeg to read. Used by one thread at a time."""

    name = STANDARD

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._kept, self._is_whole, self._at = bytearray(), True, 0
        self._failures: list[BaseException] = []
        self.read = read_by(self._next, self._failures)
        """Takes a number of bytes, gives at most so many; none at the end."""

    def rewind(self) -> None:
        """Begin again.

        Raises:
            SourceError: too much has been read for that.
        """
        if not self._is_whole:
            raise SourceError("standard input can be read once, and has been; give a file")
        self._at = 0

    def beyond(self, end: int) -> list[str]:
        """Say that raw pictures, of which the last whole one ends at a byte, are cut off: FFmpeg does not."""
        cut = self._at > end + _FRAME_LINE
        return ["the pipe has ended in the middle of a picture, which is left out"] if cut else []

    def _next(self, size: int) -> bytes:
        if self._at < len(self._kept):
            data = bytes(self._kept[self._at : self._at + size])
        else:
            data = self._received(size)
            self._keep(data)
        self._at += len(data)
        return data

    def _keep(self, data: bytes) -> None:
        if self._is_whole and len(self._kept) + len(data) <= _KEPT_BYTES:
            self._kept += data
        else:
            self._kept, self._is_whole = bytearray(), False

    def _received(self, size: int) -> bytes:
        with contextlib.suppress(OSError, ValueError):  # Windows knows no select for pipes
            while not select.select([self._descriptor], [], [], _LOOK_S)[0]:
                beat()  # who sends may take its time
                if not still_wanted():
                    return b""
        return os.read(self._descriptor, size)

    def check(self) -> None:
        """Raise what has stopped the reading, if anything has."""
        if self._failures:
            raise self._failures.pop()


@cache
def standard_input() -> StandardInput:
    """The process's own."""
    return StandardInput(0)
