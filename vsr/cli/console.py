"""What the user sees: lines on stderr. Results go to stdout elsewhere."""

from rich.console import Console
from rich.markup import escape

console = Console(stderr=True, highlight=False, soft_wrap=True)


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
