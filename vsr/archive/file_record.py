"""The evidence of one file of an archive: where its record lies, and that it is made.

The folder of records mirrors the tree of results, and may be the same one: the record of `a/b.mp4` is
`a/b.mp4.evidence`. A result that is made again has a new one, `a/b.mp4.evidence.2`; what is finished stays.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from vsr.archive.entry import Entry, key_of
from vsr.durable import sha256_of
from vsr.errors import VsrError
from vsr.evidence import RECORD, EvidenceOptions, OccupiedError, Recorder, load_record
from vsr.jobs import Job, Outcome, Plan


def has_record(entry: Entry) -> bool:
    """Whether the record of a finished file lies where it was made."""
    told = (entry.record or {}).get("evidence")
    return bool(told) and (Path(told["folder"]) / RECORD).is_file()


class FileRecord:
    """The record of one file, if one is wanted. A context, which lets go of it."""

    def __init__(self, job: Job, out: Path, wanted: EvidenceOptions, tell: Callable[[str], None]):
        self._job, self._wanted, self._tell = job, wanted, tell
        self._place = Path(wanted.evidence).absolute() / f"{key_of(job, out)}.evidence"
        self._recorder: Recorder | None = None
        self._finished: Path | None = None

    def _folders(self) -> Iterator[Path]:
        yield self._place
        for number in itertools.count(2):
            yield self._place.with_name(f"{self._place.name}.{number}")

    def begin(self) -> None:
        """Begin it, in the first folder that holds nothing else, or go on with the one that was begun.

        Raises:
            VsrError: as `Recorder.begin`.
        """
        if not self._wanted.evidence or self._recorder is not None:
            return
        for folder in self._folders():
            recorder = Recorder(self._job, self._wanted, folder, tell=self._tell)
            try:
                recorder.begin()
            except OccupiedError:
                continue
            self._recorder = recorder
            return

    def planned(self, plan: Plan) -> Plan:
        """The plan as it is carried out."""
        return plan if self._recorder is None else self._recorder.planned(plan)

    def finish(self, plan: Plan, outcome: Outcome) -> None:
        """Write it.

        Raises:
            VsrError: as `Recorder.finish`.
        """
        if self._recorder is not None:
            self._recorder.finish(plan, outcome)
            self._finished = self._recorder.folder

    def failed(self, reason: str) -> None:
        """Have the log say why nothing has come of the file."""
        if self._recorder is not None:
            self._recorder.failed(reason)

    def is_finished(self) -> bool:
        """Whether a process has finished the record of the result that lies there; where none is wanted, too."""
        if not self._wanted.evidence:
            return True
        made = [
            folder
            for folder in itertools.takewhile(Path.exists, self._folders())
            if (folder / RECORD).is_file()
        ]
        try:
            is_of_it = bool(made) and load_record(made[-1])["result"]["sha256"] == sha256_of(self._job.target)
        except (VsrError, OSError):
            return False
        self._finished = made[-1] if is_of_it else None
        return is_of_it

    def facts(self) -> dict[str, Any]:
        """What the state and the manifest say of it."""
        if self._finished is None:
            return {}
        told = {"folder": str(self._finished), "sha256": sha256_of(self._finished / RECORD)}
        return {"evidence": told | {"signer": load_record(self._finished)["signer"]}}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, place: object) -> None:
        if self._recorder is not None:
            self._recorder.__exit__(kind, error, place)
