"""The log of a camera's record, beside its recordings: what its files are, and what of them it names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsr.evidence.chain_log import LOG

LIVE = "evidence"
"""The record's folder, within that of the recordings."""

HEAD = "head.json"
"""How far the log has come: what was cut off its end is missed by it."""


@dataclass
class NamedFiles:
    """Recorded files by their names, as a log has them so far."""

    begun: set[str] = field(default_factory=set[str])
    """They were seen to be written."""
    hashed: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """They were finished: their lines."""
    earlier: set[str] = field(default_factory=set[str])
    """They lay there when the log was begun or taken up again, and nobody had seen them be written."""
    gone: set[str] = field(default_factory=set[str])
    """They were no more there, later."""

    def read(self, entries: Iterable[Mapping[str, Any]]) -> "NamedFiles":
        """Take in lines of a log; returns itself."""
        for entry in entries:
            if entry["step"] == "begins":
                self.begun.add(entry["file"])
            elif entry["step"] == "segment":
                self.hashed[entry["file"]] = entry
            elif entry["step"] == "gone":
                self.gone.add(entry["file"])
            self.earlier.update(entry.get("earlier", ()))
        return self


def finished_name(name: str) -> str:
    """What a recorded file is called when it is complete."""
    return name.removesuffix(".part")


def is_live(folder: Path) -> bool:
    """Whether a folder holds the record of a camera; a file of it may be missing."""
    if (folder / HEAD).is_file():
        return True
    path = folder / LOG
    if not path.is_file():
        return False
    try:
        with path.open("rb") as log:
            return b'"record": "live"' in log.readline()
    except OSError:
        return False
