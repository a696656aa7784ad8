"""Spans, and a trace as a picture and as JSON."""

import json
import threading
from itertools import pairwise

import cv2
import numpy as np
import pytest

from vsr.cli.bench_timeline import draw_timeline, in_order, json_of, lane_label
from vsr.engine.engine import Engine
from vsr.frames import Frame, PictureFormat
from vsr.media.reading.source import ListSource
from vsr.media.writing.sink import MemorySink
from vsr.models import load
from vsr.options import EngineOptions
from vsr.pipeline import enhance
from vsr.trace import Span, Trace, recorded_spans, span

NUM_FRAMES = 6


@pytest.fixture(scope="module")
def recorded() -> Trace:
    """A real run of two networks' threads."""
    format = PictureFormat(32, 48)

    def frame(number: int) -> Frame:
        return Frame(
            tuple(np.full(format.plane_size(i), 90 + number, np.uint8) for i in range(3)), format, pts=number
        )

    source = ListSource([frame(number) for number in range(NUM_FRAMES)])
    engine = Engine([load("nano-x2")], EngineOptions(device="cpu", threads=2))
    with recorded_spans() as trace:
        enhance(source, engine, MemorySink())
    return trace


def test_nothing_is_recorded_unless_asked():
    with span("before"):
        pass
    with recorded_spans() as trace, span("during"):
        pass
    with span("after"):
        pass
    assert [done.name for done in trace.spans] == ["during"]


def test_two_recordings_at_once_are_refused_and_the_first_goes_on():
    with recorded_spans() as trace:
        with pytest.raises(RuntimeError, match="one trace at a time"), recorded_spans():
            pass
        with span("work"):
            pass
    assert len(trace.spans) == 1


def test_work_that_fails_is_recorded_too():
    with recorded_spans() as trace, pytest.raises(ValueError), span("work"):
        raise ValueError
    assert [done.name for done in trace.spans] == ["work"]


def test_every_thread_has_a_lane_of_its_own():
    def work() -> None:
        for _ in range(200):
            with span("work"):
                pass

    with recorded_spans() as trace:
        threads = [threading.Thread(target=work, name=f"worker {number}") for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {lane: len(spans) for lane, spans in trace.lanes().items()} == {
        f"worker {n}": 200 for n in range(4)
    }


def test_every_stage_of_a_frame_is_recorded_in_its_own_thread(recorded: Trace):
    count = {name: sum(done.name == name for done in recorded.spans) for name in ("model", "encode")}
    assert count == {"model": NUM_FRAMES, "encode": NUM_FRAMES}
    lanes = {
        name: {done.lane for done in recorded.spans if done.name == name} for name in ("decode", "encode")
    }
    assert lanes == {"decode": {"vsr-decode"}, "encode": {threading.current_thread().name}}
    assert {"convert in", "convert out"} <= {done.name for done in recorded.spans}


def test_spans_of_one_thread_never_overlap(recorded: Trace):
    for spans in recorded.lanes().values():
        assert all(done.start_s <= done.end_s for done in spans)
        assert all(first.end_s <= second.start_s for first, second in pairwise(spans))


def test_the_json_is_what_perfetto_reads(recorded: Trace):
    read = json.loads(json_of(recorded))
    spans = [event for event in read["traceEvents"] if event["ph"] == "X"]
    assert len(spans) == len(recorded.spans)
    assert sum(event["dur"] for event in spans) == pytest.approx(
        1e6 * sum(done.end_s - done.start_s for done in recorded.spans), abs=0.2 * len(spans)
    )
    names = {e["tid"]: e["args"]["name"] for e in read["traceEvents"] if e["name"] == "thread_name"}
    assert set(names) == {event["tid"] for event in spans}
    assert {"decode", "engine"} <= set(names.values())


def test_lanes_come_in_the_order_of_the_stream():
    trace = Trace()
    for lane in ("MainThread", "vsr-network_1", "vsr-decode", "vsr-network_0", "vsr-engine"):
        trace.spans.append(Span("work", lane, 0.0, 1.0))
    labels = [lane_label(lane) for lane in in_order(trace)]
    assert labels == ["decode", "engine", "network 1", "network 2", "caller → FFmpeg"]


def test_a_timeline_is_coloured_where_there_is_work_and_empty_where_there_is_none():
    trace = Trace()
    trace.spans += [Span("model", "MainThread", 0.0, 0.25), Span("model", "MainThread", 0.75, 1.0)]
    picture = draw_timeline(trace)
    lane = picture[64 + 4]  # near the upper edge, above the words
    left, right = 190, 1600 - 30
    colored = (lane[left:right] == (230, 140, 60)).all(-1)
    assert colored.mean() == pytest.approx(0.5, abs=0.01)
    assert not colored[round(0.26 * len(colored)) : round(0.74 * len(colored))].any()


def test_a_timeline_shows_one_second_from_the_middle(recorded: Trace):
    trace = Trace()
    trace.spans += [Span("decode", "vsr-decode", 0.0, 1.0), Span("encode", "vsr-decode", 1.0, 2.0)]
    trace.spans += [Span("decode", "vsr-decode", 2.0, 3.0)]
    lane = draw_timeline(trace)[64 + 4, 190:1570]
    assert (lane == (170, 95, 165)).all(-1).mean() > 0.99  # encode alone
    assert draw_timeline(recorded, "title").shape[1] == 1600
    assert cv2.imencode(".png", draw_timeline(recorded))[0]
