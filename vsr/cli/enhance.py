"""`vsr enhance`: videos, pictures and folders in, enhanced ones out."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vsr.cli.beside_result import BesideResult
from vsr.cli.console import duration, say, show, size_of
from vsr.cli.enhance_report import check_report, write_report
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import EnhanceFlags, Flat
from vsr.cli.probe import describe_format
from vsr.cli.progress_view import progress
from vsr.cli.signals import getting_on
from vsr.durable import real_path, work_folder
from vsr.engine import place
from vsr.errors import ConfigError, story_of
from vsr.evidence import EvidenceOptions
from vsr.jobs import (
    Job,
    Outcome,
    Plan,
    Records,
    Result,
    check_also,
    estimate_plan,
    find_jobs,
    free_bytes,
    make_plan,
    num_workers,
    read_records,
    run_file,
    suffix_of,
)
from vsr.media import file_name
from vsr.options import EnhanceOptions
from vsr.pipeline import Clock
from vsr.pulse import STUCK_S
from vsr.support import SupportWishes


@dataclass(frozen=True)
class RunOptions:
    """How the command behaves; nothing here changes the pictures."""

    out: Annotated[str, Parameter(name=["--out", "-o"])] = ""
    """Output file, or folder for several inputs. Default: NAME_x2.EXT beside the input."""
    config: str = ""
    """TOML file of options, or one of archive-film, dv, old-web, vhs-ntsc, vhs-pal; flags win over it."""
    report: str = ""
    """Write what happened as JSON to this file."""
    sidecar: bool = False
    """Write RESULT.vsr.json beside each result: source, models, options, with their hashes."""
    support: tuple[str, ...] = ()
    """Measure what the source confirms of each result, and write report.json, map.png or map.mkv, or endings such as
    _map.png; the word full asks the networks again, text reads text in both. Given once for each."""
    overwrite: bool = False
    """Replace outputs that exist."""
    dry_run: bool = False
    """Print the plan, with time and size estimated from the first frames, and write nothing."""
    quiet: bool = False
    """Print errors only."""
    debug: bool = False
    """Show a traceback with an error; as a flag alone, not in a config."""


def enhance_command(
    inputs: Annotated[tuple[str, ...], Parameter(show_default=False)],
    /,
    *,
    flags: Annotated[EnhanceFlags, Flat] = EnhanceFlags(),
    run: Annotated[RunOptions, Flat] = RunOptions(),
    recorded: Annotated[EvidenceOptions, Flat] = EvidenceOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Enhance videos, pictures, folders or globs of both.

    Parameters
    ----------
    inputs
        Files, folders or patterns such as 'tapes/*.avi'; what is hidden in a folder is left out.
    """
    options = flags.options
    jobs = _jobs(inputs, options, run)
    how = {"overwrite": run.overwrite, "quiet": run.quiet}
    support = SupportWishes.parse(run.support, num_results=len(jobs), **how)
    fetch_named(options.models.model, fetch, quiet=run.quiet)
    results = [Result(job) for job in jobs]
    view = _Terminal(run, recorded, support, alone=len(jobs) == 1)
    try:
        for place, each in enumerate(jobs):
            if run.dry_run:
                results[place] = _dry_run(each, options, alone=view.alone)
            else:
                with getting_on(
                    f"{each.named}: nothing got on for {STUCK_S:.0f} s; the file or a disk hangs"
                ):
                    results[place] = view.run_file(each, options)
                view.conclude(results[place])
            if view.alone and (error := results[place].error) is not None:
                raise error
    finally:
        is_told = not run.report or write_report(Path(run.report), results)
    return _conclude(results) or int(not is_told)


