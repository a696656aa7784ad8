"""What every request to the viewers' server must pass, and what every answer carries."""

import base64
import binascii

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vsr.http_safety import ALWAYS, OwnHosts, is_same_site, is_the_token

_MOST_BODY = 64 << 10
"""Bytes of an offer."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="vsr", charset="UTF-8"'}
"""A browser asks for it itself, and players take it in an address."""


class ViewerGuard:
    """Stands before an app.

    Args:
        app: what answers.
        hosts: by which names it may be called.
        hash: of the token that is wanted; empty where everybody may ask.
    """

    def __init__(self, app: ASGIApp, hosts: OwnHosts, hash: str):
        self._app, self._hosts, self._hash = app, hosts, hash

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in {**ALWAYS, "Content-Security-Policy": _POLICY}.items():
                    answer.setdefault(name, value)
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            return await self._app(scope, receive, guarded)
        status, detail = refusal
        headers = _CHALLENGE if status == 401 else None
        return await PlainTextResponse(f"{detail}\n", status, headers)(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._hosts.has(host):
            return 421, f"host {host[:80]!r} is not this server; allow_host adds one"
        visit = scope["method"] in ("GET", "HEAD") and scope["path"] == "/"
        if not is_same_site(headers, visit=visit):
            return 403, "requests from other pages are not accepted"
        if self._hash and not is_the_token(_token(headers.get("authorization", "")), self._hash):
            return 401, "a token is wanted: as a password with any name, or as `Authorization: Bearer TOKEN`"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MOST_BODY or "transfer-encoding" in headers:
            return 413, f"bodies of up to {_MOST_BODY} bytes, of which the length is said, are accepted"
        return None


def _token(authorization: str) -> str:
    """The token in a header, empty where there is none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given.strip()).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
