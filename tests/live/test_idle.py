"""Cameras that are served on demand while nobody watches: decoded, and not enhanced until somebody does."""

import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue

import av
import numpy as np
import pytest
from support.clips import ClipOptions, read_number, write_clip
from support.live_player import free_port, wait_for
from support.live_rig import FORMAT, frame
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.errors import ConfigError
from vsr.frames import Frame
from vsr.live import service
from vsr.live.cameras.status import CameraStatus
from vsr.live.monitoring.log import EventLog
from vsr.live.monitoring.prometheus import health
from vsr.live.options import CameraOptions, LiveOptions
from vsr.live.outputs.absent_picture import StandIn
from vsr.live.outputs.live_sink import LiveSink
from vsr.live.scheduling.camera_slot import CameraSlot
from vsr.live.scheduling.channel import Channel, DesiredState, MemoryLiveSink
from vsr.live.scheduling.engines import EngineLevel, LivePlan
from vsr.live.scheduling.latency_control import LatencyControl, LatencyLevel, MeasuredLoad
from vsr.live.scheduling.live_loop import run_cameras
from vsr.live.scheduling.overview import SharedOverview
from vsr.live.serve_options import ServingOptions
from vsr.live.service import LiveService
from vsr.live.serving import Hub, Subscription
from vsr.live.target_options import OutputOptions
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions

CPU = EngineOptions(device="cpu", precision="fp32", threads=2)


class Camera:
    """Gives frames when it is told to."""

    status = CameraStatus("playing", rate=25.0)

    def __init__(self):
        self.coming: SimpleQueue[Frame] = SimpleQueue()

    def frames(self, stop):
        while not stop.is_set():
            with suppress(Empty):
                yield self.coming.get(timeout=0.05)

    def give(self, *numbers: int, reset: bool = False) -> None:
        for number in numbers:
            self.coming.put(replace(frame(number), pts=number, reset=reset))


def looked(slot: CameraSlot) -> tuple[int, int]:
    """Frames that came, and how many were left out as nobody watched."""
    slot.stand_in(0.0)
    slot.look(0.0)
    shown = slot.overview(0.0)
    return shown.arrived, shown.unwatched


def test_frames_that_nobody_wants_are_counted_and_left_out_but_the_first_of_each_scene():
    camera, sink = Camera(), MemoryLiveSink(is_idle=True)
    slot = CameraSlot(Channel(0, "a", camera, sink), notify=lambda: None, now=0.0)
    camera.give(0, reset=True)
    camera.give(1, 2, 3)
    wait_for(lambda: looked(slot) == (4, 3))
    shown = slot.overview(0.0)
    first, none = slot.take(), slot.take()
    sink.is_idle = False
    camera.give(4, 5)
    wait_for(lambda: looked(slot) == (6, 3))
    again, next = slot.take(), slot.take()
    slot.close()
    assert (shown.idle, shown.dropped, shown.away_s) == (True, 0, 0.0)
    assert (first.pts, first.reset, none) == (0, True, None)
    assert (again.pts, again.reset) == (4, True)  # no window reaches over what was left out
    assert (next.pts, next.reset) == (5, False)
    assert sink.num_rests == 1
    assert slot.wanted == 3


def test_nothing_stands_in_for_a_camera_that_is_away_while_nobody_watches():
    camera, sink = Camera(), MemoryLiveSink(is_idle=True)
    slot = CameraSlot(Channel(0, "a", camera, sink), notify=lambda: None, now=0.0)
    slot.stand_in(60.0)
    assert not sink.absences
    sink.is_idle = False
    slot.stand_in(61.0)
    assert sink.absences == [61.0]
    slot.close()


class Ahead:
    """A network that wants the next frame, too, and counts its steps."""

    num_steps = 0

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.num_steps += len(frames)
        return frames[:, :1], None


