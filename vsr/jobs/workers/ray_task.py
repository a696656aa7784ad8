"""What a worker of a Ray cluster does on its machine: it looks what it can
see there, and enhances a segment."""

import pickle
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsr.engine import tune_process
from vsr.errors import ConfigError
from vsr.jobs.identity import describe_source, running_on, software
from vsr.jobs.plan import Plan
from vsr.jobs.segments.journal import Gap
from vsr.jobs.segments.journal_records import Segment
from vsr.jobs.workers.pool import Failed, Finished, SegmentProgress
from vsr.jobs.workers.worker import Worker, attempt, failed
from vsr.pipeline import Report

_TELL_EVERY_S = 1.0


@dataclass(frozen=True)
class RayTask:
    """What is wanted of a worker somewhere in a cluster."""

    job: str
    """Names the job among all others."""
    gap: Gap
    folder: Path
    """Of the job, on the machine of who holds the journal."""
    token: str
    """A file in that folder: who finds it sees the folder itself, and not one of the same name."""
    source: Mapping[str, str]
    """What the source looks like."""
    software: Mapping[str, str]
    """What must run here for the same frames and bytes."""
    device: str
    threads: int
    blocks: Sequence[Any] | None = None
    """References to the source's bytes, block by block, for those who do not see
    it; None where nobody has asked."""


@dataclass(frozen=True)
class Delivered:
    """A finished segment with its bytes, from where the job's folder is not to be seen."""

    segment: Segment
    contents: bytes
    report: Report


_worker: tuple[str, Worker] | None = None
"""Ray keeps processes for the next task, which finds networks loaded."""


def enhance_segment(
    packed: bytes, order: RayTask, fetch: Callable[[Any], bytes], tell: Callable[[SegmentProgress], None]
) -> Finished | Failed | Delivered | None:
    """Enhance one segment on this machine; None where the source is not to be seen from here.

    Args:
        packed: the plan.
        order: the segment, and what the machine that holds the journal sees.
        fetch: gives the bytes of a block.
        tell: hears about once a second how far it is.
    """
    global _worker
    try:
        if _worker is None or _worker[0] != order.job:
            tune_process()
            plan = _here(pickle.loads(packed), order, fetch)
            if plan is None:
                return None
            _worker = order.job, Worker(plan)
        worker = _worker[1]
    except Exception as error:
        return failed(order.gap, error)
    if (order.folder / order.token).exists():
        return attempt(worker, order.gap, order.folder, tell, every_s=_TELL_EVERY_S)
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        news = attempt(worker, order.gap, Path(folder), tell, every_s=_TELL_EVERY_S)
        if isinstance(news, Failed):
            return replace(news, disk_is_full=False)  # not the disk that the driver could wait for
        return Delivered(news.segment, news.part.read_bytes(), news.report)


def result_of(plan: Plan) -> dict[str, str]:
    """What must be equal for machines to make the same of the same frames, as far as software knows."""
    return {"software": software(), "running on": running_on(plan.models, plan.options)}


def _here(plan: Plan, order: RayTask, fetch: Callable[[Any], bytes]) -> Plan | None:
    """The plan as this machine can do it; None where the source is missing.

    Raises:
        ConfigError: other software runs here, so that the result would be another.
    """
    plan = plan.on_device(order.device, order.threads)
    found = result_of(plan)
    for name, wanted in order.software.items():
        if found[name] != wanted:
            raise ConfigError(
                f"{platform.node()} would make another result: {name} {found[name]}, here {wanted}; "
                "let the nodes of a cluster be equal"
            )
    if _sees(plan.job.path, order.source):
        return plan
    if order.blocks is None:
        return None
    copy = _fetched(plan.job.path.name, order, fetch)
    return replace(plan, job=replace(plan.job, path=copy))


def _sees(path: Path, source: Mapping[str, str]) -> bool:
    try:
        return describe_source(path) == source
    except OSError:
        return False


def _own_folder(job: str) -> Path:
    return Path(tempfile.gettempdir()) / f"vsr-{job}"


def _fetched(name: str, order: RayTask, fetch: Callable[[Any], bytes]) -> Path:
    """The source's copy on this machine, of which all workers here use the first that is complete."""
    assert order.blocks is not None
    path = _own_folder(order.job) / name
    if not path.exists():
        path.parent.mkdir(0o700, exist_ok=True)
        part = path.with_name(f"{uuid.uuid4().hex}.part")
        with part.open("xb") as file:
            for block in order.blocks:
                file.write(fetch(block))
        part.replace(path)
    return path


def forget(job: str) -> None:
    """Remove a job's copy of the source from this machine, once none of its workers runs any more."""
    global _worker
    _worker = None
    shutil.rmtree(_own_folder(job), ignore_errors=True)
