"""`POST /upscale`: a picture in a form, its enlargement as the answer. One request, one picture, nothing kept."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile

from vsr.media import is_image
from vsr.web.bell import rung
from vsr.web.problems import ProblemError, problems
from vsr.web.records import OVER, Upload, WebJob
from vsr.web.results import send_file, sent
from vsr.web.runner import finished_file
from vsr.web.workshop import Workshop

_LIMIT_S = 300.0
_PIECE = 1 << 20

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string", "format": "binary"}},
}


def upscale_router(workshop: Workshop) -> APIRouter:
    """The path, over a workshop."""
    router = APIRouter(tags=["pictures"])

    @router.post(
        "/upscale",
        summary="Enlarge a picture",
        response_class=Response,
        responses={200: sent("image/png")[200]} | problems(415, 503, 507),
        openapi_extra={
            "requestBody": {"content": {"multipart/form-data": {"schema": _FORM}}, "required": True}
        },
    )
    async def upscale(
        request: Request,
        scale: Annotated[Literal["auto", "1", "2", "3", "4"], Query(description="Enlargement.")] = "auto",
        model: Annotated[str, Query(description="Name of a model; empty for the best for this device.")] = "",
    ) -> Response:
        options: dict[str, Any] = {} if scale == "auto" else {"scale": int(scale)}
        options |= {"model": [model]} if model else {}
        upload = await _received(request, workshop)
        try:
            job = workshop.order(upload, options)
        except BaseException:
            await workshop.uploads.remove(upload)
            raise
        done = await _finished(job, workshop)
        if (path := finished_file(done, workshop.data)) is None:
            _take_away(done, workshop)
            detail = done.error or f"it took longer than {_LIMIT_S:.0f} s; upload the picture and order a job"
            raise ProblemError(422 if done.error else 503, detail)
        return send_file(path, done.result, request, background=BackgroundTask(_take_away, done, workshop))

    return router


async def _received(request: Request, workshop: Workshop) -> Upload:
    """The picture of a form, as an upload whose result will be PNG."""
    async with request.form(max_files=1, max_fields=4) as form:
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise ProblemError(422, "a form with a picture in its field `image` is accepted")
        stem = (image.filename or "").rpartition(".")[0] or image.filename or "picture"
        upload = workshop.uploads.create(f"{stem}.", image.size or 0)

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await image.read(_PIECE):
                yield piece

        await workshop.uploads.bring(upload, 0, pieces())
    if not is_image(workshop.uploads.path(upload)):
        await workshop.uploads.remove(upload)
        raise ProblemError(415, "that is no picture; PNG, JPEG, WebP and TIFF are accepted")
    return upload


async def _finished(job: WebJob, workshop: Workshop) -> WebJob:
    """Wait for a job's end, and cancel it when it does not come in time or the server ends."""
    left_s, ring = _LIMIT_S, workshop.bell.next
    while (now := workshop.job(job.id)).state not in OVER:
        if left_s <= 0 or workshop.bell.is_closed:
            break
        await rung(ring, 1.0)
        ring, left_s = workshop.bell.next, left_s - 0.1
    return now


def _take_away(job: WebJob, workshop: Workshop) -> None:
    workshop.delete(job.id)
    workshop.store.touch(job.upload, 0.0)
    workshop.uploads.remove_old()
