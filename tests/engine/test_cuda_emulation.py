"""The engine on an emulated GPU: nothing is read, written or freed out of order, and what is planted is found."""

import inspect
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.cuda_emulation import Emulation, emulated_cuda
from support.networks import tiny
from torch import Tensor, nn

from vsr.engine import cuda_graphs, executor, transfer
from vsr.engine.device import pick_device
from vsr.engine.engine import Engine
from vsr.engine.many_streams import ManyStreams
from vsr.engine.tiles import is_out_of_memory
from vsr.engine.windowed_stream import Piece
from vsr.errors import ConfigError, DeviceLostError, ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions
from vsr.picture import Rounding
from vsr.resample import resize


@pytest.fixture
def cuda() -> Iterator[Emulation]:
    with emulated_cuda() as cuda:
        yield cuda


def frames_of(count: int, height: int = 12, width: int = 16, *, stream: int = 0) -> list[Frame]:
    rng = np.random.default_rng(count)
    format = PictureFormat(height, width, matrix="bt709")
    planes = [
        tuple(rng.integers(16, 235, format.plane_size(i)).astype(np.uint8) for i in range(3))
        for _ in range(count)
    ]
    return [Frame(each, format, pts=number, stream=stream) for number, each in enumerate(planes)]


def options(executor: str = "auto", device: str = "cuda", **more: object) -> EngineOptions:
    return EngineOptions(**({"device": device, "precision": "fp32", "executor": executor} | more))  # type: ignore[arg-type]


class Smear(nn.Module):
    """A mean of three frames, and of all before, which is its state."""

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return next(self.buffers()).new_zeros(batch, 1, 1, height, width)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(0.5))

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        kept = torch.where(reset[:, None, None, None, None], 0.0, state)
        out = self.weight * frames.mean(1, keepdim=True) + self.weight * kept
        return out, out


