"""Networks that spandrel knows (extra `zoo`): SPAN, SAFMN, NAFNet and some
forty more; Restormer and MPRNet with it.

spandrel imports torchvision for LaMa and RestoreFormer alone, and beside a PyTorch without CUDA there may be
none. Then the three names that it asks for stand in while it is imported; those two networks are refused.
"""

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.durable import sha256_of
from vsr.errors import ModelError
from vsr.models.files.checkpoint import read_tensors
from vsr.models.layers.facts import facts_of
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.spec import Model, ModelSpec
from vsr.stand_in import standing_in

_MOST_BLOCKS = 9999
"""Highest number in a tensor's name; networks have hundreds of layers."""


def has_spandrel() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("spandrel") is not None


class SpandrelNet(SingleFrame):
    """One of spandrel's networks; pictures smaller than it takes grow by repeating their edge."""

    def __init__(self, descriptor: Any):
        super().__init__()
        self.model: nn.Module = descriptor.model
        self.scale: int = descriptor.scale
        self._call: Callable[[nn.Module, Tensor], Tensor] = descriptor._call_fn
        self._least: int = descriptor.size_requirements.minimum
        self._square: bool = descriptor.size_requirements.square

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        height, width = x.shape[-2:]
        least = max(self._least, height, width) if self._square else self._least
        grow = (0, max(0, least - width), 0, max(0, least - height))
        out = self._call(self.model, F.pad(x, grow, mode="replicate") if any(grow) else x)
        return out[..., : height * self.scale, : width * self.scale]


def read_with_spandrel(path: Path) -> Model:
    """Read a checkpoint of an architecture that spandrel detects; it sees the tensors alone, never the file.

    Raises:
        ModelError: the file cannot be read, the layout is not spandrel's either, or it enhances no pictures.
    """
    descriptor = _detected(path)
    colors = descriptor.input_channels
    network = SpandrelNet(descriptor).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Model(
        ModelSpec(
            name=path.stem,
            scale=descriptor.scale,
            in_channels=1 if colors == 1 else 3,
            halo=None,
            size_multiple=max(1, descriptor.size_requirements.multiple_of),
            # bf16 would round the picture itself to eight bits.
            dtypes=("fp32", "fp16") if descriptor.supports_half else ("fp32",),
            kflop_per_pixel=_cost(network, colors),
            sha256=sha256_of(path),
            network=descriptor.architecture.name,
        ),
        network,
    )


def _detected(path: Path) -> Any:
    """What spandrel says of a checkpoint's tensors: an `ImageModelDescriptor` of one or three colours."""
    tensors = read_tensors(path)
    _check_numbers(path, tensors)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is its own affair
            spandrel = _import()
            descriptor = spandrel.ModelLoader("cpu").load_from_state_dict(tensors)
    except Exception as error:  # every architecture has its own way to fail on what it mistook for its own
        reason = " ".join(str(error).split())[:200] or "no architecture of its own"
        raise ModelError(
            f"{path.name} is not known to spandrel either: {type(error).__name__}: {reason}"
        ) from None
    colors, named = descriptor.input_channels, f"{path.name} ({descriptor.architecture.name})"
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or colors != descriptor.output_channels:
        raise ModelError(f"{named} is no network that enhances pictures")
    if colors not in (1, 3):
        raise ModelError(f"{named} takes {colors} channels; 1 or 3 are expected")
    return descriptor


def _check_numbers(path: Path, tensors: dict[str, Tensor]) -> None:
    """Architectures count their blocks by the numbers in keys: of one that is far too high they make so many."""
    for key in tensors:
        for digits in re.findall(r"\d+", key):
            if len(digits) > 9 or int(digits) > _MOST_BLOCKS:
                raise ModelError(
                    f"{path.name} names a tensor {key[:60]!r}; numbers up to {_MOST_BLOCKS} are expected in names"
                )


def _import() -> Any:
    """spandrel, with the architectures under other licences where they are
    installed, such as MPRNet and Restormer."""
    asked: dict[str, object] = dict.fromkeys(("InterpolationMode", "rotate", "normalize"), _missing)
    with standing_in({"torchvision.transforms.functional": asked}, importing="spandrel"):
        spandrel = importlib.import_module("spandrel")
        if importlib.util.find_spec("spandrel_extra_arches"):
            importlib.import_module("spandrel_extra_arches").install(ignore_duplicates=True)
    return spandrel


def _cost(network: SpandrelNet, colors: int) -> float:
    """0 for a network that cannot be led through without content."""
    # What networks make themselves, such as SwinIR's masks, needs no content either, which saves ten seconds.
    for device in ("meta", "cpu"):
        with suppress(RuntimeError, TypeError, ValueError), torch.device(device):
            return facts_of(network, colors=colors)["kflop_per_pixel"]
    return 0.0


def _missing(*args: object, **options: object) -> NoReturn:
    raise ModelError("this network needs torchvision")
