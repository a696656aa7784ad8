import logging
import threading
import time
from collections.abc import Generator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from support.clips import draw_number, read_number
from support.live_run import Run
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.camera import Camera
from vsr.live.options import CameraOptions
from vsr.live.outputs.live_sink import LiveSink
from vsr.live.scheduling.channel import Channel, DesiredState, ListCamera, MemoryLiveSink
from vsr.live.scheduling.engines import EngineLevel, LivePlan, first_level, make_engines
from vsr.live.scheduling.latency_control import ControlTuning
from vsr.models import load
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions

CPU = EngineOptions(device="cpu", precision="fp32", threads=2)
SIZE = (64, 96)


def numbered(
    count: int, *, size: tuple[int, int] = SIZE, rate: int = 25, resets: Sequence[int] = ()
) -> list[Frame]:
    format = PictureFormat(*size, matrix="bt709")
    frames: list[Frame] = []
    for number in range(count):
        planes = [np.full(format.plane_size(i), 128, np.uint8) for i in range(3)]
        draw_number(planes[0], number)
        pts = number * 90_000 // rate
        frames.append(
            Frame(tuple(planes), format, pts=pts, time_base=Fraction(1, 90_000), reset=number in resets)
        )
    return frames


def channel(number: int, frames: Sequence[Frame], **options: object) -> tuple[Channel, MemoryLiveSink]:
    sink = MemoryLiveSink()
    camera = ListCamera(frames, number, **({"linger": True} | options))  # type: ignore[arg-type]
    return Channel(number, f"camera{number}", camera, sink), sink


def nano() -> list[EngineLevel]:
    return [EngineLevel(name="nano-x2", work=6, engine=Engine([load("nano-x2")], CPU))]


def test_two_cameras_for_two_seconds_give_every_frame_in_order_and_stop_at_once():
    pairs = [channel(number, numbered(50)) for number in range(2)]
    with Run(DesiredState([pair[0] for pair in pairs], LivePlan(nano()))) as run:
        run.until(lambda: all(pair[0].camera.status.decoded == 50 for pair in pairs))
        run.until(lambda: all(o.delivered + o.dropped == 50 for o in run.shared.overview.channels))
    assert run.took_s < 1
    for one, sink in pairs:
        numbers = [read_number(frame.planes[0]) for frame in sink.frames]
        assert numbers == sorted(set(numbers))
        assert [frame.pts for frame in sink.frames] == [number * 3600 for number in numbers]
        assert {frame.stream for frame in sink.frames} == {one.number}
        assert {frame.planes[0].shape for frame in sink.frames} == {(128, 192)}
        assert sink.closed
    for shown, (_, sink) in zip(run.shared.overview.channels, pairs, strict=True):
        assert shown.delivered == len(sink.frames)
        assert shown.arrived == 50 == shown.delivered + shown.dropped
        assert (shown.thinned, shown.failed) == (0, 0)
        assert 0 < shown.latency_p50_s <= shown.latency_p95_s


class Slow:
    """Takes a given time a step; fails while it is told to."""

    def __init__(self, seconds: float, error: Exception | None = None):
        self.seconds, self.error = seconds, error

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return frames, None


def slow(name: str, seconds: float, error: Exception | None = None, *, every: int = 1) -> EngineLevel:
    model = Model(ModelSpec(name, scale=1), Slow(seconds, error))
    return EngineLevel(name=name, work=max(seconds, 1e-6), every=every, engine=Engine([model], CPU))


def test_an_engine_that_is_too_slow_drops_the_oldest_and_counts_them():
    one, sink = channel(0, numbered(40, rate=50))
    with Run(DesiredState([one], LivePlan([slow("slow", 0.1)]))) as run:
        run.until(lambda: one.camera.status.decoded == 40)
        run.until(lambda: bool(sink.frames) and read_number(sink.frames[-1].planes[0]) == 39)
    (shown,) = run.shared.overview.channels
    assert shown.dropped > 20
    assert shown.arrived == 40 == shown.delivered + shown.dropped
    assert shown.latency_p95_s < 0.5


class Shaky(ListCamera):
    """Half of its frames come five at once, as behind a link that stalls now and then."""

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        held: list[Frame] = []
        for count, frame in enumerate(super().frames(stop)):
            held.append(frame)
            if count % 10 < 5 or len(held) == 5:
                yield from held
                held = []


