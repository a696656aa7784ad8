"""Prometheus metrics and /healthz on a loopback port. Needs `prometheus-client`, the extra `live`.

Serves what a view shows; knows no cameras and no secrets.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from vsr.errors import ConfigError
from vsr.live.newest_wins import in_background
from vsr.live.outputs.live_output import OutputStatus
from vsr.live.service_view import CameraView, LiveView

if TYPE_CHECKING:
    from prometheus_client.core import Metric

T = TypeVar("T")

_HOST = "127.0.0.1"
_POLL_S = 0.2


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 5  # of a client that says nothing

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: scrapes come every few seconds."""


class MetricsServer:
    """Answers GET /metrics and /healthz until it is closed.

    Args:
        port: on 127.0.0.1.
        look: makes the view to answer from; called in the server's threads.

    Raises:
        ConfigError: `prometheus-client` is not installed, or the port is taken.
    """

    def __init__(self, port: int, look: Callable[[], LiveView]):
        try:
            from prometheus_client import CollectorRegistry
        except ImportError:
            raise ConfigError(
                "metrics need prometheus-client, the extra `live`; pip install prometheus-client, or leave metrics out"
            ) from None
        self.port = port
        self._look = look
        self._registry = CollectorRegistry()
        self._registry.register(self)
        try:
            self._server = make_server(
                _HOST, port, self._answer, server_class=_Server, handler_class=_Handler
            )
        except OSError as error:
            raise ConfigError(
                f"metrics port {port} cannot be opened: {error.strerror}; give another"
            ) from None
        self._done = in_background(lambda: self._server.serve_forever(_POLL_S), name="vsr-metrics")

    def collect(self) -> "Iterator[Metric]":
        """Make the metrics; called by the registry."""
        return _metrics(self._look())

    def close(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._done.result()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        path, kind = environ.get("PATH_INFO", ""), "text/plain; charset=utf-8"
        status, body = "404 Not Found", b"/metrics and /healthz are here\n"
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"GET is accepted\n"
        elif path == "/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        elif path == "/healthz":
            view = self._look()
            healthy = view.playing > 0 and not view.hangs
            status, kind = "200 OK" if healthy else "503 Service Unavailable", "application/json"
            body = (json.dumps(health(view), indent=1) + "\n").encode()
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]


def health(view: LiveView) -> dict[str, Any]:
    """What /healthz says: how many play, and how each camera does."""
    state = "hangs" if view.hangs else "playing" if view.playing else "nothing plays"
    cameras = {camera.facts.name: _health(camera) for camera in view.cameras}
    return {"status": state, "playing": view.playing, "rung": view.overview.level, "cameras": cameras}


def _health(camera: CameraView) -> dict[str, Any]:
    facts, sink = camera.facts, camera.sink
    return {
        "state": facts.camera.state,
        "picture": facts.camera.picture,
        "network": facts.network,
        "found": facts.found,
        "for_s": round(time.monotonic() - facts.camera.since, 1),
        "fps_in": round(facts.fps_in, 2),
        "fps_out": round(facts.fps_out, 2),
        "idle": facts.idle,
        "latency_p95_ms": round(facts.latency_p95_s * 1000),
        "dropped": camera.dropped,
        "reconnects": facts.camera.reconnects,
        "viewers": camera.viewers,
        "last_error": facts.last_error or facts.camera.last_error,
        "outputs": [
            {
                "kind": output.kind,
                "target": output.target,
                "state": output.state,
                "note": output.note,
                "restarts": output.restarts,
            }
            for output in sink.outputs
        ],
    }


@dataclass(frozen=True)
class _Row(Generic[T]):
    """A metric, and how it is read off what it tells of."""

    name: str
    """A counter's ends in `_total`; all others are gauges."""
    text: str
    read: Callable[[T], float | dict[str, float]]
    """A value, or one for each value of `label`."""
    label: str = ""


