"""`vsr jobs`: long jobs that lie unfinished."""

from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.table import Table

from vsr.cli.console import cell, say, show, size_of
from vsr.jobs import Unfinished, find_unfinished, remove

jobs = App(name="jobs", help="List, show and clean up long jobs that lie unfinished.")


@jobs.command(name="list")
def list_jobs(folder: Path = Path(), /) -> int:
    """List the unfinished jobs below a folder.

    Parameters
    ----------
    folder
        Where results are written.
    """
    found = find_unfinished(folder)
    if not found:
        say(f"nothing lies unfinished below {folder}")
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("result", "frames", "on disk", ""):
        table.add_column(heading)
    for job in found:
        table.add_row(
            cell(job.target), _frames(job), size_of(job.num_bytes), "running" if job.is_running else ""
        )
    Console().print(table)
    return 0


def _frames(job: Unfinished) -> str:
    total = job.records.told.get("num_frames")
    return f"{job.num_done} of {total}" if total else str(job.num_done)


@jobs.command(name="show")
def show_job(result: Path, /) -> int:
    """Show one job: what it is, and each of its finished segments.

    Parameters
    ----------
    result
        The output it works on, or its work folder.
    """
    for job in find_unfinished(result):
        show(f"result    {job.target}")
        show(f"source    {job.records.told.get('source', '')}")
        show(f"lies in   {job.folder}, {size_of(job.num_bytes)}{', running' if job.is_running else ''}")
        show(f"frames    {_frames(job)}")
        for name, value in job.records.identity.items():
            show(f"          {name}: {value}")
        for number, segment in sorted(job.records.segments.items()):
            span = f"pts {segment.first} to {segment.last}, {segment.num_frames} frames"
            show(f"segment   {number}: {span}, {size_of(segment.num_bytes)}, {segment.sha256[:16]}")
    return 0


@jobs.command(name="clean")
def clean(folder: Path = Path(), /, *, yes: bool = False) -> int:
    """Delete the unfinished jobs below a folder, with all work that is in them; running ones stay.

    Parameters
    ----------
    folder
        Where results are written; or one job's output or work folder.
    yes
        Really delete; without it, say what would go.
    """
    for job in find_unfinished(folder):
        what = f"{job.target}: {_frames(job)} frames, {size_of(job.num_bytes)}"
        if job.is_running:
            say(f"{what}, is running and stays")
        elif yes:
            left = remove(job)
            stays = f"; {job.folder} holds {len(left)} files of others and stays" if left else ""
            say(f"{what}, deleted{stays}")
        else:
            say(f"{what}, would be deleted by --yes")
    return 0
