"""The engine on an emulated GPU: nothing is read, written or freed out of order, and what is planted is found."""

import inspect
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from support.cuda_emulation import Emulation, emulated_cuda
from support.networks import tiny
from torch import Tensor, nn

from vsr.engine import cuda_graphs, executor, transfer
from vsr.engine.engine import Engine
from vsr.engine.many_streams import ManyStreams
from vsr.frames import Frame, PictureFormat
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions


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
