"""`vsr live`: cameras in, enhanced streams out, until it is told to end."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from vsr.cli.console import is_terminal, say
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import Flat
from vsr.cli.live_page import CamerasPage, watched
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
from vsr.errors import ConfigError, VsrError
from vsr.evidence import LiveRecords
from vsr.live import (
    CameraOptions,
    EventLog,
    JsonLines,
    LiveOptions,
    LiveService,
    LiveView,
    LogEvent,
    MetricsServer,
    MqttReports,
    OutputKind,
    OutputOptions,
    Secrets,
    TextLines,
    check_camera,
    exposed_files,
    read_options,
)
from vsr.options import EngineOptions

_LOOK_S = 0.25
_LINES_EVERY_S = 10.0
"""Seconds between figures of each camera where there is no table."""


@dataclass(frozen=True)
class CameraFlags:
    """The one camera of `vsr live URL`; a file of cameras says all this itself."""

    name: str = "camera"
    """Goes into labels, file names and metrics."""
    output: Annotated[tuple[str, ...], Parameter(show_default=False)] = field(default=(), repr=False)
    """Push to rtsp://, rtmp://, srt:// or udp://; may be given several times."""
    hls: str = ""
    """Folder for HLS."""
    record: str = ""
    """Folder for recordings in segments of a minute."""
    snapshot: str = ""
    """JPEG file that is always the latest picture."""
    record_original: bool = False
    """Record what the camera sent, untouched, beside the recording."""
    evidence: bool = False
    """Keep a record of all recorded files and of what happened to the camera, in the folder evidence/ beside them; the
    original is recorded, too."""
    case: str = ""
    """Text that the record names: a case number, who asked, who is at work."""
    sign: str = ""
    """What signs the record: a private key's file, or exec:PROGRAM."""
    allow_generative: bool = False
    """Let models paint what is not in the source where a record is kept, which says so."""
    label: bool = False
    """Burn camera, time and "enhanced" into the picture."""
    transport: Literal["auto", "tcp", "udp"] = "auto"
    """How RTSP is received."""
    credentials_env: str = ""
    """Environment variable that holds USER:PASSWORD of the camera."""
    credentials_file: str = ""
    """File whose first line is USER:PASSWORD of the camera."""
    encoder: Literal["auto", "nvenc", "x264"] = "auto"
    """`auto` takes NVENC where it works."""
    quality: int = 60
    """0 to 100, the scale of `vsr enhance`."""


@dataclass(frozen=True)
class LiveFlags:
    """What all cameras share; wins over the file."""

    latency: int | None = None
    """Target in milliseconds from a frame's arrival to the encoder's input; what is
    slower gets a smaller model. Default: 300."""
    model: Annotated[tuple[str, ...], Parameter(show_default=False)] = ()
    """Models to choose from, the best first; bicubic and fewer frames follow.
    Default: those that suit the device."""
    scale: Literal[1, 2, 3, 4] | None = None
    """Enlargement of height and width. Default: 2."""
    metrics: int | None = None
    """Port on 127.0.0.1 for /metrics and /healthz."""
    watch: int | None = None
    """Port of a page with all cameras, on 127.0.0.1 unless watch_host says otherwise."""
    watch_host: str = ""
    """Address that the page listens on; any but this machine's own, such as 0.0.0.0, wants a token."""
    watch_token_file: str = ""
    """File with the hash of the page's token; where there is none it is made, and the token shown once."""
    serve: str = ""
    """Let players pull the cameras at [HOST:]PORT, as rtsp://127.0.0.1:PORT/NAME and /NAME/original."""
    serve_users: str = ""
    """File with a USER:PASSWORD a line, of those who may watch; any HOST but 127.0.0.1 wants one."""
    serve_always: bool = False
    """Encode even while nobody watches: pictures are there at once."""
    log: Literal["text", "json"] | None = None
    """Lines for people, or one JSON object a line and no table. Default: text."""
    duration: float = 0.0
    """End after so many seconds; 0 for never."""
    debug: bool = False
    """Show a traceback with an error."""


