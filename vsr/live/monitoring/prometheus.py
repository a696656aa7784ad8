"""Prometheus metrics and /healthz on a loopback port. Needs `prometheus-client`, the extra `live`.

Serves what a view shows; knows no cameras and no secrets.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from vsr.errors import ConfigError
from vsr.live.newest_wins import in_background
from vsr.live.service import CameraView, LiveView

if TYPE_CHECKING:
    from prometheus_client.core import Metric

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
        "for_s": round(time.monotonic() - facts.camera.since, 1),
        "fps_in": round(facts.fps_in, 2),
        "fps_out": round(facts.fps_out, 2),
        "latency_p95_ms": round(facts.latency_p95_s * 1000),
        "dropped": camera.dropped,
        "reconnects": facts.camera.reconnects,
        "last_error": facts.last_error or facts.camera.last_error,
        "outputs": [
            {"kind": output.kind, "target": output.target, "state": output.state, "restarts": output.restarts}
            for output in sink.outputs
        ],
    }


_COUNTERS: tuple[tuple[str, str, Callable[[CameraView], float]], ...] = (
    ("frames_decoded", "Frames decoded.", lambda camera: camera.facts.arrived),
    ("frames_enhanced", "Enhanced frames handed to the outputs.", lambda camera: camera.facts.delivered),
    ("frames_failed", "Frames lost to errors.", lambda camera: camera.facts.failed),
    ("frames_corrupt", "Damaged packets and pictures.", lambda camera: camera.facts.camera.corrupt),
    (
        "frames_lost",
        "Frames that never came, by the camera's times.",
        lambda camera: camera.facts.camera.lost,
    ),
    (
        "frames_encoded",
        "Frames encoded, stand-ins of an absent camera included.",
        lambda camera: camera.sink.written,
    ),
    ("reconnects", "Sessions that played, after the first.", lambda camera: camera.facts.camera.reconnects),
    (
        "encoder_restarts",
        "Starts of the encoder after a failure.",
        lambda camera: camera.sink.encoder_restarts,
    ),
)
_GAUGES: tuple[tuple[str, str, Callable[[CameraView], float]], ...] = (
    ("up", "1 while the camera plays.", lambda camera: camera.facts.camera.state == "playing"),
    ("fps_in", "Frames decoded a second, lately.", lambda camera: camera.facts.fps_in),
    ("fps_out", "Enhanced frames a second, lately.", lambda camera: camera.facts.fps_out),
    ("away_seconds", "Since the last frame, once that is long.", lambda camera: camera.facts.away_s),
)


def _metrics(view: LiveView) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    overview = view.overview
    yield GaugeMetricFamily(
        "vsr_engine_busy", "Part of the time that the engine works, lately.", value=overview.busy
    )
    yield GaugeMetricFamily("vsr_engine_batch", "Frames in a round, lately.", value=overview.batch)
    yield CounterMetricFamily("vsr_rung_changes", "Changes of the rung.", value=overview.num_changes)
    level = GaugeMetricFamily("vsr_rung", "1 for the model rung in use.", labels=["rung"])
    level.add_metric([overview.level], 1)
    yield level
    for name, text, value in _COUNTERS:
        counter = CounterMetricFamily(f"vsr_camera_{name}", text, labels=["camera"])
        for camera in view.cameras:
            counter.add_metric([camera.facts.name], value(camera))
        yield counter
    for name, text, value in _GAUGES:
        gauge = GaugeMetricFamily(f"vsr_camera_{name}", text, labels=["camera"])
        for camera in view.cameras:
            gauge.add_metric([camera.facts.name], value(camera))
        yield gauge
    yield from _split(view)
    yield from _of_outputs(view)


def _split(view: LiveView) -> "Iterator[Metric]":
    """Metrics of cameras that have a second label."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    dropped = CounterMetricFamily(
        "vsr_camera_frames_dropped",
        "Frames left out: late for the engine, late for the encoder, by the rung.",
        labels=["camera", "where"],
    )
    latency = GaugeMetricFamily(
        "vsr_camera_latency_seconds",
        "From arrival to the encoder's input, lately.",
        labels=["camera", "quantile"],
    )
    state = GaugeMetricFamily(
        "vsr_camera_state", "1 for the state the camera is in.", labels=["camera", "state"]
    )
    for camera in view.cameras:
        facts = camera.facts
        for where, count in (
            ("engine", facts.dropped),
            ("encoder", camera.sink.dropped),
            ("rung", facts.thinned),
        ):
            dropped.add_metric([facts.name, where], count)
        latency.add_metric([facts.name, "0.5"], facts.latency_p50_s)
        latency.add_metric([facts.name, "0.95"], facts.latency_p95_s)
        state.add_metric([facts.name, facts.camera.state], 1)
    yield from (dropped, latency, state)


def _of_outputs(view: LiveView) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    # The number tells a recording from that of the original, which has the same target.
    labels = ["camera", "output", "kind", "target"]
    up = GaugeMetricFamily("vsr_output_up", "1 while the output runs.", labels=labels)
    bits = GaugeMetricFamily("vsr_output_bits_per_second", "Sent, lately.", labels=labels)
    sent = CounterMetricFamily("vsr_output_bytes", "Bytes sent.", labels=labels)
    restarts = CounterMetricFamily("vsr_output_restarts", "Restarts after failures.", labels=labels)
    dropped = CounterMetricFamily("vsr_output_packets_dropped", "Packets it was too slow for.", labels=labels)
    for camera in view.cameras:
        for number, output in enumerate(camera.sink.outputs):
            values = [camera.facts.name, str(number), output.kind, output.target]
            up.add_metric(values, output.state == "running")
            bits.add_metric(values, output.bitrate_kbps * 1000)
            sent.add_metric(values, output.bytes)
            restarts.add_metric(values, output.restarts)
            dropped.add_metric(values, output.dropped)
    yield from (up, bits, sent, restarts, dropped)
