"""One of several files: planned, carried out, its error kept for the end. What runs files runs them through
here."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from vsr.errors import VerifyError, VsrError
from vsr.jobs.enhance_file import Outcome, carry_out
from vsr.jobs.inputs import Job
from vsr.jobs.plan import Plan, make_plan
from vsr.options import EnhanceOptions
from vsr.pipeline import Clock

Status = Literal["done", "failed", "unverified", "planned", "not begun"]


@dataclass
class Result:
    """How far one file has come."""

    job: Job
    plan: Plan | None = None
    outcome: Outcome | None = None
    error: Exception | None = None

    @property
    def status(self) -> Status:
        if self.error is not None:
            return "unverified" if isinstance(self.error, VerifyError) else "failed"
        return "done" if self.outcome else "planned" if self.plan else "not begun"

    @property
    def reason(self) -> str:
        """One line on what went wrong; empty where nothing did."""
        if self.error is None or isinstance(self.error, VsrError):
            return str(self.error or "")
        return f"unexpected {type(self.error).__name__}: {self.error}"


class FileView(Protocol):
    """Who is told how files get on."""

    def at_work(self, plan: Plan, clock: Clock) -> AbstractContextManager[None]:
        """Show that a planned file is enhanced, as far as its clock says, while the block runs."""
        ...

    def tell(self, line: str) -> None:
        """Say what cannot wait."""
        ...


def _nothing(_plan: Plan, _outcome: Outcome) -> None:
    return


def run_file(
    job: Job,
    options: EnhanceOptions,
    view: FileView,
    *,
    overwrite: bool = False,
    after: Callable[[Plan, Outcome], None] = _nothing,
) -> Result:
    """Enhance one file. Its error, whatever it is, becomes part of the result: one bad tape must not end the
    others.

    `after` is what belongs to the file once it is there; an error in it is the file's too.
    """
    result = Result(job)
    try:
        result.plan = plan = make_plan(job, options)
        clock = Clock()
        with view.at_work(plan, clock):
            result.outcome = carry_out(plan, options, overwrite=overwrite, clock=clock, tell=view.tell)
            after(plan, result.outcome)
    except Exception as error:
        result.error = error
    return result
