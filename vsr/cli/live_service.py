"""The service of `vsr live` with all that shows how it does: table, lines, metrics, page, MQTT and records."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext

from vsr.cli.console import is_terminal
from vsr.cli.live_page import CamerasPage
from vsr.cli.live_view import (
    CameraTable,
    LogHandler,
    announcement,
    conclusion,
    levels_event,
    plain_lines,
)
from vsr.cli.progress_view import drawn
from vsr.cli.signals import LiveSignals
from vsr.errors import SinkError, VsrError
from vsr.evidence import LiveRecords
from vsr.live import (
    EventLog,
    JsonLines,
    LiveOptions,
    LiveService,
    LiveView,
    LogEvent,
    MetricsServer,
    MqttReports,
    Secrets,
    TextLines,
)
from vsr.media import standard_output_is_read

_LOOK_S = 0.25
_LINES_EVERY_S = 10.0
"""Seconds between figures of each camera where there is no table."""


class ShownService:
    """A service, and what shows how it does."""

    def __init__(self, options: LiveOptions, signals: LiveSignals, open_things: ExitStack):
        self._signals = signals
        self._secrets = Secrets()
        self._secrets.add(options)
        self._handler = LogHandler()
        self._format(options)
        open_things.enter_context(_logging(self._handler))
        self._metrics: MetricsServer | None = None
        self._look: Callable[[], LiveView] = LiveView
        open_things.callback(self._close_metrics)
        self._mqtt: MqttReports | None = None
        open_things.callback(self._close_mqtt)
        if options.metrics_port:  # before the cameras: a port that is taken is known at once
            self._metrics = MetricsServer(options.metrics_port, lambda: self._look())
        self._records = open_things.enter_context(
            LiveRecords()
        )  # ended after the service, whose files it hashes
        self.service = open_things.enter_context(LiveService(options, accept=self._records.accept))
        self._look = self.service.view
        self._page = open_things.enter_context(CamerasPage(self.service, options.watch))
        if options.mqtt.host:
            self._mqtt = MqttReports(options.mqtt, self.service.view)

    def run(self, duration_s: float, read: Callable[[], LiveOptions]) -> None:
        """Show and look after the service until it is time to end."""
        service, event_log = self.service, EventLog()
        for event in announcement(service):
            event.tell()
        end_s = time.monotonic() + duration_s if duration_s > 0 else float("inf")
        lines_s = time.monotonic() + _LINES_EVERY_S
        with_table = is_terminal() and service.options.log == "text"
        with drawn(CameraTable(service)) if with_table else nullcontext():
            while not self._signals.stop.wait(min(_LOOK_S, max(0.0, end_s - time.monotonic()))):
                service.check()
                self._records.look(service)
                now = time.monotonic()
                if now >= end_s:
                    break
                if self._signals.reload.is_set():
                    self._signals.reload.clear()
                    self._reload(read)
                events = event_log.news(service.view(), now)
                _check_read(
                    service.options
                )  # first, or an output that ends for this reason would be told, too
                if now >= lines_s and not with_table:
                    lines_s = now + _LINES_EVERY_S
                    events += plain_lines(service.view())
                for event in events:
                    event.tell()
        service.close()
        self._records.look_now(service)
        for event in [*event_log.news(service.view(), time.monotonic()), *conclusion(service.view())]:
            event.tell()

    def _reload(self, read: Callable[[], LiveOptions]) -> None:
        """Take up the file as it is now, or say why not and go on."""
        opened: MetricsServer | None = None
        reports: MqttReports | None = None
        before = self.service.options
        try:
            options = read()
            self._secrets.add(options)
            if options.metrics_port not in (0, before.metrics_port):
                opened = MetricsServer(options.metrics_port, self.service.view)
            if options.mqtt.host and options.mqtt != before.mqtt:
                reports = MqttReports(options.mqtt, self.service.view)
            changes = self.service.adopt(options)
        except VsrError as error:
            for one in (opened, reports):
                if one is not None:
                    one.close()
            LogEvent("refused", f"configuration refused, the old one goes on: {error}", bad=True).tell()
            return
        if options.metrics_port != before.metrics_port:
            self._close_metrics()
            self._metrics = opened
        self._page.open(options.watch)
        if options.mqtt != before.mqtt:
            self._close_mqtt()
            self._mqtt = reports
        self._format(options)
        fields = {"begun": changes.begun, "ended": changes.ended, "restarted": changes.restarted}
        LogEvent("configuration", f"configuration read again; {changes}", fields=fields).tell()
        if changes.engine or changes.latency:
            levels_event(self.service).tell()

    def _format(self, options: LiveOptions) -> None:
        lines = JsonLines if options.log == "json" else TextLines
        self._handler.setFormatter(lines(self._secrets))

    def _close_metrics(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None

    def _close_mqtt(self) -> None:
        if self._mqtt is not None:
            self._mqtt.close()
            self._mqtt = None


def _check_read(options: LiveOptions) -> None:
    """Raise SinkError where standard output is a target, and who reads it has gone."""
    outputs = [output for camera in options.cameras for _, outputs in camera.streams for output in outputs]
    if any(output.kind == "stdout" for output in outputs) and not standard_output_is_read():
        raise SinkError("who reads standard output has gone")


@contextmanager
def _logging(handler: logging.Handler) -> Generator[None, None, None]:
    """Log lines of live go to `handler` while the block runs."""
    log = logging.getLogger("vsr.live")
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before