def live_command(
    cameras: str,
    /,
    *,
    camera: Annotated[CameraFlags, Flat] = CameraFlags(),
    run: Annotated[LiveFlags, Flat] = LiveFlags(),
    engine: Annotated[EngineOptions, Flat] = EngineOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Enhance cameras while they run.

    Ends with SIGTERM or Ctrl-C, files finished. SIGHUP reads a file of
    cameras again and changes what changed.

    Parameters
    ----------
    cameras
        URL of a camera (rtsp://..., or another stream, a device, a video file), or a TOML file of cameras.
    """
    from_file = cameras.endswith(".toml")

    def read() -> LiveOptions:
        options = _from_file(cameras, camera) if from_file else _from_flags(cameras, camera)
        return _overridden(options, run, engine)

    at_first = read()
    for file in exposed_files(at_first, cameras if from_file else ""):
        say(f"warning: {file} holds credentials and others may read it; chmod 600 {file} keeps them out")
    fetch_named(at_first.models, fetch)
    with LiveSignals(reloads=from_file) as signals, ExitStack() as open_things:
        service = _Service(at_first, signals, open_things)
        service.run(run.duration, read)
    return signals.code


live = App(name="live")
live.default(live_command)
live.command("vsr.cli.discover:discover_command", name="discover")


class _Service:
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


def _from_file(path: str, flags: CameraFlags) -> LiveOptions:
    if flags != CameraFlags():
        raise ConfigError(
            f"{path} says itself where its cameras are and where they go; put that into the file"
        )
    return read_options(path)


def _from_flags(url: str, flags: CameraFlags) -> LiveOptions:
    outputs = [OutputOptions(_kind_of(target), target) for target in flags.output]
    paths: dict[OutputKind, str] = {"hls": flags.hls, "record": flags.record, "snapshot": flags.snapshot}
    outputs += [
        OutputOptions(kind, path.replace("{name}", flags.name)) for kind, path in paths.items() if path
    ]
    camera = CameraOptions(
        flags.name,
        url,
        flags.credentials_env,
        flags.credentials_file,
        flags.transport,
        label=flags.label,
        record_original=flags.record_original,
        evidence=flags.evidence,
        case=flags.case,
        sign=flags.sign,
        allow_generative=flags.allow_generative,
        encoder=flags.encoder,
        quality=flags.quality,
        outputs=tuple(outputs),
    )
    address = camera.address
    if address.scheme == "file" and not Path(address.url).is_file():
        accepted = "a URL, a device, a video file or a .toml file is accepted"
        raise ConfigError(f"{address.url!r} does not exist; {accepted}")
    check_camera(camera)
    return LiveOptions((camera,))


def _kind_of(target: str) -> OutputKind:
    """What a URL of --output pushes to."""
    scheme = target.partition("://")[0].lower()
    kinds: dict[str, OutputKind] = {"rtsp": "rtsp", "rtmp": "rtmp", "srt": "srt", "udp": "udp"}
    kinds |= {"rtsps": "rtsp", "rtmps": "rtmp"}
    if "://" not in target or scheme not in kinds:
        raise ConfigError(
            "an output is none of rtsp://, rtmp://, srt:// and udp://; folders go to --hls and --record, a JPEG to"
            " --snapshot"
        )
    return kinds[scheme]


def _overridden(options: LiveOptions, run: LiveFlags, engine: EngineOptions) -> LiveOptions:
    """Flags win over the file."""
    return replace(
        options,
        latency_ms=options.latency_ms if run.latency is None else run.latency,
        models=run.model or options.models,
        scale=options.scale if run.scale is None else run.scale,
        metrics_port=options.metrics_port if run.metrics is None else run.metrics,
        watch=watched(options.watch, run.watch, run.watch_host, run.watch_token_file),
        log=options.log if run.log is None else run.log,
        serve=options.serve.told(run.serve, run.serve_users, always=run.serve_always),
        engine=options.engine if engine == EngineOptions() else engine,
    )
