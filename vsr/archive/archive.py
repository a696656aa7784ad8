"""The story of an archive: look what is to be done, let workers do it, write down what there is.

The state beside the results is the truth: whoever was killed, or runs beside another process, goes on by it.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from vsr.archive.entry import Entry, key_of
from vsr.archive.file_worker import ArchiveWork
from vsr.archive.manifest import check_manifest, write_manifest
from vsr.archive.sources import Naming
from vsr.archive.state import State, read_entries
from vsr.archive.supervisor import Message, Supervisor
from vsr.archive.todo import Again, Todo, make_todo
from vsr.durable import Stamp
from vsr.engine import all_devices, num_cores
from vsr.errors import ConfigError
from vsr.evidence import EvidenceOptions
from vsr.jobs import Job, wishes_of
from vsr.options import EnhanceOptions, at_least

_SMALL_BYTES = 8 << 20
"""Sources up to this size are enhanced side by side; larger ones have all
cores, and the memory, to themselves."""

_MOST_WORKERS = 4
"""Side by side unless more are asked for; each takes the memory of a whole run."""

_LISTEN_S = 0.5


@dataclass(frozen=True)
class ArchiveOptions:
    """How an archive is worked through."""

    name: str = "{stem}{ext}"
    """Names of results: {stem} and {name} are the source's, without and with its
    suffix, {ext} the result's suffix."""
    parallel: Literal["auto"] | int = "auto"
    """Files enhanced side by side, each by a process. `auto`: small ones by one for each core, 4 at most;
    others alone, with all cores; on GPUs one for each GPU."""
    sidecar: bool = False
    """Write RESULT.vsr.json beside each result: source, models, options, with their hashes."""
    manifest: str = "manifest"
    """Records of all files, as PATH.csv and PATH.json; a relative path lies in
    the output folder. Empty for none."""

    def __post_init__(self) -> None:
        at_least(1, parallel=self.parallel)
        Naming(Path(), self.name)


@dataclass(frozen=True, slots=True)
class _Phase:
    """Jobs that so many workers do side by side."""

    jobs: Sequence[Job]
    num_workers: int


class Archive:
    """A folder of results with its state, open for one process until `close`. Used by one thread."""

    def __init__(
        self,
        out: Path,
        options: EnhanceOptions,
        archive: ArchiveOptions,
        *,
        recorded: EvidenceOptions = EvidenceOptions(),
        debug: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ):
        """Open the state, or begin it; `tell` is told where it waits for room on the disk.

        Raises:
            ConfigError: another process is at work there with other options, or these take pictures for one video.
            SinkError: the state cannot be written, or a file of others lies in the manifest's place.
        """
        if options.read.as_video:
            raise ConfigError("as-video makes one video of many pictures: it is for vsr enhance")
        if archive.manifest:
            check_manifest(out / archive.manifest)
        self._options, self._archive, self._recorded, self._debug = options, archive, recorded, debug
        self._state = State(out, wishes_of(options), tell)

    def enter(self, jobs: Sequence[Job], again: Again) -> Todo:
        """Look what of the jobs, all in the folder of results, is to be done,
        and take it up into the state."""
        state = self._state
        ending = self._options.also.also
        recorded = bool(self._recorded.evidence)
        todo = make_todo(
            jobs, state.out, state.entries(), state.wishes, again, ending=ending, recorded=recorded
        )
        state.enter(todo.entries)
        return todo

    def enhance(self, jobs: Sequence[Job]) -> Generator[Message | None, None, None]:
        """Do what waits of the jobs, in their order but small ones first where these go side by side.

        Yields what workers say, and None where they have said nothing for a while. Closing it early ends them;
        nothing that is finished of a file is lost.
        """
        for phase in self._phases(jobs):
            supervisor = Supervisor(self._state, self._work(phase))
            try:
                supervisor.start(phase.num_workers)
                while supervisor.is_at_work:
                    said = list(supervisor.listen(_LISTEN_S))
                    yield from said or [None]
            finally:
                supervisor.stop()

    def _work(self, phase: _Phase) -> ArchiveWork:
        options, archive = self._options, self._archive
        if phase.num_workers > 1 and not options.engine.threads:
            threads = max(1, num_cores() // phase.num_workers)
            options = replace(options, engine=replace(options.engine, threads=threads))
        state = self._state
        return ArchiveWork(
            state.out,
            tuple(phase.jobs),
            options,
            state.wishes,
            self._recorded,
            sidecar=archive.sidecar,
            debug=self._debug,
            devices=tuple(self._devices),
        )

    @cached_property
    def _devices(self) -> list[str]:
        return all_devices(self._options.engine.device)

    def _phases(self, jobs: Sequence[Job]) -> list[_Phase]:
        """Small jobs side by side, then the large ones; on GPUs one for each."""
        if not jobs:
            return []
        workers = self._archive.parallel
        small, large = list(jobs), list[Job]()
        if workers == "auto" and self._devices != ["cpu"]:
            workers = len(self._devices)
        if workers == "auto":
            small = [job for job in jobs if _size(job) <= _SMALL_BYTES]
            large = [job for job in jobs if _size(job) > _SMALL_BYTES]
            workers = min(num_cores(), _MOST_WORKERS)
        workers = min(workers, len(small))
        if workers <= 1:
            return [_Phase(jobs, 1)]
        return [_Phase(small, workers), *([_Phase(large, 1)] if large else [])]

    def entries(self, jobs: Iterable[Job]) -> list[Entry]:
        """How jobs stand that have been entered."""
        known = self._state.entries()
        return [known[key_of(job, self._state.out)] for job in jobs]

    def write_manifest(self) -> None:
        """Write down all that the state knows.

        Raises:
            SinkError: it cannot be written.
        """
        if self._archive.manifest:
            path = self._state.out / self._archive.manifest
            self._state.apart(lambda: write_manifest(self._state.entries().values(), path))

    def close(self) -> None:
        """Let go of the state."""
        self._state.close()


def look(
    jobs: Sequence[Job], out: Path, options: EnhanceOptions, again: Again, *, recorded: bool = False
) -> Todo:
    """Look what of the jobs would be done, and write nothing."""
    known, wishes = read_entries(out), wishes_of(options)
    return make_todo(jobs, out, known, wishes, again, ending=options.also.also, recorded=recorded)


def _size(job: Job) -> int:
    stamp = Stamp.of(job.path)
    return stamp.size if stamp else 0  # one that is not there fails soon
