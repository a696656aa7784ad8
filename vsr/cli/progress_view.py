"""Progress, read from a pipeline's clock: a bar on a terminal, else lines."""

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import RenderableType, RichCast
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from vsr.cli.console import cell, console, spelled_out
from vsr.pipeline import Clock

LINE_EVERY_S = 10.0
"""Seconds between plain lines where there is no terminal."""


def drawn(picture: RichCast) -> Live:
    """A context that keeps a picture on the terminal, made anew four times a second, and takes it off at the end."""
    return Live(picture, console=console, refresh_per_second=4, transient=True)


class Bar:
    """A progress bar that looks at the clock each time it is drawn: the pipeline need not know of it."""

    def __init__(self, label: str, clock: Clock, total: int | None):
        self._clock = clock
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[slowest]}"),
        )
        self._task: TaskID = self._bar.add_task(cell(label), total=total, speed="", slowest="")

    def __rich__(self) -> RenderableType:
        clock = self._clock
        speed = f"{clock.frames / max(clock.elapsed_s, 1e-3):.1f} fps"
        slowest = f"slowest: {clock.slowest}" if clock.frames else ""
        slowest = "joining and verifying" if clock.finishing else slowest
        slowest = _checking(clock) if clock.is_checking else slowest
        self._bar.update(self._task, completed=clock.done + clock.frames, speed=speed, slowest=slowest)
        return self._bar.get_renderable()


def _checking(clock: Clock) -> str:
    return f"checking finished segments, {clock.checked} of {clock.to_check}"


def plain_line(label: str, clock: Clock, total: int | None) -> str:
    """Say how a pipeline gets on."""
    if clock.is_checking:
        return f"{label}: {_checking(clock)}"
    if clock.finishing:
        return f"{label}: {clock.frames} frames, joining and verifying"
    speed = clock.frames / max(clock.elapsed_s, 1e-3)
    line = f"{label}: frame {clock.done + clock.frames}{f' of {total}' if total else ''}, {speed:.1f} fps"
    if total and speed:
        line += f", {max(0, total - clock.done - clock.frames) / speed:.0f} s left"
    return f"{line}, slowest: {clock.slowest}" if clock.frames else line


@contextmanager
def progress(
    label: str, clock: Clock, total: int | None, *, quiet: bool = False
) -> Generator[None, None, None]:
    """Show how a pipeline gets on while the block runs: a bar on a terminal,
    else a line every ten seconds."""
    if quiet:
        yield
        return
    if console.is_terminal:
        with drawn(Bar(label, clock, total)):
            yield
        return
    done = threading.Event()

    def speak() -> None:
        while not done.wait(LINE_EVERY_S):
            print(spelled_out(plain_line(label, clock, total)), file=sys.stderr, flush=True)

    speaker = threading.Thread(target=speak, name="progress", daemon=True)
    speaker.start()
    try:
        yield
    finally:
        done.set()
        speaker.join()
