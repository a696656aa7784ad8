"""How `vsr live` shows what happens: a table on a terminal, else lines of the log."""

import logging
import sys

from rich.markup import escape
from rich.table import Table

from vsr.cli.console import cell, console, duration, spelled_out
from vsr.live import CameraView, JsonLines, LiveService, LiveView, LogEvent

_COLORS = {"playing": "green", "connecting": "yellow", "stalled": "yellow", "away": "red", "refused": "red"}


class LogHandler(logging.Handler):
    """Brings log lines to standard error, above the table where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line. An end of standard error that nobody reads any more ends no camera."""
        try:
            line = spelled_out(self.format(record))
            if console.is_terminal and not isinstance(self.formatter, JsonLines):
                console.print(
                    f"[yellow]{escape(line)}[/]" if record.levelno >= logging.WARNING else escape(line)
                )
            else:
                print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            return


def announcement(service: LiveService) -> list[LogEvent]:
    """Each camera and where it goes, with the latency that its models bring along; the levels."""
    options, levels = service.options, service.levels
    events: list[LogEvent] = []
    latencies = sorted({level.latency for level in levels})
    frames = " to ".join(str(count) for count in dict.fromkeys((latencies[0], latencies[-1])))
    for camera in options.cameras:
        parts = [(camera.address.shown, options.scale)]
        parts += [(f"{region} of {camera.name}", region.scale) for region in camera.regions]
        for (what, scale), (name, outputs) in zip(parts, camera.streams, strict=True):
            targets = [f"{output.kind} {output.address.shown}" for output in outputs]
            text = f"{what} → {', '.join(targets) or 'no output'}; ×{scale}"
            text += f", {frames} frames of algorithmic latency"
            if options.serve.port:
                text += f"; served at {options.serve.url(name)}"
            fields = {"url": camera.address.shown, "scale": scale, "latency_frames": latencies[-1]}
            events.append(LogEvent("camera", text, name, fields))
    return [*events, levels_event(service)]


def levels_event(service: LiveService) -> LogEvent:
    """The levels and what it holds."""
    options, levels = service.options, service.levels
    names = [
        " or ".join(level.networks) + (f" (+{level.latency} frames)" if level.latency else "")
        for level in levels
    ]
    text = f"rungs on {levels[0].engine.device}: {' > '.join(names)}; {options.latency_ms} ms are held"
    return LogEvent("rungs", text, fields={"rungs": [level.name for level in levels]})


def plain_lines(view: LiveView) -> list[LogEvent]:
    """One line of figures for each camera."""
    return [
        LogEvent("status", _figures(camera, view), camera.facts.name, _fields(camera, view))
        for camera in view.cameras
    ]


def conclusion(view: LiveView) -> list[LogEvent]:
    """One line for each camera when all is over."""
    events: list[LogEvent] = []
    for camera in view.cameras:
        facts = camera.facts
        text = f"{facts.arrived} frames in, {facts.delivered} enhanced, {facts.camera.reconnects} reconnects, dropped"
        text += (
            f" {facts.dropped} before the engine ({facts.bursts} of them in bursts) and {camera.sink.dropped}"
        )
        text += f" before the encoder, in the end by {facts.network}" + (
            f" ({facts.found})" if facts.found else ""
        )
        text += f", {facts.unwatched} left out as nobody watched" if facts.unwatched else ""
        events.append(LogEvent("end", text, facts.name, _fields(camera, view)))
    return events


def _figures(camera: CameraView, view: LiveView) -> str:
    facts = camera.facts
    rate = "fps, idle as nobody watches" if facts.idle else f"→ {facts.fps_out:.1f} fps"
    return (
        f"{facts.camera.state}, {facts.fps_in:.1f} {rate},"
        f" latency {facts.latency_p50_s * 1000:.0f}/{facts.latency_p95_s * 1000:.0f} ms, {camera.dropped} dropped,"
        f" {facts.camera.reconnects} reconnects, {_rung(camera, view)}, {camera.bitrate_kbps:.0f} kbit/s"
    )


def _rung(camera: CameraView, view: LiveView) -> str:
    """The level, and the camera's network where it is another one."""
    level, network = view.overview.level, camera.facts.network
    return level if network in level else f"{level}: {network}"


def _fields(camera: CameraView, view: LiveView) -> dict[str, object]:
    facts = camera.facts
    return {
        "state": facts.camera.state,
        "fps_in": round(facts.fps_in, 2),
        "fps_out": round(facts.fps_out, 2),
        "latency_p50_ms": round(facts.latency_p50_s * 1000, 1),
        "latency_p95_ms": round(facts.latency_p95_s * 1000, 1),
        "arrived": facts.arrived,
        "delivered": facts.delivered,
        "idle": facts.idle,
        "unwatched": facts.unwatched,
        "dropped": facts.dropped,
        "dropped_in_bursts": facts.bursts,
        "dropped_by_encoder": camera.sink.dropped,
        "thinned": facts.thinned,
        "failed": facts.failed,
        "reconnects": facts.camera.reconnects,
        "rung": view.overview.level,
        "network": facts.network,
        "found": facts.found,
        "bitrate_kbps": round(camera.bitrate_kbps),
    }


class CameraTable:
    """A row for each camera, made anew each time it is drawn."""

    def __init__(self, service: LiveService):
        self._service = service

    def __rich__(self) -> Table:
        view = self._service.view()
        overview = view.overview
        title = f"{overview.level}, engine {overview.busy:.0%} busy, {overview.batch:.1f} frames a round"
        drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for head in ("camera", "state"):
            drawn.add_column(head, no_wrap=True)
        for head in ("fps in→out", "ms p50/p95", "drops", "reconn.", "kbit/s"):
            drawn.add_column(head, justify="right", no_wrap=True)
        drawn.add_column("outputs", justify="right", no_wrap=True)
        drawn.add_column("rung", no_wrap=True)
        for camera in view.cameras:
            drawn.add_row(*_row(camera, _rung(camera, view)))
        return drawn


def _row(camera: CameraView, level: str) -> list[str]:
    facts, outputs = camera.facts, camera.sink.outputs
    state = f"[{_COLORS.get(facts.camera.state, 'dim')}]{facts.camera.state}[/]"
    state += f" {duration(facts.away_s)}" if facts.away_s else ""
    state += f" [red]{facts.camera.picture}[/]" if facts.camera.picture != "good" else ""
    running = sum(output.state == "running" for output in outputs)
    return [
        cell(facts.name),
        state,
        f"{facts.fps_in:.1f}→idle" if facts.idle else f"{facts.fps_in:.1f}→{facts.fps_out:.1f}",
        f"{facts.latency_p50_s * 1000:.0f}/{facts.latency_p95_s * 1000:.0f}",
        str(camera.dropped),
        str(facts.camera.reconnects),
        f"{camera.bitrate_kbps:.0f}",
        f"{running}/{len(outputs)}" if running == len(outputs) else f"[red]{running}/{len(outputs)}[/]",
        cell(level),
    ]