def test_bursts_of_one_camera_are_its_own_and_move_no_level():
    good, good_sink = channel(0, numbered(60, rate=50))
    shaky = Channel(1, "shaky", Shaky(numbered(60, rate=50), 1, linger=True), MemoryLiveSink())
    levels = [slow("quick", 0.0), slow("less", 0.0, every=2)]
    tuning = ControlTuning(between_s=0.2, missed_s=0.1)
    with Run(DesiredState([good, shaky], LivePlan(levels, tuning=tuning))) as run:
        run.until(lambda: sum(one.arrived for one in run.shared.overview.channels) == 120)
    bursts = run.shared.overview.channels[1].bursts
    assert run.shared.overview.num_changes == 0
    assert bursts >= 10
    assert len(good_sink.frames) + run.shared.overview.channels[0].bursts >= 57


QUICK = ControlTuning(between_s=0.3, missed_s=0.2, calm_s=0.3, ban_s=0.5, learn_s=0.2)


def test_a_target_that_is_missed_changes_the_rung_and_the_stream_goes_on(caplog):
    caplog.set_level(logging.INFO, "vsr.live")
    one, sink = channel(0, numbered(100, rate=50))
    levels = [slow("slow", 0.2), slow("quick", 0.001)]
    with Run(DesiredState([one], LivePlan(levels, latency_ms=100, tuning=QUICK))) as run:
        run.until(lambda: one.camera.status.decoded == 100)
        run.until(lambda: read_number(sink.frames[-1].planes[0]) == 99)
    assert run.shared.overview.level == "quick"
    assert run.shared.overview.num_changes == 1
    assert [record.event for record in caplog.records] == ["rung"]
    assert "ms is above 100 ms on slow" in caplog.text
    numbers = [read_number(frame.planes[0]) for frame in sink.frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 20


def test_a_rung_without_memory_is_left_at_once_and_said_so(caplog):
    one, sink = channel(0, numbered(15))
    broken = slow("large", 0.0, torch.OutOfMemoryError("CUDA out of memory"))
    with Run(DesiredState([one], LivePlan([broken, slow("small", 0.0)]))) as run:
        run.until(
            lambda: run.shared.overview.channels != () and run.shared.overview.channels[0].arrived == 15
        )
        run.until(lambda: bool(sink.frames) and read_number(sink.frames[-1].planes[0]) == 14)
    (shown,) = run.shared.overview.channels
    assert shown.failed == 1
    assert run.shared.overview.level == "small"
    assert "large does not fit into the memory of cpu at 96x64" in caplog.text


def test_an_engine_that_fails_on_the_last_rung_ends_no_camera():
    one, _ = channel(0, numbered(10))
    broken = slow("broken", 0.0, ValueError("shapes differ"))
    with Run(DesiredState([one], LivePlan([broken]))) as run:
        run.until(lambda: one.camera.status.decoded == 10)
        run.until(
            lambda: run.shared.overview.channels[0].failed + run.shared.overview.channels[0].dropped == 10
        )


def test_fewer_frames_are_counted_as_left_out_and_not_as_dropped():
    one, sink = channel(0, numbered(30, rate=50))
    with Run(DesiredState([one], LivePlan([slow("half", 0.0, every=2)]))) as run:
        run.until(lambda: one.camera.status.decoded == 30)
        run.until(lambda: run.shared.overview.channels[0].arrived == 30)
    (shown,) = run.shared.overview.channels
    assert shown.arrived == 30 == shown.delivered + shown.dropped + shown.thinned
    assert shown.thinned >= 14 - shown.dropped  # a busy machine drops some before they can be left out
    numbers = [read_number(frame.planes[0]) for frame in sink.frames]
    assert all(b - a >= 2 for a, b in pairwise(numbers))


class SceneSpy:
    """Shows in the picture how many frames the scene has seen."""

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return torch.zeros(batch, 1, 1, 1)

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.where(reset.view(-1, 1, 1, 1), torch.zeros_like(state), state) + 1
        return frames * 0 + state[:, None] / 50, state


def test_a_reset_whose_frame_is_left_out_still_clears_the_state():
    model = Model(ModelSpec("spy", scale=1, context=Context(stateful=True)), SceneSpy())
    one, sink = channel(0, numbered(20, resets=(9,)))
    with Run(
        DesiredState([one], LivePlan([EngineLevel(name="spy", work=1, every=2, engine=Engine([model], CPU))]))
    ) as run:
        run.until(
            lambda: run.shared.overview.channels != () and run.shared.overview.channels[0].arrived == 20
        )
    seen = {frame.pts // 3600: int(frame.planes[0][0, 0]) for frame in sink.frames}
    assert 9 not in seen or run.shared.overview.channels[0].dropped
    before, after = (number for number in seen if number < 9), (number for number in seen if number > 9)
    assert seen[min(after)] < seen[max(before)]


def test_an_absent_camera_is_stood_in_for_now_and_then_while_the_other_goes_on():
    absent, absent_sink = channel(0, numbered(10))
    present, present_sink = channel(1, numbered(50))
    with Run(DesiredState([absent, present], LivePlan(nano()))) as run:
        run.until(lambda: present.camera.status.decoded == 50)
        run.until(lambda: run.shared.overview.channels[1].arrived == 50)
    times = absent_sink.absences
    assert times == sorted(times)
    assert times[0] >= 0.5
    assert 0.15 < np.median(np.diff(times)) < 0.5
    assert len(absent_sink.frames) <= 10
    assert not [since for since in present_sink.absences if since < 0.5]


class Brittle(MemoryLiveSink):
    """Fails with every other frame, and when it is closed."""

    def write(self, frame: Frame) -> None:
        super().write(frame)
        if len(self.frames) % 2:
            raise RuntimeError("no space left on rtsp://user:secret@host/live")

    def close(self) -> None:
        super().close()
        raise RuntimeError("cannot be closed")


def test_a_sink_that_fails_disturbs_nobody_and_its_errors_show_no_password():
    healthy, sink = channel(1, numbered(20))
    brittle = Brittle()
    faulty = Channel(0, "faulty", ListCamera(numbered(20), 0, linger=True), brittle)
    with Run(DesiredState([faulty, healthy], LivePlan(nano()))) as run:
        run.until(lambda: healthy.camera.status.decoded == 20 and run.shared.overview.channels != ())
        run.until(lambda: sum(o.delivered + o.failed + o.dropped for o in run.shared.overview.channels) == 40)
    shown = run.shared.overview.channels[0]
    assert shown.failed == (len(brittle.frames) + 1) // 2
    assert "no space left" in shown.last_error or shown.last_error == "cannot be closed"
    assert "secret" not in shown.last_error
    assert (len(sink.frames), sink.closed, brittle.closed) == (
        run.shared.overview.channels[1].delivered,
        True,
        True,
    )


class Falling(ListCamera):
    """Falls over after its frames, each time it is begun."""

    begun = 0

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        self.begun += 1
        yield from super().frames(stop)


def test_a_camera_whose_thread_fails_is_begun_again_and_the_others_go_on():
    sink = MemoryLiveSink()
    falling = Falling(numbered(5), 0, error=RuntimeError("codec fell over"))
    healthy, other = channel(1, numbered(60))
    with Run(DesiredState([Channel(0, "falling", falling, sink), healthy], LivePlan(nano()))) as run:
        run.until(lambda: falling.begun == 2 and len(sink.frames) > 5)
        run.until(lambda: healthy.camera.status.decoded == 60)
    assert run.shared.overview.channels[0].last_error == "codec fell over"
    assert run.shared.overview.channels[1].last_error == ""
    first = [frame for frame in sink.frames if read_number(frame.planes[0]) == 0]
    assert [frame.reset for frame in first] == [True] * len(first)
    assert read_number(other.frames[-1].planes[0]) > 50


def test_channels_come_and_go_while_the_others_run():
    first, first_sink = channel(0, numbered(200))
    second, second_sink = channel(1, numbered(200))
    third, third_sink = channel(2, numbered(200, size=(32, 48)))
    desired = DesiredState([first, second], LivePlan(nano()))
    with Run(desired) as run:
        run.until(lambda: len(first_sink.frames) > 5 and len(second_sink.frames) > 5)
        desired.channels = (first, third)
        run.until(lambda: second_sink.closed and len(third_sink.frames) > 5)
        assert second.camera.status.state == "stopped"
        assert not first_sink.closed
    numbers = [read_number(frame.planes[0]) for frame in first_sink.frames]
    assert numbers == sorted(set(numbers))


class First(Slow):
    """Emits the first frame of a window, in which others follow."""

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        return frames[:, :1], None


def test_another_plan_is_taken_up_between_two_frames_and_cameras_and_sinks_go_on():
    one, sink = channel(0, numbered(150, rate=50))
    ahead = Model(ModelSpec("ahead", scale=1, context=Context(after=2)), First(0.0))
    desired = DesiredState(
        [one], LivePlan([EngineLevel(name="ahead", work=1, latency=2, engine=Engine([ahead], CPU))])
    )
    other = LivePlan(nano())
    with Run(desired) as run:
        run.until(lambda: len(sink.frames) > 10)
        desired.plan = other
        run.until(lambda: sink.frames[-1].format.height == 2 * SIZE[0])
        desired.plan = LivePlan([*desired.plan.levels, slow("quick", 0.0)], tuning=QUICK)
        run.until(lambda: len(sink.frames) > 40)
        assert run.shared.overview.level == "nano-x2"  # the rung it was on
        desired.plan = LivePlan(desired.plan.levels, latency_ms=1, tuning=QUICK)
        run.until(lambda: run.shared.overview.level == "quick")
        # None is missing: what waited for neighbours has left too.
        run.until(lambda: sum(o.delivered + o.dropped for o in run.shared.overview.channels) == 150)
    assert run.shared.overview.channels[0].failed == 0
    numbers = [read_number(frame.planes[0]) for frame in sink.frames]
    assert numbers == sorted(set(numbers))
    assert [frame.stream for frame in sink.frames] == [0] * len(numbers)


class Unhurried(MemoryLiveSink):
    """Takes its time to finish its files."""

    def close(self) -> None:
        time.sleep(0.8)
        super().close()


def test_a_channel_that_leaves_slowly_holds_up_nobody():
    staying, sink = channel(0, numbered(200))
    slow_sink = Unhurried()
    desired = DesiredState(
        [staying, Channel(1, "leaving", ListCamera(numbered(200), 1), slow_sink)], LivePlan(nano())
    )
    with Run(desired) as run:
        run.until(lambda: len(sink.frames) > 5 and len(slow_sink.frames) > 5)
        before = len(sink.frames)
        desired.channels = (staying,)
        run.until(lambda: len(sink.frames) > before + 5)
        assert not slow_sink.closed
    assert slow_sink.closed


def test_a_real_camera_and_a_real_sink_join(make_clip):
    clip = make_clip("numbered.mp4", num_frames=50, size=SIZE)
    frames: list[Frame] = []
    camera = Camera(CameraOptions("gate", str(clip)), 3)
    sink = LiveSink("gate", [], callback=frames.append)
    with Run(DesiredState([Channel(3, "gate", camera, sink)], LivePlan(nano()))) as run:
        run.until(lambda: len(frames) > 20)
    assert run.took_s < 6
    numbers = [read_number(frame.planes[0]) for frame in frames]
    assert {frame.planes[0].shape for frame in frames} == {(128, 192)}
    assert {frame.stream for frame in frames} == {3}
    assert sum(b < a for a, b in pairwise(numbers)) <= 1  # the file begins again at most once
    assert [frame.pts for frame in frames] == sorted(frame.pts for frame in frames)
    assert run.shared.overview.channels[0].camera.decoded > 20


def test_cameras_that_send_nothing_end_at_once_too():
    one, sink = channel(0, [])
    with Run(DesiredState([one], LivePlan(nano()))) as run:
        time.sleep(0.7)
    assert run.took_s < 1
    assert sink.closed
    assert sink.absences  # whoever can show something without a frame may


def test_levels_share_a_scale_and_end_with_fewer_frames():
    levels = make_engines((), 2, CPU)
    assert [level.name for level in levels] == [
        "base-x2", "fast-x2", "nano-x2", "bicubic-x2", "bicubic-x2, 1 frame of 2", "bicubic-x2, 1 frame of 4",
    ]  # fmt: skip
    assert [level.every for level in levels] == [1, 1, 1, 1, 2, 4]
    works = [level.work for level in levels]
    assert works == sorted(works, reverse=True)
    format = PictureFormat(36, 64)
    assert {level.engine.output_format(format).height for level in levels} == {72}
    assert first_level(levels) == 1
    assert first_level(levels[2:]) == 0


def test_a_ladder_at_scale_one_and_one_of_chains():
    assert make_engines((), 1, CPU)[0].name == "identity"
    assert make_engines(("video",), 4, CPU)[0].latency == 1


def test_a_model_of_another_scale_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="fast-x2 enlarges by 2 and not by 3; give models that do"):
        make_engines(("fast-x2",), 3, CPU)
