"""How commands that run until they are told to end take signals, and leave handlers as they were."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from vsr.cli.console import fail, is_terminal
from vsr.offspring import kill_all
from vsr.pulse import STUCK_S, Pulse

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""

_LOOK_EVERY_S = 0.25


def take_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    """Have a handler called by Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed.

    What is ignored stays so: that is how `nohup`, and a shell in its background, keep a command alive.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


class LiveSignals:
    """SIGTERM ends a service, with 0; Ctrl-C an attempt, with 130. The second one does not wait."""

    def __init__(self, *, reloads: bool):
        self.stop, self.reload, self.code = threading.Event(), threading.Event(), 0
        self._reloads, self._had_terminal = reloads, is_terminal()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "LiveSignals":
        for number in _SIGNALS:
            is_kept_from_us = signal.getsignal(number) is signal.SIG_IGN  # by `nohup`
            if number in (signal.SIGTERM, signal.SIGINT) or self._reloads or not is_kept_from_us:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _take(self, number: int, _frame: object) -> None:
        ends = number in (signal.SIGTERM, signal.SIGINT)
        if not ends and self._reloads and is_terminal() == self._had_terminal:
            self.reload.set()
            return  # otherwise it came because the terminal was closed
        if self.stop.is_set():
            raise KeyboardInterrupt
        self.code = 0 if number == signal.SIGTERM else 130
        self.stop.set()


@contextmanager
def terminable() -> Generator[list[int], None, None]:
    """SIGTERM interrupts, too, and stands in the list: it is how a service is ended, and no failure."""
    taken: list[int] = []

    def take(number: int, _frame: object) -> None:
        taken.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, take)
    try:
        yield taken
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def ended_where(is_over: Callable[[], bool], line: str) -> Generator[None, None, None]:
    """End this process with a line and exit code 1 where `is_over` says so while the block runs.

    At once and from another thread: what hangs in a library hears of nothing else.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_EVERY_S):
            if is_over():
                fail(line)
                kill_all()
                os._exit(1)

    threading.Thread(target=watch, name="vsr-limit", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def within(seconds: float, line: str) -> AbstractContextManager[None]:
    """End this process where the block takes longer than so."""
    end_s = time.monotonic() + seconds
    return ended_where(lambda: time.monotonic() > end_s, line)


def getting_on(line: str) -> AbstractContextManager[None]:
    """End this process where nothing gets on in it for `STUCK_S`."""
    pulse = Pulse()
    return ended_where(lambda: pulse.silent_s() > STUCK_S, line)
