"""Everything that goes wrong as a problem of RFC 9457, with the one line that the terminal shows."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from vsr.errors import ConfigError, ModelError, SigningError, SinkError, SourceError, VsrError, redact

KIND = "application/problem+json"


class ProblemError(Exception):
    """What a request is answered with that cannot be done."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer: `detail` is one line on what failed and what would be accepted."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": redact(detail),
    }
    return JSONResponse(body, status, headers, media_type=KIND)


_STATUS = {
    SigningError: 500,
    ConfigError: 422,
    SourceError: 422,
    ModelError: 422,
    SinkError: 507,
    VsrError: 500,
}
"""By the nearest class of an error."""


def problem_of(error: VsrError) -> ProblemError:
    """An error of ours as the problem that it is."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    return ProblemError(status, str(error))


def answer_with_problems(app: FastAPI) -> None:
    """Have every error of an app answered so."""

    async def ours(_request: Request, error: Exception) -> Response:
        told = problem_of(error) if isinstance(error, VsrError) else error
        assert isinstance(told, ProblemError)
        return problem(told.status, told.detail, told.headers)

    async def gone(_request: Request, _error: Exception) -> Response:
        return problem(404, "that has just been taken away")

    async def theirs(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), error.headers)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(422, "; ".join(map(_said, error.errors())))

    async def unexpected(_request: Request, error: Exception) -> Response:
        return problem(500, f"unexpected {type(error).__name__}; the server's log has the whole story")

    app.add_exception_handler(ProblemError, ours)
    app.add_exception_handler(VsrError, ours)
    app.add_exception_handler(FileNotFoundError, gone)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def _said(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"][1:])
    return f"{where or 'body'}: {error['msg']}"


SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One line: what failed, and what would be accepted."},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the problems that a path may answer with, besides those of all paths."""
    content = {KIND: {"schema": SHAPE}}
    every = {400, 401, 403, 413, 421, 422, 500, *statuses}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(every)
    }
