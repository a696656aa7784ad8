"""What is worth a line in the log: what changed since it was last told. And
the lines themselves, as text or JSON.

No line ever shows a secret: besides what is redacted where it is made, each goes through `Secrets`.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from vsr.errors import VsrError, redact
from vsr.live.address import Address
from vsr.live.options import LiveOptions, secret_places
from vsr.live.service_view import CameraView, LiveView

DROPS_EVERY_S = 10.0
"""Drops are told in sums, for they come by the dozen."""

log = logging.getLogger("vsr.live")


@dataclass(frozen=True)
class LogEvent:
    """Something that happened."""

    name: str
    text: str
    camera: str = ""
    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    bad: bool = False

    def tell(self) -> None:
        """Log it."""
        extra = {"event": self.name, "camera": self.camera, "fields": dict(self.fields)}
        log.log(logging.WARNING if self.bad else logging.INFO, "%s", self.text, extra=extra)


@dataclass
class _Told:
    """What the log knows of a camera."""

    state: str = ""
    reason: str = ""
    picture: str = "good"
    idle: bool = False
    look: str = ""
    error: str = ""
    encoder: tuple[object, ...] = ()
    outputs: dict[int, tuple[object, ...]] = field(default_factory=dict[int, tuple[object, ...]])
    dropped: int = 0
    packets: dict[int, int] = field(default_factory=dict[int, int])
    """Those that each output has dropped."""
    drops_s: float = 0.0


class EventLog:
    """Finds what is new; to be asked a few times a second. Pure: time is told."""

    def __init__(self) -> None:
        self._told: dict[int, _Told] = {}

    def news(self, view: LiveView, now: float) -> list[LogEvent]:
        """Return what happened since the last call."""
        numbers = {camera.facts.number for camera in view.cameras}
        self._told = {number: told for number, told in self._told.items() if number in numbers}
        events: list[LogEvent] = []
        for camera in view.cameras:
            told = self._told.setdefault(camera.facts.number, _Told(drops_s=now))
            for found in (_state, _picture, _network, _idle, _error, _encoder, _outputs):
                events += found(camera, told)
            events += _drops(camera, told, now)
        return events


def _state(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    """A camera that is away tries again and again: that is told once for each reason."""
    facts, status = camera.facts, camera.facts.camera
    bad = status.state in ("away", "refused", "stalled")
    reason = status.last_error if status.state in ("away", "refused") else ""
    again = status.state == "connecting" and told.state
    if again or (status.state, reason) == (told.state, told.reason):
        return
    told.state, told.reason = status.state, reason
    fields: dict[str, object] = {"state": status.state, "reconnects": status.reconnects}
    text = status.state
    if status.state == "playing":
        fields |= {"height": status.height, "width": status.width, "rate": round(status.rate, 3)}
        text += f", {status.width}x{status.height}" + (f" at {status.rate:g} fps" if status.rate else "")
        text += f", reconnected {status.reconnects} times so far" if status.reconnects else ""
    if reason:
        fields["reason"] = reason
        text += f": {reason}"
    yield LogEvent("state", text, facts.name, fields, bad=bad)


def _picture(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    picture = camera.facts.camera.picture
    if picture != told.picture:
        told.picture = picture
        text = f"the picture is {picture}" + (" again" if picture == "good" else "")
        yield LogEvent("picture", text, camera.facts.name, {"picture": picture}, bad=picture != "good")


def _idle(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    idle = camera.facts.idle
    if idle != told.idle:
        told.idle = idle
        text = "idle: nobody watches, so frames are decoded and not enhanced"
        fields = {"idle": idle}
        yield LogEvent("idle", text if idle else "watched: frames are enhanced", camera.facts.name, fields)


def _network(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    """A level without a choice changes nothing of what has been found."""
    facts = camera.facts
    if facts.look and facts.look != told.look:
        told.look = facts.look
        fields = {"network": facts.network, "look": facts.look, "found": facts.found}
        yield LogEvent("network", f"{facts.found}: {facts.network}", facts.name, fields)


def _error(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    error = camera.facts.last_error
    if error and error != told.error:
        yield LogEvent("error", error, camera.facts.name, {"reason": error}, bad=True)
    told.error = error


def _encoder(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    sink = camera.sink
    now = (sink.why, sink.encoder_restarts)
    if now != told.encoder and sink.why:
        fields = {"encoder": sink.encoder, "reason": sink.why, "restarts": sink.encoder_restarts}
        yield LogEvent("encoder", f"encoder: {sink.why}", camera.facts.name, fields, bad=not sink.encoder)
        told.encoder = now


def _outputs(camera: CameraView, told: _Told) -> Iterator[LogEvent]:
    for index, output in enumerate(camera.sink.outputs):
        now = (output.state, output.restarts, output.note)
        if output.state in ("waiting", "opening") or now == told.outputs.get(index):
            continue
        told.outputs[index] = now
        fields = {"output": index, "kind": output.kind, "target": output.target, "state": output.state}
        fields |= {"restarts": output.restarts, "reason": output.note}
        text = f"{output.kind} {output.target}: {output.state}" + (f", {output.note}" if output.note else "")
        bad = output.state in ("starved", "restarting", "paused", "failed")
        yield LogEvent("output", text, camera.facts.name, fields, bad=bad)


def _drops(camera: CameraView, told: _Told, now: float) -> Iterator[LogEvent]:
    if now - told.drops_s < DROPS_EVERY_S:
        return
    dropped, span_s = camera.dropped - told.dropped, now - told.drops_s
    told.dropped, told.drops_s = camera.dropped, now
    name, seconds = camera.facts.name, round(span_s, 1)
    if dropped:
        fields = {"dropped": dropped, "seconds": seconds, "total": camera.dropped}
        yield LogEvent("drops", f"{dropped} frames dropped in {span_s:.0f} s", name, fields, bad=True)
    for index, output in enumerate(camera.sink.outputs):
        before = told.packets.get(index, output.dropped)
        told.packets[index] = output.dropped
        if output.dropped > before and output.state in (
            "running",
            "paused",
        ):  # else it tells of something worse
            text = f"{output.kind} {output.target}: too slow, {output.dropped - before} dropped in {span_s:.0f} s"
            fields = {"output": index, "dropped": output.dropped - before, "seconds": seconds}
            yield LogEvent("drops", text, name, fields | {"total": output.dropped}, bad=True)


class Secrets:
    """Everything that must not be shown of a configuration; more is added when another one is taken up."""

    def __init__(self) -> None:
        self._addresses: list[Address] = []

    def add(self, options: LiveOptions) -> None:
        """Learn the secrets of a configuration."""
        for place in secret_places(options):
            try:
                address = place.address
            except VsrError:  # a file of credentials that is gone by now
                continue
            if address.secrets and address not in self._addresses:
                self._addresses.append(address)

    def hide(self, text: str) -> str:
        """Return `text` without them."""
        for address in self._addresses:
            text = address.redact(text)
        return redact(text)


class _Lines(logging.Formatter):
    """Lines without secrets."""

    def __init__(self, secrets: Secrets):
        super().__init__()
        self._secrets = secrets


class TextLines(_Lines):
    """`12:30:05 door: playing, 640x360 at 25 fps`."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        camera = getattr(record, "camera", "")
        text = f"{camera}: {record.getMessage()}" if camera else record.getMessage()
        when = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        return f"{when} {self._secrets.hide(' '.join(text.split()))}"


class JsonLines(_Lines):
    """One JSON object a line: time, level, event, camera, message, and what else there is to the event."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        known: dict[str, Any] = record.__dict__
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": known.get("event", "log"),
        }
        if known.get("camera"):
            line["camera"] = known["camera"]
        line["message"] = record.getMessage()
        line |= {key: known[key] for key in ("rung", "reason") if key in known} | dict(
            known.get("fields", {})
        )
        return json.dumps({key: self._shown(value) for key, value in line.items()}, ensure_ascii=False)

    def _shown(self, value: object) -> object:
        """Secrets are taken out of the values: out of the line they might take a bracket along."""
        if isinstance(value, list | tuple):
            return [self._shown(item) for item in cast("list[object]", value)]
        return value if isinstance(value, int | float | None) else self._secrets.hide(str(value))
