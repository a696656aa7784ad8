"""The paths below `/v1/models`: what there is, and fetching what is not here."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from fastapi.sse import EventSourceResponse, format_sse_event

from vsr.models import all_cards, shown
from vsr.web.bell import rung
from vsr.web.problems import problems
from vsr.web.pulls import PullView
from vsr.web.results import EVENTS
from vsr.web.workshop import Workshop

_PING_EVERY_S = 15.0


def model_router(workshop: Workshop) -> APIRouter:
    """The paths, over a workshop."""
    router = APIRouter(prefix="/v1/models", tags=["machine"])

    @router.get("", summary="What `vsr models` knows", responses=problems())
    def models() -> list[dict[str, Any]]:
        return [{key: value for key, value in shown(card).items() if key != "path"} for card in all_cards()]

    @router.get("/{name}", summary="How far a model of others is on its way here", responses=problems(404))
    def model(name: str) -> PullView:
        return workshop.pulls.state(name)

    @router.post(
        "/{name}",
        status_code=202,
        summary="Fetch a model of others",
        description="One that is here, or on its way, is not fetched again; one that was cut off goes on.",
        responses=problems(404),
    )
    def begin(name: str, response: Response) -> PullView:
        response.headers["Location"] = f"/v1/models/{name}"
        return workshop.pulls.begin(name)

    @router.get(
        "/{name}/events",
        response_class=Response,
        summary="How a model comes, until it is here or has failed",
        responses={200: _STREAM} | problems(404),
    )
    async def events(name: str) -> Response:
        workshop.pulls.state(name)
        return EventSourceResponse(_stream(workshop, name))

    return router


_STREAM: dict[str, Any] = {
    "description": "Events `pull`, whose data is what `GET` of the model gives.",
    "content": EVENTS,
}


async def _stream(workshop: Workshop, name: str) -> AsyncIterator[bytes]:
    told = None
    while not workshop.bell.is_closed:
        ring = workshop.bell.next
        if (there := workshop.pulls.state(name)) != told:
            told = there
            yield format_sse_event(data_str=json.dumps(asdict(there)), event="pull")
        if there.state != "running":
            return
        if not await rung(ring, _PING_EVERY_S):
            yield format_sse_event(comment="here")
