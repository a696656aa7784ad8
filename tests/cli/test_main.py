"""How a command ends: by signals, and where standard output or error takes nothing."""

import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from support.processes import forks

from vsr.cli import console as console_module
from vsr.cli import main as main_module
from vsr.cli.console import say
from vsr.cli.main import main
from vsr.cli.signals import take_signals

INTERRUPTED_ON_IMPORT = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "cyclopts":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
runpy.run_module("vsr", run_name="__main__")
"""


def by_shell(
    redirected: str, *words: str, first: str = "unset PYTHONUNBUFFERED"
) -> subprocess.CompletedProcess[str]:
    command = f"{first}; exec {sys.executable} -m vsr {' '.join(words)} {redirected}"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


def test_standard_output_that_is_closed_hurts_nobody():
    done = by_shell(">&-", "models", "show", "fast-x2")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("first", "what"),
    [
        ("unset PYTHONUNBUFFERED", "standard output"),
        ("export PYTHONUNBUFFERED=1", "standard output, or a file,"),
    ],
)
def test_standard_output_that_is_full_is_named(first: str, what: str):
    done = by_shell(">/dev/full", "models", "show", "fast-x2", first=first)
    assert done.returncode == 1
    assert done.stderr == f"error: {what} cannot be written: No space left on device\n"


def test_the_exit_code_stands_where_nobody_can_be_told():
    assert by_shell("2>/dev/full", "enhanse").returncode == 2


class Full(StringIO):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_does_not_fit_on_the_disk_ends_no_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(console_module, "console", Console(file=Full()))
    say("what is said now is lost")


def test_ctrl_c_while_the_command_is_loaded_leaves_no_traceback():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_ON_IMPORT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def _interrupted_while_telling(log: Path) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    main_module.fail = interrupted
    sys.stderr = log.open("w")
    main(["enhanse"])


def test_a_second_ctrl_c_while_the_first_is_told_of_leaves_no_traceback(tmp_path: Path):
    process = forks.Process(target=_interrupted_while_telling, args=(tmp_path / "said",))
    process.start()
    process.join(60)
    assert process.exitcode == 130
    assert (tmp_path / "said").read_text() == ""


def test_what_nohup_has_ignored_stays_so():
    def taken(*_: object) -> None: ...

    before: dict[int, Callable[..., object] | int | None] = {
        number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    }
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        take_signals(taken)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is taken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
