"""A network of single frames as others are given it: PyTorch's own module, and an ONNX file."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vsr.errors import ConfigError
from vsr.models import Context, Model

Run = Callable[[Tensor], Tensor]
"""One picture, (1, C, H, W) float32 as the network sees it → (1, C, scale*H, scale*W) float32 as it gives it. Several
threads may call it at once."""

_OPSET = 17
"""Of ONNX: the newest that PyTorch's exporter without a compiler writes whole."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What a runtime makes its own form of the network from."""

    network: nn.Module
    """On the CPU in fp32."""
    size: tuple[int, ...]
    """Of every picture: 1, C, H, W."""
    folder: Path
    """For files."""

    @property
    def onnx(self) -> Path:
        """Written when first asked for.

        Raises:
            ImportError: there is no package `onnx`.
        """
        path = self.folder / "network.onnx"
        if not path.exists():
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # that there is a newer exporter, which needs more packages
                blank = torch.zeros(self.size)
                torch.onnx.export(
                    self.network,
                    (blank,),
                    path,
                    dynamo=False,
                    opset_version=_OPSET,
                    input_names=["x"],
                    output_names=["y"],
                )
        return path


def export(model: Model, size: tuple[int, ...], folder: Path) -> Exported:
    """Take a network out of its model.

    Raises:
        ConfigError: it is no network for single frames, or not for pictures of this size.
    """
    spec, network = model.spec, model.network
    if not isinstance(network, nn.Module) or spec.context != Context():
        raise ConfigError(
            f"peers: {spec.name} looks at several frames; networks of single frames are accepted"
        )
    if any(side % spec.size_multiple for side in size[2:]):
        multiple = spec.size_multiple * spec.packs
        raise ConfigError(
            f"peers: {spec.name} takes sizes that are multiples of {multiple} alone; name one by --size"
        )
    return Exported(copy.deepcopy(network).eval(), size, folder)
