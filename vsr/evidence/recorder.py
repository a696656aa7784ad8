"""Makes the record of one file while it is enhanced: begins before anything is read, ends when all is checked."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from vsr.durable import sha256_of
from vsr.errors import ConfigError, SourceError, VerifyError, VsrError
from vsr.evidence.chain_log import ChainLog
from vsr.evidence.content_credentials import Credential, Deeds, put_credentials
from vsr.evidence.decisions import (
    as_json,
    decisions_of,
    missing_frames,
    model_facts_of,
    read_facts,
    stream_facts,
)
from vsr.evidence.evidence_options import EvidenceOptions
from vsr.evidence.folder import RECORD, REPORT, OccupiedError, open_folder, put, record_text
from vsr.evidence.frame_list import FRAMES, NotedFrame, merkle_root, write_frames
from vsr.evidence.machine_facts import processor_facts, software_facts
from vsr.evidence.painting import refuse_painting
from vsr.evidence.reread import each_frame, file_facts, files_of, result_again, result_files
from vsr.evidence.sheet import ShownPair, write_sheet
from vsr.evidence.shown_pairs import pair_of, shown_frames
from vsr.evidence.signing import SIGNATURE, RecordSigner, named_key, signer_of
from vsr.evidence.source_copy import copy_source
from vsr.evidence.supported import SUPPORT, Supported, measure_support
from vsr.evidence.time_stamp import STAMP, stamp_of
from vsr.jobs import FrameHash, Job, Outcome, Plan, hash_of
from vsr.media import is_numbered
from vsr.support import Figures, SupportWishes


class Recorder:
    """The record of one file. Begun once, with `begin`; whatever happens then is in its log."""

    def __init__(
        self,
        job: Job,
        options: EvidenceOptions,
        folder: Path,
        *,
        tell: Callable[[str], None] = lambda _: None,
        signer: RecordSigner | None = None,
    ):
        """`signer` signs in place of a key's file; `tell` hears what the user should know at once.

        Raises:
            ConfigError: the key, or the program that signs, cannot be used.
        """
        self.job, self.options, self.folder, self._tell = job, options, folder, tell
        self._signer = signer or signer_of(options.sign)
        given = options.credentials
        self._credential = Credential.read(Path(given), Path(options.credentials_key)) if given else None
        self._log: ChainLog | None = None
        self._source: dict[str, Any] = {}
        self._copy: dict[str, Any] | None = None
        self._painting: list[str] = []

    def begin(self) -> None:
        """Hash the source before anything of it is read, and begin the log.

        Raises:
            OccupiedError: the folder is no place for it.
            ConfigError: the job cannot be recorded.
            SourceError, SinkError: the source cannot be read, the folder not be written to.
        """
        files = files_of(self.job)
        open_folder(self.folder)
        self._log = ChainLog(self.folder)
        self._source = file_facts(files)
        what = {"source": self.job.place, "target": str(self.job.target.absolute())}
        what |= {"sha256": self._source["sha256"]}
        first = self._log.first
        if first is not None and {name: first.get(name) for name in what} != what:
            self._log.close()
            self._log = None
            raise OccupiedError(
                f"evidence {self.folder} holds what was begun of another file; name a new folder"
            )
        facts = {"case": self.options.case, "software": software_facts(), "processor": processor_facts()}
        self._log.add("begun" if first is None else "went on", **what, file=self._source, **facts)
        if self.options.copy_source:
            self._copy = copy_source(files, self.folder, self._source["sha256"])
            self.log.add("copied", **self._copy)

    @property
    def log(self) -> ChainLog:
        """The log that has been begun."""
        assert self._log is not None
        return self._log

    def planned(self, plan: Plan) -> Plan:
        """Write down what was decided, and have every frame hashed.

        Raises:
            ConfigError: a model may paint what is not in the source, and that is not allowed.
        """
        self._painting = refuse_painting(
            [model.spec for model in plan.models], allowed=self.options.allow_generative
        )
        if self._credential is not None and is_numbered(plan.job.target):
            raise ConfigError(f"credentials: {plan.job.target} means many files; name a video or a picture")
        self.log.add("found", **stream_facts(plan.source), notes=list(plan.source.notes))
        self.log.add("decided", **decisions_of(plan), options=as_json(plan.options))
        for facts in model_facts_of(plan):
            self.log.add("model", **facts)
        if self._painting:
            self.log.add("generative", allowed=True, why=self._painting)
        return replace(plan, hashes_frames=True, kept_frames=frozenset(shown_frames(plan.num_frames or 0)))

    def finish(self, plan: Plan, outcome: Outcome, wishes: SupportWishes | None = None) -> Figures | None:
        """Read source and result once more, and write the record.

        Args:
            plan: as it was carried out.
            outcome: what has come of it.
            wishes: what is to be measured of what the source confirms; the record, the page and a file beside them tell
                it, and it is returned.

        Raises:
            SourceError: the source has changed meanwhile.
            VerifyError: the result does not hold the frames that the encoder got.
            SinkError: the record cannot be written.
        """
        self._note_enhanced(outcome)
        source = self._unchanged()
        credentials = self._credentials(plan, outcome.target)
        result = {"path": str(outcome.target.absolute())} | file_facts(result_files(outcome.target))
        frames, pairs = self._frames(plan, outcome)
        put(self.folder, FRAMES, write_frames(frames, plan.frames.time_base), again=True)
        told = _frame_facts(frames, outcome.hashes, plan)
        self.log.add("frames", **told)
        self.log.add("result", **result, verified=True)
        supported = self._supported(plan, outcome, wishes, {pair.number for pair in pairs})
        self.log.add("finished")
        record = {
            "case": self.options.case,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "source": source | self._named(plan),
            "copy": self._copy,
            "result": result,
            "also": self._also(plan),
            "frames": told,
            "log": {"lines": self.log.num_lines, "seal": self.log.seal},
            "credentials": credentials,
            "support": supported.facts() if supported else None,
            "lossy": any(frame.given != frame.result for frame in frames),
        } | self._done(plan, outcome)
        sheet = write_sheet(record, pairs, supported.maps if supported else None)
        self._write(record, sheet.encode(errors="backslashreplace"))  # names of files need not be text
        return supported.figures if supported else None

    def _note_enhanced(self, outcome: Outcome) -> None:
        report = outcome.pipeline
        self.log.add(
            "enhanced",
            frames=len(outcome.hashes),
            frames_of_this_run=report.num_frames,
            seconds=round(report.seconds, 3),
            read=read_facts(outcome.counts),
            notes=list(outcome.notes),
        )

    def _done(self, plan: Plan, outcome: Outcome) -> dict[str, Any]:
        """By what, as was decided why, on what and by whom."""
        return {
            "models": model_facts_of(plan),
            "generative": self._painting,
            "decided": decisions_of(plan),
            "options": as_json(plan.options),
            "notes": list(outcome.notes),
            "read": read_facts(outcome.counts),
            "software": software_facts(),
            "processor": processor_facts(),
            "signer": named_key(self._signer),
        }

    def _supported(
        self, plan: Plan, outcome: Outcome, wishes: SupportWishes | None, numbers: set[int]
    ) -> Supported | None:
        if wishes is None or not wishes.names:
            return None
        found = measure_support(plan, outcome.target, wishes, numbers)
        put(self.folder, SUPPORT, found.text, again=True)
        self.log.add("support", **found.facts())
        return found

    def _write(self, facts: dict[str, Any], sheet: bytes) -> None:
        """Write the page; sign the record, have it stamped, and write it last."""
        put(self.folder, REPORT, sheet, again=True)
        record = record_text(facts | {"report": {"sha256": hashlib.sha256(sheet).hexdigest()}}).encode()
        signature = b""
        if self._signer is not None:
            signature = self._signer.sign(record)
            put(self.folder, SIGNATURE, signature, again=True)
        if self.options.timestamp:
            try:
                put(self.folder, STAMP, stamp_of(signature or record, self.options.timestamp), again=True)
            except VsrError as error:  # hours of work need not be done again
                self._tell(f"note: {error}; `vsr evidence stamp {self.folder} ADDRESS` tries again")
        put(self.folder, RECORD, record)

    def _unchanged(self) -> dict[str, Any]:
        """What is known of the source, which is hashed once more."""
        after = file_facts(files_of(self.job))
        self.log.add("source again", **after)
        if after["sha256"] != self._source["sha256"]:
            raise SourceError(
                f"{self.job.named} has changed while it was enhanced; nothing is recorded of it"
            )
        return after | {"sha256_before": self._source["sha256"]}

    def _frames(self, plan: Plan, outcome: Outcome) -> tuple[list[NotedFrame], list[ShownPair]]:
        """Decode the result; returns the hashes of all frames, and a few frames to look at."""
        hashes, target = outcome.hashes, outcome.target
        found: list[str] = []
        pairs: list[ShownPair] = []
        wanted = shown_frames(len(hashes))
        for number, frame in enumerate(each_frame(result_again(target))):
            found.append(hash_of(frame))
            if number in wanted:
                before = outcome.kept.get(hashes[number].decoded)
                pairs.append(pair_of(plan, number, hashes[number], frame, before=before))
        if len(found) != len(hashes):
            raise VerifyError(
                f"{target}: {len(found)} frames are read back, and {len(hashes)} went into the encoder"
            )
        frames = [
            NotedFrame(noted.pts, noted.decoded, noted.given, result, noted.damaged)
            for noted, result in zip(hashes, found, strict=True)
        ]
        return frames, pairs

    def _credentials(self, plan: Plan, target: Path) -> dict[str, Any] | None:
        """Put content credentials into the result, the last change of its file."""
        if self._credential is None:
            return None
        was, now = plan.frames.format, plan.output
        deeds = Deeds(
            models=tuple(model.spec.name for model in plan.models),
            generative=bool(self._painting),
            resized=(now.height, now.width) != (was.height, was.width),
            cropped=plan.crop is not None,
            recoloured=plan.options.picture.color_correct,
            labelled=plan.label is not None,
            source_sha256=self._source["sha256"],
        )
        first = files_of(self.job)[0]
        held = put_credentials(target, first, deeds, self._credential, replace=plan.overwrite)
        told = {"file": held.name, "sha256": sha256_of(held)}
        self.log.add("credentials", **told, algorithm=self._credential.algorithm)
        return told

    def _named(self, plan: Plan) -> dict[str, Any]:
        """By what the source is found again."""
        pictures = [[number, file.name] for number, file in plan.source.pictures]
        return {
            "path": self.job.place,
            "is_image": self.job.is_image,
            "opaque": plan.outputs is not None,
            "pictures": pictures,
        }

    def _also(self, plan: Plan) -> dict[str, Any] | None:
        if plan.second is None:
            return None
        path = plan.second.path
        return {"path": str(path.absolute())} | file_facts(result_files(path))

    def failed(self, reason: str) -> None:
        """Write down that nothing has come of it, this time."""
        if self._log is not None:
            self._log.add("failed", reason=reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._log is not None:
            if error is not None:
                self._log.add("interrupted", reason=str(error))
            self._log.close()


def _frame_facts(frames: Sequence[NotedFrame], hashes: Sequence[FrameHash], plan: Plan) -> dict[str, Any]:
    return {
        "count": len(frames),
        "merkle_root": merkle_root(frames),
        "time_base": str(plan.frames.time_base),
        "patched_up": [number for number, frame in enumerate(frames) if frame.damaged],
        "pauses": missing_frames(hashes, plan.frames.time_base),
    }
