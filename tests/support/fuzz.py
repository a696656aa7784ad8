"""Damaged files of every kind that is read, each given to the real command in a fork of its own.

Every case is told by the run's seed and its number, so that one that went wrong can be had again.
"""

import contextlib
import faulthandler
import os
import random
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.processes import at_work_on, family

from vsr.cli.main import run
from vsr.errors import ConfigError, VsrError
from vsr.offspring import cpu_ticks, kill_family

LIMIT_S = 60.0
"""Of a case, in processor time, and without any: a machine may have much else to do."""
MOST_KB = 1_000_000
"""Memory of a case beyond that of the process it is forked from."""
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TEXTS = (
    b"\0",
    b"-1",
    b"1e999",
    b"nan",
    b"99999999999999999999",
    b"[",
    b"]]",
    b'"',
    b"\xff\xfe",
    b"{}",
    b"true",
    b"\n",
)
_UNEXPECTED = re.compile(rb"Traceback|unexpected \w+(Error|Exception|Warning)?:")
"""What is said of an error that is none of ours."""


@dataclass(frozen=True)
class Seed:
    """A sound file, or a folder with one in it, and what is done with damaged copies of it."""

    path: Path
    """What is copied."""
    damaged: str
    """The file in it that is damaged; empty where `path` is one itself."""
    use: Callable[[Path], int]
    """Is given the copy; returns an exit code."""


def damage(data: bytes, random_: random.Random) -> bytes:
    """One to eight changes of bits, bytes, numbers, lengths, and pieces."""
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 1, 2, 2, 4, 8))):
        if not changed:
            break
        # Headers are at the beginning, and sometimes at the end.
        span = random_.choice((64, 512, 4096, len(changed), len(changed)))
        at = random_.randrange(min(span, len(changed)))
        at = len(changed) - 1 - at if random_.random() < 0.2 else at
        match random_.randrange(8):
            case 0:
                changed[at] ^= 1 << random_.randrange(8)
            case 1:
                changed[at] = random_.randrange(256)
            case 2:
                size, order = random_.choice((1, 2, 4, 8)), random_.choice(("big", "little"))
                number = random_.choice(NUMBERS) % (1 << 8 * size)
                changed[at : at + size] = number.to_bytes(size, order)
            case 3:
                del changed[at : at + random_.choice((1, 2, 4, 16, 256))]
            case 4:
                changed[at:at] = bytes(changed[at : at + random_.choice((1, 4, 64, 1024))])
            case 5:
                changed[at:at] = random_.choice(TEXTS)
            case 6:
                other = random_.randrange(len(changed))
                size = random_.choice((4, 16, 64))
                changed[at : at + size] = changed[other : other + size]
            case _:
                if random_.random() < 0.3:
                    del changed[at:]
                changed += random_.randbytes(random_.choice((0, 1, 16)))
    return bytes(changed)


def command(*words: str | Path) -> int:
    return run([str(word) for word in words])


def library(read: Callable[[Path], object]) -> Callable[[Path], int]:
    """A reader whose errors are those of a command."""

    def use(path: Path) -> int:
        try:
            read(path)
        except VsrError as error:
            print(error, file=sys.stderr)
            return 2 if isinstance(error, ConfigError) else 1
        return 0

    return use


def try_case(seed: Seed, number: tuple[int, int], folder: Path) -> str:
    """Damage a copy and use it in a fork; says what is wrong with what happened, empty where nothing is."""
    random_ = random.Random(f"{number}")
    place, temporary, log = folder / "case", folder / "tmp", folder / "log"
    for each in (place, temporary):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    target = place / seed.path.name
    if seed.path.is_dir():
        shutil.copytree(seed.path, target, symlinks=True)
    else:
        shutil.copyfile(seed.path, target)
    file = target / seed.damaged if seed.damaged else target
    file.write_bytes(damage(file.read_bytes(), random_))
    pid = os.fork()
    if pid == 0:
        _child(seed, target, temporary, log)
    status, kilobytes = _awaited(pid)
    wrong = _wrong(status, kilobytes, log.read_bytes())
    deadline = time.monotonic() + 5
    while (left := at_work_on(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for each in left:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGKILL)
    if left:
        wrong.append("processes are left behind")
    if names := [str(each.relative_to(folder)) for each in (*temporary.rglob("*"), *place.rglob("*.part"))]:
        wrong.append(f"files are left behind: {names[:3]}")
    return "; ".join(wrong)


def _child(seed: Seed, target: Path, temporary: Path, log: Path) -> None:
    """Never returns."""
    code = 70
    try:
        os.environ["TMPDIR"] = str(temporary)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(said, number)
        faulthandler.register(signal.SIGUSR1, file=said)
        code = seed.use(target)
    except BaseException as error:
        os.write(2, f"Traceback: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _awaited(pid: int) -> tuple[int | None, int]:
    """Exit status, None for one that does not end, and memory beyond ours in kilobytes."""
    ours = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 10
    end, used, since = os.pidfd_open(pid), -1, time.monotonic()
    while not select.select([end], [], [], 1.0)[0]:
        before, used = used, sum(cpu_ticks(each) or 0 for each in (pid, *family(pid)))
        since = time.monotonic() if used != before else since
        if used > LIMIT_S * os.sysconf("SC_CLK_TCK") or time.monotonic() - since > LIMIT_S:
            for each in (pid, *family(pid)):
                os.kill(each, signal.SIGUSR1)
            time.sleep(1)  # they say where they are
            kill_family(pid)
            os.waitpid(pid, 0)
            os.close(end)
            return None, 0
    os.close(end)
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_maxrss - ours


def _wrong(status: int | None, kilobytes: int, said: bytes) -> list[str]:
    wrong: list[str] = []
    if status is None:
        wrong.append(f"did not end in {LIMIT_S:.0f} s:\n{said.decode(errors='replace')}")
    elif os.WIFSIGNALED(status):
        wrong.append(f"was ended by signal {os.WTERMSIG(status)}")
    elif os.WEXITSTATUS(status) not in (0, 1, 2, 3):
        wrong.append(f"ended with exit code {os.WEXITSTATUS(status)}")
    if found := _UNEXPECTED.search(said):
        wrong.append(f"said {said[found.start() : found.start() + 300].decode(errors='replace')!r}")
    if kilobytes > MOST_KB:
        wrong.append(f"took {kilobytes >> 10} MiB")
    return wrong
