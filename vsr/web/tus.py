"""The tus protocol 1.0 (https://tus.io/protocols/resumable-upload): uploads that go on after any cut.

Core, creation, creation with upload, expiration and termination. By hand: tuspyserver, the one server for FastAPI, is
kept up, and is 1,600 lines around a file whose length it writes down beside it; it knows nothing of room on the disk,
of a limit to the number of files, or of a client that comes back before its cut connection has timed out.
"""

import base64
import binascii
from email.utils import formatdate
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from vsr.web.problems import ProblemError, problems
from vsr.web.records import Upload
from vsr.web.uploads import Uploads

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination"
BODY = "application/offset+octet-stream"


def tus_router(uploads: Uploads, max_bytes: int) -> APIRouter:
    """The paths below `/v1/uploads` that speak tus."""
    router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

    @router.options("", status_code=204, summary="What of tus is spoken")
    async def capabilities() -> Response:
        told = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(max_bytes)}
        return Response(status_code=204, headers={"Tus-Resumable": VERSION} | told)

    for add in (_add_creation, _add_offset, _add_bytes, _add_end, _add_override):
        add(router, uploads)
    return router


def _add_creation(router: APIRouter, uploads: Uploads) -> None:
    @router.post(
        "",
        status_code=201,
        summary="Begin an upload",
        response_class=Response,
        description="`Upload-Metadata: filename BASE64` names it. With a body, its first bytes, too.",
        responses=problems(412, 415, 507),
        openapi_extra=_described("Upload-Length", "Upload-Metadata", body=True),
    )
    async def create(request: Request) -> Response:
        _check_version(request)
        if "upload-defer-length" in request.headers:
            raise ProblemError(400, "Upload-Defer-Length is not accepted; give Upload-Length")
        upload = uploads.create(_name(request), _number(request, "upload-length"))
        headers = {"Location": f"/v1/uploads/{upload.id}"}
        if _brings(request):
            try:
                headers["Upload-Offset"] = str(await uploads.bring(upload, 0, request.stream()))
            except ClientDisconnect:
                return Response(status_code=204)
        return Response(status_code=201, headers=_common(uploads, upload) | headers)


def _add_offset(router: APIRouter, uploads: Uploads) -> None:
    @router.head(
        "/{id}",
        summary="How much has come",
        response_class=Response,
        responses=problems(404, 412),
        openapi_extra=_described(),
    )
    async def offset(id: str, request: Request) -> Response:
        _check_version(request)
        upload = uploads.get(id)
        told = {"Upload-Offset": str(uploads.offset(upload)), "Upload-Length": str(upload.length)}
        name = base64.b64encode(upload.name.encode()).decode()
        told |= {"Cache-Control": "no-store", "Upload-Metadata": f"filename {name}"}
        return Response(headers=_common(uploads, upload) | told)


def _add_bytes(router: APIRouter, uploads: Uploads) -> None:
    @router.patch(
        "/{id}",
        status_code=204,
        summary="Bring more",
        responses=problems(404, 409, 412, 415, 507),
        openapi_extra=_described("Upload-Offset", body=True),
    )
    async def more(id: str, request: Request) -> Response:
        return await _go_on(uploads, id, request)


def _add_end(router: APIRouter, uploads: Uploads) -> None:
    @router.delete("/{id}", status_code=204, summary="Take an upload away", responses=problems(404, 409))
    async def terminate(id: str) -> Response:
        return await _terminate(uploads, id)


def _add_override(router: APIRouter, uploads: Uploads) -> None:
    @router.post("/{id}", include_in_schema=False)
    async def overridden(id: str, request: Request) -> Response:
        """For clients that can send neither PATCH nor DELETE."""
        wanted = request.headers.get("x-http-method-override", "").upper()
        if wanted not in ("PATCH", "DELETE"):
            raise ProblemError(405, "PATCH and DELETE are accepted", {"Allow": "PATCH, DELETE"})
        return await (_go_on(uploads, id, request) if wanted == "PATCH" else _terminate(uploads, id))


async def _go_on(uploads: Uploads, id: str, request: Request) -> Response:
    _check_version(request)
    if not _brings(request):
        raise ProblemError(415, f"Content-Type {BODY} is expected")
    upload = uploads.get(id)
    try:
        there = await uploads.bring(upload, _number(request, "upload-offset"), request.stream())
    except ClientDisconnect:
        return Response(status_code=204)  # nobody hears it
    headers = _common(uploads, uploads.get(id)) | {"Upload-Offset": str(there)}
    return Response(status_code=204, headers=headers)


async def _terminate(uploads: Uploads, id: str) -> Response:
    await uploads.remove(uploads.get(id))
    return Response(status_code=204, headers={"Tus-Resumable": VERSION})


def _common(uploads: Uploads, upload: Upload) -> dict[str, str]:
    return {"Tus-Resumable": VERSION, "Upload-Expires": formatdate(uploads.expires_s(upload), usegmt=True)}


def _check_version(request: Request) -> None:
    if (said := request.headers.get("tus-resumable", "")) != VERSION:
        raise ProblemError(
            412, f"Tus-Resumable {said[:20] or 'is missing'}; {VERSION} is accepted", {"Tus-Version": VERSION}
        )


def _brings(request: Request) -> bool:
    """Whether a request's body is bytes of the upload."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == BODY


def _number(request: Request, name: str) -> int:
    value = request.headers.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ProblemError(400, f"{name.title()} must be a number of bytes")
    return int(value)


def _name(request: Request) -> str:
    """The file's name in `Upload-Metadata`: pairs of a key and BASE64, parted by commas."""
    for pair in request.headers.get("upload-metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                raise ProblemError(400, f"Upload-Metadata: {key} must be BASE64 of UTF-8") from None
    return ""


def _described(*names: str, body: bool = False) -> dict[str, Any]:
    """What a request must hold, for the description of the API."""
    headers = ("Tus-Resumable", *names)
    parameters = [
        {
            "name": name,
            "in": "header",
            "required": name != "Upload-Metadata",
            "schema": {"const": VERSION} if name == "Tus-Resumable" else {"type": "string"},
        }
        for name in headers
    ]
    content = {BODY: {"schema": {"type": "string", "format": "binary"}}}
    return {"parameters": parameters} | ({"requestBody": {"content": content}} if body else {})
