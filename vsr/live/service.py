"""All cameras of a configuration under way, from connecting to closing; another
configuration is taken up meanwhile.

The loop runs in a thread of its own, so that the caller's is free for signals and for showing what happens.
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass

from vsr.engine import gpu_number
from vsr.errors import VsrError
from vsr.live.cameras.camera import Camera
from vsr.live.cameras.region import RegionCamera
from vsr.live.config_diff import ConfigChanges, changes_between
from vsr.live.frame_notes import FrameNote, FrameNotes
from vsr.live.newest_wins import in_background
from vsr.live.options import CameraOptions, LiveOptions
from vsr.live.outputs.encoder import LiveEncode
from vsr.live.outputs.live_sink import LiveSink, SinkOptions
from vsr.live.scheduling.channel import Channel, DesiredState
from vsr.live.scheduling.engines import EngineLevel, LivePlan, make_engines_for
from vsr.live.scheduling.live_loop import run_cameras
from vsr.live.scheduling.overview import SharedOverview
from vsr.live.service_view import CameraView, LiveView
from vsr.live.serving.hub import Hub
from vsr.live.serving.rtsp_server import RtspServer
from vsr.live.target_options import OutputOptions


@dataclass(frozen=True)
class _OpenChannel(Channel):
    sink: LiveSink
    notes: FrameNotes | None = None


class LiveService:
    """Cameras, engine and outputs as configured. A context: leaving it closes all within five seconds.

    All methods but `view` belong to one thread.

    Args:
        options: what is wanted.
        accept: is shown each configuration, this one and those that are adopted, with what it enhances by, before
            anything of it is done, and may refuse it.

    Raises:
        ConfigError: an output or the device cannot work as configured.
        ModelError: a model is not known or does not load.
    """

    def __init__(
        self,
        options: LiveOptions,
        *,
        accept: Callable[[LiveOptions, Sequence[EngineLevel]], None] = lambda *_: None,
    ):
        self.options, self._accept = options, accept
        self.hub = Hub(always=options.serve.always, is_open=options.is_served)
        """What viewers may watch."""
        self._server: RtspServer | None = None
        self._numbers = itertools.count()
        # Sinks find out about encoders while models load.
        self._channels = self._open(options, options.cameras)
        with ExitStack() as opened:
            opened.callback(self._close_server)
            opened.callback(self._close_sinks)
            self._server = self._serve(options)  # there is something under each name by now
            plan = LivePlan(_levels(options), options.latency_ms)
            accept(options, plan.levels)
            opened.pop_all()
        self._waiting: set[str] = set()
        """Cameras that begin when `_leaving` have finished: the same folder or server may be theirs."""
        self._leaving: list[LiveSink] = []
        self._stop, self._shared = threading.Event(), SharedOverview()
        self._desired = desired = DesiredState(self._in_order(), plan)
        stop, shared = self._stop, self._shared
        self._loop: Future[None] = in_background(
            lambda: run_cameras(desired, stop=stop, shared=shared), name="vsr-live"
        )

    @property
    def levels(self) -> Sequence[EngineLevel]:
        """The levels, the best first."""
        return self._desired.plan.levels

    def _in_order(self) -> list[Channel]:
        names = [camera.name for camera in self.options.cameras]
        return [one for name in names if name not in self._waiting for one in self._channels[name]]

    def _open(self, options: LiveOptions, cameras: Iterable[CameraOptions]) -> dict[str, list[_OpenChannel]]:
        """Make the channels of each camera; if one cannot be made, none is left open."""
        gpu = gpu_number(options.engine.device)
        made: dict[str, list[_OpenChannel]] = {}
        with ExitStack() as opened:
            for camera in cameras:
                own = made[camera.name] = list[_OpenChannel]()
                for channel in self._channels_of(camera, gpu):
                    own.append(channel)
                    opened.callback(channel.sink.close)
            opened.pop_all()
        return made

    def _channels_of(self, options: CameraOptions, gpu: int | None) -> Iterator[_OpenChannel]:
        """The whole picture, then each region."""
        camera = Camera(options, next(self._numbers), gpu=gpu)
        notes = FrameNotes() if options.evidence else None
        sink = self._sink(options, options.name, options.outputs, whole=True, notes=notes)
        camera.tap, camera.notes = sink.packet, notes
        yield _OpenChannel(camera.number, options.name, camera, sink, wish=options.wish, notes=notes)
        for region, (name, outputs) in zip(options.regions, options.streams[1:], strict=True):
            seen = RegionCamera(camera, region, next(self._numbers))
            sink = self._sink(options, name, outputs, whole=False)
            yield _OpenChannel(seen.number, name, seen, sink, scale=region.scale, wish=options.wish)

    def _sink(
        self,
        camera: CameraOptions,
        name: str,
        outputs: Sequence[OutputOptions],
        *,
        whole: bool,
        notes: FrameNotes | None = None,
    ) -> LiveSink:
        """What is made of a camera or a region; what the camera sent, its original, is of the whole alone."""
        encode = LiveEncode(encoder=camera.encoder, quality=camera.quality)
        how = SinkOptions(encode, label=camera.label, record_original=camera.records_original and whole)
        original = self.hub.publish(_original(name)) if whole else None
        return LiveSink(name, outputs, how, served=(self.hub.publish(name), original), notes=notes)

    def _serve(self, options: LiveOptions) -> RtspServer | None:
        return RtspServer(self.hub, options.serve) if options.serve.port else None

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _serve_anew(self, options: LiveOptions) -> None:
        """Listen as another configuration says; as before if that cannot be."""
        if options.serve == self.options.serve:
            return
        self._close_server()
        try:
            self._server = self._serve(options)
        except VsrError:
            self._server = self._serve(self.options)
            raise

    def _close_sinks(self) -> None:
        for channel in itertools.chain(*self._channels.values()):
            channel.sink.close()

    def adopt(self, options: LiveOptions) -> ConfigChanges:
        """Take up another configuration; what has not changed goes on without a gap.

        Raises:
            VsrError: it cannot be taken up; everything is as it was.
        """
        changes = changes_between(self.options, options)
        plan = self._desired.plan
        if changes.engine or changes.latency:  # engines are made while those before them work
            plan = LivePlan(_levels(options) if changes.engine else plan.levels, options.latency_ms)
        anew = {*changes.begun, *changes.restarted}
        try:
            opened = self._open(options, (camera for camera in options.cameras if camera.name in anew))
            self._take_on(options, plan, opened)
        except VsrError:
            self._keep_served(self.options)
            raise
        self._keep_served(options)
        self.hub.serve(always=options.serve.always, is_open=options.is_served)
        self._leave({*changes.ended, *changes.restarted})
        kept, gpu = {name: self._channels[name] for name in changes.kept}, gpu_number(options.engine.device)
        for camera in (channel.camera for channels in kept.values() for channel in channels):
            if isinstance(camera, Camera):
                camera.gpu = gpu
        self._channels = kept | opened
        self._waiting = (self._waiting & {*changes.kept}) | {*opened}
        self.options = options
        self._desired.plan, self._desired.channels = plan, tuple(self._in_order())
        self.check()
        return changes

    def _take_on(
        self, options: LiveOptions, plan: LivePlan, opened: Mapping[str, Sequence[_OpenChannel]]
    ) -> None:
        """Have a configuration accepted, and serve as it says; where that cannot be, close what was opened for it."""
        with ExitStack() as undone:
            for channel in itertools.chain(*opened.values()):
                undone.callback(channel.sink.close)
            self._accept(options, plan.levels)
            undone.callback(lambda: self._accept(self.options, self._desired.plan.levels))
            self._serve_anew(options)
            undone.pop_all()

    def _keep_served(self, options: LiveOptions) -> None:
        whole = [_original(camera.name) for camera in options.cameras]
        self.hub.keep([*whole, *(name for camera in options.cameras for name, _ in camera.streams)])

    def _leave(self, names: Iterable[str]) -> None:
        """Take note of channels whose place in the desired state will be gone."""
        for name in names:
            for channel in self._channels[name]:
                if name in self._waiting:
                    channel.sink.close()  # the loop has never seen it
                else:
                    self._leaving.append(channel.sink)

    def check(self) -> None:
        """Begin what waits for others to end; raise what has ended the loop, if
        anything has. To be called often."""
        self._leaving = [sink for sink in self._leaving if not _closed(sink)]
        if self._waiting and not self._leaving:
            self._waiting = set()
            self._desired.channels = tuple(self._in_order())
        if self._loop.done():
            self._loop.result()

    def view(self) -> LiveView:
        """What everything is doing; from any thread."""
        overview, channels = self._shared.overview, self._channels
        sinks = {channel.number: channel.sink for channel in itertools.chain(*channels.values())}
        watched = {one.name: one.num_viewers for one in self.hub.broadcasts}
        cameras = (
            CameraView(facts, sinks[facts.number].status, _viewers(facts.name, watched))
            for facts in overview.channels
            if facts.number in sinks
        )
        return LiveView(overview, tuple(cameras))

    def frame_notes(self, number: int) -> list[FrameNote]:
        """What became of frames of a channel since the last call; nothing where its camera has no evidence kept."""
        notes = next(
            (each.notes for each in itertools.chain(*self._channels.values()) if each.number == number), None
        )
        return notes.take() if notes is not None else []

    def close(self) -> None:
        """Stop the cameras and finish all outputs. Harmless twice."""
        self._stop.set()
        self._close_server()
        try:
            self._loop.result()
        finally:
            self._close_sinks()  # also those that the loop has never seen
            self.hub.keep(())

    def __enter__(self) -> "LiveService":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _closed(sink: LiveSink) -> bool:
    return all(output.state in ("closed", "failed") for output in sink.status.outputs)


def _levels(options: LiveOptions) -> list[EngineLevel]:
    return make_engines_for(options.scales, options.models, options.engine, wishes=options.wishes)


def _viewers(name: str, watched: Mapping[str, int]) -> dict[str, int]:
    return {
        view: watched.get(at, 0)
        for view, at in zip(("enhanced", "original"), (name, _original(name)), strict=True)
    }


def _original(name: str) -> str:
    """Under which name what a camera sent is served."""
    return f"{name}/original"
