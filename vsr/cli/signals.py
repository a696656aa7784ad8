"""How commands that run until they are told to end take signals, and leave handlers as they were."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

from vsr.cli.console import is_terminal

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""


class LiveSignals:
    """SIGTERM ends a service, with 0; Ctrl-C an attempt, with 130. The second one does not wait."""

    def __init__(self, *, reloads: bool):
        self.stop, self.reload, self.code = threading.Event(), threading.Event(), 0
        self._reloads, self._had_terminal = reloads, is_terminal()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "LiveSignals":
        for number in _SIGNALS:
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
