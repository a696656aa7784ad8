"""Models that a command names and that are not here: asked about, fetched, shown while they come."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vsr.cli.console import cell, console, say, size_of
from vsr.errors import ConfigError
from vsr.models import ModelFacts, not_installed, pull, source_of, to_fetch

_PULL = ("ask", "always", "never")


@dataclass(frozen=True)
class FetchFlags:
    """What is done about models that are named and not installed."""

    yes: bool = False
    """Fetch models that are named and not installed, without asking; $VSR_PULL=always says it for good."""


def fetch_named(names: Iterable[str], flags: FetchFlags, *, quiet: bool = False) -> None:
    """Install what a command names: asked for on a terminal, at once where the user has agreed beforehand.

    Args:
        names: models as named; of a tier, of our own and of a path nothing is fetched.
        flags: the user's.
        quiet: say nothing about what was fetched.

    Raises:
        ModelError: one is not to be had, or nobody has agreed.
        ConfigError: $VSR_PULL says what nobody knows.
    """
    mode = os.environ.get("VSR_PULL") or "ask"
    if mode not in _PULL:
        raise ConfigError(f"VSR_PULL={mode} is not known; {', '.join(_PULL)} are accepted")
    for entry in to_fetch(names):
        if not (flags.yes or mode == "always" or (mode == "ask" and _agreed(entry))):
            raise not_installed(entry)
        fetch_model(entry, quiet=quiet)


def _agreed(entry: ModelFacts) -> bool:
    """Ask, where somebody is there to answer and the file is to be had."""
    source = source_of(entry)
    if not (source and sys.stdin.isatty() and console.is_terminal):
        return False
    what = f"{entry.name}: {size_of(entry.num_bytes or 0)}, {entry.licence}"
    needs = f", needs vsr[{entry.needs}]" if entry.needs else ""
    question = f"{what}, from {urlsplit(source).hostname or source}{needs}; fetch it? [Y/n] "
    try:
        return console.input(cell(question)).strip().lower() in ("", "y", "yes")
    except EOFError:
        return False


def fetch_model(entry: ModelFacts, place: str = "", *, quiet: bool = False) -> None:
    """Fetch and install one model, with a bar on a terminal.

    Raises:
        ModelError: it is not to be had, or is not what the catalogue says.
    """
    figures = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    columns = TextColumn("{task.description}"), BarColumn(), *figures
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(entry.name, total=entry.num_bytes)
        path = pull(entry, place=place, tell=say, progress=lambda done: bar.update(task, completed=done))
    say(f"{entry.name}: {path}, {size_of(entry.num_bytes or 0)}, licence {entry.licence}", quiet=quiet)
    if entry.needs:
        say(f"{entry.name} needs vsr[{entry.needs}]", quiet=quiet)
