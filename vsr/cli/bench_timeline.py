"""A trace as a picture for people, and as JSON for Perfetto
(https://ui.perfetto.dev) and Chrome's tracing page."""

import json
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vsr.quality import Rgb
from vsr.trace import Span, Trace

_WIDTH, _LEFT, _RIGHT = 1600, 190, 30
_TOP, _LANE, _GAP, _BOTTOM = 64, 46, 14, 64
_FONT = 17
_PAPER, _INK, _FAINT, _WAIT = (255, 255, 255), (30, 30, 30), (205, 205, 205), (243, 243, 243)
_COLORS = {
    "decode": (66, 133, 190),
    "convert in": (120, 190, 120),
    "model": (230, 140, 60),
    "convert out": (50, 150, 90),
    "encode": (170, 95, 165),
}
_OTHER = (110, 110, 110)

_LANES = {"MainThread": "caller → FFmpeg", "vsr-decode": "decode", "vsr-engine": "engine"}
"""What the pipeline's threads are called in a picture; the networks' own are numbered."""


def lane_label(thread: str) -> str:
    """Such as `network 1` for the thread `vsr-network_0`."""
    if thread.startswith("vsr-network_"):
        return f"network {int(thread.rpartition('_')[2]) + 1}"
    return _LANES.get(thread, thread)


def in_order(trace: Trace) -> dict[str, list[Span]]:
    """The lanes as a frame goes through them: decoder, engine, networks, caller."""
    order = ("vsr-decode", "vsr-engine", "vsr-network")
    lanes = trace.lanes()

    def place(lane: str) -> tuple[int, str]:
        return next((index for index, name in enumerate(order) if lane.startswith(name)), len(order)), lane

    return {lane: lanes[lane] for lane in sorted(lanes, key=place)}


def trace_events(trace: Trace) -> dict[str, Any]:
    """Return the trace in Chrome's trace event format: times in microseconds, one row for each thread."""
    pid = os.getpid()
    events: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": pid, "args": {"name": "vsr"}}]
    for number, (lane, spans) in enumerate(in_order(trace).items(), 1):
        row = {"pid": pid, "tid": number}
        events.append({"ph": "M", "name": "thread_name", **row, "args": {"name": lane_label(lane)}})
        events.append({"ph": "M", "name": "thread_sort_index", **row, "args": {"sort_index": number}})
        events += [
            {
                "ph": "X",
                "name": span.name,
                "cat": "pipeline",
                **row,
                "ts": round(span.start_s * 1e6, 1),
                "dur": round((span.end_s - span.start_s) * 1e6, 1),
            }
            for span in spans
        ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def json_of(trace: Trace) -> bytes:
    """The trace as a file for Perfetto."""
    return json.dumps(trace_events(trace)).encode()


def draw_timeline(trace: Trace, title: str = "", *, seconds: float = 1.0) -> Rgb:
    """Draw some time from the middle of a trace: a lane for each thread, work in colour, waiting left empty.

    Args:
        trace: with one span at least.
        title: written above.
        seconds: how much is shown; less where the trace is shorter.

    Returns:
        (height, 1600, 3) uint8.
    """
    lanes = in_order(trace)
    begin = min(spans[0].start_s for spans in lanes.values())
    end = max(span.end_s for span in trace.spans)
    shown = min(seconds, end - begin)
    start = begin + (end - begin - shown) / 2
    height = _TOP + len(lanes) * (_LANE + _GAP) + _BOTTOM
    picture = np.full((height, _WIDTH, 3), _PAPER, np.uint8)
    per_second = (_WIDTH - _LEFT - _RIGHT) / max(shown, 1e-9)
    _axis(picture, shown, per_second)
    for number, (lane, spans) in enumerate(lanes.items()):
        top = _TOP + number * (_LANE + _GAP)
        seen = [span for span in spans if span.end_s > start and span.start_s < start + shown]
        busy = sum(min(span.end_s, start + shown) - max(span.start_s, start) for span in seen)
        _write(picture, lane_label(lane), (14, top + 20), _INK)
        _write(picture, f"busy {busy / max(shown, 1e-9):.0%}", (14, top + 40), (120, 120, 120), size=14)
        for span in seen:
            _block(picture, span, top, (span.start_s - start) * per_second, (span.end_s - start) * per_second)
    _legend(picture, title, list(dict.fromkeys(span.name for span in trace.spans)))
    return picture


def _axis(picture: Rgb, shown: float, per_second: float) -> None:
    """Lines and figures every so many milliseconds, at most a dozen."""
    bottom = picture.shape[0] - _BOTTOM
    steps = (10.0**power * digit for power in range(-3, 4) for digit in (1, 2, 5))
    step_ms = next(step for step in steps if shown * 1000 / step <= 12)
    for index in range(int(shown * 1000 / step_ms) + 1):
        x = round(_LEFT + index * step_ms / 1000 * per_second)
        cv2.line(picture, (x, _TOP - 8), (x, bottom), _FAINT, 1)
        _write(picture, f"{index * step_ms:g}", (x, bottom + 20), _INK, size=15, centred=True)
    _write(picture, "ms", (_WIDTH - _RIGHT, bottom + 46), _INK, size=15, centred=True)


def _block(picture: Rgb, span: Span, top: int, begin: float, end: float) -> None:
    left = max(_LEFT, round(_LEFT + begin))
    right = min(_WIDTH - _RIGHT, max(left + 1, round(_LEFT + end)))
    block = picture[top : top + _LANE, left:right]
    block[:] = _COLORS.get(span.name, _OTHER)
    if right - left > 3:
        block[:, -1] = _PAPER  # one frame ends here and the next begins
    width = _text_width(span.name, 14)
    if right - left > width + 8:
        _write(picture, span.name, ((left + right) // 2, top + _LANE // 2 + 5), _PAPER, size=14, centred=True)


def _legend(picture: Rgb, title: str, names: Sequence[str]) -> None:
    _write(picture, title, (14, 30), _INK)
    x = _WIDTH - _RIGHT - sum(_text_width(name, 15) + 44 for name in names)
    for name in names:
        picture[16:34, x : x + 18] = _COLORS.get(name, _OTHER)
        _write(picture, name, (x + 24, 31), _INK, size=15)
        x += _text_width(name, 15) + 44


def _text_width(text: str, size: int) -> int:
    return cv2.getTextSize((4096, 4096), text, (0, 0), cv2.FontFace("sans"), size, 400)[2]


def _write(
    picture: Rgb,
    text: str,
    at: tuple[int, int],
    color: tuple[int, int, int],
    *,
    size: int = _FONT,
    centred: bool = False,
) -> None:
    x = at[0] - (_text_width(text, size) // 2 if centred else 0)
    cv2.putText(picture, text, (x, at[1]), color, cv2.FontFace("sans"), size, 400)
