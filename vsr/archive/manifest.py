"""An archive's manifest: a row for each source, as CSV and as JSON, made from the state. Never read back."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vsr import __version__
from vsr.archive.entry import Entry
from vsr.durable import begins_with, write_whole
from vsr.errors import SinkError

_COLUMNS = (
    "status source result source_bytes source_sha256 result_bytes result_sha256 also also_sha256 width "
    "height frames duration_s models models_sha256 running_on options seconds fps share_skipped verified "
    "ended evidence notes error"
)
COLUMNS: tuple[str, ...] = tuple(_COLUMNS.split())
"""Of the CSV. Several models, options and notes are parted by `; `."""


_FORMULAS = ("=", "+", "-", "@", "\t", "\r")

_BEGINNINGS = {".csv": b"status,source,result,", ".json": b'{\n "vsr": '}
"""Of PATH + ending, by which one of ours is known; 0.4.0 began them so, too."""


def _places(path: Path) -> dict[str, Path]:
    """Where the manifest lies, by ending."""
    return {ending: path.with_name(f"{path.name}{ending}") for ending in _BEGINNINGS}


def check_manifest(path: Path) -> None:
    """Raise SinkError where a file lies in the manifest's place that is none."""
    for ending, place in _places(path).items():
        if not begins_with(place, _BEGINNINGS[ending]):
            raise SinkError(
                f"{place} is no manifest, so it is left alone; move it away, or name another one by --manifest"
            )


def write_manifest(entries: Iterable[Entry], path: Path) -> None:
    """Write PATH.csv and PATH.json, each at once.

    Raises:
        SinkError: they cannot be written, or a file of others lies in their place.
    """
    check_manifest(path)
    entries = list(entries)
    rows = [_row(entry) for entry in entries]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    files = [_full(entry) for entry in entries]
    whole = json.dumps({"vsr": __version__, "files": files}, indent=1, ensure_ascii=False) + "\n"
    try:
        for ending, content in ((".csv", text.getvalue()), (".json", whole)):
            write_whole(_places(path)[ending], content)
    except OSError as error:
        raise SinkError(f"manifest {path} cannot be written: {error.strerror or error}") from error


def _plain(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: one that begins as such gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _full(entry: Entry) -> dict[str, Any]:
    """An entry with all that is recorded of its result."""
    told = {"status": entry.status, "source_path": entry.source, "result_path": entry.result}
    if entry.error:
        told["error"] = entry.error
    return told | (dict(entry.record) if entry.record and entry.status == "done" else {})


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": entry.status,
        "source": entry.source,
        "result": entry.result,
        "error": entry.error,
        "source_bytes": entry.stamp.size if entry.stamp else None,
        "options": "; ".join(f"{name}={value}" for name, value in entry.wishes.items()),
    }
    record = entry.record
    if entry.status != "done" or record is None:
        return row
    source, result, models = record["source"], record["result"], record["models"]
    measured, also = record["measured"] or {}, record["also"] or {}
    return row | {
        "source_sha256": source["sha256"],
        "duration_s": source["duration_s"],
        "result_bytes": result["bytes"],
        "result_sha256": result["sha256"],
        "also": also.get("path"),
        "also_sha256": also.get("sha256"),
        "width": result["width"],
        "height": result["height"],
        "frames": result["frames"],
        "models": "; ".join(model["name"] for model in models),
        "models_sha256": "; ".join(model["sha256"] for model in models),
        "running_on": record["running_on"],
        "verified": bool(record["verification"]),
        "seconds": measured.get("seconds"),
        "fps": measured.get("fps"),
        "share_skipped": measured.get("share_skipped"),
        "ended": record["ended"],
        "evidence": record.get("evidence", {}).get("folder"),
        "notes": "; ".join(record["notes"]),
    }