_SERVICE: tuple[_Row[LiveView], ...] = (
    _Row("engine_busy", "Part of the time that the engine works, lately.", lambda v: v.overview.busy),
    _Row("engine_batch", "Frames in a round, lately.", lambda v: v.overview.batch),
    _Row("rung_changes_total", "Changes of the rung.", lambda v: v.overview.num_changes),
    _Row("rung", "1 for the model rung in use.", lambda v: {v.overview.level: 1}, "rung"),
)
_CAMERA: tuple[_Row[CameraView], ...] = (
    _Row("frames_decoded_total", "Frames decoded.", lambda c: c.facts.arrived),
    _Row("frames_enhanced_total", "Enhanced frames handed to the outputs.", lambda c: c.facts.delivered),
    _Row("frames_failed_total", "Frames lost to errors.", lambda c: c.facts.failed),
    _Row("frames_corrupt_total", "Damaged packets and pictures.", lambda c: c.facts.camera.corrupt),
    _Row(
        "frames_lost_total", "Frames that never came, by the camera's times.", lambda c: c.facts.camera.lost
    ),
    _Row(
        "frames_encoded_total",
        "Frames encoded, stand-ins of an absent camera included.",
        lambda c: c.sink.written,
    ),
    _Row("reconnects_total", "Sessions that played, after the first.", lambda c: c.facts.camera.reconnects),
    _Row(
        "encoder_restarts_total", "Starts of the encoder after a failure.", lambda c: c.sink.encoder_restarts
    ),
    _Row("up", "1 while the camera plays.", lambda c: c.facts.camera.state == "playing"),
    _Row("fps_in", "Frames decoded a second, lately.", lambda c: c.facts.fps_in),
    _Row("fps_out", "Enhanced frames a second, lately.", lambda c: c.facts.fps_out),
    _Row(
        "idle",
        "1 while nobody watches what is served on demand: nothing is enhanced.",
        lambda c: c.facts.idle,
    ),
    _Row("away_seconds", "Since the last frame, once that is long.", lambda c: c.facts.away_s),
    _Row(
        "frames_dropped_total",
        "Frames left out: late for the engine, come in a burst, late for the encoder, by the rung, as nobody watched.",
        lambda c: {
            "engine": c.facts.dropped - c.facts.bursts,
            "burst": c.facts.bursts,
            "encoder": c.sink.dropped,
            "rung": c.facts.thinned,
            "idle": c.facts.unwatched,
        },
        "where",
    ),
    _Row(
        "latency_seconds",
        "From arrival to the encoder's input, lately.",
        lambda c: {"0.5": c.facts.latency_p50_s, "0.95": c.facts.latency_p95_s},
        "quantile",
    ),
    _Row("viewers", "Who watch what is served of it.", lambda c: {**c.viewers}, "view"),
    _Row("state", "1 for the state the camera is in.", lambda c: {c.facts.camera.state: 1}, "state"),
    _Row("picture", "1 for what the camera shows.", lambda c: {c.facts.camera.picture: 1}, "picture"),
    _Row("network", "1 for the network that enhances it.", lambda c: {c.facts.network: 1}, "network"),
)
_OUTPUT: tuple[_Row[OutputStatus], ...] = (
    _Row("up", "1 while the output runs.", lambda o: o.state == "running"),
    _Row("state", "1 for the state the output is in.", lambda o: {o.state: 1}, "state"),
    _Row("bits_per_second", "Sent, lately.", lambda o: o.bitrate_kbps * 1000),
    _Row("bytes_total", "Bytes sent.", lambda o: o.bytes),
    _Row("restarts_total", "Restarts after failures.", lambda o: o.restarts),
    _Row("packets_dropped_total", "Packets it was too slow for.", lambda o: o.dropped),
)


def _metrics(view: LiveView) -> "Iterator[Metric]":
    cameras = [({"camera": camera.facts.name}, camera) for camera in view.cameras]
    # The number tells a recording from that of the original, which has the same target.
    outputs = [
        ({**labels, "output": str(number), "kind": output.kind, "target": output.target}, output)
        for labels, camera in cameras
        for number, output in enumerate(camera.sink.outputs)
    ]
    yield from (_metric("vsr", row, [({}, view)]) for row in _SERVICE)
    yield from (_metric("vsr_camera", row, cameras) for row in _CAMERA)
    yield from (_metric("vsr_output", row, outputs) for row in _OUTPUT)


def _metric(prefix: str, row: _Row[T], seen: Iterable[tuple[dict[str, str], T]]) -> "Metric":
    """A row of everything that was seen, by its labels."""
    from prometheus_client.core import Metric

    name = f"{prefix}_{row.name}"
    counts = name.endswith("_total")
    metric = Metric(name.removesuffix("_total"), row.text, "counter" if counts else "gauge")
    for labels, item in seen:
        value = row.read(item)
        if isinstance(value, dict):
            for key, part in value.items():
                metric.add_sample(name, {**labels, row.label: key}, part)
        else:
            metric.add_sample(name, labels, value)
    return metric
