"""Paths that look: at uploads before a job is ordered, at models, and at the machine."""

import json
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import APIRouter, Query, Request, Response

from vsr.errors import VsrError
from vsr.jobs import Moment, free_bytes
from vsr.web.apart import look_at, machine_lines
from vsr.web.asked_options import job_wishes
from vsr.web.previews import PreviewFile, PreviewView
from vsr.web.problems import ProblemError, problem_of, problems
from vsr.web.records import Upload
from vsr.web.results import send_file, sent
from vsr.web.shapes import PreviewOrder, UploadView
from vsr.web.workshop import Workshop, check_installed

T = TypeVar("T")

_LOOK_S = 60.0
_MOST_AT_ONCE = 2
_MACHINE_KEPT_S = 600.0


def look_router(workshop: Workshop) -> APIRouter:
    """The paths, over a workshop."""
    router = APIRouter(prefix="/v1")
    _add_uploads(router, workshop)
    _add_previews(router, workshop)
    _add_machine(router)
    return router


def _add_uploads(router: APIRouter, workshop: Workshop) -> None:
    @router.get("/uploads", tags=["uploads"], summary="All uploads", responses=problems())
    def uploads() -> list[UploadView]:
        return [UploadView.of(upload, workshop) for upload in workshop.store.uploads()]

    @router.get("/uploads/{id}", tags=["uploads"], summary="One upload", responses=problems(404))
    def upload(id: str) -> UploadView:
        return UploadView.of(workshop.uploads.get(id), workshop)

    @router.get(
        "/uploads/{id}/probe",
        tags=["uploads"],
        summary="What is in an upload, and what would be done with it",
        description="While it still comes, too, as soon as the file can be told by what is there.",
        responses=problems(404),
    )
    async def probe(
        id: str,
        options: Annotated[str, Query(description="Options of the job, as JSON.")] = "{}",
        estimate: Annotated[
            bool, Query(description="Really enhance the beginning, to tell time and size.")
        ] = False,
    ) -> dict[str, Any]:
        upload = workshop.uploads.get(id)
        path = workshop.uploads.path(upload)
        wanted, record = job_wishes(_table(options))
        check_installed(wanted)
        try:
            found = await _apart(look_at, path, wanted, record, estimate=estimate)
        except VsrError as error:
            raise _about(error, upload, workshop) from None
        notes = [note.replace(f"{path.name}:", f"{upload.name}:") for note in found["plan"]["notes"]]
        plan = {**found["plan"], "notes": notes}
        return {"name": upload.name, **found, "plan": plan, "free_bytes": free_bytes(workshop.data.root)}


async def _apart(question: Callable[..., T], *arguments: object, **named: object) -> T:
    """Ask a process, when it is our turn: twenty files that are dropped at once are no twenty processes."""
    asked = partial(question, *arguments, **named, limit_s=_LOOK_S)
    return await anyio.to_thread.run_sync(asked, limiter=_at_once())


@cache
def _at_once() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_MOST_AT_ONCE)


def _table(text: str) -> dict[str, Any]:
    try:
        table = json.loads(text)
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise ProblemError(422, 'options must be a JSON object, such as {"scale": 2}')
    return table


def _about(error: VsrError, upload: Upload, workshop: Workshop) -> ProblemError:
    """An error with the owner's name of the file, and that it may be because not all has come."""
    problem = problem_of(type(error)(str(error).replace(str(workshop.uploads.path(upload)), upload.name)))
    if not workshop.uploads.is_whole(upload):
        return ProblemError(409, f"not enough has come to tell: {problem.detail}")
    return problem


def _add_previews(router: APIRouter, workshop: Workshop) -> None:
    @router.post(
        "/uploads/{id}/previews",
        status_code=201,
        tags=["previews"],
        summary="Begin a preview: a moment enhanced, beside the source's own",
        description="Its files come one by one; a GET of one waits until it is there. One at a time of an upload.",
        responses=problems(404, 429),
    )
    def begin(id: str, wanted: PreviewOrder, response: Response) -> PreviewView:
        upload = workshop.uploads.get(id)
        options, record = job_wishes(wanted.options)
        check_installed(options)
        moment = Moment(wanted.at, wanted.seconds)
        begun = workshop.previews.begin(
            upload.id, workshop.uploads.path(upload), options, moment, record.previewed
        )
        response.headers["Location"] = f"/v1/previews/{begun}"
        return workshop.previews.state(begun)

    @router.get("/previews/{id}", tags=["previews"], summary="How far a preview is", responses=problems(404))
    def state(id: str) -> PreviewView:
        return workshop.previews.state(id)

    @router.head("/previews/{id}/{name}", include_in_schema=False)
    @router.get(
        "/previews/{id}/{name}",
        tags=["previews"],
        summary="A file of a preview, as soon as it is there",
        response_class=Response,
        responses=sent("image/png", "video/mp4") | problems(404),
    )
    async def file(id: str, name: PreviewFile, request: Request) -> Response:
        path = await workshop.previews.file(id, name)
        return send_file(path, name, request)


def _add_machine(router: APIRouter) -> None:
    known: tuple[float, list[str]] = (float("-inf"), [])

    @router.get("/machine", tags=["machine"], summary="What `vsr doctor` says", responses=problems())
    async def machine() -> dict[str, list[str]]:
        nonlocal known
        if time.monotonic() - known[0] > _MACHINE_KEPT_S:
            lines = await _apart(machine_lines)
            known = time.monotonic(), lines
        return {"lines": known[1]}
