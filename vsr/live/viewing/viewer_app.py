"""The paths of the viewers' server: the page, how the cameras do, HLS and WHEP. Nothing that a client says becomes a
path; pieces are looked up by their names among those in memory."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vsr.live.viewing.view import NotThereError, View
from vsr.live.viewing.whep import SessionRefusedError, WhepSessions

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HLS = "application/vnd.apple.mpegurl"
_SDP = "application/sdp"


def viewer_app(
    view: Callable[[str, str], View],
    health: Callable[[], Mapping[str, Any]],
    sessions: WhepSessions,
    addresses: Callable[[str], list[str]],
) -> Starlette:
    """Make the app.

    Args:
        view: finds what is watched, by the camera's name and `enhanced` or `original`; raises LookupError.
        health: how the cameras do, as `/healthz` of `vsr live` says it.
        sessions: those of WHEP.
        addresses: where a browser may send to that has reached us at this one.
    """
    pages, watched = _Pages(health), _Watched(view, sessions, addresses)
    below = "/cameras/{name}/{view}"
    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/page/{file}", pages.page),
            Route("/cameras", pages.cameras),
            Route(f"{below}/live.m3u8", watched.playlist),
            Route(f"{below}/whep", watched.offer, methods=["POST"]),
            Route(f"{below}/whep/{{session}}", watched.leave, methods=["DELETE"]),
            Route(f"{below}/{{file}}", watched.piece),
        ],
        exception_handlers={HTTPException: _told},
    )


class _Pages:
    """The page, and how the cameras do."""

    def __init__(self, health: Callable[[], Mapping[str, Any]]):
        self._health = health
        self._files = {
            each.name: each.read_bytes() for each in (files("vsr.live.viewing") / "page").iterdir()
        }

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("file", "index.html")
        kind = _TYPES.get(name.rpartition(".")[2])
        if name not in self._files or kind is None:
            raise HTTPException(404, "the page has no such file")
        return Response(self._files[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    async def cameras(self, request: Request) -> Response:
        return Response(json.dumps(self._health()), media_type="application/json")


class _Watched:
    """What is watched of the cameras, by HLS and WHEP."""

    def __init__(
        self,
        view: Callable[[str, str], View],
        sessions: WhepSessions,
        addresses: Callable[[str], list[str]],
    ):
        self._view, self._sessions, self._addresses = view, sessions, addresses

    def _of(self, request: Request) -> View:
        try:
            return self._view(request.path_params["name"], request.path_params["view"])
        except LookupError:
            raise HTTPException(404, "there is no such camera") from None

    async def playlist(self, request: Request) -> Response:
        number, part = (_number(request, name) for name in ("_HLS_msn", "_HLS_part"))
        if part is not None and number is None:
            raise HTTPException(400, "_HLS_part needs _HLS_msn")
        try:
            text = await self._of(request).playlist(number, part)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        except NotThereError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
        return Response(text, media_type=_HLS)

    async def piece(self, request: Request) -> Response:
        try:
            data = await self._of(request).piece(request.path_params["file"])
        except NotThereError as error:
            raise HTTPException(404, str(error)) from None
        # Names never mean anything else.
        return Response(data, media_type="video/mp4", headers={"Cache-Control": "max-age=60"})

    async def offer(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != _SDP:
            raise HTTPException(415, f"an offer of the type {_SDP} is accepted")
        text = (await request.body()).decode("utf-8", "replace")
        try:
            at = self._addresses((request.scope.get("server") or ("127.0.0.1", 0))[0])
            name, answer = await self._sessions.begin(self._of(request), text, at)
        except SessionRefusedError as error:
            raise HTTPException(409, str(error)) from None
        where = f"{request.url.path}/{name}"
        return Response(answer, 201, {"Location": where}, media_type=_SDP)

    async def leave(self, request: Request) -> Response:
        if not await self._sessions.end(request.path_params["session"]):
            raise HTTPException(404, "there is no such session, or no longer")
        return Response()


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)


def _number(request: Request, name: str) -> int | None:
    """A number in the query; None where it is not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise HTTPException(400, f"{name} is a whole number")
    return int(text)