def test_the_engine_rests_while_nobody_watches_and_lets_nothing_of_before_wait_in_it():
    camera, sink, network = Camera(), MemoryLiveSink(is_idle=True), Ahead()
    spec = ModelSpec("ahead", scale=1, context=Context(after=1))
    level = EngineLevel(name="ahead", work=1, engine=Engine([Model(spec, network)], CPU))
    desired = DesiredState([Channel(0, "a", camera, sink)], LivePlan([level]))
    stop, shared = threading.Event(), SharedOverview()
    loop = threading.Thread(target=run_cameras, args=(desired,), kwargs={"stop": stop, "shared": shared})
    loop.start()

    def told() -> tuple[int, int]:
        return next(((one.arrived, one.unwatched) for one in shared.overview.channels), (0, 0))

    try:
        camera.give(0, reset=True)
        wait_for(
            lambda: [one.pts for one in sink.frames] == [0]
        )  # without the neighbour, which it will not get
        steps = network.num_steps
        camera.give(*range(1, 100))
        wait_for(lambda: told() == (100, 99))
        assert network.num_steps == steps
        sink.is_idle = False
        camera.give(100, 101)
        wait_for(lambda: len(sink.frames) == 2)
        sink.is_idle = True
        wait_for(lambda: len(sink.frames) == 3 and sink.num_rests == 2)
    finally:
        stop.set()
        loop.join(60)
    assert [one.pts for one in sink.frames] == [0, 100, 101]
    assert shared.overview.num_changes == 0


def test_a_target_that_was_missed_before_a_rest_is_not_missed_all_along():
    levels = [LatencyLevel("large", 4), LatencyLevel("small", 1)]
    late = MeasuredLoad(latency_p95_s=0.5, cost_s=0.03, frames_per_s=25)

    def judged(*, rests: bool) -> object:
        control = LatencyControl(levels, target_s=0.3)
        assert control.judge(replace(late, latency_p95_s=0.1), 0.0) is None
        assert control.judge(late, 10.0) is None
        if rests:
            control.rest()
        return control.judge(late, 3600.0)

    assert judged(rests=True) is None
    assert judged(rests=False) is not None


def test_a_sink_is_idle_where_it_has_no_output_and_nobody_watches_what_is_served(tmp_path):
    hub = Hub(linger_s=0.0)
    snapshot = OutputOptions("snapshot", str(tmp_path / "now.jpg"))
    served = (hub.publish("door"), hub.publish("door/original"))
    sinks = [LiveSink("door", outputs, served=served) for outputs in ((), (snapshot,))]
    sinks.append(LiveSink("door", ()))
    try:
        assert [sink.is_idle for sink in sinks] == [True, False, False]
        with hub.subscribe("door/original"):
            assert sinks[0].is_idle
        with hub.subscribe("door"):
            assert not sinks[0].is_idle
        assert sinks[0].is_idle
        hub.serve(always=True, is_open=True)
        assert not sinks[0].is_idle
        hub.serve(always=False, is_open=False)  # nobody could come: the engine is being tried
        assert not sinks[0].is_idle
    finally:
        for sink in sinks:
            sink.close()


def test_an_encoder_ends_as_its_sink_rests(rig):
    hub = Hub(linger_s=60.0)
    live = rig(served=(hub.publish("door"), None))
    with hub.subscribe("door"):
        live.feed_until(lambda: live.sink.encoder_pid is not None)
    live.sink.rest()
    live.wait_until(lambda: live.sink.encoder_pid is None)
    with hub.subscribe("door"):
        live.feed_until(lambda: live.sink.encoder_pid is not None)


def test_a_picture_of_long_before_the_camera_went_is_not_shown_as_its_last(monkeypatch):
    monkeypatch.setattr("vsr.live.outputs.absent_picture.time.monotonic", lambda: 1000.0)
    shown = {}
    for arrived_s in (995.0, 500.0):
        stand_in = StandIn("door", None)
        assert stand_in.picture(5.0) is None
        stand_in.see(replace(frame(1023), arrived_s=arrived_s))
        shown[arrived_s] = stand_in.picture(5.0)
    assert np.mean(shown[995.0].planes[0]) > np.mean(shown[500.0].planes[0])
    assert shown[500.0].format == FORMAT


def test_players_are_let_in_when_there_is_something_under_each_name(monkeypatch):
    seen = []

    class Refusing:
        def __init__(self, hub: Hub, _: ServingOptions):
            seen.extend(one.name for one in hub.broadcasts)
            raise ConfigError("the port is taken")

    monkeypatch.setattr(service, "RtspServer", Refusing)
    with pytest.raises(ConfigError, match="the port is taken"):
        LiveService(LiveOptions((CameraOptions("door", "clip.mp4"),), serve=ServingOptions(free_port())))
    assert seen == ["door", "door/original"]


