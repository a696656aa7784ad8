"""How steps are executed. `through` stands where a GPU records: it runs the step as it is, so books can be checked."""

import shutil
import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.engine.cuda_graphs import Recorded, Step
from vsr.engine.engine import Engine
from vsr.engine.executor import WAYS, choose_executor, prepare, release
from vsr.engine.stage import Stage
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.spec import Context, Model, ModelSpec, Network
from vsr.options import EngineOptions

FLAG = torch.zeros(1, dtype=torch.bool)


class Tape:
    """A recorder that plays the step itself and writes down for which heights it was asked."""

    def __init__(self, *failures: Exception):
        self.heights: list[int] = []
        self.plays: list[int] = []
        self.failures = list(failures)

    def __call__(self, step: Step, tensors: list[Tensor]) -> Step:
        height = tensors[0].shape[-2]
        self.heights.append(height)
        if self.failures:
            raise self.failures.pop(0)

        def play(tensors: list[Tensor]) -> list[Tensor]:
            self.plays.append(height)
            return step(tensors)

        return play


class Doubler:
    """Twice the frame plus what its state holds: two tensors in a nest."""

    def init_state(self, batch: int, height: int, width: int) -> object:
        return {"sum": torch.zeros(batch, 1, height, width), "count": (torch.zeros(batch),)}

    def step(self, frames: Tensor, state: dict | None, reset: Tensor) -> tuple[Tensor, object]:
        if state is None:
            return 2 * frames, None
        after = {"sum": state["sum"] + frames[:, 0], "count": (state["count"][0] + 1,)}
        return 2 * frames + state["sum"][:, None] + state["count"][0], after


def options(executor: str = "auto", **more: object) -> EngineOptions:
    return EngineOptions(**({"device": "cpu", "precision": "fp32", "executor": executor} | more))  # type: ignore[arg-type]


def frame(height: int, value: float = 1.0) -> Tensor:
    return torch.full((1, 1, 1, height, 4), value)


def recorded(tape: Tape, **options: int) -> tuple[Recorded, list[str]]:
    notes: list[str] = []
    return Recorded(Doubler(), tape, note=notes.append, **options), notes


def run(network: Network, *heights: int) -> None:
    for number, height in enumerate(heights):
        out, state = network.step(frame(height, number), None, FLAG)
        assert state is None
        assert (out == 2 * number).all()
        assert out.shape == (1, 1, 1, height, 4)


def test_a_shape_is_recorded_when_it_comes_again_and_once_alone():
    tape = Tape()
    network, notes = recorded(tape)
    run(network, 5, 6, 5, 5, 5, 6, 7)
    assert tape.heights == [5, 6]
    assert tape.plays == [5, 5, 5, 6]
    assert notes == []


def test_the_shape_used_longest_ago_is_forgotten_first():
    tape = Tape()
    network, _ = recorded(tape, most_shapes=2, idle_steps=3)
    run(network, 5, 5, 6, 6, 5, 7, 7, 5, 7, 6, 6, 7)  # 7 takes the place of 6, and no other is idle
    assert tape.heights == [5, 6, 7]


def test_a_shape_is_recorded_when_it_has_come_as_often_as_is_worth_it():
    tape = Tape()
    network, _ = recorded(tape, uses=8)
    run(network, *[5] * 7)
    assert tape.heights == []
    run(network, 5, 5)
    assert tape.plays == [5, 5]


def test_more_shapes_in_turn_than_are_kept_do_not_chase_each_other_away():
    tape = Tape()
    network, _ = recorded(tape, uses=8, most_shapes=4)
    run(network, *[height for _ in range(100) for height in range(1, 9)])
    assert tape.heights == [1, 2, 3, 4]
    assert len(tape.plays) == 4 * 93


def test_a_stream_of_ever_new_sizes_records_nothing():
    tape = Tape()
    network, _ = recorded(tape, most_shapes=3)
    run(network, *[height for _ in range(3) for height in range(1, 15)])
    assert tape.heights == []


def test_batch_precision_and_number_of_threads_are_part_of_a_shape():
    tape = Tape()
    network, _ = recorded(tape)
    threads = torch.get_num_threads()
    try:
        for tensor in (frame(5), frame(5).expand(2, -1, -1, -1, -1), frame(5).to(torch.float64)):
            for number in (1, 2):
                torch.set_num_threads(number)
                network.step(tensor, None, FLAG)
    finally:
        torch.set_num_threads(threads)
    assert tape.heights == []


def test_a_state_goes_through_a_recording_in_its_own_form():
    tape = Tape()
    network, _ = recorded(tape)
    plain = Doubler()
    state, wanted_state = network.init_state(1, 5, 4), plain.init_state(1, 5, 4)
    for number in range(5):
        out, state = network.step(frame(5, number), state, FLAG)
        wanted, wanted_state = plain.step(frame(5, number), wanted_state, FLAG)
        torch.testing.assert_close(out, wanted, rtol=0, atol=0)
    assert tape.plays == [5] * 4
    assert state["count"][0].item() == 5


def test_what_cannot_be_recorded_runs_as_it_stands_and_says_so_once():
    tape = Tape(RuntimeError("operation not permitted\nwhen stream is capturing"))
    network, notes = recorded(tape)
    run(network, 5, 5, 5, 6, 6)
    assert tape.heights == [5]
    assert notes == ["operation not permitted when stream is capturing"]


