import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from support.networks import tiny
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.engine.many_streams import ManyStreams
from vsr.errors import ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.networks.recurrent import NEIGHBOURS, RecurrentNet
from vsr.models.spec import Context, Damage, Model, ModelSpec
from vsr.options import EngineOptions

SIZES = [(18, 26), (18, 26), (18, 26), (22, 30)]


def cpu(**options: object) -> EngineOptions:
    return EngineOptions(**({"device": "cpu", "precision": "fp32", "threads": 2} | options))  # type: ignore[arg-type]


def camera(stream: int, count: int, *, resets: Sequence[int] = (), still: bool = False) -> list[Frame]:
    """Noise of a stream's own; a still camera shows every picture twice."""
    rng = np.random.default_rng(stream)
    format = PictureFormat(*SIZES[stream], matrix="bt709")
    frames: list[Frame] = []
    for n in range(count):
        planes = tuple(rng.integers(16, 236, format.plane_size(i)).astype(np.uint8) for i in range(3))
        if still and n % 2:
            planes = frames[-1].planes
        frames.append(
            Frame(planes, format, pts=n * n + stream, reset=n in resets, stream=stream, arrived_s=n + 0.5)
        )
    return frames


def rounds(cameras: Sequence[Sequence[Frame]], seed: int = 1) -> Iterator[list[Frame]]:
    """Some frames of some cameras at a time, each camera's in order."""
    rng = np.random.default_rng(seed)
    waiting = [list(frames) for frames in cameras]
    while any(waiting):
        now: list[Frame] = []
        for frames in waiting:
            now += [frames.pop(0) for _ in range(min(len(frames), rng.integers(0, 3)))]
        yield now


def push_all(streams: ManyStreams, cameras: Sequence[Sequence[Frame]]) -> dict[int, list[Frame]]:
    out: dict[int, list[Frame]] = defaultdict(list)
    for frames in rounds(cameras):
        for frame in streams.push(frames):
            out[frame.stream].append(frame)
    for stream in range(len(cameras)):
        out[stream] += streams.flush(stream)
    return out


def recurrent() -> Model:
    torch.manual_seed(4)
    net = RecurrentNet(channels=4, depth=1, scale=2)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    return Model(ModelSpec("recurrent", scale=2, context=NEIGHBOURS, residual="bicubic"), net.eval())


class Around:
    """The mean of a window, unevenly weighted; counts the windows of each step and the threads that step."""

    def __init__(self, context: Context):
        self.context = context
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.shapes: list[tuple[int, ...]] = []
        self.meeting: threading.Barrier | None = None
        """Where a step waits for another."""

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        if (meeting := self.meeting) is not None:
            meeting.wait(timeout=60)
        self.batches.append(frames.shape[0])
        self.shapes.append(tuple(frames.shape[-2:]))
        self.threads.add(threading.current_thread().name)
        span = self.context.before + 1 + self.context.after
        weights = torch.arange(1, span + 1).view(1, -1, 1, 1, 1) / (span * (span + 1) / 2)
        return torch.stack(
            [(frames[:, i : i + span] * weights).sum(1) for i in range(self.context.emit)], 1
        ), None


def around(before: int = 0, after: int = 0, emit: int = 1) -> Model:
    context = Context(before=before, after=after, emit=emit)
    return Model(ModelSpec("around", scale=1, context=context), Around(context))


CHAINS = {
    "no model": list,
    "one frame": lambda: [load("nano-x2")],
    "a window": lambda: [around(2, 1)],
    "chunks": lambda: [around(1, 1, emit=3)],
    "a state": lambda: [recurrent()],
    "a chain": lambda: [around(0, 2), recurrent(), load("nano-x2")],
    "RGB": lambda: [
        Model(ModelSpec("rgb", scale=2, in_channels=3, halo=3, residual="nearest"), tiny(2, colors=3))
    ],
}