def test_a_served_camera_is_idle_and_says_so_until_somebody_watches(tmp_path):
    clip = tmp_path / "clip.mp4"
    write_clip(clip, ClipOptions(num_frames=50, size=(96, 128)))
    options = LiveOptions(
        (CameraOptions("door", str(clip)),),
        models=("bicubic-x2",),
        engine=CPU,
        serve=ServingOptions(free_port()),
    )
    told = EventLog()
    with LiveService(options) as live:

        def facts():
            cameras = live.view().cameras
            return cameras[0].facts if cameras else None

        wait_for(lambda: (one := facts()) and one.unwatched > 25 and one.idle)
        view = live.view()
        events = {event.name: event.fields for event in told.news(view, 0.0)}
        seen = health(view)
        assert events["idle"] == {"idle": True}
        assert (seen["status"], seen["cameras"]["door"]["idle"]) == ("playing", True)
        assert seen["cameras"]["door"]["picture"] == "good"
        assert view.cameras[0].facts.delivered < view.cameras[0].facts.unwatched
        assert view.cameras[0].sink.written == 0
        with live.hub.subscribe("door", past_s=60.0) as viewer:
            assert viewer.known(60.0).video.width == 256
            wait_for(lambda: facts().delivered > 10)
            events = {event.name: event.fields for event in told.news(live.view(), 1.0)}
            assert events["idle"] == {"idle": False}
            unwatched = facts().unwatched
            wait_for(lambda: facts().delivered > 20)
            assert facts().unwatched == unwatched


class Timed:
    """Takes what one viewer gets: the time of each picture by its number, and of each packet of sound by its bytes."""

    def __init__(self, viewer: Subscription):
        self.pictures, self.sound = dict[int, int](), dict[bytes, int]()
        self._viewer, self._decoder = viewer, av.CodecContext.create("h264", "r")

    def look(self) -> None:
        while (unit := self._viewer.take()) is not None:
            if unit.kind == "audio":
                self.sound[unit.data] = unit.pts_90k
                continue
            for shown in self._decoder.decode(av.Packet(unit.data)):
                self.pictures[read_number(shown.to_ndarray()[: shown.height])] = unit.pts_90k


def test_pictures_are_in_step_with_the_sound_once_somebody_watches(tmp_path):
    clip, lap = tmp_path / "clip.mkv", 240 * 3600
    write_clip(clip, ClipOptions(240, (96, 128), gop=10, audio=True, codec_options={"bf": "0"}))
    camera, serve = CameraOptions("door", str(clip)), ServingOptions(free_port())
    with ExitStack() as opened:
        live = opened.enter_context(
            LiveService(LiveOptions((camera,), 300, ("bicubic-x2",), engine=CPU, serve=serve))
        )
        wait_for(lambda: any(one.facts.unwatched > 25 for one in live.view().cameras))
        names = ("door", "door/original")
        enhanced, original = (Timed(opened.enter_context(live.hub.subscribe(name))) for name in names)

        def common() -> tuple[set[int], set[bytes]]:
            enhanced.look()
            original.look()
            return {*enhanced.pictures} & {*original.pictures}, {*enhanced.sound} & {*original.sound}

        wait_for(lambda: min(map(len, common())) > 5)
        pictures, sound = common()
    moved = [enhanced.pictures[one] - original.pictures[one] for one in pictures]
    moved += [enhanced.sound[one] - original.sound[one] for one in sound]
    moved = [
        (one - moved[0] + lap // 2) % lap - lap // 2 for one in moved
    ]  # what is late may be of another lap
    assert max(map(abs, moved)) < 90 * 100  # a tenth of a second


def test_cameras_decode_on_the_gpu_that_enhances_and_follow_it(tmp_path, monkeypatch):
    numbers = {"cpu": None, "auto": 1}
    monkeypatch.setattr(service, "gpu_number", lambda device: numbers[device])
    write_clip(tmp_path / "a.mkv", ClipOptions(num_frames=5, size=(64, 96)))
    camera = CameraOptions("door", str(tmp_path / "a.mkv"))
    options = LiveOptions((camera,), serve=ServingOptions(port=free_port()), engine=CPU)
    with LiveService(options) as live:
        (channel,) = live._desired.channels
        assert channel.camera.gpu is None
        live.adopt(replace(options, engine=EngineOptions(device="auto")))
        assert live._desired.channels == (channel,)
        assert channel.camera.gpu == 1
