"""The paths below `/v1/cameras`: how the cameras do, their pictures, their recordings."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fastapi import APIRouter, Request, Response

from vsr.live import LiveOptions
from vsr.web.cameras.camera_files import PLAYLIST, CameraFiles, RecordedDay, RecordedFile
from vsr.web.cameras.camera_process import CameraProcess, ProcessState
from vsr.web.problems import ProblemError, problems
from vsr.web.results import send_file, send_newest, sent

_HLS = "application/vnd.apple.mpegurl"
_ASK_S = 2.0
"""How long a `vsr live` beside may take to say how it does."""


@dataclass(frozen=True, slots=True)
class SeenCamera:
    """How a camera does. Addresses are null where it has no output of that kind, or nothing of it is there yet."""

    name: str
    state: str
    """Such as connecting, playing, stalled, away or refused; empty while nobody runs it."""
    since_s: float
    """Seconds for which it has been in that state."""
    fps_in: float
    fps_out: float
    idle: bool
    """Nobody watches what is served of it, so that it is decoded and not enhanced."""
    latency_ms: float
    """From a frame's arrival to the encoder, of 95 in 100 frames."""
    dropped: int
    reconnects: int
    network: str
    """Name of what enhances it."""
    found: str
    """How noisy and how compressed its pictures are, in words; empty while that is not known."""
    error: str
    """One line on what went wrong last."""
    live: str | None
    """A playlist of HLS."""
    snapshot: str | None
    recordings: str | None


@dataclass(frozen=True, slots=True)
class SeenCameras:
    """How all cameras do."""

    state: Literal["none", ProcessState]
    """`none` where the server was told of no cameras."""
    error: str
    """Why they do not run; empty while they do."""
    model: str
    """What enhances them all now."""
    cameras: list[SeenCamera]


class _Runs(Protocol):
    """Whoever runs the cameras."""

    @property
    def state(self) -> ProcessState: ...
    @property
    def error(self) -> str: ...
    @property
    def health(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class _Beside:
    """What the `/healthz` of a `vsr live` beside says."""

    state: ProcessState
    error: str
    health: Mapping[str, Any]


def _beside(port: int) -> _Beside:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_ASK_S) as answer:
            return _Beside("running", "", json.load(answer))
    except urllib.error.HTTPError as error:  # 503: nothing plays, and it says how each camera does
        with error:
            return _Beside("running", "", json.load(error))
    except (OSError, ValueError):
        return _Beside("ended", f"no vsr live answers on port {port}; start it beside with the same file", {})


def camera_router(options: LiveOptions | None, process: CameraProcess | None) -> APIRouter:
    """The paths.

    Args:
        options: the cameras; None where there are none.
        process: what runs them; None where a `vsr live` beside does, with metrics on the port of its options.
    """
    router = APIRouter(prefix="/v1/cameras", tags=["cameras"])
    cameras_seen = options.cameras if options else ()
    files = {name: CameraFiles(name, outputs) for camera in cameras_seen for name, outputs in camera.streams}

    def of(name: str) -> CameraFiles:
        if name not in files:
            raise ProblemError(404, "there is no such camera")
        return files[name]

    @router.get("", summary="How the cameras do", responses=problems())
    def cameras() -> SeenCameras:
        if options is None:
            return SeenCameras("none", "", "", [])
        runs: _Runs = process or _beside(options.metrics_port)
        state, error, told = runs.state, runs.error, runs.health
        seen = [_seen(name, files[name], told.get("cameras", {}).get(name, {})) for name in files]
        return SeenCameras(state, error, told.get("rung", ""), seen)

    @router.get(
        "/{name}/snapshot",
        summary="The newest picture",
        response_class=Response,
        responses=sent("image/jpeg") | problems(404),
    )
    def snapshot(name: str) -> Response:
        return send_newest(_there(of(name).snapshot()), "image/jpeg")

    @router.get(
        "/{name}/live/{file}",
        summary="The playlist of HLS, and its pieces",
        response_class=Response,
        responses=sent(_HLS, "video/mp4") | problems(404),
    )
    def live(name: str, file: str) -> Response:
        path = _there(of(name).live(file))
        return send_newest(path, _HLS if file == PLAYLIST else "video/mp4")

    @router.get("/{name}/recordings", summary="Days with recordings", responses=problems(404))
    def days(name: str) -> list[RecordedDay]:
        return of(name).days(f"/v1/cameras/{name}/recordings")

    @router.get("/{name}/recordings/{day}", summary="Recordings of a day", responses=problems(404))
    def day(name: str, day: str) -> list[RecordedFile]:
        return of(name).of_day(day, f"/v1/cameras/{name}/recordings/{day}")

    @router.head("/{name}/recordings/{day}/{file}", include_in_schema=False)
    @router.get(
        "/{name}/recordings/{day}/{file}",
        summary="A recording",
        response_class=Response,
        responses=sent("video/matroska") | problems(404),
    )
    def recording(name: str, day: str, file: str, request: Request) -> Response:
        path = _there(of(name).recording(day, file))
        return send_file(path, path.name, request)

    return router


def _there(path: Path | None) -> Path:
    if path is None:
        raise ProblemError(404, "there is no such file, or no longer")
    return path


def _seen(name: str, files: CameraFiles, told: Mapping[str, Any]) -> SeenCamera:
    below = f"/v1/cameras/{name}"
    return SeenCamera(
        name=name,
        state=told.get("state", ""),
        since_s=told.get("for_s", 0.0),
        fps_in=told.get("fps_in", 0.0),
        fps_out=told.get("fps_out", 0.0),
        idle=told.get("idle", False),
        latency_ms=told.get("latency_p95_ms", 0),
        dropped=told.get("dropped", 0),
        reconnects=told.get("reconnects", 0),
        network=told.get("network", ""),
        found=told.get("found", ""),
        error=told.get("last_error", ""),
        live=f"{below}/live/{PLAYLIST}" if files.live(PLAYLIST) else None,
        snapshot=f"{below}/snapshot" if files.snapshot() else None,
        recordings=f"{below}/recordings" if files.has("record") else None,
    )
