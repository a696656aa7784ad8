"""Workers all over a Ray cluster: each segment is a task that Ray queues,
places, and begins again if a node is lost.

Whether a node sees the source and the job's folder is found by looking. What it does not see is shipped
through Ray's object store: the source's bytes to it, the segment's bytes back. Ray is imported here and in
`ray_connection` alone, and when it is asked for.
"""

import contextlib
import importlib
import time
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from vsr.durable import fresh_name, sync
from vsr.engine import pick_device
from vsr.errors import VsrError
from vsr.jobs.identity import describe_source
from vsr.jobs.plan import Plan
from vsr.jobs.segments.journal import Gap
from vsr.jobs.workers import ray_task
from vsr.jobs.workers.pool import Failed, Finished, News, SegmentProgress
from vsr.jobs.workers.ray_connection import connected
from vsr.jobs.workers.worker import packed

_MAX_RETRIES = 3
"""Times that Ray begins a task again whose node was lost."""

_MOST_THREADS = 4
"""CPUs of a task, where the user does not say."""

_BLOCK_BYTES = 64 << 20
_LOOK_EVERY_S = 2.0
_STOP_S = 15.0


class RayPool:
    """A pool of Ray tasks."""

    def __init__(self, plan: Plan, folder: Path, *, address: str):
        """Prepare; the cluster is joined by `__enter__`.

        Args:
            plan: what is done.
            folder: the job's, where segments are written.
            address: HOST:PORT of a cluster, `auto` for the one that this machine is part of, or `local` to
                start one here that ends with the pool.

        Raises:
            ConfigError: a network cannot be sent.
        """
        self._source = plan.job.path.absolute()
        self._bytes = packed(replace(plan, job=replace(plan.job, path=self._source)))
        self._folder, self._address = folder.absolute(), address
        self._job, self._token = uuid.uuid4().hex, fresh_name("seen")
        self._on_gpu = pick_device(plan.options.engine.device).type == "cuda"
        self._seen, self._software = describe_source(self._source), ray_task.result_of(plan)
        self._threads = plan.options.engine.threads
        self._under_way: dict[Any, Gap] = {}
        self._blocks: list[Any] | None = None
        self._asked: Any = None
        self._width, self._looked_s = 1, 0.0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Join the cluster.

        Raises:
            ConfigError: it cannot be reached.
        """
        with ExitStack() as stack:
            self._ray = stack.enter_context(connected(self._address))
            stack.callback((self._folder / self._token).unlink, missing_ok=True)
            (self._folder / self._token).touch(exist_ok=False)
            self._prepare()
            self._stack = stack.pop_all()
        return self

    def _prepare(self) -> None:
        """What all tasks share: their size, the plan, and the actor to which they tell how far they are."""
        ray = self._ray
        counts = [int(each["Resources"].get("CPU", 0)) for each in self._nodes()]
        self._threads = self._threads or min([_MOST_THREADS, *filter(None, counts)])
        here = _on(ray.get_runtime_context().get_node_id(), soft=True)
        self._actor = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(
            _progress_class()
        ).remote()
        self._packed = ray.put(self._bytes)
        options: dict[str, Any] = {"num_cpus": self._threads, "max_retries": _MAX_RETRIES, "max_calls": 0}
        self._task = ray.remote(**options, num_gpus=int(self._on_gpu))(_run)

    def _nodes(self) -> list[dict[str, Any]]:
        return [each for each in self._ray.nodes() if each["Alive"]]

    @property
    def width(self) -> int:
        """Twice what runs at once: Ray queues the rest, and nodes may join."""
        if time.monotonic() - self._looked_s > _LOOK_EVERY_S:
            need, kind = (1, "GPU") if self._on_gpu else (self._threads, "CPU")
            self._width = max(
                1, 2 * sum(int(each["Resources"].get(kind, 0)) // need for each in self._nodes())
            )
            self._looked_s = time.monotonic()
        return self._width

    def submit(self, gap: Gap) -> None:
        order = ray_task.RayTask(
            self._job,
            gap,
            self._folder,
            self._token,
            self._seen,
            self._software,
            "cuda" if self._on_gpu else "cpu",
            self._threads,
            self._blocks,
        )
        self._under_way[self._task.remote(self._packed, order, self._actor)] = gap

    def news(self, timeout_s: float) -> list[News]:
        if not self._under_way:
            return []
        ready, _ = self._ray.wait(list(self._under_way), timeout=timeout_s)
        if ready:
            ready, _ = self._ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        numbers = {gap.number for gap in self._under_way.values()}
        heard: list[News] = [progress for progress in self._progress() if progress.number in numbers]
        return heard + [
            news for ref in ready if (news := self._outcome(ref, self._under_way.pop(ref))) is not None
        ]

    def _progress(self) -> list[SegmentProgress]:
        """What tasks have told; asked for once, and taken when it has come."""
        if self._asked is None:
            self._asked = self._actor.take.remote()
        if not self._ray.wait([self._asked], timeout=0)[0]:
            return []
        asked, self._asked = self._asked, None
        with contextlib.suppress(Exception):  # the actor may have died, and begins anew
            return [SegmentProgress(*numbers) for numbers in self._ray.get(asked)]
        return []

    def _outcome(self, ref: Any, gap: Gap) -> News | None:
        """What has become of a task; None where it has been sent out anew, with the source."""
        try:
            result = self._ray.get(ref)
        except Exception as error:  # Ray's own: a node without vsr, too many nodes lost, no memory
            cause = getattr(error, "cause", None) or error
            first = next(iter(str(cause).strip().splitlines()), "")
            return Failed(
                gap.number, VsrError(f"segment {gap.number} failed in Ray: {type(cause).__name__}: {first}")
            )
        if result is None:  # the source is not seen there
            self._blocks = self._blocks or self._shipped()
            self.submit(gap)
            return None
        return self._received(result) if isinstance(result, ray_task.Delivered) else result

    def _shipped(self) -> list[Any]:
        """The source in Ray's object store, which keeps on the disk what its memory does not hold."""
        with self._source.open("rb") as file:
            return [self._ray.put(block) for block in iter(lambda: file.read(_BLOCK_BYTES), b"")]

    def _received(self, result: ray_task.Delivered) -> News:
        part = self._folder / fresh_name(f"{result.segment.number:06}", ".part")
        try:
            with part.open("xb") as file:
                file.write(result.contents)
            sync(part)
        except OSError as error:
            part.unlink(missing_ok=True)
            return Failed(result.segment.number, error, True, len(result.contents))
        return Finished(result.segment, part, result.report)

    def __exit__(self, *_: object) -> None:
        """Cancel what is under way and leave nothing on any node."""
        with self._stack:
            refs = list(self._under_way)
            for ref in refs:
                self._ray.cancel(ref)
            rest = self._ray.wait(refs, num_returns=len(refs), timeout=_STOP_S)[1] if refs else []
            for ref in rest:
                self._ray.cancel(ref, force=True)
            if self._blocks is not None:
                self._forget()
            self._ray.kill(self._actor)
            self._under_way.clear()

    def _forget(self) -> None:
        """Remove the copies of the source."""
        task = self._ray.remote(num_cpus=0, max_retries=0)(ray_task.forget)
        places = [_on(each["NodeID"], soft=False) for each in self._nodes()]
        refs = [task.options(scheduling_strategy=place).remote(self._job) for place in places]
        self._ray.wait(refs, num_returns=len(refs), timeout=_STOP_S)


def _on(node_id: str, *, soft: bool) -> Any:
    """One node alone, or (soft) any other where that one is not to be had."""
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    return strategies.NodeAffinitySchedulingStrategy(node_id, soft=soft)


def _progress_class() -> type:
    """The class of the actor to which tasks tell how far they are. Made here, so that
    its process needs nothing of ours."""

    class Progress:
        def __init__(self) -> None:
            self._shown: dict[int, tuple[Any, ...]] = {}

        def show(self, *numbers: Any) -> None:
            self._shown[numbers[0]] = numbers

        def take(self) -> list[tuple[Any, ...]]:
            shown, self._shown = list(self._shown.values()), {}
            return shown

    return Progress


def _run(packed: bytes, order: ray_task.RayTask, actor: Any) -> Any:
    """A task."""
    ray: Any = importlib.import_module("ray")

    def tell(progress: SegmentProgress) -> None:
        actor.show.remote(
            progress.number, progress.frames, progress.decode_s, progress.engine_s, progress.encode_s
        )

    return ray_task.enhance_segment(packed, order, ray.get, tell)