def assert_same(got: Sequence[Frame], wanted: Sequence[Frame], *, within: int = 0) -> None:
    facts = [[(f.pts, f.reset, f.stream, f.arrived_s, f.format) for f in frames] for frames in (got, wanted)]
    assert facts[0] == facts[1]
    for one, other in zip(got, wanted, strict=True):
        for a, b in zip(one.planes, other.planes, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= within


@pytest.mark.parametrize("still", [False, True])
@pytest.mark.parametrize("chain", CHAINS)
def test_each_stream_gets_bit_for_bit_what_it_gets_alone(chain, still):
    cameras = [camera(stream, 7, resets=(stream + 1,), still=still) for stream in range(4)]
    out = push_all(ManyStreams(Engine(CHAINS[chain](), cpu())), cameras)
    for stream, frames in enumerate(cameras):
        assert_same(out[stream], list(Engine(CHAINS[chain](), cpu()).run(frames)))


def test_each_stream_may_have_an_engine_of_its_own():
    """Such as regions at another scale: what comes out is what each gives alone, and they share threads."""
    twice, thrice = Engine([load("nano-x2")], cpu()), Engine([load("bicubic-x3")], cpu())
    cameras = [camera(stream, 5) for stream in range(3)]
    streams = ManyStreams(twice, engine_of=lambda stream: thrice if stream == 1 else twice)
    out = push_all(streams, cameras)
    for stream, frames in enumerate(cameras):
        alone = Engine([load("bicubic-x3" if stream == 1 else "nano-x2")], cpu())
        assert_same(out[stream], list(alone.run(frames)))


@pytest.mark.parametrize("chain", CHAINS)
def test_batches_across_streams_change_nothing_but_rounding(chain):
    cameras = [camera(stream, 6, resets=(2,)) for stream in range(4)]
    out = push_all(ManyStreams(Engine(CHAINS[chain](), cpu(batch=8, threads=1))), cameras)
    for stream, frames in enumerate(cameras):
        assert_same(out[stream], list(Engine(CHAINS[chain](), cpu(threads=1)).run(frames)), within=1)


def steps(model: Model) -> Around:
    assert isinstance(model.network, Around)
    return model.network


@pytest.mark.parametrize(("batch", "wanted"), [(8, [3, 1]), (2, [2, 1, 1]), (1, [1, 1, 1, 1])])
def test_frames_of_equal_size_share_a_batch_up_to_the_limit(batch, wanted):
    model = around()
    ManyStreams(Engine([model], cpu(batch=batch))).push([camera(stream, 1)[0] for stream in range(4)])
    assert sorted(steps(model).batches, reverse=True) == wanted


def test_on_a_cpu_the_streams_of_a_round_are_spread_over_threads_that_end_when_it_is_closed():
    model = around()
    streams = ManyStreams(Engine([model], cpu()))
    threads = set(threading.enumerate())
    before = torch.get_num_threads()
    for n in range(8):
        streams.push([camera(stream, 8)[n] for stream in range(4)])
    assert all(name.startswith("vsr-network") for name in steps(model).threads)
    streams.close()
    assert set(threading.enumerate()) <= threads
    assert torch.get_num_threads() == before


def test_several_frames_of_a_single_stream_are_spread():
    many, one = around(1, 1), around(1, 1)
    streams = ManyStreams(Engine([one], cpu()))
    out = [out for frame in camera(0, 6) for out in streams.push([frame])] + streams.flush(0)
    # No thread is so quick that it does all alone.
    steps(many).meeting = threading.Barrier(2, action=lambda: setattr(steps(many), "meeting", None))
    streams = ManyStreams(Engine([many], cpu()))
    assert_same(streams.push(camera(0, 6)) + streams.flush(0), out)
    assert len([name for name in steps(many).threads if name.startswith("vsr-network")]) == 2


class Slow:
    """Waits in each step until it may go on."""

    def __init__(self):
        self.gate = threading.Semaphore(0)
        self.began = threading.Semaphore(0)

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.began.release()
        assert self.gate.acquire(timeout=60)
        return frames, None


def test_a_round_begins_while_another_is_under_way_and_each_stream_does_one_thing_at_a_time():
    slow, rings = Slow(), threading.Semaphore(0)
    streams = ManyStreams(
        Engine([Model(ModelSpec("slow", scale=1), slow)], cpu()), ring=lambda: rings.release()
    )
    streams.begin([camera(0, 1)[0], camera(1, 1)[0]])
    assert slow.began.acquire(timeout=60)
    assert slow.began.acquire(timeout=60)
    assert streams.has_room
    streams.begin([camera(2, 1)[0]])
    assert not streams.has_room
    assert [streams.is_free(stream) for stream in range(4)] == [False, False, False, True]
    assert streams.finished() == []
    slow.gate.release()
    assert rings.acquire(timeout=60)
    (first,) = streams.finished()
    assert first.stream in (0, 1)
    assert streams.is_free(first.stream)
    slow.gate.release(2)
    streams.drop(2)  # waits
    assert sorted(frame.stream for frame in [first, *streams.finished(wait=True)]) == [0, 1, 2]
    assert streams.under_way == []
    streams.close()


def test_a_frame_waits_for_its_neighbours_alone():
    streams = ManyStreams(Engine([around(0, 1)], cpu()))
    first, second = camera(0, 2)
    (other,) = camera(1, 1)
    assert streams.push([first, other]) == []
    assert [frame.pts for frame in streams.push([second])] == [first.pts]
    assert [frame.stream for frame in streams.flush(1)] == [1]
    assert streams.flush(1) == []


def test_a_dropped_stream_begins_anew_and_leaves_the_others_alone():
    streams = ManyStreams(Engine([recurrent()], cpu()))
    cameras = [camera(0, 4), camera(1, 4)]
    out = [frame for n in range(3) for frame in streams.push([cameras[0][n], cameras[1][n]])]
    streams.drop(1)
    out += streams.push([cameras[0][3], cameras[1][3]]) + streams.flush(0) + streams.flush(1)
    alone = [list(Engine([recurrent()], cpu()).run(frames)) for frames in (cameras[0], cameras[1][3:])]
    assert_same([frame for frame in out if frame.stream == 0], alone[0])
    assert_same([frame for frame in out if frame.stream == 1][2:], alone[1])


def test_a_stream_may_change_its_size_within_a_round():
    frames = [replaced(frame, 0) for frame in (*camera(0, 2), *camera(3, 2), *camera(1, 2))]
    out = ManyStreams(Engine([recurrent()], cpu())).push([*frames, *camera(1, 2)])
    alone = list(Engine([recurrent()], cpu()).run(frames))
    assert_same([frame for frame in out if frame.stream == 0], alone[:5])


def replaced(frame: Frame, stream: int) -> Frame:
    return Frame(frame.planes, frame.format, pts=frame.pts, stream=stream)


class Sum:
    """Adds up what it has seen, in a state that is a number: no two of them make a batch."""

    def init_state(self, batch: int, height: int, width: int) -> list[float]:
        return [0.0]

    def step(self, frames: Tensor, state: list[float], reset: Tensor) -> tuple[Tensor, list[float]]:
        assert frames.shape[0] == 1
        total = (0.0 if reset[0] else state[0]) + float(frames.mean()) / 16
        return frames * 0 + total, [total]


def test_states_that_do_not_stack_step_one_by_one():
    model = Model(ModelSpec("sum", scale=1, context=Context(stateful=True)), Sum())
    cameras = [camera(stream, 5, resets=(3,)) for stream in range(3)]
    out = push_all(ManyStreams(Engine([model], cpu(batch=4))), cameras)
    for stream, frames in enumerate(cameras):
        assert_same(out[stream], list(Engine([model], cpu()).run(frames)))


class Cramped:
    """Counts its steps in a state, and has memory for so many streams at once."""

    def __init__(self, most: int):
        self.most = most

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return torch.zeros(batch, 1, 1, 1)

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        if frames.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return frames * 0 + state[:, None] / 16, state + 1


def cramped(most: int) -> Model:
    return Model(ModelSpec("cramped", scale=1, context=Context(stateful=True)), Cramped(most))


def test_out_of_memory_shrinks_the_batch_and_no_state_steps_twice():
    cameras = [camera(stream, 4) for stream in range(3)]
    engine = Engine([cramped(1)], cpu(batch=4))
    out = push_all(ManyStreams(engine), cameras)
    assert engine.notes == [f"cramped: out of memory, batch reduced to {n}" for n in (1,)]
    for stream, frames in enumerate(cameras):
        assert_same(out[stream], list(Engine([cramped(4)], cpu()).run(frames)))


def test_memory_that_suffices_for_nothing_is_a_model_error():
    before = set(threading.enumerate())
    streams = ManyStreams(Engine([cramped(0)], cpu()))
    with pytest.raises(ModelError, match="cramped does not fit"):
        streams.push([camera(0, 1)[0], camera(1, 1)[0]])
    streams.close()
    assert set(threading.enumerate()) <= before


def mostly_still(stream: int, count: int) -> list[Frame]:
    """Noise that stands still, of a stream's own, and a square that goes over it."""
    rng = np.random.default_rng(stream)
    format = PictureFormat(200, 340, matrix="bt709")
    still = [rng.integers(16, 236, format.plane_size(i)).astype(np.uint8) for i in range(3)]
    frames: list[Frame] = []
    for n in range(count):
        planes = [plane.copy() for plane in still]
        planes[0][20:30, 9 * n : 9 * n + 10] = 235
        frames.append(Frame(tuple(planes), format, pts=n, reset=n == 2, stream=stream))
    return frames


def test_what_does_not_change_is_skipped_in_each_stream_and_gives_the_same():
    model = around(1, 0)
    spec = ModelSpec("around", scale=1, context=model.spec.context, halo=0)
    cameras = [mostly_still(stream, 5) for stream in range(2)]
    got, wanted = (
        push_all(ManyStreams(Engine([Model(spec, model.network)], cpu(skip_static=skip))), cameras)
        for skip in ("on", "off")
    )
    for stream in range(2):
        assert_same(got[stream], wanted[stream])
    network = model.network
    assert isinstance(network, Around)
    wholes = network.shapes.count((200, 340))
    assert len(network.shapes) > wholes  # parts were computed
    assert wholes < 2 * 10


class Telling(torch.nn.Module):
    """Shows in luma the noise that it is told."""

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: None, reset: Tensor) -> tuple[Tensor, None]:
        return frames[:, :, 6:7] - frames[:, :, :6], None  # the engine adds what was given


def test_each_stream_is_told_its_own_damage_whenever_it_changes():
    engine = Engine([Model(ModelSpec("telling-x1", 1, in_channels=8), Telling())], cpu())
    streams = ManyStreams(engine)
    streams.tell(0, Damage(noise=10.0))
    first = {
        frame.stream: frame.planes[0].mean() for frame in streams.push([camera(0, 1)[0], camera(1, 1)[0]])
    }
    streams.tell(0, Damage(noise=40.0))
    streams.tell(1, Damage(noise=20.0))
    later = {
        frame.stream: frame.planes[0].mean() for frame in streams.push([camera(0, 2)[1], camera(1, 2)[1]])
    }
    streams.close()
    black, white = 16, 235
    told = {share: black + share * (white - black) for share in (0, 0.2, 0.4, 0.8)}
    assert first == {0: pytest.approx(told[0.2], abs=0.6), 1: pytest.approx(told[0], abs=0.6)}
    assert later == {0: pytest.approx(told[0.8], abs=0.6), 1: pytest.approx(told[0.4], abs=0.6)}
