"""What the user sees: lines on stderr, tables on stdout; and files of results."""

import errno
import os
import sys
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from vsr.durable import real_path, write_whole
from vsr.errors import ConfigError, SinkError, redact

console = Console(stderr=True, highlight=False, soft_wrap=True)


def open_standard_streams() -> None:
    """Lead nowhere what whoever started us has closed (`>&-`): the next file that is opened would get its number, and
    what is printed would go there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, mode))


def let_go_of_broken_streams() -> OSError | None:
    """Lead standard output and error nowhere where they take nothing, or Python fails once more at its end; returns
    why standard output does not."""
    unwritten = None
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
            unwritten = None
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            unwritten = error
    return unwritten


def is_terminal() -> bool:
    """Say whether somebody may be looking; no longer so when the terminal has been closed."""
    return sys.stderr.isatty()


def wide() -> Console:
    """Standard output for a table: as wide as the terminal, 160 columns where there is none."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=160)


_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Letters that turn what follows them around, so that a name reads as another one."""

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of controls, of bytes that are no text, and of ends of lines and paragraphs."""


def spelled_out(text: object) -> str:
    """A text of others, such as a name, metadata or what a server says, with everything that a terminal would obey
    spelled out; lines stay lines.
    """
    return "".join(
        letter if letter == "\n" or not _is_unseen(letter) else _spelled(letter) for letter in str(text)
    )


def _is_unseen(letter: str) -> bool:
    return letter in _DIRECTIONS or (not letter.isprintable() and unicodedata.category(letter) in _UNSEEN)


def _spelled(letter: str) -> str:
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a name that is not UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def in_a_line(text: object) -> str:
    """The same in one line."""
    return spelled_out(text).replace("\n", "\\n")


def cell(text: object) -> str:
    """A text of others in a table of rich's: in one line, and no markup."""
    return escape(in_a_line(text))


def show(text: object = "") -> None:
    """Print lines of results on standard output."""
    print(redact(spelled_out(text)))


def say(line: str, *, quiet: bool = False) -> None:
    """Print one line for the user."""
    if not quiet:
        with _unless_full():
            console.print(escape(redact(spelled_out(line))))


@contextmanager
def _unless_full() -> Generator[None, None, None]:
    """Work goes on where its log does not fit on the disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def fail(line: str) -> None:
    """Print one line about an error; also when quiet. Where nobody can be told, the exit code says it."""
    line = cell(redact(line))
    with suppress(OSError):
        console.print(f"[red]error:[/red] {line}" if console.is_terminal else f"error: {line}")


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s` or `5 h 12 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_of(num_bytes: int) -> str:
    """`812 kB`, `3.4 MB` or `1.2 GB`."""
    value = num_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def check_writable(*paths: str) -> None:
    """Raise ConfigError for the first file, of those that are named, whose folder does not exist."""
    for path in paths:
        if path and not real_path(Path(path)).parent.is_dir():
            raise ConfigError(f"{path} cannot be written; name a file in a folder that exists")


def write_result(path: str | Path, content: bytes) -> None:
    """Write a file that the user has named, all of it or nothing; into a device, a pipe or through a link as it is.

    Raises:
        SinkError: it cannot be written.
    """
    path = Path(path)
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(content)
        else:
            write_whole(path, content)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}") from error