def _jobs(inputs: Sequence[str], options: EnhanceOptions, run: RunOptions) -> list[Job]:
    """What is to be done; raise ConfigError where something that is to be written would lie on something else."""
    if not inputs:
        raise ConfigError("no input; name a video, a picture, a folder or a pattern")
    if run.report and (Path(run.report).is_dir() or not real_path(Path(run.report)).parent.is_dir()):
        raise ConfigError(f"report {run.report} cannot be written; name a file in a folder that exists")
    container, suffix = options.encode.container, suffix_of(options.models)
    as_video = options.read.as_video
    jobs = find_jobs(inputs, out=run.out, suffix=suffix, container=container, as_video=as_video, tell=say)
    check_also(jobs, options.also)
    if run.report:
        check_report(Path(run.report), jobs)
    return jobs


@dataclass(frozen=True)
class _Terminal:
    """Shows the files of one command, one after the other."""

    run: RunOptions
    recorded: EvidenceOptions
    support: SupportWishes
    alone: bool
    """The error of the only file is the command's own."""

    def run_file(self, job: Job, options: EnhanceOptions) -> Result:
        """Enhance a file, with its sidecar, its record and its support where they are wanted."""
        wanted = {"sidecar": self.run.sidecar, "alone": self.alone}
        with BesideResult.of(job, self.recorded, self.support, **wanted) as beside:
            result = run_file(
                job,
                options,
                self,
                overwrite=self.run.overwrite,
                before=beside.before,
                planned=beside.planned,
                after=beside.after,
            )
            beside.ended(result)
        return result

    @contextmanager
    def at_work(self, plan: Plan, clock: Clock) -> Generator[None, None, None]:
        for line in _announcement(plan):
            say(line, quiet=self.run.quiet)
        with progress(file_name(plan.job.path), clock, plan.num_frames, quiet=self.run.quiet):
            yield

    def tell(self, line: str) -> None:
        say(line)

    def conclude(self, result: Result) -> None:
        """Say what became of a file."""
        if result.plan is not None and result.outcome is not None:
            for line in _conclusion(result.plan, result.outcome):
                say(line, quiet=self.run.quiet)
        if result.error is not None and not self.alone:
            if self.run.debug:
                sys.stderr.write(story_of(result.error))
            say(f"{result.job.named}: {result.reason}")


def _dry_run(job: Job, options: EnhanceOptions, *, alone: bool) -> Result:
    result = Result(job)
    try:
        result.plan = make_plan(job, options)
        show(describe_plan(result.plan))
    except Exception as error:
        result.error = error
        if not alone:
            say(f"{job.named}: {result.reason}")
    return result


def _announcement(plan: Plan) -> list[str]:
    options, before, after = plan.options, plan.source.format, plan.output
    chain = " + ".join(model.spec.name for model in plan.models) or "no model"
    where = ""
    if plan.models:
        spot = place(options.engine, plan.models[0])
        where = f" on {spot.device} in {spot.precision}"
    lines = [
        f"{plan.job.named}: {before.width}x{before.height} → {after.width}x{after.height}, {chain}{where}"
    ]
    if plan.encoder is not None:
        lines.append(f"encoder: {plan.encoder.why}")
    if plan.second is not None:
        lines.append(f"also {plan.second.path.name}: {plan.second.choice.why}")
    return [*lines, *(_segments(plan) if plan.is_long else []), *(f"note: {note}" for note in plan.notes)]


def _segments(plan: Plan) -> list[str]:
    """What is said of a long job: who enhances it, what of it is there, what room it takes."""
    job, lines = plan.options.job, list[str]()
    if job.cluster:
        lines.append(f"segments go to the Ray cluster {job.cluster}")
    elif (workers := num_workers(plan.options)) > 1:
        lines.append(f"{workers} workers share the segments")
    earlier = None if job.restart else read_records(work_folder(plan.job.target))
    if earlier is not None:
        lines.append(f"going on after {earlier.num_frames} of {plan.num_frames or 'unknown'} frames")
    return [*lines, _room(plan, earlier)]


