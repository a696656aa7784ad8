"""The page itself: the files of `vsr/web/page/`, as they lie there, to whoever asks; they hold nothing of anybody."""

import zlib
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from vsr.web.problems import ProblemError

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FIRST = "index.html"


def page_router(version: str) -> APIRouter:
    """The paths; a browser asks each time whether a file is still that of `version`."""
    router = APIRouter(include_in_schema=False)
    folder = files("vsr.web") / "page"
    held = {each.name: each.read_bytes() for each in folder.iterdir() if _ending(each.name) in _TYPES}

    def answer(name: str, request: Request) -> Response:
        if name not in held:
            raise ProblemError(404, "the page has no such file")
        tag = f'"{version}-{zlib.crc32(held[name]):x}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(held[name], headers=headers, media_type=_TYPES[_ending(name)])

    @router.api_route("/", methods=["GET", "HEAD"])
    async def first(request: Request) -> Response:
        return answer(_FIRST, request)

    @router.api_route("/static/{name}", methods=["GET", "HEAD"])
    async def part(name: str, request: Request) -> Response:
        return answer(name, request)

    return router


def _ending(name: str) -> str:
    return f".{name.rpartition('.')[2]}"
