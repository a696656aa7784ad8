"""The records of all cameras of a service that want one, kept by whoever looks after the service."""

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, Self

from vsr.errors import SinkError
from vsr.evidence.decisions import as_json, network_facts
from vsr.evidence.live_record import LiveRecord
from vsr.evidence.machine_facts import processor_facts, software_facts
from vsr.evidence.painting import refuse_painting
from vsr.evidence.signing import signer_of
from vsr.live import (
    CameraOptions,
    CameraView,
    EngineLevel,
    EventLog,
    LiveOptions,
    LiveService,
    LogEvent,
    Secrets,
)

_LOOK_S = 1.0
"""Between two looks at the folders."""
_LEAVE_S = 10.0
"""How long the files of a camera are waited for that the configuration names no more."""
_TOLD_APART = {"drops"}
"""Events that the account of frames tells in more detail."""


class LiveRecords:
    """All records. A context: leaving it, after the service has ended, ends them. Used by one thread."""

    def __init__(self) -> None:
        self._records: dict[str, LiveRecord] = {}
        self._leaving: list[tuple[LiveRecord, float]] = []
        self._events, self._secrets = EventLog(), Secrets()
        self._level = ""
        self._failed: set[str] = set()
        self._again_s = 0.0

    def accept(self, options: LiveOptions, levels: Sequence[EngineLevel]) -> None:
        """Begin the records of a configuration, or go on with them: what `LiveService` shows it to.

        Raises:
            ConfigError: a model may paint and that is not allowed, or a record cannot lie where it should.
            VerifyError: a record that should go on was changed.
            SinkError: one cannot be written.
        """
        self._end_leaving()
        self._secrets.add(options)
        wanted = {camera.name: camera for camera in options.cameras if camera.evidence}
        facts = {name: _facts(camera, options, levels) for name, camera in wanted.items()}
        signers = {name: signer_of(camera.sign) for name, camera in wanted.items()}
        kept = {
            name
            for name, record in self._records.items()
            if name in wanted and _same_place(record, wanted[name])
        }
        opened: dict[str, LiveRecord] = {}
        try:
            for name in wanted.keys() - kept:
                opened[name] = LiveRecord(wanted[name], facts[name], signers[name])
        except BaseException:
            for record in opened.values():
                record.end()
            raise
        until = time.monotonic() + _LEAVE_S
        self._leaving += [(record, until) for name, record in self._records.items() if name not in kept]
        self._records = {name: self._records[name] for name in kept} | opened
        for name in kept:
            self._records[name].configured(wanted[name], facts[name], signers[name])
        for record in opened.values():
            text = f"evidence in {record.folder}" + (
                "" if record.camera.record_original else "; originals are recorded, too"
            )
            LogEvent("evidence", text, record.camera.name).tell()

    def look(self, service: LiveService) -> None:
        """Write down what is new; to be called often."""
        now = time.monotonic()
        if now >= self._again_s:
            self._again_s = now + _LOOK_S
            self.look_now(service)

    def look_now(self, service: LiveService) -> None:
        """Look at once, as after the service has ended."""
        view, now = service.view(), time.monotonic()
        events = [
            self._hidden(event) for event in self._events.news(view, now) if event.name not in _TOLD_APART
        ]
        if view.overview.level != self._level:
            self._level = view.overview.level
            fields = {"level": self._level, "reason": view.overview.reason}
            events.append(LogEvent("level", f"enhanced by {self._level}", fields=fields))
        for camera in view.cameras:
            name = camera.facts.name
            if record := self._records.get(name):
                own = [event for event in events if event.camera in ("", name)]
                self._try(record, own, service, camera)
        self._end_leaving(now)

    def _try(
        self, record: LiveRecord, events: Sequence[LogEvent], service: LiveService, camera: CameraView
    ) -> None:
        """Have a record look; where it cannot be written the camera goes on, and it is said once."""
        name = camera.facts.name
        try:
            record.look(events, service.frame_notes(camera.facts.number), _totals(camera))
        except SinkError as error:
            if name not in self._failed:
                self._failed.add(name)
                LogEvent("evidence", f"{error}; it is tried again", name, bad=True).tell()
            return
        if name in self._failed:
            self._failed.discard(name)
            LogEvent("evidence", "the record goes on", name).tell()

    def _hidden(self, event: LogEvent) -> LogEvent:
        hide = self._secrets.hide
        fields = {
            key: hide(value) if isinstance(value, str) else value for key, value in event.fields.items()
        }
        return replace(event, text=hide(event.text), fields=fields)

    def _end_leaving(self, now: float = inf) -> None:
        """End the records of cameras that have been gone for long enough, as soon as their files are hashed; all of
        them, without `now`."""
        due = [r for r, until in self._leaving if now >= until and (now == inf or not _is_hashing(r))]
        self._leaving = [each for each in self._leaving if each[0] not in due]
        for record in due:
            _end(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_leaving()
        records, self._records = self._records, {}
        for record in records.values():
            _end(record)


def _is_hashing(record: LiveRecord) -> bool:
    try:
        return record.is_hashing()
    except SinkError:  # which its end says
        return False


def _end(record: LiveRecord) -> None:
    """Write a record's last line, or say why it has none."""
    try:
        record.end()
    except SinkError as error:
        LogEvent("evidence", f"the record has no end: {error}", record.camera.name, bad=True).tell()


def _same_place(record: LiveRecord, camera: CameraOptions) -> bool:
    """Whether a record is also that of a camera as it is configured now."""
    return record.camera.recordings[0].target == camera.recordings[0].target


def _facts(camera: CameraOptions, options: LiveOptions, levels: Sequence[EngineLevel]) -> dict[str, Any]:
    """What a record begins with."""
    stages = [[stage for engine in level.engines for stage in engine.stages] for level in levels]
    specs = [stage.spec for of_level in stages for stage in of_level]
    return {
        "case": camera.case,
        "url": camera.address.shown,
        "options": as_json(replace(camera, record_original=True)),
        "scale": options.scale,
        "latency_ms": options.latency_ms,
        "engine": as_json(options.engine),
        "generative": refuse_painting(specs, allowed=camera.allow_generative),
        "levels": [
            {
                "level": level.name,
                "one_frame_of": level.every,
                "models": [network_facts(stage.spec, stage.placement) for stage in of_level],
            }
            for level, of_level in zip(levels, stages, strict=True)
        ],
        "software": software_facts(),
        "processor": processor_facts(),
    }


def _totals(camera: CameraView) -> dict[str, int]:
    """Counts since the camera was begun."""
    facts = camera.facts
    return {
        "decoded": facts.camera.decoded,
        "damaged": facts.camera.corrupt,
        "never_came": facts.camera.lost,
        "dropped_before_engine": facts.dropped,
        "of_them_in_bursts": facts.bursts,
        "thinned": facts.thinned,
        "failed": facts.failed,
        "dropped_before_encoder": camera.sink.dropped,
        "reconnects": facts.camera.reconnects,
    }
