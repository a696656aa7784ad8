"""The command in processes of its own, and which processes live: children, and those at work on a folder."""

import multiprocessing
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vsr.cli.main import main

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["vsr.cli.enhance"])


def begin_command(*words: str | Path, log: Path, env: Mapping[str, str] = {}) -> forks.Process:
    """`vsr` with these words, which does not load torch anew; what it says goes to a file."""
    process = forks.Process(target=_command, args=([*map(str, words)], log, dict(env)))
    process.start()
    return process


def _command(words: list[str], log: Path, env: dict[str, str]) -> None:
    os.setsid()
    os.environ.update(env)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(said, number)
    main(words)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def family(pid: int) -> set[int]:
    """A process's children, theirs, and so on."""
    found: set[int] = set()
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            for child in map(int, (folder / "children").read_text().split()):
                found |= {child} | family(child)
    return found


def wait_for_the_end_of(pids: set[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if lives(pid)]


def at_work_on(folder: Path) -> set[int]:
    """Processes whose command lines name a folder: encoders."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (place / "cmdline").read_bytes():
                found.add(int(place.name))
    return found
