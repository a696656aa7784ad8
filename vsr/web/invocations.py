"""The contract of a cloud's container: `GET /ping` and `POST /invocations` with a picture, or with addresses.

As Amazon SageMaker has it (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html): 60 s
and some MB for a picture in a real-time request, an hour for files that an asynchronous one names.
"""

import json
import socket
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vsr.errors import ConfigError, SigningError, SourceError, VsrError
from vsr.jobs import Job
from vsr.media import is_image
from vsr.models import SUFFIXES
from vsr.options import EnhanceOptions
from vsr.web.asked_options import options_of
from vsr.web.line import Line, Patience
from vsr.web.problems import ProblemError, problem, problem_of
from vsr.web.record_key import NOT_SIGNED, told_key
from vsr.web.remote_files import Terms
from vsr.web.remote_job import do_remote, read_order
from vsr.web.web_options import ServeOptions

LIMIT_S = 57.0
"""For a picture, after which we say so, before the cloud cuts the request off."""
_STOP_AFTER_S = 20
_END_WITHIN_S = 25
"""A container is killed 30 s after SIGTERM. What is under way may end until then; what does not is given up in time to
say so."""

_JSON = "application/json"
_MAX_JSON = 64 << 10
_HEARD_OUT = 256 << 20
_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/tiff": ".tif"}
_TAKEN = (*_ENDINGS, "image/jpg", "application/x-image", "application/octet-stream")
_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_ASYNCHRONOUS = (
    "larger and longer work goes to an asynchronous endpoint, as application/json with addresses of input and"
    " output"
)


def serve_invocations(options: EnhanceOptions, serve: ServeOptions, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM, which ends it within 30 s; what is under way is answered, or told that it was given up.

    Raises:
        ConfigError: the model's folder holds several models, or the key cannot sign.
        VsrError: the model cannot be loaded and run.
    """
    service = _Service(with_model_of(Path(serve.model_folder), options), serve, tell)
    model = " + ".join(service.options.models.model) or "default model"
    if key := told_key(serve.sign):
        tell(key)
    tell(f"vsr serve listens on {serve.host}:{serve.port}; {model}")
    config = uvicorn.Config(
        service.app(),
        host=serve.host,
        port=serve.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_END_WITHIN_S,
    )
    server = _Server(config, service.stop)
    threading.Thread(target=service.warm_up, args=(server,), name="vsr-warm-up", daemon=True).start()
    server.run()
    if service.failure is not None:
        raise service.failure


def with_model_of(folder: Path, options: EnhanceOptions) -> EnhanceOptions:
    """The same options with the model that lies in a folder, where they name none.

    Raises:
        ConfigError: there are several.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if options.models.model or not found:
        return options
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"{folder} holds several models ({names}); name one with --model")
    return replace(options, models=replace(options.models, model=(str(found[0]),)))


