"""How a network's step is executed on its device: as it stands, compiled,
recorded as CUDA graphs, or by TensorRT.

And how its results are rounded: by a fused kernel, or by its plain twin.
"""

import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsr.engine.cuda_graphs import CudaGraphs, Recorded, Recorder, Step
from vsr.engine.device import Placement, move_network
from vsr.errors import ConfigError, one_line
from vsr.frames import PictureFormat
from vsr.models import Model, Network
from vsr.options import EngineOptions
from vsr.picture import Rounding


@dataclass(frozen=True, slots=True)
class Executor:
    """A way to execute a step faster than as it stands."""

    recorder: Callable[[torch.device], Recorder]
    missing: Callable[[torch.device], str]
    """What a device or this machine lacks for it; empty where it can be had."""
    uses: int = 2
    """How often a shape must have come to be worth it."""


def prepare(
    model: Model, placement: Placement, options: EngineOptions, *, note: Callable[[str], None]
) -> Network:
    """Move a network to where it runs, ready to be stepped the way the options ask for.

    Args:
        model: stays as it is; the network is copied.
        placement: device and precision.
        options: `executor` is read.
        note: told what the user should know, now or while the network runs.

    Raises:
        ConfigError: the way asked for is not to be had here.
    """
    name = choose_executor(model, placement, options)
    network = model.network
    network = move_network(network, placement) if isinstance(network, nn.Module) else network
    if name == "eager":
        return network

    def tell(reason: str) -> None:
        note(f"{model.spec.name}: runs without {name}, which failed ({reason})")

    way = WAYS[name]
    # Parts of pictures are checked against the whole once, with what will run from then on.
    uses = 2 if options.skip_static == "on" else way.uses
    return Recorded(network, way.recorder(placement.device), note=tell, uses=uses)


def release(network: Network) -> None:
    """Give back memory that a prepared network holds for speed alone."""
    if isinstance(network, Recorded):
        network.forget()


def choose_executor(model: Model, placement: Placement, options: EngineOptions) -> str:
    """`eager`, or a key of `WAYS`.

    Raises:
        ConfigError: the way asked for is not to be had here.
    """
    device = placement.device
    if options.executor == "auto":
        recordable = (
            isinstance(model.network, nn.Module) and model.spec.recordable and not model.spec.context.stateful
        )
        return "graphs" if device.type == "cuda" and recordable else "eager"
    if options.executor == "eager":
        return "eager"
    missing = WAYS[options.executor].missing(device)
    if missing:
        rest = " and ".join(["auto, eager", *(name for name, way in WAYS.items() if not way.missing(device))])
        raise ConfigError(f"executor {options.executor} {missing}; {rest} are accepted here")
    return options.executor


def rounding_on(device: torch.device, *, note: Callable[[str], None]) -> Rounding:
    """The fastest way to round to code values: one kernel where Triton works, else its plain twin."""
    if device.type != "cuda" or not importlib.util.find_spec("triton"):
        return Rounding()
    try:
        from vsr.engine.triton_rounding import fused_rgb_to_codes, fused_to_codes

        format = PictureFormat(2, 2)
        with torch.cuda.device(device):  # Triton wants a C compiler, too
            fused_to_codes(torch.zeros(1, device=device), (0.0, 1.0), 8)
            fused_rgb_to_codes(torch.zeros(1, 3, 2, 2, device=device), format, format)
    except Exception as error:
        note(f"code values are rounded without Triton, which failed ({one_line(error)})")
        return Rounding()
    return Rounding(fused_to_codes, fused_rgb_to_codes)


def _compiler(backend: str, options: dict[str, Any]) -> Recorder:
    """A recorder that compiles a step for the shapes it is shown."""

    def record(step: Step, tensors: list[Tensor]) -> Step:
        # torch.compile keeps what it made with the code object and stops after
        # eight shapes: each shape has its own.
        step.__code__ = step.__code__.replace()
        compiled = torch.compile(step, fullgraph=True, dynamic=False, backend=backend, options=options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler warns of is its own affair
            compiled(tensors)  # errors come now
        return compiled

    return record


def _inductor(device: torch.device) -> Recorder:
    # Weights never change here: convolutions take in the ReLU.
    return _compiler("inductor", {"freezing": True})


def _tensorrt(device: torch.device) -> Recorder:
    importlib.import_module("torch_tensorrt")  # registers itself as a backend
    # A failed engine must raise, so that the user hears of it, rather than run as it stands in silence.
    # Typing by the tensors' own types is all there is from torch-tensorrt 2.13 on; before, half precision
    # would be computed in full.
    options = {"min_block_size": 1, "pass_through_build_failures": True, "use_explicit_typing": True}
    return _compiler("torch_tensorrt", options)


def _no_cuda(device: torch.device) -> str:
    return "" if device.type == "cuda" else "needs a CUDA device"


def _no_compiler(device: torch.device) -> str:
    """What PyTorch's compiler makes code with: a C++ compiler for a CPU, Triton for a GPU."""
    if device.type == "cuda":
        return "" if importlib.util.find_spec("triton") else "needs Triton (pip install triton)"
    names = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
    return "" if any(name and shutil.which(name) for name in names) else "needs a C++ compiler such as g++"


def _no_tensorrt(device: torch.device) -> str:
    if not importlib.util.find_spec("torch_tensorrt"):
        return "needs torch-tensorrt (pip install 'vsr[tensorrt]')"
    return _no_cuda(device)


WAYS = {
    "compile": Executor(_inductor, _no_compiler),
    "graphs": Executor(
        CudaGraphs, _no_cuda, uses=8
    ),  # cameras come and go, and each brings shapes of its own
    "tensorrt": Executor(_tensorrt, _no_tensorrt),
}
"""By the value of `EngineOptions.executor`."""