def _conclusion(plan: Plan, outcome: Outcome) -> list[str]:
    report = outcome.pipeline
    said = set(plan.notes)
    lines = [f"note: {note}" for note in outcome.notes if note not in said]
    speed = report.num_frames / max(report.seconds, 1e-9)
    saved = [f"{report.num_reused} reused"] if report.num_reused else []
    saved += [f"{report.share_skipped:.0%} of the area skipped"] if report.share_skipped >= 0.005 else []
    frames = f"{report.num_frames} frames" + (f" ({', '.join(saved)})" if saved else "")
    what = f"{frames}, {speed:.1f} fps, slowest: {report.slowest}, "
    what = "" if plan.job.is_image else what
    size = f", {size_of(outcome.written.num_bytes)}" if outcome.written.num_bytes else ""
    lines.append(f"{outcome.target}: {what}{duration(report.seconds)}{size}")
    return [*lines, *([f"{outcome.also.path}: {size_of(outcome.also.num_bytes)}"] if outcome.also else [])]


def describe_plan(plan: Plan) -> str:
    """The plan as text: input facts, models, output, encoder and why, estimated time and size."""
    guess = None if plan.is_piped else estimate_plan(plan)  # a pipe is read once
    lines = [
        f"input    {plan.job.named}",
        f"         {describe_format(plan.source)}",
        f"output   {plan.job.target}",
        f"         {plan.output.width}x{plan.output.height}, {plan.output.bit_depth} bit {plan.output.layout}",
    ]
    for model in plan.models:
        spot = place(plan.options.engine, model)
        lines.append(
            f"model    {model.spec.name} (x{model.spec.scale}) on {spot.device} in {spot.precision}: {spot.why}"
        )
    for file in plan.outputs.files if plan.outputs else ():
        arguments = " ".join(f"-{name} {value}" for name, value in file.choice.arguments)
        name = f"also     {file.path}:" if file.stream else "encoder "
        lines += [f"{name} {file.choice.why}", f"         {arguments}"]
    lines += [f"note     {note}" for note in plan.notes]
    if plan.standing:
        lines.append("note     the output exists; --overwrite replaces it, without it nothing is done")
    if guess is None:
        return "\n".join(lines)
    if guess.seconds is not None and guess.num_bytes is not None:
        lines.append(f"estimate about {duration(guess.seconds)} and {size_of(guess.num_bytes)}")
        if plan.is_long:
            lines.append(f"disk     {_disk_needs(plan, guess.num_bytes)}")
    lines.append(f"         at {guess.frames_per_s:.1f} fps, measured on the first frames")
    return "\n".join(lines)


def _room(plan: Plan, earlier: Records | None) -> str:
    """What is known of disk needs before a run: from finished segments, else that
    it cannot be told from the source."""
    if earlier is None or not earlier.num_frames or not plan.num_frames:
        files = [file for _, file in plan.source.pictures] or [Path(plan.job.path)]
        least = sum(file.stat().st_size for file in files if file.exists())
        short = "" if _free(plan) >= least else f", less than the {size_of(least)} of the source alone"
        return (
            f"disk: {size_of(_free(plan))} are free{short}; if that is too little the first segment will tell"
        )
    written = sum(segment.num_bytes for segment in earlier.segments.values())
    num_bytes = round(written / earlier.num_frames * plan.num_frames)
    return f"disk: {_disk_needs(plan, num_bytes, written)}"


def _free(plan: Plan) -> int:
    return free_bytes(next(parent for parent in plan.job.target.absolute().parents if parent.exists()))


def _disk_needs(plan: Plan, num_bytes: int, written: int = 0) -> str:
    free = _free(plan)
    short = (
        "" if free >= 2 * num_bytes - written else ": too little, the job will pause when the disk is full"
    )
    there = f", {size_of(written)} of it are there" if written else ""
    needs = f"segments of {plan.options.job.segment} s and the result take about {size_of(2 * num_bytes)} at the end"
    return f"{needs}{there}; {size_of(free)} are free{short}"


def _conclude(results: Sequence[Result]) -> int:
    failed = [result for result in results if result.error is not None]
    if not failed:
        return 0
    say(f"{len(results) - len(failed)} of {len(results)} done; failed:")
    for result in failed:
        say(f"  {result.job.named}: {result.reason}")
    return 3 if all(result.status == "unverified" for result in failed) else 1
