"""What the server remembers, as values: uploads, jobs, events; and what may become of a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "unverified", "canceled"]
Lane = Literal["pictures", "videos"]
"""Jobs of one lane are done one after another; a picture need not wait for a film."""
Action = Literal["pause", "resume", "cancel", "retry"]
Place = Literal["first", "up", "down", "last"]
"""Where a job that waits is moved among those of its lane."""

MOVES: dict[Action, tuple[tuple[JobState, ...], JobState]] = {
    "pause": (("queued", "running"), "paused"),
    "resume": (("paused",), "queued"),
    "cancel": (("queued", "running", "paused"), "canceled"),
    "retry": (("failed", "unverified", "canceled"), "queued"),
}
"""From which states each action leads where."""

OVER: tuple[JobState, ...] = ("succeeded", "failed", "unverified", "canceled")
"""States that a job stays in."""
Ended = Literal["ended", "succeeded", "failed", "unverified", "canceled"]
"""One of them, or any."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has come, or is coming."""

    id: str
    name: str
    """As its owner calls it; a label and never a path."""
    ending: str
    """One of those that we know, or empty."""
    length: int
    """Bytes that it will have."""
    touched_s: float
    """Seconds since 1970 of the last change."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is to be told when a job is over."""

    url: str
    secret: str = field(repr=False)
    """What the message is signed with: `whsec_` and BASE64."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to a webhook that has not been taken yet."""

    id: str
    job: str
    url: str
    secret: str = field(repr=False)
    body: str
    """JSON."""
    tries: int
    """Attempts that have failed."""


@dataclass(frozen=True, slots=True)
class WebJob:
    """An upload to enhance, and what became of it. Times are seconds since 1970."""

    id: str
    upload: str
    name: str
    ending: str
    lane: Lane
    options: Mapping[str, Any]
    """As they were asked for."""
    state: JobState
    error: str
    created_s: float
    began_s: float | None
    ended_s: float | None
    result: str
    """Name for whoever takes it home."""
    report: Mapping[str, Any] | None
    """Where the result comes from."""
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job."""

    id: int
    job: str
    kind: str
    data: Mapping[str, Any]
