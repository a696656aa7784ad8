"""What a scraper reads, over HTTP, parsed by Prometheus' own parser."""

import json
import time
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.live_player import free_port, wait_for
from support.live_view import FACTS, GRAINY, view

from vsr.errors import ConfigError
from vsr.live.monitoring.prometheus import MetricsServer
from vsr.live.options import CameraOptions, LiveOptions
from vsr.live.service import LiveService
from vsr.live.service_view import LiveView
from vsr.options import EngineOptions


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def serve():
    opened = []

    def serve(seen: LiveView) -> int:
        opened.append(MetricsServer(free_port(), lambda: seen))
        return opened[-1].port

    yield serve
    for metrics in opened:
        metrics.close()


def test_scraper_reads_what_the_view_shows(serve):
    text = get(serve(view()), "/metrics")[1]
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    series = [(sample.name, *sorted(sample.labels.items())) for sample in samples]
    assert len(series) == len(set(series))  # a recording and that of the original have one target

    def value(name: str, **labels: str) -> float:
        return next(sample.value for sample in samples if sample.name == name and sample.labels == labels)

    door = {"camera": "door"}
    assert value("vsr_camera_up", **door) == 1
    assert value("vsr_camera_state", **door, state="playing") == 1
    assert value("vsr_camera_network", **door, network="fast-x2") == 1
    assert value("vsr_camera_frames_decoded_total", **door) == 100
    dropped = [
        value("vsr_camera_frames_dropped_total", **door, where=one)
        for one in ("engine", "burst", "encoder", "rung")
    ]
    assert dropped == [2, 1, 2, 1]
    assert value("vsr_camera_latency_seconds", **door, quantile="0.95") == 0.05
    assert value("vsr_output_bytes_total", **door, output="1", kind="record", target="recordings") == 1000
    assert value("vsr_rung", rung="fast-x2") == 1


@pytest.mark.parametrize(
    ("state", "old_s", "status", "says"),
    [("playing", 0, 200, "playing"), ("away", 0, 503, "nothing plays"), ("playing", 60, 503, "hangs")],
)
def test_health_is_good_while_a_camera_plays_and_the_loop_lives(serve, state, old_s, status, says):
    seen = view(state=state)
    seen = replace(seen, overview=replace(seen.overview, made_s=time.monotonic() - old_s))
    got, body = get(serve(seen), "/healthz")
    assert (got, json.loads(body)["status"]) == (status, says)


def test_health_tells_by_what_a_camera_is_enhanced_and_why(serve):
    seen = view(facts=replace(FACTS, network="fast-real-x2"), verdict=GRAINY)
    door = json.loads(get(serve(seen), "/healthz")[1])["cameras"]["door"]
    assert (door["network"], door["found"]) == ("fast-real-x2", GRAINY.why)


def test_health_is_bad_while_no_camera_can_be_reached():
    camera = CameraOptions("door", f"rtsp://127.0.0.1:{free_port()}/a")
    options = LiveOptions((camera,), models=("nano",), engine=EngineOptions(device="cpu", threads=1))
    with LiveService(options) as station, closing(MetricsServer(free_port(), station.view)) as metrics:
        wait_for(
            lambda: station.view().overview.channels and station.view().overview.channels[0].camera.last_error
        )
        status, body = get(metrics.port, "/healthz")
        assert (status, json.loads(body)["status"]) == (503, "nothing plays")
        assert "connection refused" in station.view().overview.channels[0].camera.last_error


def test_other_paths_and_methods_are_refused(serve):
    port = serve(view())
    assert get(port, "/")[0] == 404
    assert get(port, "/metrics", "POST")[0] == 405


def test_port_is_free_again_after_close_and_a_taken_one_is_refused():
    metrics = MetricsServer(free_port(), LiveView)
    try:
        with pytest.raises(ConfigError, match=f"metrics port {metrics.port} cannot be opened"):
            MetricsServer(metrics.port, LiveView)
    finally:
        metrics.close()
    MetricsServer(metrics.port, LiveView).close()