class _Server(uvicorn.Server):
    """Has what is under way given up when the end comes near."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event):
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        giving_up = threading.Timer(_STOP_AFTER_S, self._stop.set)
        giving_up.start()
        try:
            await super().shutdown(sockets)
        finally:
            giving_up.cancel()


class _Service:
    """What the container does, with one process for pictures and one for what takes long."""

    def __init__(self, options: EnhanceOptions, serve: ServeOptions, tell: Callable[[str], None]):
        self.options, self._serve, self._tell, self.stop = options, serve, tell, threading.Event()
        self.failure: Exception | None = None
        self._lines = {is_picture: Line(self.stop) for is_picture in (True, False)}
        self._is_ready = False
        self._most = round(serve.max_mb * 1e6)

    def warm_up(self, server: uvicorn.Server) -> None:
        """Have the model loaded; where it cannot be, the server ends: no request could be met."""
        try:
            self._lines[True].warm_up(self.options)
            self._is_ready = True
        except Exception as error:
            self.failure = None if self.stop.is_set() else error
            server.should_exit = True

    def app(self) -> Starlette:
        """The application that the container runs."""

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
            try:
                yield
            finally:
                self.stop.set()
                for line in self._lines.values():
                    await anyio.to_thread.run_sync(line.close)

        routes = [
            Route("/ping", self._ping, methods=["GET"]),
            Route("/invocations", self._invoke, methods=["POST"]),
        ]
        return Starlette(routes=routes, lifespan=lifespan)

    async def _ping(self, _request: Request) -> Response:
        if not self._is_ready:
            return problem(503, "the model is being loaded")
        return PlainTextResponse("ok\n")

    async def _invoke(self, request: Request) -> Response:
        try:
            return await (self._remote(request) if _came(request) == _JSON else self._picture(request))
        except ProblemError as error:
            return problem(error.status, error.detail, error.headers)
        except VsrError as error:
            told = problem_of(error)
            if isinstance(error, SigningError):
                self._tell(told.detail)
                return problem(told.status, NOT_SIGNED)
            return problem(told.status, told.detail)

    async def _picture(self, request: Request) -> Response:
        kind = _kinds(request)
        options = options_of(_attributes(request), self.options)
        refusal = f"pictures of up to {self._most} bytes are accepted; {_ASYNCHRONOUS}"
        picture = await _body(request, self._most, refusal)
        made = await anyio.to_thread.run_sync(self._enhanced, picture, options, _ENDINGS[kind])
        if len(made) > self._most:
            hint = "" if kind == "image/jpeg" else "ask for image/jpeg by Accept, or "
            detail = f"the result has {len(made)} bytes, {self._most} can be sent; {hint}{_ASYNCHRONOUS}"
            raise ProblemError(413, detail)
        return Response(made, media_type=kind)

    def _enhanced(self, picture: bytes, options: EnhanceOptions, ending: str) -> bytes:
        patience = Patience.of(LIMIT_S, f"send a smaller picture or name a faster model; {_ASYNCHRONOUS}")
        with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
            source, target = Path(folder) / "input", Path(folder) / f"output{ending}"
            source.write_bytes(picture)
            if not is_image(source):
                raise SourceError(
                    f"that is no picture; PNG, JPEG, WebP and TIFF are accepted. {_ASYNCHRONOUS}"
                )
            self._lines[True].enhance(Job(source, target, is_image=True), options, patience)
            return target.read_bytes()

    async def _remote(self, request: Request) -> Response:
        body = await _body(request, _MAX_JSON, f"JSON of up to {_MAX_JSON} bytes is accepted")
        order, options, wishes = read_order(body, self.options)
        recorded = partial(wishes.at, sign=self._serve.sign)
        patience = Patience.of(self._serve.max_minutes * 60, "send it in parts, or raise --max-minutes")
        terms = Terms(
            max_bytes=round(self._serve.max_gb * 1e9),
            until=patience.until,
            private=self._serve.allow_private,
            stop=self.stop,
        )
        work = order, options, recorded, self._lines, terms, patience
        return JSONResponse(await anyio.to_thread.run_sync(do_remote, *work))


async def _body(request: Request, most: int, refusal: str) -> bytes:
    """A body of so many bytes at most; of a larger one the rest is heard out, or its sender would not hear why."""
    body, come = bytearray(), 0
    if int(request.headers.get("content-length", "0")) <= most + _HEARD_OUT:
        async for piece in request.stream():
            come += len(piece)
            if come <= most:
                body += piece
            elif come > most + _HEARD_OUT:
                break
        if come <= most:
            return bytes(body)
    raise ProblemError(413, refusal)


def _came(request: Request) -> str:
    """The kind of a request's body."""
    return request.headers.get("content-type", "application/octet-stream").split(";")[0].strip().lower()


def _kinds(request: Request) -> str:
    """What a picture is to be answered with.

    Raises:
        ProblemError: what comes is none that is taken, or what is asked for none that is made.
    """
    if (came := _came(request)) not in _TAKEN:
        detail = f"Content-Type {came[:60]} is not accepted; {', '.join(_TAKEN)} and {_JSON} are"
        raise ProblemError(415, detail)
    asked = [each.split(";")[0].strip().lower() for each in request.headers.get("accept", "*/*").split(",")]
    for each in asked:
        if each in ("*/*", "image/*", ""):
            return "image/png"
        if each in _ENDINGS:
            return each
    raise ProblemError(406, f"Accept {', '.join(asked)[:60]} cannot be met; {', '.join(_ENDINGS)} can")


def _attributes(request: Request) -> dict[str, Any]:
    """Options of a request: `scale=4, model=fast-x4` in SageMaker's custom attributes."""
    said = request.headers.get(_ATTRIBUTES, "")
    return dict(map(_pair, said.split(","))) if said.strip() else {}


def _pair(text: str) -> tuple[str, Any]:
    key, _, value = (part.strip() for part in text.partition("="))
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
