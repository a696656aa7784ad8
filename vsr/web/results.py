"""Files on their way out: in parts where asked for, under the name that their owner knows, and never as a page."""

from http import HTTPStatus
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from vsr.durable import whole
from vsr.errors import SinkError

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/matroska",
    ".webm": "video/webm",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".zip": "application/zip",
}
"""Everything else is bytes."""

_SANDBOX = "sandbox; default-src 'none'"


def send_file(
    path: Path, name: str, request: Request, *, tag: str = "", background: BackgroundTask | None = None
) -> Response:
    """Answer with a file, or with a part of it (Range, If-Range), or that it is as the client has it (If-None-Match).

    Args:
        path: the file; its bytes do not change any more.
        name: what it is called where it is saved.
        request: what asks for it.
        tag: what tells its bytes from others'; of its time and size where empty.
        background: done when it has been sent.
    """
    stat = path.stat()
    etag = f'"{tag or f"{stat.st_mtime_ns:x}-{stat.st_size:x}"}"'
    headers = {"ETag": etag, "Content-Security-Policy": _SANDBOX, "Cache-Control": "private, no-cache"}
    asked = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if etag in asked or "*" in asked:
        return Response(status_code=304, headers=headers, background=background)
    kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(
        path, headers=headers, media_type=kind, filename=name, stat_result=stat, background=background
    )


def zip_record(folder: Path, to: Path) -> None:
    """Pack the folder of a record, for who takes it home.

    Raises:
        SinkError: it cannot be written.
    """
    try:
        with whole(to) as part, ZipFile(part, "w", ZIP_DEFLATED, strict_timestamps=False) as packed:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                packed.write(file, file.relative_to(folder.parent))
    except OSError as error:
        raise SinkError(
            f"the result is finished, but its record cannot be packed: {error.strerror}; retry the job"
        ) from error


def send_newest(path: Path, kind: str) -> Response:
    """Answer with a small file of the media type `kind` as it is now: another may be put in its place at any time."""
    headers = {"Content-Security-Policy": _SANDBOX, "Cache-Control": "no-store"}
    return Response(path.read_bytes(), headers=headers, media_type=kind)


def sent(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """What a path answers with that sends files."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    statuses = {200: content, 206: content, 304: {}, 416: {}}
    return {
        status: {"description": HTTPStatus(status).phrase} | ({"content": given} if given else {})
        for status, given in statuses.items()
    }


EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": {"type": "string"},
                "data": {"type": "string", "description": "JSON."},
                "id": {"type": "string", "description": "For Last-Event-ID."},
            },
        }
    }
}
"""What a path answers with that streams events; the schema is of each."""

VIDEO_OR_PICTURE = tuple(sorted({*_TYPES.values(), "application/octet-stream"} - {"application/zip"}))
