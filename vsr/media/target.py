"""Where a result is to lie: whether it may, and what one is called that failed its check."""

import os
from collections.abc import Iterator
from pathlib import Path

from vsr.durable import free_names, longest_name
from vsr.errors import SinkError


def check_target(path: Path, source: Path) -> None:
    """Raise SinkError where a result cannot lie, as far as can be told before: its folder is missing or has no UTF-8
    name, its own name is too long, it is a folder, or it is the source, by whatever name."""
    folder, name = path.parent, os.fsencode(path.name)
    if not folder.is_dir():
        raise SinkError(f"folder {str(folder)!r} does not exist; create it, or name another output")
    if any("\udc80" <= letter <= "\udcff" for letter in os.path.abspath(folder)):
        raise SinkError(
            f"folder {str(folder)!r} has a name that is not UTF-8; name an output in another folder"
        )
    if len(name) > (most := longest_name(folder)):
        raise SinkError(f"output {str(path)!r} has a name of {len(name)} bytes; up to {most} are accepted")
    if path.is_dir():
        raise SinkError(f"output {str(path)!r} is a folder; name a file in it")
    if path.exists() and source.exists() and path.samefile(source):
        raise SinkError(f"output {str(path)!r} is the input itself; name another file")


def unverified_names(path: Path) -> Iterator[Path]:
    """Yield `NAME.unverified.EXT` of a result, then `NAME.unverified.2.EXT` and so on for where it is taken."""
    return free_names(path, mark=".unverified", count=".{}")
