"""What `vsr enhance` writes beside a result: its sidecar, the record of all that was done, what its source confirms."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vsr.cli.console import say
from vsr.evidence import EvidenceOptions, Recorder
from vsr.jobs import (
    Job,
    Outcome,
    Plan,
    Result,
    check_sidecar,
    check_support,
    provenance_of,
    support_of_plan,
    write_sidecar,
)
from vsr.support import SupportWishes, sentences


@dataclass(frozen=True)
class BesideResult:
    """Heard of one file by `run_file`: before it, when it is planned, and after it."""

    sidecar: bool
    support: SupportWishes
    recorder: Recorder | None

    @classmethod
    @contextmanager
    def of(
        cls, job: Job, recorded: EvidenceOptions, support: SupportWishes, *, sidecar: bool, alone: bool
    ) -> Generator[Self]:
        """What is wanted beside a job's result; `alone` has the record lie in the folder named, and not in one of the
        result's name below it."""
        if not recorded.evidence:
            yield cls(sidecar, support, None)
            return
        folder = Path(recorded.evidence)
        folder = folder if alone else folder / job.target.name
        with Recorder(job, recorded, folder, tell=say) as recorder:
            yield cls(sidecar, support, recorder)

    def before(self, result: Path) -> None:
        """Refuse what cannot be written, and begin the record."""
        if self.sidecar:
            check_sidecar(result)
        self.support.task(result).paths.check(overwrite=self.support.overwrite, to_be=result.parent)
        if self.recorder is not None:
            self.recorder.begin()

    def planned(self, plan: Plan) -> Plan:
        """The plan as it is carried out."""
        if self.support.names:
            check_support(plan)
        return plan if self.recorder is None else self.recorder.planned(plan)

    def after(self, plan: Plan, outcome: Outcome) -> None:
        """Write the record, the sidecar and what the source confirms."""
        figures = self.recorder.finish(plan, outcome, self.support) if self.recorder is not None else None
        if self.sidecar:
            write_sidecar(outcome.target, provenance_of(plan, outcome))
        if self.support.names and figures is None:
            task, full = self.support.task(outcome.target), self.support.full
            figures = support_of_plan(plan, task, full=full)
        for line in sentences(figures) if figures else ():
            say(f"support: {line}", quiet=self.support.quiet)

    def ended(self, result: Result) -> None:
        """Hear what has become of the file."""
        if self.recorder is not None and result.error is not None:
            self.recorder.failed(result.reason)
