"""Logging in, health, metrics, and the API described on a page that needs no other server."""

from html import escape
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from vsr.jobs import free_bytes
from vsr.web.problems import ProblemError, problems
from vsr.web.records import OVER
from vsr.web.shapes import Login
from vsr.web.tokens import COOKIE, SESSION_S, Tokens
from vsr.web.workshop import Workshop


def site_router(app: FastAPI, workshop: Workshop, tokens: Tokens) -> APIRouter:
    """The paths, over a workshop."""
    router = APIRouter()
    _add_sessions(router, tokens)
    _add_health(router, workshop)

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs() -> str:
        return page_of(app.openapi())

    return router


def _add_sessions(router: APIRouter, tokens: Tokens) -> None:
    @router.post("/login", status_code=204, tags=["site"], summary="Begin a session", responses=problems())
    def login(wanted: Login, request: Request) -> Response:
        if tokens.are_wanted and not tokens.is_right(wanted.token):
            raise ProblemError(401, "that is not the token of this server")
        answer = Response(status_code=204)
        secure = request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE, tokens.log_in(), max_age=SESSION_S, httponly=True, samesite="strict", secure=secure
        )
        return answer

    @router.post("/logout", status_code=204, tags=["site"], summary="End a session", responses=problems())
    def logout(request: Request) -> Response:
        tokens.log_out(request.headers.get("cookie", ""))
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer


def _add_health(router: APIRouter, workshop: Workshop) -> None:
    @router.get("/healthz", tags=["site"], summary="The server lives", response_class=PlainTextResponse)
    async def healthy() -> str:
        return "ok\n"

    @router.get(
        "/readyz",
        tags=["site"],
        summary="Work can be taken on",
        response_class=PlainTextResponse,
        responses=problems(503),
    )
    def ready() -> str:
        workshop.store.last_event()
        if not workshop.data.has_room(0):
            raise ProblemError(503, "the disk is full")
        return "ok\n"

    @router.get("/metrics", tags=["site"], summary="Counts for Prometheus", response_class=Response)
    def metrics() -> Response:
        return Response(_metrics(workshop), media_type=CONTENT_TYPE_LATEST)


def _metrics(workshop: Workshop) -> bytes:
    registry = CollectorRegistry()
    jobs = Gauge("vsr_web_jobs", "Jobs by state", ["state"], registry=registry)
    for state in ("queued", "running", "paused", *OVER):
        jobs.labels(state)
    for job in workshop.store.jobs():
        jobs.labels(job.state).inc()
    uploads = workshop.store.uploads()
    Gauge("vsr_web_uploads", "Uploads kept", registry=registry).set(len(uploads))
    come = Gauge("vsr_web_upload_bytes", "Bytes of uploads that have come", registry=registry)
    come.set(sum(workshop.uploads.offset(upload) for upload in uploads))
    free = Gauge("vsr_web_disk_free_bytes", "Bytes free where the data folder is", registry=registry)
    free.set(free_bytes(workshop.data.root))
    return generate_latest(registry)


def page_of(described: dict[str, Any]) -> str:
    """An OpenAPI description as a page, without a line of script."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(described['info']['title'])}</title>"
    ]
    parts.append(
        f"<h1>{escape(described['info']['title'])}</h1><p>{escape(described['info']['description'])}"
    )
    parts.append('<p>For tools: <a href="/openapi.json">openapi.json</a>')
    for path, methods in described["paths"].items():
        for method, what in methods.items():
            parts += [f"<h2><code>{method.upper()} {escape(path)}</code></h2>", *_operation(what)]
    for name, shape in described["components"]["schemas"].items():
        parts += [f'<h2 id="{escape(name)}">{escape(name)}</h2>', *_fields(shape)]
    return "\n".join(parts)


def _operation(what: dict[str, Any]) -> list[str]:
    lines = [f"<p>{escape(what.get('summary', ''))}. {escape(what.get('description', ''))}"]
    for each in what.get("parameters", ()):
        told = f"<code>{escape(each['name'])}</code> ({each['in']})"
        lines.append(
            f"<p>{told}: {escape(_kind(each.get('schema', {})))} {escape(each.get('description', ''))}"
        )
    for kind, given in what.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<p>Body {escape(kind)}: {escape(_kind(given['schema']))}")
    answers = ", ".join(f"{status} {answer['description']}" for status, answer in what["responses"].items())
    return [*lines, f"<p>Answers: {escape(answers)}"]


def _fields(shape: dict[str, Any]) -> list[str]:
    lines = [f"<p>{escape(shape.get('description', ''))}"]
    for name, given in shape.get("properties", {}).items():
        told = escape(given.get("description", ""))
        lines.append(f"<p><code>{escape(name)}</code>: {escape(_kind(given))} {told}")
        if "properties" in given:
            lines += ["<blockquote>", *_fields({"properties": given["properties"]}), "</blockquote>"]
    return lines


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in cast("list[dict[str, Any]]", schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("const", schema.get("type", "anything")))
