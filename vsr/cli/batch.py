"""`vsr batch`: an archive, worked through file by file, as often as it is started."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vsr.archive import Again, Archive, ArchiveOptions, Entry, Naming, Todo, find_archive, look
from vsr.cli.batch_view import ArchiveView, conclude
from vsr.cli.console import say, show
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import EnhanceFlags, Flat
from vsr.errors import ConfigError
from vsr.evidence import EvidenceOptions
from vsr.jobs import Job


@dataclass(frozen=True)
class BatchOptions:
    """How one run goes about it."""

    out: Annotated[str, Parameter(name=["--out", "-o"])] = ""
    """Folder of the results, which mirrors the sources' tree."""
    config: str = ""
    """TOML file of options; flags win over it."""
    order: Literal["name", "size"] = "name"
    """What comes first: by name, or the smallest."""
    keep_going: Annotated[bool, Parameter(negative="--stop-at-failure")] = True
    """Go on when a file fails, and name it at the end."""
    dry_run: bool = False
    """Say what would be done and why, and do nothing."""
    quiet: bool = False
    """Print errors only."""
    debug: bool = False
    """Show a traceback with an error; as a flag alone, not in a config."""


def batch_command(
    source: Annotated[str, Parameter(show_default=False)],
    /,
    *,
    archive: Annotated[ArchiveOptions, Flat] = ArchiveOptions(),
    again: Annotated[Again, Flat] = Again(),
    run: Annotated[BatchOptions, Flat] = BatchOptions(),
    flags: Annotated[EnhanceFlags, Flat] = EnhanceFlags(),
    recorded: Annotated[EvidenceOptions, Flat] = EvidenceOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Enhance an archive: what is done and verified is left alone, so the same
    command goes on, any number of times.

    Several processes, on several machines too, may run it at once.

    Parameters
    ----------
    source
        Folder, pattern such as 'tapes/**/*.avi', or list of paths (.txt).
    """
    options = flags.options
    out = out_folder(run.out)
    jobs = find_archive(source, Naming(out, archive.name, options.encode.container, options.also), tell=say)
    if run.order == "size":
        jobs.sort(key=lambda job: job.path.stat().st_size if job.path.exists() else 0)
    if run.dry_run:
        return _dry_run(jobs, look(jobs, out, options, again, recorded=bool(recorded.evidence)))
    fetch_named(options.models.model, fetch, quiet=run.quiet)
    with closing(Archive(out, options, archive, recorded=recorded, debug=run.debug, tell=say)) as opened:
        todo = opened.enter(jobs, again)
        say(_announcement(jobs, todo), quiet=run.quiet)
        try:
            _work(opened, todo, run)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on") from None
        finally:
            opened.write_manifest()
        clashing = {conflict.job.path for conflict in todo.conflicts}
        entries = opened.entries(job for job in jobs if job.path not in clashing)
        return conclude(entries, todo.conflicts, quiet=run.quiet)


def _dry_run(jobs: Sequence[Job], todo: Todo) -> int:
    for job, reason in zip(todo.jobs, todo.reasons.values(), strict=True):
        show(f"{job.path} → {job.target}: {reason}")
    for conflict in todo.conflicts:
        show(f"{conflict.job.path}: fails, {conflict.reason}")
    show(_announcement(jobs, todo))
    return 1 if todo.conflicts else 0


def out_folder(out: str) -> Path:
    """Return the folder of results that the user has named.

    Raises:
        ConfigError: it is none.
    """
    if not out:
        raise ConfigError("no output; name a folder for the results with -o")
    if Path(out).exists() and not Path(out).is_dir():
        raise ConfigError(f"output {out} is a file; name a folder for the results")
    return Path(out)


def _announcement(jobs: Sequence[Job], todo: Todo) -> str:
    counts = Counter(todo.reasons.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    clashing = f"; {len(todo.conflicts)} cannot be done" if todo.conflicts else ""
    return f"{len(jobs)} files, {len(todo.jobs)} to do" + (f": {reasons}" if reasons else "") + clashing


def _work(archive: Archive, todo: Todo, run: BatchOptions) -> None:
    view = ArchiveView(len(todo.jobs), quiet=run.quiet)
    with view.drawn(), closing(archive.enhance(todo.jobs)) as messages:
        for message in messages:
            view.show(message)
            if isinstance(message, Entry) and message.status != "done" and not run.keep_going:
                return
