"""The contract of a cloud's container: `GET /ping` and `POST /invocations`, a picture in and a picture out.

As Amazon SageMaker has it for real-time endpoints
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html): 60 s and 6 MB an answer.
"""

import json
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vsr.errors import ConfigError, SourceError, VsrError
from vsr.jobs import Job, Plan, run_file
from vsr.media import is_image
from vsr.models import SUFFIXES
from vsr.options import EnhanceOptions
from vsr.pipeline import Clock
from vsr.web.apart import Apart
from vsr.web.asked_options import options_of
from vsr.web.problems import ProblemError, problem, problem_of
from vsr.web.web_options import ServeOptions

MOST_BYTES = 6 << 20
"""Of what comes and what goes."""
LIMIT_S = 57.0
"""After which we say so, before the cloud cuts the request off."""
_END_WITHIN_S = 25

_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/tiff": ".tif"}
_TAKEN = (*_ENDINGS, "image/jpg", "application/x-image", "application/octet-stream")
_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


def serve_invocations(options: EnhanceOptions, serve: ServeOptions, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM, which ends it within 30 s with what is under way answered.

    Raises:
        ConfigError: the model's folder holds several models.
    """
    options = with_model_of(Path(serve.model_folder), options)
    app = make_invocations(options)
    tell(
        f"vsr serve listens on {serve.host}:{serve.port}; {' + '.join(options.models.model) or 'default model'}"
    )
    uvicorn.run(
        app,
        host=serve.host,
        port=serve.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_END_WITHIN_S,
    )


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


class _Line:
    """Whoever waits for the process that enhances; one picture after another."""

    def __init__(self, options: EnhanceOptions):
        self.options = options
        self.is_ready = False
        self._apart, self._turn = Apart(), threading.Lock()

    def warm_up(self) -> None:
        with self._turn:
            self._apart.ask(_begin, limit_s=600)
        self.is_ready = True

    def enhance(self, picture: bytes, options: EnhanceOptions, ending: str) -> bytes:
        """Enhance one, within the limit from now on.

        Raises:
            VsrError, ProblemError: it cannot be, or takes too long.
        """
        until = time.monotonic() + LIMIT_S
        if not self._turn.acquire(timeout=LIMIT_S):
            raise ProblemError(
                503, "other pictures took all the time there was; try again", {"Retry-After": "5"}
            )
        try:
            left_s = max(0.1, until - time.monotonic())
            return self._apart.ask(_enhanced, picture, options, ending, limit_s=left_s)
        except SourceError as error:
            if time.monotonic() < until:
                raise
            detail = f"it took longer than {LIMIT_S:.0f} s; send a smaller picture, or name a faster model"
            raise ProblemError(503, detail) from error
        finally:
            self._turn.release()

    def close(self) -> None:
        self._apart.close()


def _begin() -> None:
    """What the process does first."""


def _enhanced(picture: bytes, options: EnhanceOptions, ending: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        source, target = Path(folder) / "picture", Path(folder) / f"result{ending}"
        source.write_bytes(picture)
        if not is_image(source):
            raise SourceError("that is no picture; PNG, JPEG, WebP and TIFF are accepted")
        result = run_file(Job(source, target, is_image=True), options, _Unseen())
        if result.error is not None:
            line = result.reason.replace(str(source), "the picture").replace(f"{folder}/", "")
            raise SourceError(line) if isinstance(result.error, SourceError) else VsrError(line)
        return target.read_bytes()


class _Unseen:
    """Nobody looks on."""

    def at_work(self, plan: Plan, clock: Clock) -> AbstractContextManager[None]:
        return nullcontext()

    def tell(self, line: str) -> None:
        return


def make_invocations(options: EnhanceOptions) -> Starlette:
    """The application that the container runs."""
    line = _Line(options)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        threading.Thread(target=line.warm_up, name="vsr-warm-up", daemon=True).start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(line.close)

    async def ping(_request: Request) -> Response:
        if not line.is_ready:
            return problem(503, "the process that enhances has not begun yet")
        return PlainTextResponse("ok\n")

    async def invoke(request: Request) -> Response:
        try:
            kind, wanted = _kinds(request), _options(request, options)
            picture = await _body(request)
            made = await anyio.to_thread.run_sync(line.enhance, picture, wanted, _ENDINGS[kind])
            if len(made) > MOST_BYTES:
                hint = "" if kind == "image/jpeg" else "; ask for image/jpeg by Accept"
                raise ProblemError(413, f"the result has {len(made)} bytes, {MOST_BYTES} can be sent{hint}")
        except ProblemError as error:
            return problem(error.status, error.detail, error.headers)
        except VsrError as error:
            told = problem_of(error)
            return problem(told.status, told.detail)
        return Response(made, media_type=kind)

    routes = [Route("/ping", ping, methods=["GET"]), Route("/invocations", invoke, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


async def _body(request: Request) -> bytes:
    refusal = ProblemError(413, f"pictures of up to {MOST_BYTES} bytes are accepted")
    if int(request.headers.get("content-length", "0")) > MOST_BYTES:
        raise refusal
    picture = bytearray()
    async for piece in request.stream():
        picture += piece
        if len(picture) > MOST_BYTES:
            raise refusal
    return bytes(picture)


def _kinds(request: Request) -> str:
    """What is to be answered with.

    Raises:
        ProblemError: what comes is none that is taken, or what is asked for none that is made.
    """
    came = request.headers.get("content-type", "application/octet-stream").split(";")[0].strip().lower()
    if came not in _TAKEN:
        raise ProblemError(415, f"Content-Type {came[:60]} is not accepted; {', '.join(_TAKEN)} are")
    asked = [each.split(";")[0].strip().lower() for each in request.headers.get("accept", "*/*").split(",")]
    for each in asked:
        if each in ("*/*", "image/*", ""):
            return "image/png"
        if each in _ENDINGS:
            return each
    raise ProblemError(406, f"Accept {', '.join(asked)[:60]} cannot be met; {', '.join(_ENDINGS)} can")


def _options(request: Request, options: EnhanceOptions) -> EnhanceOptions:
    """The server's options, or those of a request: `scale=4, model=fast-x4` in SageMaker's custom attributes."""
    attributes = request.headers.get(_ATTRIBUTES, "")
    if not attributes.strip():
        return options
    return options_of(dict(map(_pair, attributes.split(","))))


def _pair(text: str) -> tuple[str, Any]:
    key, _, value = (part.strip() for part in text.partition("="))
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
