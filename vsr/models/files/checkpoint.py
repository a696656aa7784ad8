"""Reading and writing checkpoints: safetensors, or `.pth` read without executing anything in it.

The architecture, its scale, width and depth are inferred from the tensors, and what a file claims is held
against what it holds before anything of that size is made. Weights are stored in fp16 or fp32 and always
loaded as fp32.
"""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vsr.durable import sha256_of, whole
from vsr.errors import ModelError, one_line
from vsr.models.files.architectures import ARCHITECTURES, Architecture
from vsr.models.files.pickles import why_not
from vsr.models.spec import PACKED, TOLD, Model, ModelSpec

_GROWTH = 64
"""How many times a file's size its tensors may take: deflate packs zeros a
thousandfold, and weights never so well."""

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
"""Keys under which published checkpoints keep their tensors, the better ones first."""

PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""


class UnknownLayoutError(ModelError):
    """A checkpoint was read, and is none of `ARCHITECTURES`."""


def save_network(path: Path, net: nn.Module) -> None:
    """Write weights as safetensors, whole or not at all."""
    with whole(path) as part:
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, part)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors to the CPU in fp32, out of whatever wraps them.

    Raises:
        ModelError: the file is missing, is no checkpoint, would have to execute code to be read, is packed so
            that it would fill the memory, or holds values that are no numbers.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; a .safetensors or .pth file is expected")
    most = _GROWTH * path.stat().st_size
    try:
        if zipfile.is_zipfile(path) and (size := _unpacked(path)) > most:
            raise ModelError(
                f"{path.name} would unpack to {size >> 20} MiB; no weights are packed so tightly"
            )
        if path.suffix != ".safetensors" and (reason := why_not(path)):
            raise ModelError(f"{path.name} {reason}; a checkpoint that holds a state_dict is expected")
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except (
        Exception
    ) as error:  # a damaged file makes the readers fail in any way, IndexError and AssertionError included
        raise ModelError(f"{path.name} {_reason(error)}") from None
    tensors = {_bare(key): value for key, value in _unwrap(content).items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(
            f"{path.name} holds no tensors; a state_dict, or one under {', '.join(WRAPPERS)} is expected"
        )
    if sum(value.numel() * value.element_size() for value in tensors.values()) > most:
        raise ModelError(f"{path.name} holds tensors far larger than the file; a state_dict is expected")
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ModelError(f"{path.name} is damaged: {key} holds values that are no numbers")
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def _unpacked(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _reason(error: Exception) -> str:
    """Say in one line why a file cannot be read; PyTorch's own text advises to run the code in it."""
    if isinstance(error, pickle.UnpicklingError):
        if "GLOBAL" in str(error):
            return (
                "holds more than tensors and would have to run code to be read; save its state_dict instead"
            )
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


def read_model(path: Path, *, name: str = "", scale: int = 0) -> Model:
    """Read a checkpoint of any known architecture.

    Args:
        path: `.safetensors`, `.pth`, `.pt` or `.ckpt`.
        name: for the spec; default is the file's stem.
        scale: for networks whose tensors do not tell it, unless the file's name does (`vdsr_x3.pth`); 0 for
            2.

    Raises:
        UnknownLayoutError: the layout is none of `ARCHITECTURES`.
        ModelError: the file cannot be read, or does not fit the layout that it looks like.
    """
    tensors = read_tensors(path)
    for architecture in ARCHITECTURES:
        try:
            found = architecture.parameters(tensors)
        except _MISFITS as error:
            raise _refused(architecture, path, f"{type(error).__name__}: {one_line(error)}") from None
        if found is None:
            continue
        if architecture.any_scale:
            found["scale"] = _named_scale(path) or scale or 2
        try:
            return _build(architecture, found, architecture.keys(tensors), path, name or path.stem)
        except _MISFITS as error:
            raise _refused(architecture, path, f"{type(error).__name__}: {one_line(error)}") from None
    example = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(tensors.items())[:3])
    known = "; ".join(architecture.name for architecture in ARCHITECTURES)
    raise UnknownLayoutError(f"{path.name} has an unknown layout ({example[:200]}, ...); known are: {known}")


def _named_scale(path: Path) -> int:
    found = re.search(r"(?:x([2348])|([2348])x)(?![0-9a-z])", path.stem.lower())
    return int(found[1] or found[2]) if found else 0


_MISFITS = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError)
"""What architectures and PyTorch raise on tensors that are not theirs after all."""


def _refused(architecture: Architecture, path: Path, difference: str) -> ModelError:
    return ModelError(f"{path.name} looks like {architecture.name} but does not fit it: {difference}")


class _Unfilled(TorchFunctionMode):
    """Leaves out normal noise. For tensors without contents it would load
    PyTorch's compiler: a second of CPU time."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "kaiming_normal_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _build(
    architecture: Architecture, found: dict[str, Any], tensors: dict[str, Tensor], path: Path, name: str
) -> Model:
    with torch.device("meta"), _Unfilled():  # a file may claim any size
        wanted = architecture.build(**found)
    buffers = dict(wanted.named_buffers())
    difference = _first_difference(wanted.state_dict(), tensors, may_lack=set(buffers))
    if difference:
        raise _refused(architecture, path, difference)
    network = architecture.build(**found)
    # What checkpoints of an older version lack keeps its first value.
    network.load_state_dict({key: v for key, v in network.state_dict().items() if key in buffers} | tensors)
    colors = found["colors"]
    facts = {"scale": found.get("scale", 1)} | architecture.facts(network, colors)
    spec = ModelSpec(
        name=name,
        in_channels=1 if colors == 1 else 3 if colors < PACKED + TOLD else PACKED + TOLD,
        residual=architecture.residual,
        network=architecture.name,
        sha256=sha256_of(path),
        **facts,
    )
    return Model(spec, network.eval())  # pyright: ignore[reportArgumentType] — every listed network serves `Network`


def _first_difference(wanted: dict[str, Tensor], given: dict[str, Tensor], *, may_lack: set[str]) -> str:
    """Name the first tensor that is missing, of another shape, or too much; empty where all is well."""
    for key, value in wanted.items():
        if key not in given and key not in may_lack:
            return f"{key} {tuple(value.shape)} is missing"
        if key in given and given[key].shape != value.shape:
            return f"{key} is {tuple(given[key].shape)}, {tuple(value.shape)} expected"
    unknown = next((key for key in given if key not in wanted), "")
    return f"{unknown[:100]} {tuple(given[unknown].shape)} has no place in it" if unknown else ""
