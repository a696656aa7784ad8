"""What goes over the wire as JSON: the shapes that the API's description shows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from vsr.errors import redact
from vsr.web.asked_options import options_schema
from vsr.web.records import JobState, Upload, WebJob
from vsr.web.runner import Progress, finished_file, finished_record, signed_by
from vsr.web.workshop import Workshop

AskedOptions = Annotated[
    dict[str, Any],
    WithJsonSchema(
        options_schema()
        | {"description": "Keys of an option file of `vsr enhance --config`, and of a record."}
    ),
]


class WebhookOrder(BaseModel):
    """Who is to be told when a job is over, as Standard Webhooks says."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(max_length=2000, description="http or https; redirects are not followed.")]
    secret: Annotated[
        str,
        Field(max_length=200, description="`whsec_` and the BASE64 of 24 to 64 random bytes, to sign with."),
    ]


class JobOrder(BaseModel):
    """A job to be."""

    model_config = ConfigDict(extra="forbid")
    upload: Annotated[str, Field(description="Id of an upload that has come.")]
    options: AskedOptions = {}
    webhook: Annotated[WebhookOrder | None, Field(description="Told when the job is over.")] = None


class PreviewOrder(BaseModel):
    """A preview to be."""

    model_config = ConfigDict(extra="forbid")
    at: Annotated[float, Field(ge=0, le=1e6, description="Seconds since the beginning.")] = 0.0
    seconds: Annotated[
        float, Field(ge=0, le=30, description="Length of the clips; 0 for a picture alone.")
    ] = 3.0
    options: AskedOptions = {}


class Login(BaseModel):
    """What a page sends to log in."""

    model_config = ConfigDict(extra="forbid")
    token: Annotated[str, Field(max_length=200)]


@dataclass(frozen=True, slots=True)
class UploadView:
    """An upload as clients see it."""

    id: str
    name: str
    length: int
    """Bytes it will have."""
    offset: int
    """Bytes that have come."""
    complete: bool
    expires: str

    @classmethod
    def of(cls, upload: Upload, workshop: Workshop) -> "UploadView":
        """Look at one."""
        offset, expires_s = workshop.uploads.offset(upload), workshop.uploads.expires_s(upload)
        whole = offset == upload.length
        return cls(upload.id, upload.name, upload.length, offset, whole, formatdate(expires_s, usegmt=True))


@dataclass(frozen=True, slots=True)
class ResultView:
    """A finished file."""

    name: str
    bytes: int
    url: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as clients see it. Times are ISO 8601, in UTC."""

    id: str
    upload: str
    name: str
    state: JobState
    error: str
    """One line on what went wrong; empty where nothing did."""
    created: str
    began: str | None
    ended: str | None
    progress: Progress | None
    """While it runs."""
    result: ResultView | None
    """Once there is one; of an unverified job, too, whose result differs from what was to be written."""
    webhook: str | None
    """The address that is told when it is over, without what is secret in it."""
    evidence: str | None = None
    """Where the record is, once there is one."""
    signed_by: str | None = None
    """The public key (Ed25519, hexadecimal) by which the record is signed; null of one that is not."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, job: WebJob, workshop: Workshop) -> "JobView":
        """Look at one."""
        return cls(
            id=job.id,
            upload=job.upload,
            name=job.name,
            state=job.state,
            error=job.error,
            created=_time(job.created_s) or "",
            began=_time(job.began_s),
            ended=_time(job.ended_s),
            progress=workshop.runner.progress.get(job.id) if job.state == "running" else None,
            result=_result(job, workshop),
            webhook=job.webhook and redact(job.webhook.url),
            evidence=_evidence(job, workshop),
            signed_by=signed_by(job),
            options=dict(job.options),
        )


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was taken away."""

    deleted: int
    """How many jobs."""


def _result(job: WebJob, workshop: Workshop) -> ResultView | None:
    path = finished_file(job, workshop.data)
    return None if path is None else ResultView(job.result, path.stat().st_size, f"/v1/jobs/{job.id}/result")


def _evidence(job: WebJob, workshop: Workshop) -> str | None:
    return f"/v1/jobs/{job.id}/evidence" if finished_record(job, workshop.data) else None


def _time(seconds: float | None) -> str | None:
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )
