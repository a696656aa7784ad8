"""Reading and writing checkpoints: safetensors, or `.pth` read without executing anything in it.

The architecture, its scale, width and depth are inferred from the tensors; `ARCHITECTURES` is the explicit list of
what is known. Weights are stored in fp16 or fp32 and always loaded as fp32.
"""

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vsr.errors import ModelError
from vsr.models.compact import CompactNet, compact_parameters
from vsr.models.plain import PlainNet, plain_parameters
from vsr.models.recurrent import NEIGHBOURS, RecurrentNet, recurrent_parameters
from vsr.models.spec import Model, ModelSpec
from vsr.models.unet import UNet, unet_facts, unet_parameters

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
"""Keys under which published checkpoints keep their tensors, the better ones first."""

PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that checkpoints are known for."""

    name: str
    build: Callable[..., nn.Module]
    parameters: Callable[[dict[str, Tensor]], dict[str, int] | None]
    """The arguments of `build` as told by the tensors; None where the layout is another."""
    residual: Literal["none", "nearest", "bicubic"]
    facts: Callable[[nn.Module], dict[str, Any]]
    """What else the spec says of such a network: reach, cost, neighbours, precisions."""


def _stack_facts(network: nn.Module) -> dict[str, Any]:
    """Facts of a plain stack of convolutions at input size."""
    convolutions = [weight for weight in network.parameters() if weight.ndim == 4]
    return {
        "halo": sum(weight.shape[-1] // 2 for weight in convolutions),
        "kflop_per_pixel": 2 * sum(weight.numel() for weight in convolutions) / 1000,
    }


def _plain_facts(network: nn.Module) -> dict[str, Any]:
    assert isinstance(network, PlainNet)
    calibrated: dict[str, Any] = {"dtypes": ("fp32", "bf16", "fp16", "int8")} if network.ranges.all() else {}
    return _stack_facts(network) | calibrated


def _recurrent_facts(network: nn.Module) -> dict[str, Any]:
    return _stack_facts(network) | {"context": NEIGHBOURS}


ARCHITECTURES = (
    Architecture("compact (Real-ESRGAN's SRVGGNetCompact)", CompactNet, compact_parameters, "nearest", _stack_facts),
    Architecture("plain (vsr's own)", PlainNet, plain_parameters, "bicubic", _plain_facts),
    Architecture("recurrent (vsr's own)", RecurrentNet, recurrent_parameters, "bicubic", _recurrent_facts),
    Architecture("U-Net (vsr's own)", UNet, unet_parameters, "bicubic", unet_facts),
)


def save_network(path: Path, net: nn.Module) -> None:
    """Write weights as safetensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, partial)
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """A file's fingerprint, as model cards and the catalogue give it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors to the CPU in fp32, out of whatever wraps them.

    Raises:
        ModelError: the file is missing, is no checkpoint, or would have to execute code to be read.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; a .safetensors or .pth file is expected")
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # a damaged file makes the readers fail in any way, IndexError and AssertionError included
        raise ModelError(f"{path.name} {_reason(error)}") from None
    tensors = {_bare(key): value for key, value in _unwrap(content).items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path.name} holds no tensors; a state_dict, or one under {', '.join(WRAPPERS)} is expected")
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def _reason(error: Exception) -> str:
    """Say in one line why a file cannot be read; PyTorch's own text advises to run the code in it."""
    if isinstance(error, pickle.UnpicklingError):
        if "GLOBAL" in str(error):
            return "holds more than tensors and would have to run code to be read; save its state_dict instead"
        return "is damaged or no checkpoint at all; a .safetensors or .pth file is expected"
    line = (str(error).splitlines() or [""])[0]
    return f"cannot be read as a checkpoint ({type(error).__name__}: {line[:200]})"


def _unwrap(content: Any) -> dict[str, Any]:
    for _ in range(4):  # deeper than anything published; a file could refer to itself
        if not isinstance(content, dict):
            break
        inside = cast(dict[str, Any], content)
        wrapper = next((key for key in WRAPPERS if isinstance(inside.get(key), dict)), None)
        if wrapper is None:
            return inside
        content = inside[wrapper]
    return {}


def _bare(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.partition(".")[2]
    return key


def read_model(path: Path, *, name: str = "") -> Model:
    """Read a checkpoint of any known architecture.

    Args:
        path: `.safetensors`, `.pth`, `.pt` or `.ckpt`.
        name: for the spec; default is the file's stem.

    Raises:
        ModelError: the file cannot be read, or its layout is not known.
    """
    tensors = read_tensors(path)
    for architecture in ARCHITECTURES:
        found = architecture.parameters(tensors)
        if found is not None:
            return _build(architecture, found, tensors, path, name or path.stem)
    example = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(tensors.items())[:3])
    known = "; ".join(architecture.name for architecture in ARCHITECTURES)
    raise ModelError(f"{path.name} has an unknown layout ({example}, ...); known are: {known}")


def _build(
    architecture: Architecture, found: dict[str, int], tensors: dict[str, Tensor], path: Path, name: str
) -> Model:
    network = architecture.build(**found)
    try:
        # What checkpoints of an older version lack keeps its first value.
        network.load_state_dict(dict(network.named_buffers()) | tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path.name} looks like {architecture.name} but does not fit it: {reason}") from None
    spec = ModelSpec(
        name=name,
        scale=found.get("scale", 1),
        in_channels=1 if found["colors"] == 1 else 3,
        residual=architecture.residual,
        sha256=sha256_of(path),
        **architecture.facts(network),
    )
    return Model(spec, network.eval())  # pyright: ignore[reportArgumentType] — every listed network serves `Network`
