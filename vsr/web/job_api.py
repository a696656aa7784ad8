"""The paths below `/v1/jobs`: ordering, watching, stopping, taking home."""

import random
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event

from vsr.web.bell import rung
from vsr.web.feed import Feed
from vsr.web.problems import ProblemError, problems
from vsr.web.records import OVER, Action, Ended, Place, Webhook
from vsr.web.results import EVENTS, VIDEO_OR_PICTURE, send_file, sent
from vsr.web.runner import Progress, finished_file, finished_record
from vsr.web.shapes import Cleared, JobOrder, JobView
from vsr.web.workshop import Workshop

_PING_EVERY_S = 15.0
_SPREAD_S = 0.3
"""Over which all who listen are told how far a job is: hundreds at once would have those who ask wait."""

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`state`, `moved`, `note` and `deleted` have an id, `progress` has none; data is JSON.",
        "content": EVENTS,
    },
    204: {"description": "The job is over and nothing more will happen."},
}


def job_router(workshop: Workshop) -> APIRouter:
    """The paths, over a workshop."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    feed = Feed(workshop)
    for add in (_add_orders, _add_actions, _add_results, _add_record):
        add(router, workshop)
    for add in (_add_list, _add_streams):
        add(router, workshop, feed)
    return router


def _add_orders(router: APIRouter, workshop: Workshop) -> None:
    @router.post("/jobs", status_code=202, summary="Order a job", responses=problems(404, 409, 507))
    def order(
        wanted: JobOrder,
        response: Response,
        idempotency_key: Annotated[
            str | None, Header(max_length=200, description="The same twice is one job.")
        ] = None,
    ) -> JobView:
        upload = workshop.uploads.get(wanted.upload)
        webhook = wanted.webhook and Webhook(wanted.webhook.url, wanted.webhook.secret)
        job = workshop.order(upload, wanted.options, idempotency_key, webhook)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return JobView.of(job, workshop)

    @router.get("/jobs/{id}", summary="One job", responses=problems(404))
    def job(id: str) -> JobView:
        return JobView.of(workshop.job(id), workshop)


def _add_actions(router: APIRouter, workshop: Workshop) -> None:
    @router.post(
        "/jobs/{id}/move",
        summary="Have a job that waits done earlier or later",
        description="Among those of its kind: videos and pictures have a queue each.",
        responses=problems(404, 409),
    )
    def move(id: str, to: Annotated[Place, Query(description="Where in the queue.")]) -> JobView:
        return JobView.of(workshop.reorder(id, to), workshop)

    @router.post(
        "/jobs/{id}/{action}",
        summary="Pause, resume, cancel or retry a job",
        description="What is finished of a paused one stays. A canceled one begins anew when it is retried.",
        responses=problems(404, 409),
    )
    def act(id: str, action: Action) -> JobView:
        return JobView.of(workshop.act(id, action), workshop)

    @router.delete(
        "/jobs/{id}", status_code=204, summary="Take a job and its result away", responses=problems(404)
    )
    def delete(id: str) -> Response:
        workshop.delete(id)
        return Response(status_code=204)

    @router.delete(
        "/jobs", summary="Take all jobs that are over and their results away", responses=problems()
    )
    def clear(state: Annotated[Ended, Query(description="Of which state; `ended` is any.")]) -> Cleared:
        return Cleared(workshop.clear(state))


def _add_results(router: APIRouter, workshop: Workshop) -> None:
    @router.get("/jobs/{id}/report", summary="Where the result comes from", responses=problems(404, 409))
    def report(id: str) -> dict[str, Any]:
        job = workshop.job(id)
        if job.report is None:
            raise ProblemError(409, f"a job that is {job.state} has no report")
        return dict(job.report)

    @router.head("/jobs/{id}/result", include_in_schema=False)
    @router.get(
        "/jobs/{id}/result",
        summary="The finished file",
        response_class=Response,
        responses=sent(*VIDEO_OR_PICTURE) | problems(404, 409),
    )
    def result(id: str, request: Request) -> Response:
        job = workshop.job(id)
        if (path := finished_file(job, workshop.data)) is None:
            raise ProblemError(409, f"a job that is {job.state} has no result")
        tag = (job.report or {}).get("result", {}).get("sha256", "")
        return send_file(path, job.result, request, tag=tag)


def _add_record(router: APIRouter, workshop: Workshop) -> None:
    @router.head("/jobs/{id}/evidence", include_in_schema=False)
    @router.get(
        "/jobs/{id}/evidence",
        summary="The record of what was done, as a ZIP",
        description="Of a job whose options said `evidence`; `vsr evidence verify` checks what is in it.",
        response_class=Response,
        responses=sent("application/zip") | problems(404, 409),
    )
    def evidence(id: str, request: Request) -> Response:
        job = workshop.job(id)
        if (path := finished_record(job, workshop.data)) is None:
            raise ProblemError(
                409, f"a job that is {job.state} has no record; options of one that has say evidence"
            )
        return send_file(path, f"{job.result}.evidence.zip", request)


def _add_list(router: APIRouter, _workshop: Workshop, feed: Feed) -> None:
    @router.get(
        "/jobs",
        summary="All jobs, in the order in which they are done",
        response_model=list[JobView],
        responses=problems(),
    )
    async def jobs() -> Response:
        return Response(await feed.jobs(), media_type="application/json")


def _add_streams(router: APIRouter, workshop: Workshop, feed: Feed) -> None:
    @router.get(
        "/jobs/{id}/events",
        response_class=Response,
        summary="What happens to a job, until it is over",
        responses=_STREAM | problems(404),
    )
    async def events(id: str, last_event_id: Annotated[str, Header(max_length=20)] = "") -> Response:
        job, after = workshop.job(id), _number(last_event_id)
        if job.state in OVER and not any(workshop.store.events(after, id)):
            return Response(status_code=204)
        return EventSourceResponse(_stream(workshop, feed, after, id))

    @router.get(
        "/events",
        response_class=Response,
        summary="What happens to all jobs",
        responses={200: _STREAM[200]} | problems(),
    )
    async def all_events(last_event_id: Annotated[str, Header(max_length=20)] = "") -> Response:
        after = _number(last_event_id) if last_event_id else workshop.store.last_event()
        return EventSourceResponse(_stream(workshop, feed, after))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


async def _stream(workshop: Workshop, feed: Feed, after: int, job: str = "") -> AsyncIterator[bytes]:
    """What has happened since, then what happens. A job's own ends with it."""
    told: dict[str, Progress] = {}
    yield format_sse_event(comment="")
    while not workshop.bell.is_closed:
        ring = workshop.bell.next
        sent, after, is_over = feed.since(after, job)
        if not is_over:
            sent += feed.progress(job, told)
        if sent:
            yield sent
        if is_over:
            return
        version = workshop.store.database.version
        if not await rung(ring, _PING_EVERY_S):
            yield format_sse_event(comment="here")
        elif version == workshop.store.database.version:  # only how far a job is
            await anyio.sleep(random.uniform(0, _SPREAD_S))
