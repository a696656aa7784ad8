"""`vsr evidence`: records of what was done to files, checked and shown."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyclopts import App

from vsr.cli.console import say, show
from vsr.cli.progress_view import progress
from vsr.evidence import (
    LOG,
    STAMP,
    check_evidence,
    check_live,
    get,
    is_live,
    live_summary,
    load_record,
    make_again,
    make_key,
    put,
    read_log,
    stamp_of,
    stamped,
    whole_lines,
)
from vsr.jobs import Plan
from vsr.pipeline import Clock

evidence = App(name="evidence", help="Check, show and repeat what `--evidence` has recorded.")


@evidence.command(name="key")
def key_command(path: Path, /) -> int:
    """Make a key for `vsr enhance --sign`: the private one, for its owner alone, and a public one to be made known.

    Parameters
    ----------
    path
        The private key's file; the public one lies beside it, as PATH.pub.
    """
    public = make_key(path)
    say(
        f"{path}: private, keep it to yourself; {public}: public, let others have it by a way that they trust"
    )
    return 0


@evidence.command(name="verify")
def verify_record(
    folder: Path,
    /,
    *,
    source: Path | None = None,
    result: Path | None = None,
    key: Path | None = None,
    authority: tuple[Path, ...] = (),
    quick: bool = False,
) -> int:
    """Check a record against itself, its source and its result; what is wrong is named, and ends with exit code 3.

    Parameters
    ----------
    folder
        What `--evidence` has filled, of a camera: the folder evidence beside its recordings.
    source
        Where the source lies now.
    result
        Where the result lies now; the folder of a camera's recordings.
    key
        Public key by which the record must be signed.
    authority
        Certificates in PEM of those whose time stamps and content credentials are trusted.
    quick
        Compare the bytes of both, and decode neither.
    """
    if is_live(folder):
        lines = check_live(folder, recordings=result, key=key)
    else:
        where = {"source": source, "result": result, "key": key}
        lines = check_evidence(folder, **where, authorities=authority, decode=not quick)
    for line in lines:
        show(line)
    show("all of it is as it was")
    return 0


@evidence.command(name="show")
def show_record(folder: Path, /, *, log: bool = False) -> int:
    """Print a record.

    Parameters
    ----------
    folder
        What `--evidence` has filled.
    log
        Print the log of steps instead, of a record that is not finished, too.
    """
    if log:
        for entry in read_log(whole_lines(get(folder, LOG)), folder / LOG)[0]:
            show(json.dumps(entry, ensure_ascii=False))
    else:
        record = live_summary(folder) if is_live(folder) else load_record(folder)
        show(json.dumps(record, ensure_ascii=False, indent=1))
    return 0


@evidence.command(name="stamp")
def stamp_command(folder: Path, address: str, /) -> int:
    """Have an authority stamp a record's time, or once more, in place of the stamp that is there.

    Parameters
    ----------
    folder
        What `--evidence` has filled.
    address
        Of an authority by RFC 3161.
    """
    put(folder, STAMP, stamp_of(stamped(folder, load_record(folder)), address), again=True)
    return 0


@dataclass(frozen=True)
class _ReplayView:
    quiet: bool

    @contextmanager
    def at_work(self, plan: Plan, clock: Clock) -> Generator[None, None, None]:
        with progress(plan.job.path.name, clock, plan.num_frames, quiet=self.quiet):
            yield

    def tell(self, line: str) -> None:
        say(line)


@evidence.command(name="replay")
def replay_command(
    folder: Path,
    /,
    *,
    source: Path | None = None,
    result: Path | None = None,
    key: Path | None = None,
    keep: Path | None = None,
    quiet: bool = False,
) -> int:
    """Make the result again from its source and the record, and say that it is equal, or which frame is the first that
    is not.

    Parameters
    ----------
    folder
        What `--evidence` has filled.
    source
        Where the source lies now.
    result
        Where the result lies now.
    key
        Public key by which the record must be signed.
    keep
        Keep the new result under this name.
    quiet
        Print what is equal, and errors.
    """
    view = _ReplayView(quiet)
    for line in make_again(folder, view, source=source, result=result, key=key, keep=keep):
        show(line)
    return 0
