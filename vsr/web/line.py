"""Who waits for the process that enhances: one file after another, each within its time."""

import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vsr.archive import FileRecord
from vsr.errors import ConfigError, SigningError, SourceError, VsrError
from vsr.evidence import EvidenceOptions
from vsr.jobs import Job, Outcome, Plan, Record, provenance_of, run_file
from vsr.options import EnhanceOptions, ModelOptions
from vsr.pipeline import Clock
from vsr.web.apart import Apart
from vsr.web.problems import ProblemError

_WARM_UP_S = 600.0
_TOLD_APART = (SigningError, SourceError, ConfigError)
"""Errors in what the server signs by, and in what a client has asked for; the first that one is goes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody waits."""

    limit_s: float
    until: float
    """By the monotonic clock."""
    instead: str
    """What else can be done where that is too short."""

    @staticmethod
    def of(limit_s: float, instead: str) -> "Patience":
        """From now on."""
        return Patience(limit_s, time.monotonic() + limit_s, instead)


class Line:
    """One process that enhances, and those who wait for it."""

    def __init__(self, stop: threading.Event):
        self._apart, self._turn, self._stop = Apart(), threading.Lock(), stop

    def warm_up(self, options: EnhanceOptions) -> None:
        """Have the model loaded and run once.

        Raises:
            VsrError: it cannot be.
        """
        model = EnhanceOptions(engine=options.engine, models=ModelOptions(model=options.models.model))
        with self._turn, tempfile.TemporaryDirectory(prefix="vsr-") as folder:
            source = Path(folder) / "input.png"
            source.write_bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
            job = Job(source, source.with_name("output.png"), is_image=True)
            self._apart.ask(_enhanced, job, model, EvidenceOptions(), limit_s=_WARM_UP_S, stop=self._stop)

    def enhance(
        self,
        job: Job,
        options: EnhanceOptions,
        patience: Patience,
        recorded: EvidenceOptions = EvidenceOptions(),
    ) -> Record:
        """Enhance a file. Returns where the result comes from, and where the record of that is, if one is wanted.

        Raises:
            VsrError, ProblemError: it cannot be, or takes too long.
        """
        with self._taken(patience):
            try:
                left_s = max(0.1, patience.until - time.monotonic())
                return self._apart.ask(_enhanced, job, options, recorded, limit_s=left_s, stop=self._stop)
            except SourceError as error:
                if self._stop.is_set():
                    raise _ending() from error
                if time.monotonic() < patience.until:
                    raise
                detail = f"it took longer than {patience.limit_s:.0f} s; {patience.instead}"
                raise ProblemError(503, detail) from error

    @contextmanager
    def _taken(self, patience: Patience) -> Generator[None]:
        while not self._turn.acquire(timeout=0.25):
            if self._stop.is_set():
                raise _ending()
            if time.monotonic() > patience.until:
                detail = "other requests took all the time there was; try again"
                raise ProblemError(503, detail, {"Retry-After": "5"})
        try:
            yield
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process; `stop` is set before."""
        with self._turn:
            self._apart.close()


def _ending() -> ProblemError:
    return ProblemError(503, "the server ends; send the request again", {"Retry-After": "30"})


def _enhanced(job: Job, options: EnhanceOptions, recorded: EvidenceOptions) -> Record:
    made: list[Record] = []
    view, records = _Unseen(), FileRecord(job, job.target.parent, recorded, lambda _: None)

    def keep(plan: Plan, outcome: Outcome) -> None:
        records.finish(plan, outcome)
        made.append(provenance_of(plan, outcome) | records.facts())

    with records:
        begin, planned = lambda _: records.begin(), records.planned
        result = run_file(job, options, view, before=begin, planned=planned, after=keep)
    if result.error is not None:
        folder = f"{job.path.parent}/"
        line = result.reason.replace(str(job.path), "the input").replace(folder, "")
        raise next((kind for kind in _TOLD_APART if isinstance(result.error, kind)), VsrError)(line)
    return made[0]


class _Unseen:
    """Nobody looks on."""

    def at_work(self, plan: Plan, clock: Clock) -> AbstractContextManager[None]:
        return nullcontext()

    def tell(self, line: str) -> None:
        return
