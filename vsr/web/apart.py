"""Questions about files that somebody has sent: answered by a process of its own, which a broken file may end, and
which is ended when it takes too long."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vsr.engine import place
from vsr.errors import ConfigError, ModelError, SigningError, SinkError, SourceError, VsrError, one_line
from vsr.jobs import (
    Job,
    Moment,
    WorkerProcess,
    become_worker,
    estimate_plan,
    make_plan,
    preview_file,
    stop_all,
    wait_for_news,
)
from vsr.machine import what_works
from vsr.media import is_image, probe, probe_image
from vsr.options import EnhanceOptions
from vsr.web.asked_options import RecordWishes

_END_WITHIN_S = 5.0
_LISTEN_S = 0.25
_PRELOAD = ("torch._dynamo", "imagecodecs", "vsr.models.files.checkpoint")
"""What a preview would spend its first second with: PyTorch finds facts of networks by parts of its compiler."""


class Apart:
    """A process that answers questions, one after another, and another one where it has died; until `close`.

    Used by one thread at a time.
    """

    def __init__(self) -> None:
        self._process: WorkerProcess | None = None

    def ask(
        self,
        question: Callable[..., Any],
        *arguments: object,
        limit_s: float,
        stop: threading.Event | None = None,
    ) -> Any:
        """Have a function of a module answer. Returns what it returns.

        Args:
            question: what it takes and returns is pickled.
            arguments: of the question.
            limit_s: seconds after which the process is ended.
            stop: ends it before.

        Raises:
            VsrError: as the question says; SourceError where the process dies or takes too long.
        """
        try:
            answer = self._answer(self._begun(), (question, arguments), limit_s, stop)
        except BaseException:
            self.close()
            raise
        if isinstance(answer, VsrError):
            raise answer
        return answer[0]

    def _begun(self) -> WorkerProcess:
        if self._process is None:
            self._process = WorkerProcess(_answer, name="vsr-apart", preload=_PRELOAD)
            self._process.start()
        return self._process

    def _answer(
        self, process: WorkerProcess, asked: object, limit_s: float, stop: threading.Event | None
    ) -> Any:
        until = time.monotonic() + limit_s
        process.send(asked)
        while (left_s := until - time.monotonic()) > 0 and not (stop and stop.is_set()):
            wait_for_news([process], min(left_s, _LISTEN_S))
            for answer in process.receive():
                return answer
            if (code := process.exit_code) is not None:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise SourceError(f"the process that looked at the file ended with {how}")
        raise SourceError(f"it took longer than {limit_s:.0f} s to look at the file")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            stop_all([self._process], within_s=_END_WITHIN_S)
            self._process = None


def ask(
    question: Callable[..., Any], *arguments: object, limit_s: float, stop: threading.Event | None = None
) -> Any:
    """Have a function answer in a process of its own, as `Apart.ask` does."""
    with closing(Apart()) as apart:
        return apart.ask(question, *arguments, limit_s=limit_s, stop=stop)


def _answer(pipe: "Connection[Any, Any]") -> None:
    """The process's whole life."""
    try:
        become_worker(KeyboardInterrupt())
        while True:
            question, arguments = pipe.recv()
            try:
                pipe.send((question(*arguments),))
            except VsrError as error:
                pipe.send(_sendable(error))
            except Exception as error:
                pipe.send(VsrError(f"unexpected {type(error).__name__}: {one_line(error)}"))
    except (KeyboardInterrupt, EOFError, OSError):
        return


def _sendable(error: VsrError) -> VsrError:
    """The same error of a class that is made of its line alone."""
    return next(kind(str(error)) for kind in type(error).__mro__ if kind in _PLAIN)


_PLAIN: tuple[type[VsrError], ...] = (
    ConfigError,
    SourceError,
    ModelError,
    SigningError,
    SinkError,
    VsrError,
)


def warm_up() -> None:
    """Have what processes need loaded once, by the server that they are forked from."""
    ask(_nothing, limit_s=120)


def _nothing() -> None:
    return


def look_at(
    path: Path, options: EnhanceOptions, record: RecordWishes, *, estimate: bool, limit_s: float
) -> dict[str, Any]:
    """What is in a file, and what would be done with it. With `estimate` the beginning is really enhanced, for
    a few seconds, to tell how long all would take.

    Raises:
        VsrError: it cannot be read, or the options do not go with it, or with a record.
    """
    return ask(_look, path, options, record, estimate, limit_s=limit_s)


def _look(path: Path, options: EnhanceOptions, record: RecordWishes, estimate: bool) -> dict[str, Any]:
    image = is_image(path)
    info = probe_image(path) if image else probe(path)
    plan = make_plan(Job(path, path.with_name(f"result{'.png' if image else '.mkv'}"), image), options)
    record.check(plan)
    placement = place(options.engine, plan.models[0]) if plan.models else None
    guess = asdict(estimate_plan(plan)) if estimate else None
    source = asdict(replace(info, path=""))
    output = {"width": plan.output.width, "height": plan.output.height, "bit_depth": plan.output.bit_depth}
    return {
        "source": {name: value for name, value in source.items() if name not in ("path", "pictures")},
        "plan": {
            **output,
            "layout": plan.output.layout,
            "frames": plan.num_frames,
            "models": [{"name": model.spec.name, "scale": model.spec.scale} for model in plan.models],
            "device": placement and f"{placement.device}",
            "precision": placement and f"{placement.precision}",
            "why": placement and placement.why,
            "encoder": plan.encoder and plan.encoder.why,
            "notes": [*plan.notes, *record.previewed],
            "estimate": guess,
        },
    }


def make_preview(
    path: Path,
    options: EnhanceOptions,
    moment: Moment,
    folder: Path,
    *,
    limit_s: float,
    stop: threading.Event,
) -> None:
    """Do what `preview_file` does.

    Raises:
        VsrError: as that says.
    """
    ask(_preview, path, options, moment, folder, limit_s=limit_s, stop=stop)


def _preview(path: Path, options: EnhanceOptions, moment: Moment, folder: Path) -> None:
    preview_file(path, options, moment, folder, is_image=is_image(path))


def machine_lines(*, limit_s: float) -> list[str]:
    """What works on this machine.

    Raises:
        VsrError: it takes too long.
    """
    return ask(_machine, limit_s=limit_s)


def _machine() -> list[str]:
    return list(what_works())