class Full(Doubler):
    """Has memory for two frames at once."""

    def step(self, frames: Tensor, state: dict | None, reset: Tensor) -> tuple[Tensor, object]:
        if len(frames) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return super().step(frames, state, reset)


@pytest.mark.parametrize("network", [Doubler(), Full()], ids=["the network fits", "nor does the network fit"])
def test_a_recording_without_memory_is_given_up_and_only_then_the_batch_shrinks(network, monkeypatch):
    full = isinstance(network, Full)
    tape = Tape(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"))
    monkeypatch.setattr("vsr.engine.stage.prepare", lambda *_, note: Recorded(network, tape, note=note))
    stage = Stage(Model(ModelSpec("m", scale=1), network), options(threads=1, batch=4))
    format = PictureFormat(6, 8, layout="gray", bit_depth=16, range="full")
    frames = [Frame((np.full((6, 8), n, np.uint16),), format, pts=n) for n in range(16)]
    engine = Engine([], options(threads=1))
    engine.stages.append(stage)
    assert [int(out.planes[0][0, 0]) for out in engine.run(frames)] == [2 * n for n in range(16)]
    shrunk = ["m: out of memory, batch reduced to 2"] if full else []
    assert stage.notes == [*shrunk, "CUDA out of memory. Tried to allocate 20 MiB"]
    assert len(tape.heights) == 1
    assert tape.plays == []


def test_memory_that_is_short_takes_all_recordings_back():
    tape = Tape()
    network, _ = recorded(tape)
    run(network, 5, 5, 5)
    release(network)
    run(network, 5, 5)
    assert tape.heights == [5, 5]
    assert tape.plays == [5, 5, 5]


def test_threads_that_meet_over_a_new_shape_record_it_once():
    tape = Tape()
    network, _ = recorded(tape)
    run(network, 5)
    threads = [threading.Thread(target=run, args=(network, 5, 5, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tape.heights == [5]
    assert len(tape.plays) == 12


def test_on_a_cpu_networks_run_as_they_stand_unless_told_otherwise():
    model = load("nano-x2")
    network = prepare(model, Stage(model, options()).placement, options(), note=print)
    assert type(network) is type(model.network)
    assert network is not model.network


def test_graphs_on_a_cpu_are_refused_with_what_is_accepted():
    with pytest.raises(
        ConfigError, match=r"^executor graphs needs a CUDA device; auto, eager.* are accepted here$"
    ):
        Engine([load("nano-x2")], options("graphs"))


def test_tensorrt_without_its_package_is_refused_with_what_to_install():
    if WAYS["tensorrt"].missing(torch.device("cuda")) == "":
        pytest.skip("torch-tensorrt is installed")
    with pytest.raises(
        ConfigError, match=r"^executor tensorrt needs torch-tensorrt \(pip install 'vsr\[tensorrt\]'\);"
    ):
        Engine([load("nano-x2")], options("tensorrt"))


def test_compiling_without_a_compiler_is_refused_with_what_is_wanted(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(
        ConfigError, match=r"^executor compile needs a C\+\+ compiler such as g\+\+; auto, eager are "
    ):
        Engine([load("nano-x2")], options("compile"))


def test_on_a_gpu_stateless_networks_are_recorded_and_others_run_as_they_stand():
    placement = Stage(load("nano-x2"), options()).placement
    there = type(placement)(torch.device("cuda"), "fp16", "")
    stateful = Model(ModelSpec("counter", scale=1, context=Context(stateful=True)), load("nano-x2").network)
    python = Model(ModelSpec("doubler", scale=1), Doubler())
    chosen = [choose_executor(model, there, EngineOptions()) for model in (load("nano-x2"), stateful, python)]
    assert chosen == ["graphs", "eager", "eager"]
    assert choose_executor(stateful, there, EngineOptions(executor="graphs")) == "graphs"


@pytest.fixture
def compiler() -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("no C++ compiler")


def noise(count: int, height: int = 24, width: int = 32) -> list[Frame]:
    rng = np.random.default_rng(3)
    format = PictureFormat(height, width, matrix="bt709")
    planes = [
        tuple(rng.integers(16, 236, format.plane_size(i)).astype(np.uint8) for i in range(3))
        for _ in range(count)
    ]
    return [Frame(each, format, pts=n) for n, each in enumerate(planes)]


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_compiled_network_gives_what_it_gives_as_it_stands(threads):
    frames = noise(6) + noise(4, height=20)
    engine = Engine([load("nano-x2")], options("compile", threads=threads))
    compiled = list(engine.run(frames))
    assert engine.notes == []
    for got, wanted in zip(
        compiled, Engine([load("nano-x2")], options(threads=threads)).run(frames), strict=True
    ):
        for a, b in zip(got.planes, wanted.planes, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1  # fused in another order


class Uncompilable(torch.nn.Module):
    """Leaves tensors on the way, which no compiler follows."""

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        return frames * float(np.asarray([frames.sum().item() > -1]).sum()), None


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_a_network_that_cannot_be_compiled_runs_all_the_same_with_a_note():
    engine = Engine([Model(ModelSpec("odd", scale=1), Uncompilable())], options("compile", threads=1))
    frames = noise(3)
    for got, wanted in zip(engine.run(frames), frames, strict=True):
        np.testing.assert_array_equal(got.planes[0], wanted.planes[0])
    (note,) = engine.notes
    assert note.startswith("odd: runs without compile, which failed (")
    assert "\n" not in note
