"""`vsr enhance --report`: what happened with each file, as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vsr.cli.console import fail, write_result
from vsr.durable import file_id, place_of
from vsr.errors import ConfigError, SinkError, redact
from vsr.jobs import Job, Result


def check_report(path: Path, jobs: Sequence[Job]) -> None:
    """Raise ConfigError where the report would take the place of an input or a result."""
    others = [other for job in jobs for other in (*job.sources, job.target)]
    taken = {file_id(each) for each in others} - {None}
    if place_of(path) in map(place_of, others) or file_id(path) in taken:
        raise ConfigError(f"report {path} is an input or a result itself; name another file")


def write_report(path: Path, results: Sequence[Result]) -> bool:
    """Write what became of all files; where that cannot be done, say so and return False."""
    text = json.dumps([_as_json(result) for result in results], indent=2, default=str) + "\n"
    try:
        write_result(path, text.encode())
    except SinkError as error:
        fail(f"report {path}: {error}")
        return False
    return True


def _as_json(result: Result) -> dict[str, Any]:
    report: dict[str, Any] = {"input": result.job.named, "output": result.job.target, "status": result.status}
    if result.plan is not None:
        plan, second = result.plan, result.plan.second
        report |= {
            "source": asdict(replace(plan.source, path=redact(plan.source.path))),
            "crop": asdict(plan.crop) if plan.crop else None,
            "format": asdict(plan.output),
            "models": [asdict(model.spec) for model in plan.models],
            "encoder": asdict(plan.encoder) if plan.encoder else None,
            "second": {"path": second.path, "choice": asdict(second.choice)} if second else None,
        }
    if result.outcome is not None:
        outcome = result.outcome
        report |= {
            "pipeline": asdict(outcome.pipeline),
            "read": asdict(outcome.counts) if outcome.counts else None,
            "written": asdict(outcome.written),
            "also": asdict(outcome.also) if outcome.also else None,
            "notes": outcome.notes,
        }
    return report | ({"error": result.reason} if result.error else {})
