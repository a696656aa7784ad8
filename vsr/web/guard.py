"""What every request must pass before anything looks at it, and what every answer carries.

Host against DNS rebinding, Origin and Sec-Fetch-Site against other pages in the same browser, the token, and a limit
to bodies.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vsr.http_safety import ALWAYS, OwnHosts, is_same_site
from vsr.web.problems import ProblemError, problem
from vsr.web.tokens import Tokens
from vsr.web.web_options import WebOptions

MAX_BODY = 64 << 10
"""Bytes of a body that is neither an upload nor a picture."""
MAX_PICTURE = 64 << 20
"""Bytes of a form with a picture."""

_OPEN = ("/", "/healthz", "/readyz", "/login")
_OPEN_BELOW = "/static/"
"""Paths that want no token: the page itself, which holds nothing of anybody, and what a watchdog asks."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
    " connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""Content-Security-Policy of answers that have none of their own."""


class Guard:
    """Stands before an app."""

    def __init__(self, app: ASGIApp, tokens: Tokens, options: WebOptions):
        self._app, self._tokens = app, tokens
        self._hosts = OwnHosts(options.host, options.allow_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in {**ALWAYS, "Content-Security-Policy": _POLICY}.items():
                    answer.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, detail = refusal
            challenge = {"WWW-Authenticate": 'Bearer realm="vsr"'} if status == 401 else None
            return await problem(status, detail, challenge)(scope, receive, guarded)
        return await self._app(scope, _limited(scope, receive), guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and line of what is wrong with a request; None where nothing is."""
        host, path = headers.get("host", ""), scope["path"]
        if len(headers.getlist("host")) != 1 or not self._hosts.has(host):
            return 421, f"host {host[:80]!r} is not this server; --allow-host NAME adds one"
        visit = scope["method"] in ("GET", "HEAD") and not path.startswith("/v1/")
        if not is_same_site(headers, visit=visit):
            return 403, "requests from other pages are not accepted"
        is_open = path in _OPEN or path.startswith(_OPEN_BELOW)
        if not is_open and not self._tokens.admits(
            headers.get("authorization", ""), headers.get("cookie", "")
        ):
            return 401, "a token is wanted; give it as `Authorization: Bearer TOKEN`, or log in on the page"
        most = _most(path)
        length = headers.get("content-length", "0")
        if most is not None and (not length.isdigit() or int(length) > most):
            return 413, f"bodies of up to {most} bytes are accepted here"
        return None


def _most(path: str) -> int | None:
    """How large a body may be; None where its path sees to that."""
    if path == "/v1/uploads" or (path.startswith("/v1/uploads/") and path.count("/") == 3):
        return None
    return MAX_PICTURE if path == "/upscale" else MAX_BODY


def _limited(scope: Scope, receive: Receive) -> Receive:
    """The same body, refused where it grows too large without having said how large it is."""
    most = _most(scope["path"])
    if most is None:
        return receive
    come = 0

    async def counted() -> Message:
        nonlocal come
        message = await receive()
        come += len(message.get("body", b""))
        if message["type"] == "http.request" and come > most:
            raise ProblemError(413, f"bodies of up to {most} bytes are accepted here")
        return message

    return counted
