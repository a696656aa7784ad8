"""What the user sees: lines on stderr, tables on stdout; and files of results."""

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from vsr.durable import write_whole
from vsr.errors import ConfigError, SinkError

console = Console(stderr=True, highlight=False, soft_wrap=True)


def is_terminal() -> bool:
    """Say whether somebody may be looking; no longer so when the terminal has been closed."""
    return sys.stderr.isatty()


def wide() -> Console:
    """Standard output for a table: as wide as the terminal, 160 columns where there is none."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=160)


def say(line: str, *, quiet: bool = False) -> None:
    """Print one line for the user."""
    if not quiet:
        console.print(escape(line))


def fail(line: str) -> None:
    """Print one line about an error; also when quiet."""
    console.print(f"[red]error:[/red] {escape(line)}" if console.is_terminal else escape(f"error: {line}"))


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
        if path and not Path(path).resolve().parent.is_dir():
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
