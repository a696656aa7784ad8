"""Which network enhances a camera hangs on what its pictures look like, and changes without losing one."""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.live_player import wait_for
from support.live_run import Run
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.damage_watch import DamageWatch
from vsr.live.options import CameraOptions, LiveOptions
from vsr.live.scheduling.camera_slot import CameraSlot
from vsr.live.scheduling.channel import Channel, DesiredState, ListCamera, MemoryLiveSink
from vsr.live.scheduling.engines import EngineLevel, LivePlan, Look, make_engines, make_engines_for
from vsr.live.scheduling.latency_control import ControlTuning
from vsr.live.scheduling.rounds import Rounds
from vsr.media.pixels import make_av_frame
from vsr.models import Context, Damage, Model, ModelSpec, Verdict
from vsr.options import EngineOptions, ModelOptions

CPU = EngineOptions(device="cpu", precision="fp32", threads=2)
FORMAT = PictureFormat(96, 128, matrix="bt709")
CLEAN, REAL = (Verdict(look == "real", f"noise of {look} pictures", Damage()) for look in ("clean", "real"))
STAYS = ControlTuning(missed_s=float("inf"), calm_s=float("inf"))
"""The level is never changed, however busy the machine is."""


def grainy(sigma: float, count: int, rate: int = 25) -> list[Frame]:
    """Frames of even grey with so much noise; their number is their time."""
    rng = np.random.default_rng(1)
    frames: list[Frame] = []
    for number in range(count):
        planes = [np.full(FORMAT.plane_size(index), 128, np.uint8) for index in range(3)]
        planes[0] = np.clip(np.rint(128 + sigma * rng.standard_normal(planes[0].shape)), 16, 235).astype(
            np.uint8
        )
        frames.append(
            Frame(tuple(planes), FORMAT, pts=number * 90_000 // rate, time_base=Fraction(1, 90_000))
        )
    return frames


class Looking(ListCamera):
    """Has its pictures looked at, as cameras do, by their own times stretched to a minute a second."""

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        watch = DamageWatch("ffv1")
        for frame in super().frames(stop):
            watch.see(frame, make_av_frame(frame), key_bits=None, now=60 * frame.pts / 90_000)
            self._shared.change(verdict=watch.told)
            yield frame


class Told(ListCamera):
    """Looks from the given frames on as it is told.

    Args:
        sink: gives the next frame only when all but one have come there, so that none is ever dropped, and the first
            that looks otherwise when all have.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        number: int,
        verdicts: Mapping[int, Verdict],
        *,
        sink: MemoryLiveSink | None = None,
    ):
        super().__init__(frames, number, linger=True)
        self._verdicts, self._sink = verdicts, sink
        self._shared.change(verdict=verdicts.get(0))

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        for count, frame in enumerate(super().frames(stop)):
            self._wait(count - 1, stop)
            if count and count in self._verdicts:
                self._shared.change(verdict=self._verdicts[count])
                self._wait(count, stop)
            yield frame

    def _wait(self, num_left: int, stop: threading.Event) -> None:
        while self._sink is not None and len(self._sink.frames) < num_left and not stop.is_set():
            stop.wait(0.001)


class Painted:
    """Paints every picture in one grey, and notes how many it gets at once."""

    def __init__(self, value: float):
        self.value, self.batches = value, set[int]()

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.batches.add(len(frames))
        return torch.full_like(frames[:, :1], self.value), None


class Counted:
    """Shows how many frames it has seen since it began."""

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return torch.zeros(batch, 1, 1, 1)

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.where(reset.view(-1, 1, 1, 1), torch.zeros_like(state), state) + 1
        return frames[:, :1] * 0 + state[:, None] / 50, state


def pair(
    clean: object, real: object, *, context: Context = Context(), options: EngineOptions = CPU
) -> EngineLevel:
    """A level whose network for real pictures is another one."""
    engines: dict[Look, Engine] = {
        look: Engine([Model(ModelSpec(look, scale=1, context=context), network)], options)  # type: ignore[arg-type]
        for look, network in (("clean", clean), ("real", real))
    }
    return EngineLevel(
        name="clean", work=1, latency=context.latency, engine=engines["clean"], variants=engines
    )


def channel(camera: ListCamera, number: int = 0, **wish: object) -> tuple[Channel, MemoryLiveSink]:
    sink = MemoryLiveSink()
    return Channel(number, f"camera{number}", camera, sink, wish=ModelOptions(**wish)), sink  # type: ignore[arg-type]


def test_each_level_has_the_network_for_real_pictures_beside_its_own_where_there_is_one():
    levels = make_engines((), 2, CPU)
    chosen = [[level.choose(None, ModelOptions(), look).name for level in levels] for look in (CLEAN, REAL)]
    assert chosen == [
        ["base-x2", "fast-x2", "nano-x2", "bicubic-x2", "bicubic-x2", "bicubic-x2"],
        ["base-real-x2", "fast-real-x2", "nano-x2", "bicubic-x2", "bicubic-x2", "bicubic-x2"],
    ]
    assert [level.choose(None, ModelOptions(), None).name for level in levels] == chosen[0]
    fast = levels[1]
    assert list(fast.networks) == ["fast-x2", "fast-real-x2"]
    kflop = [engine.stages[0].spec.kflop_per_pixel for engine in fast.engines]
    assert min(kflop) < fast.work - 2 < max(kflop)
    asked = [ModelOptions(source="real"), ModelOptions(denoise=0.3), ModelOptions(source="clean")]
    assert [fast.choose(None, wish, CLEAN).name for wish in asked] == [
        "fast-real-x2",
        "fast-real-x2",
        "fast-x2",
    ]
    assert fast.choose(None, asked[2], REAL).name == "fast-x2"


def test_a_model_that_is_named_is_taken_as_it_is_unless_a_camera_asks():
    (named, *_) = make_engines(("fast-x2",), 2, CPU)
    assert named.choose(None, ModelOptions(), REAL).name == "fast-x2"
    assert len(named.engines) == 1
    wish = ModelOptions(source="real")
    (named, *_) = make_engines_for((2,), ("fast-x2",), CPU, wishes=[ModelOptions(), wish])
    assert named.choose(None, ModelOptions(), REAL).name == "fast-x2"
    assert named.choose(None, wish, CLEAN).name == "fast-real-x2"


@pytest.mark.parametrize(
    ("models", "scale", "wish", "says"),
    [
        (("nano",), 2, {"source": "real"}, "source real: nano-x2 has no -real variant; .*fast-x2"),
        (("nano",), 2, {"denoise": 0.5}, r"denoise 0\.5: nano-x2 has no -real variant"),
        ((), 1, {"source": "real"}, "at scale 1 nothing is cleaned by itself; name .* such as fast-real"),
    ],
)
def test_what_no_level_has_is_refused(models, scale, wish, says):
    with pytest.raises(ConfigError, match=says):
        make_engines_for((scale,), models, CPU, wishes=[ModelOptions(**wish)])


def test_a_camera_begins_with_a_network_that_cleans_where_that_is_named_at_scale_one():
    wish = ModelOptions(source="real")
    (level, *_) = make_engines_for((1,), ("fast-real",), CPU, wishes=[wish])
    assert level.choose(None, wish, None).name == "fast-real-x1"


def test_a_region_has_its_own_choice_beside_a_whole_that_is_left_as_it_is():
    wish = ModelOptions(source="real")
    level = make_engines_for((1, 2), (), CPU, wishes=[wish])[1]
    assert [level.choose(scale, wish, None).name for scale in (None, 1, 2)] == [
        "identity",
        "identity",
        "fast-real-x2",
    ]
    assert level.choose(2, ModelOptions(), CLEAN).name == "fast-x2"


@pytest.mark.parametrize(
    ("sigma", "wish", "network", "look"),
    [
        (12, {}, "fast-real-x2", "real"),
        (0.5, {}, "fast-x2", "clean"),
        (12, {"source": "clean"}, "fast-x2", ""),
        (0.5, {"source": "real"}, "fast-real-x2", ""),
    ],
)
def test_pictures_are_looked_at_and_choose_their_network(sigma, wish, network, look):
    one, sink = channel(Looking(grainy(sigma, 20), 0, linger=True), **wish)
    plan = LivePlan(make_engines(("fast",), 2, CPU), tuning=STAYS)
    with Run(DesiredState([one], plan)) as run:
        run.until(lambda: one.camera.status.decoded == 20)
        run.until(lambda: bool(sink.frames) and sink.frames[-1].pts == 19 * 3600)
        run.until(lambda: run.shared.overview.channels[0].delivered == len(sink.frames))
    (shown,) = run.shared.overview.channels
    assert (shown.network, shown.look) == (network, look)
    assert shown.found.startswith("noise ")


def test_every_change_of_network_begins_anew_and_costs_no_picture():
    frames, sink = grainy(0, 60, rate=1000), MemoryLiveSink()
    camera = Told(frames, 0, {0: CLEAN, 20: REAL, 40: CLEAN}, sink=sink)
    level = pair(Counted(), Counted(), context=Context(after=1, stateful=True))
    plan = LivePlan([level], tuning=STAYS)
    with Run(DesiredState([Channel(0, "door", camera, sink)], plan)) as run:
        run.until(lambda: len(sink.frames) == 59)  # the last one waits for a neighbour
    assert [frame.pts for frame in sink.frames] == [frame.pts for frame in frames[:59]]
    counts = [round((float(frame.planes[0][0, 0]) - 16) * 50 / 219) for frame in sink.frames]
    assert counts == [*range(1, 21), *range(1, 21), *range(1, 20)]


def test_cameras_that_look_different_never_share_a_batch():
    networks = Painted(0.25), Painted(0.75)
    level = pair(*networks, options=replace(CPU, batch=4))
    pairs = [
        channel(Told(grainy(0, 40, rate=50), number, {0: verdict}), number)
        for number, verdict in enumerate((CLEAN, REAL, CLEAN, REAL))
    ]
    with Run(DesiredState([one for one, _ in pairs], LivePlan([level], tuning=STAYS))) as run:
        run.until(lambda: all(one.camera.status.decoded == 40 for one, _ in pairs))
        run.until(lambda: all(s.delivered + s.dropped == 40 for s in run.shared.overview.channels))
    for (_, sink), name in zip(pairs, ("clean", "real") * 2, strict=True):
        assert len({int(frame.planes[0].mean()) for frame in sink.frames}) == 1, name
    greys = [int(sink.frames[-1].planes[0].mean()) for _, sink in pairs]
    assert greys[0] == greys[2] < greys[1] == greys[3]
    assert all(network.batches for network in networks)


def test_a_round_is_of_one_engine_and_takes_all_cameras_of_it():
    level, slots = pair(Painted(0.25), Painted(0.75)), list[CameraSlot]()
    for number, verdict in enumerate((CLEAN, REAL, CLEAN)):
        one, _ = channel(Told(grainy(0, 1), number, {0: verdict}), number)
        slots.append(CameraSlot(one, notify=lambda: None, now=0.0))
    wait_for(lambda: all(slot.waiting for slot in slots), 60)
    assert [slot.choose(level) for slot in slots] == [False] * 3
    ready = [one for slot in slots if (one := slot.look(time.monotonic())) is not None]
    rounds = Rounds(least=4)
    assert {tuple(sorted(rounds.choose(ready, 0.0).cameras)) for _ in range(2)} == {(0, 2), (1,)}
    for slot in slots:
        slot.close()


def test_the_wish_of_any_camera_is_one_of_the_service():
    cameras = [CameraOptions("door", "a.mp4"), CameraOptions("yard", "b.mp4", source="real")]
    assert [wish.source for wish in LiveOptions(tuple(cameras)).wishes] == ["auto", "real"]
