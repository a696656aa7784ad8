"""Where a result comes from: what was done, by which models, from which source.
For a sidecar and for a manifest."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vsr.durable import begins_with, fitting, sha256_of, write_whole
from vsr.errors import SinkError
from vsr.jobs.enhance_file import Outcome
from vsr.jobs.identity import running_on, software, wishes_of
from vsr.jobs.plan import Plan
from vsr.media import WriteReport, is_address, is_numbered, is_standard, numbered_files

Record = dict[str, Any]
"""As JSON takes it."""


def provenance_of(plan: Plan, outcome: Outcome | None) -> Record:
    """Record a finished file. Reads source and result once for their hashes.

    `outcome` is None where the result was made by a process that did not live to tell how.
    """
    return {
        "source": _source(plan),
        "result": _result(plan, outcome),
        "also": _file(plan.second.path) if plan.second else None,
        "models": [_model(model.spec) for model in plan.models],
        "options": wishes_of(plan.options),
        "crop": str(plan.crop) if plan.crop else None,
        "running_on": running_on(plan.models, plan.options),
        "software": software(),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "measured": _measured(outcome) if outcome else None,
        "verification": _verification(outcome),
        "notes": list(outcome.notes if outcome else plan.notes),
    }


def _source(plan: Plan) -> Record:
    info, path = plan.source, plan.job.path
    stored: Record = {"path": plan.job.place}
    if not is_address(path) and not is_standard(path):
        stored |= _stored([file for _, file in info.pictures] or [path])
    return stored | {
        "codec": info.codec,
        "width": info.format.width,
        "height": info.format.height,
        "duration_s": info.duration_s,
    }


def _stored(files: Sequence[Path]) -> Record:
    stats = [file.stat() for file in files]
    modified = max(stat.st_mtime for stat in stats)
    return {
        "bytes": sum(stat.st_size for stat in stats),
        "modified": datetime.fromtimestamp(modified, UTC).isoformat(),
        "sha256": sha256_of(*files),
    }


def _file(path: Path) -> Record:
    files = list(numbered_files(path).values()) if is_numbered(path) else [path]
    num_bytes = sum(file.stat().st_size for file in files)
    return {"path": path.name, "bytes": num_bytes, "sha256": sha256_of(*files)}


def _result(plan: Plan, outcome: Outcome | None) -> Record:
    return _file(plan.job.target) | {
        "encoder": plan.encoder.encoder if plan.encoder else None,
        "width": plan.output.width,
        "height": plan.output.height,
        "frames": outcome.written.num_frames if outcome else None,
    }


def _model(spec: Any) -> Record:
    return {name: getattr(spec, name) for name in ("name", "scale", "version", "sha256", "licence")}


def _measured(outcome: Outcome) -> Record:
    """Of the run that finished the file; one that was resumed has enhanced a part of the frames."""
    report = outcome.pipeline
    return {
        "frames": report.num_frames,
        "seconds": round(report.seconds, 3),
        "fps": round(report.num_frames / max(report.seconds, 1e-9), 3),
        "share_skipped": round(report.share_skipped, 4),
        "frames_reused": report.num_reused,
    }


def _verification(outcome: Outcome | None) -> Record | None:
    """What reading the result back gave; only what has passed is a result."""
    if outcome is None:
        return None
    written = outcome.written
    checked = written.verification.num_frames if isinstance(written, WriteReport) else written.num_frames
    return {"passed": True, "frames": checked}


_BEGINNING = b'{\n  "source": {'
"""Of a sidecar, by which one of ours is known; 0.4.0 began them so, too."""


def sidecar_of(result: Path) -> Path:
    """Where a result's record lies: `RESULT.vsr.json` beside it."""
    return result.with_name(fitting(result.parent, result.name, ".vsr.json"))


def check_sidecar(result: Path) -> None:
    """Raise SinkError where a file lies in a sidecar's place that is none."""
    if not begins_with(place := sidecar_of(result), _BEGINNING):
        raise SinkError(
            f"{place} exists and is no sidecar, so it is left alone; move it away, or leave out --sidecar"
        )


def write_sidecar(result: Path, record: Mapping[str, Any]) -> None:
    """Write a result's record beside it.

    Raises:
        SinkError: it cannot be written, or a file of others lies in its place.
    """
    check_sidecar(result)
    path = sidecar_of(result)
    try:
        write_whole(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise SinkError(f"sidecar {path} cannot be written: {error.strerror or error}") from error