class Waiting(nn.Module):
    """Looks at its own result, which no recording can."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        out = self.conv(frames[:, 0])[:, None]
        return out * (1.0 if out.sum().item() < 1e9 else 2.0), None


MODELS = {
    "luma": lambda: Model(ModelSpec("luma", scale=2, halo=4), tiny(2)),
    "windows and a state": lambda: Model(
        ModelSpec("smear", scale=1, context=Context(before=1, after=1, stateful=True)), Smear()
    ),
    "waiting": lambda: Model(ModelSpec("waiting", scale=1), Waiting()),
}


def assert_close(got: list[Frame], wanted: list[Frame]) -> None:
    assert [(frame.stream, frame.pts) for frame in got] == [(frame.stream, frame.pts) for frame in wanted]
    for one, other in zip(got, wanted, strict=True):
        for a, b in zip(one.planes, other.planes, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["luma", "windows and a state"])
@pytest.mark.parametrize("way", ["eager", "graphs"])
def test_nothing_is_out_of_order_and_the_result_is_that_of_a_cpu(name, way):
    frames = frames_of(13)
    with emulated_cuda() as cuda:
        engine = Engine([MODELS[name]()], options(way, batch=2))
        out = list(engine.run(frames))
        assert engine.notes == []
        del engine
    assert cuda.faults == []
    assert len({stream for stream, _ in cuda.launches}) > 3
    assert_close(out, list(Engine([MODELS[name]()], options(device="cpu")).run(frames)))


def test_many_streams_are_in_order_too():
    turns = [[frames_of(9, stream=stream)[turn] for stream in range(1 + turn % 3)] for turn in range(9)]
    results = []
    for device in ("cuda", "cpu"):
        with emulated_cuda() as cuda:
            streams = ManyStreams(Engine([MODELS["luma"]()], options(device=device, batch=16)))
            results.append([frame for frames in turns for frame in streams.push(frames)])
            streams.close()
            del streams
        assert cuda.faults == []
    assert_close(*results)


def test_a_step_that_waits_is_found_before_any_capture(cuda):
    engine = Engine([MODELS["waiting"]()], options("graphs", batch=1))
    before = torch.cuda.current_stream()
    assert len(list(engine.run(frames_of(12)))) == 12
    (note,) = engine.notes
    assert note.startswith("waiting: runs without graphs, which failed (called a synchronizing")
    assert cuda.failed_captures == []
    assert cuda.sync_mode == "default"
    assert torch.cuda.current_stream() == before
    assert cuda.faults == []


class Hungry:
    """Raises that there is no memory left, at the calls that are named."""

    def __init__(self, function, calls: set[int]):
        self._function, self._calls, self.number = function, calls, 0

    def __call__(self, *arguments: object) -> object:
        self.number += 1
        if self.number in self._calls:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return self._function(*arguments)


@pytest.mark.parametrize("calls", [{3}, {1, 5}])
def test_memory_that_ends_behind_the_network_costs_no_frame(calls, cuda):
    engine = Engine([MODELS["luma"]()], options())
    engine.rounding = Rounding(Hungry(engine.rounding.of_planes, calls))
    assert len(list(engine.run(frames_of(6)))) == 6
    assert engine.notes == ["luma: out of memory behind it, batch reduced to 1"]
    assert cuda.faults == []


def test_memory_that_is_not_there_either_way_ends_the_job_in_a_line(cuda):
    engine = Engine([MODELS["luma"]()], options())
    engine.rounding = Rounding(Hungry(engine.rounding.of_planes, {3, 4}))
    with pytest.raises(ModelError, match=r"^no memory left on cuda for what follows the model"):
        list(engine.run(frames_of(6)))


@pytest.mark.parametrize(("size", "most"), [((360, 640), 4), ((720, 1280), 2), ((1080, 1920), 1)])
def test_batches_are_as_large_as_keeps_a_gpu_busy(size, most, cuda):
    stage = Engine([MODELS["luma"]()], options()).stages[0]
    item = SimpleNamespace(tensor=torch.empty(1, *size))
    piece = Piece(stage.begin_stream(), SimpleNamespace(items=[item]))  # type: ignore[arg-type]
    assert stage._batches.most_of(piece) == most


def test_batches_are_no_larger_than_memory():
    with emulated_cuda(most_bytes=40 << 20):
        stage = Engine([MODELS["luma"]()], options()).stages[0]
        item = SimpleNamespace(tensor=torch.empty(1, 360, 640))
        assert stage._batches.most_of(Piece(stage.begin_stream(), SimpleNamespace(items=[item]))) == 1  # type: ignore[arg-type]


def test_rounds_of_every_size_go_through_five_shapes(cuda):
    engine = Engine([MODELS["luma"]()], options("graphs", batch=16))
    seen: set[int] = set()
    network = engine.stages[0]._network
    step = network.step

    def noting(frames: Tensor, *rest: object) -> object:
        seen.add(len(frames))
        return step(frames, *rest)

    network.step = noting
    streams = ManyStreams(engine)
    frames = [frames_of(2, 4, 4, stream=stream)[0] for stream in range(13)]
    for number in (1, 2, 3, 5, 9, 13):
        assert len(streams.push(frames[:number])) == number
        for stream in range(13):
            streams.drop(stream)
    streams.close()
    assert seen == {1, 2, 4, 8, 16}
    assert cuda.faults == []


LOST = "CUDA error: an illegal memory access was encountered"


def test_a_gpu_that_is_lost_ends_the_run_with_a_word_and_no_second_try(cuda):
    engine = Engine([MODELS["luma"]()], options("eager"))
    number = 0

    def fail(*_: object) -> None:
        nonlocal number
        number += 1
        raise RuntimeError(LOST)

    engine.stages[0]._network.step = fail
    with pytest.raises(DeviceLostError, match=r"^cuda has failed and is lost to this process \(CUDA error"):
        list(engine.run(frames_of(6)))
    assert number == 1


def test_cudnn_without_an_engine_counts_as_memory_where_that_is_short():
    error = RuntimeError("FIND was unable to find an engine to execute this computation")
    assert not is_out_of_memory(error)
    with emulated_cuda(most_bytes=1 << 20) as cuda:
        assert not is_out_of_memory(error)
        kept = torch.empty(1000 << 10, dtype=torch.uint8, device="cuda")
        assert is_out_of_memory(error)
        del kept, cuda


def test_a_gpu_that_pytorch_was_not_built_for_is_refused_with_what_it_was_built_for(cuda, monkeypatch):
    cases = {
        (9, 0): True, (9, 3): True, (8, 6): True, (8, 0): False, (7, 5): False, (12, 0): True, (10, 0): False,
    }  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_86", "sm_90a", "compute_120"])
    for capability, works in cases.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, it=capability: it)
        if works:
            assert pick_device("cuda").type == pick_device("auto").type == "cuda"
            continue
        assert pick_device("auto").type == "cpu"
        with pytest.raises(
            ConfigError, match=r"has compute capability \d+\.\d, and .* sm_86 sm_90a compute_120;"
        ):
            pick_device("cuda")


def test_work_for_the_second_gpu_touches_no_other():
    with emulated_cuda(num_devices=2) as cuda:
        streams = ManyStreams(Engine([MODELS["luma"]()], options("graphs", device="cuda:1")))
        for frame in frames_of(4):
            streams.push([frame])
        streams.close()
        assert cuda.current_device() == 0
        assert cuda.clocks.memory[0].peak_bytes == 0
        assert cuda.clocks.memory[1].peak_bytes > 0
        assert set(cuda.waited_on) == {1}
        del streams
    assert cuda.faults == []


@pytest.mark.parametrize("kernel", ["catmull-rom", "lanczos"])
@pytest.mark.parametrize(
    ("ratio", "shift"), [((2, 2), (0.0, -0.5)), ((1, 2), (0.0, -0.5)), ((2, 2), (0.5, 0.0))]
)
def test_reducing_by_convolutions_gives_what_a_cpu_gives(kernel, ratio, shift, cuda):
    for height, width in ((12, 16), (7, 9), (2, 3)):
        size = (-(-height // ratio[0]), -(-width // ratio[1]))
        picture = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(1))
        how = {"ratio": (float(ratio[0]), float(ratio[1])), "shift": shift, "kernel": kernel}
        got = resize(picture.to("cuda"), size, **how).cpu()
        torch.testing.assert_close(got, resize(picture, size, **how), rtol=0, atol=2e-6)
    assert any("convolution" in operation for _, operation in cuda.launches)


class Surprising(Waiting):
    """Waits where nobody has tried it: in its recording alone."""

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        out = self.conv(frames[:, 0])[:, None]
        if torch.cuda.is_current_stream_capturing():
            out.sum().item()
        return out, None


def test_a_capture_that_fails_all_the_same_leaves_the_streams_as_they_were(cuda):
    engine = Engine([Model(ModelSpec("surprising", scale=1), Surprising())], options("graphs", batch=1))
    assert len(list(engine.run(frames_of(12)))) == 12
    assert len(cuda.failed_captures) == 1
    assert len(engine.notes) == 1
    assert cuda.faults == []


FAULTS = {
    "the computation does not wait for the upload": (
        transfer.CudaTransfer,
        "self._compute.wait_event(self._up.record_event())",
        "pass",
        "reads",
    ),
    "uploaded memory is freed while the computation reads it": (
        transfer.CudaTransfer,
        "packed.record_stream(self._compute)",
        "pass",
        "is freed while it is read",
    ),
    "the download begins after the wrong stream": (
        transfer.CudaTransfer,
        "self._down.wait_event(self._compute.record_event())",
        "self._down.wait_event(self._up.record_event())",
        "reads",
    ),
    "planes are read before the download has ended": (
        transfer.CudaTransfer,
        "done.synchronize()",
        "pass",
        "host",
    ),
    "pinned memory is filled again before its copy has ended": (
        transfer.CudaTransfer,
        "pinned = torch.empty(sum(plane.nbytes for plane in planes), dtype=torch.uint8, pin_memory=True)",
        "pinned = self.__dict__.setdefault('pinned', torch.empty("
        "sum(plane.nbytes for plane in planes), dtype=torch.uint8, pin_memory=True))",
        "host writes",
    ),
    "a step runs on another stream than the one that is recorded": (
        cuda_graphs.CudaGraphs,
        "                    outputs = step(inputs)",
        "                    with torch.cuda.stream(current):\n                        outputs = step(inputs)",
        "while stream",
    ),
    "a graph's input is overwritten while it is replayed": (
        cuda_graphs.CudaGraphs,
        "            graph.replay()",
        "            self._stream.wait_stream(torch.cuda.current_stream())\n"
        "            with torch.cuda.stream(self._stream):\n                graph.replay()",
        "writes",
    ),
    "the graph's stream stays current when a capture has failed": (
        cuda_graphs.CudaGraphs,
        "with torch.cuda.device(self._device), torch.cuda.stream(self._stream):",
        "with torch.cuda.device(self._device):",
        "nothing to order them",
    ),
}
"""What is planted: the class, the line of it, what stands there instead, and what the fault is told by."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, cuda, monkeypatch):
    original, right, wrong, told = FAULTS[fault]
    source = inspect.getsource(original)
    assert source.count(right) == 1
    module = sys.modules[original.__module__]
    scope = dict(vars(module))
    exec(source.replace(right, wrong), scope)
    monkeypatch.setattr(module, original.__name__, scope[original.__name__])
    graphs = executor.Executor(cuda_graphs.CudaGraphs, executor.WAYS["graphs"].missing)
    monkeypatch.setitem(executor.WAYS, "graphs", graphs)
    model = Model(ModelSpec("surprising", scale=1), Surprising()) if "failed" in fault else MODELS["luma"]()
    list(Engine([model], options("graphs", batch=1)).run(frames_of(12)))
    assert any(told in line for line in cuda.faults), cuda.faults
