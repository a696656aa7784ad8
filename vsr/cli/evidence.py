"""`vsr evidence`: records of what was done to files, checked and shown."""

import json
from pathlib import Path

from cyclopts import App

from vsr.cli.console import show
from vsr.evidence import LOG, check_evidence, get, load_record, read_log

evidence = App(name="evidence", help="Check, show and repeat what `vsr enhance --evidence` has recorded.")


@evidence.command(name="verify")
def verify_record(
    folder: Path, /, *, source: Path | None = None, result: Path | None = None, quick: bool = False
) -> int:
    """Check a record against itself, its source and its result; what is wrong is named, and ends with exit code 3.

    Parameters
    ----------
    folder
        What `--evidence` has filled.
    source
        Where the source lies now.
    result
        Where the result lies now.
    quick
        Compare the bytes of both, and decode neither.
    """
    for line in check_evidence(folder, source=source, result=result, decode=not quick):
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
        Print the log of steps instead.
    """
    record = load_record(folder)
    if log:
        for entry in read_log(get(folder, LOG), folder / LOG)[0]:
            show(json.dumps(entry, ensure_ascii=False))
    else:
        show(json.dumps(record, ensure_ascii=False, indent=1))
    return 0
