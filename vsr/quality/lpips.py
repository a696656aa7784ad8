"""LPIPS: how different two pictures look to a network that was trained to recognise things.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018, version 0.1. Neither backbone nor heads are part of vsr: the user gives torchvision's
VGG16 or AlexNet and the authors' linear heads as files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.errors import ModelError, SourceError
from vsr.models import read_tensors
from vsr.quality.drawing import Rgb

SMALLEST = 64
"""Edge below which the deepest features would vanish."""


class _Conv(NamedTuple):
    """A convolution with ReLU of torchvision's `features`."""

    place: int
    """In the sequence; its keys carry it."""
    channels: int
    pool: int = 0
    """Window of the max pooling (stride 2) in front of it; 0 for none."""
    stride: int = 1
    tap: bool = False
    """Its output is compared."""


VGG16 = (
    *(_Conv(0, 64), _Conv(2, 64, tap=True)),
    *(_Conv(5, 128, pool=2), _Conv(7, 128, tap=True)),
    *(_Conv(10, 256, pool=2), _Conv(12, 256), _Conv(14, 256, tap=True)),
    *(_Conv(17, 512, pool=2), _Conv(19, 512), _Conv(21, 512, tap=True)),
    *(_Conv(24, 512, pool=2), _Conv(26, 512), _Conv(28, 512, tap=True)),
)
_ALEXNET = (
    _Conv(0, 64, stride=4, tap=True),
    _Conv(3, 192, pool=3, tap=True),
    _Conv(6, 384, pool=3, tap=True),
    _Conv(8, 256, tap=True),
    _Conv(10, 256, tap=True),
)
_LAYOUTS = {"vgg16": VGG16, "alexnet": _ALEXNET}

# ImageNet's mean and deviation, for values from -1 to 1.
_MEAN = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)


class Lpips:
    """Measures LPIPS on a CPU in fp32.

    Args:
        backbone: torchvision's state dict of VGG16 or AlexNet.
        heads: the authors' linear heads for the same network, `lin0.model.1.weight` and so on.

    Raises:
        ModelError: a file cannot be read, or the two are not what is expected.
    """

    def __init__(self, backbone: str | Path, heads: str | Path):
        weights, lines = read_tensors(Path(backbone)), read_tensors(Path(heads))
        self.kind: Literal["vgg16", "alexnet"] = "alexnet" if _first_side(weights) == 11 else "vgg16"
        self._layout = _LAYOUTS[self.kind]
        try:
            names = [f"features.{conv.place}" for conv in self._layout]
            self._convs = [(weights[f"{n}.weight"].float(), weights[f"{n}.bias"].float()) for n in names]
            tapped = [conv.channels for conv in self._layout if conv.tap]
            self._heads = [lines[f"lin{i}.model.1.weight"].float() for i in range(len(tapped))]
        except KeyError as error:
            raise ModelError(
                f"{backbone} and {heads} have no {error}; torchvision's vgg16 or alexnet and LPIPS's own lin heads are "
                "expected"
            ) from error
        found = [weight.shape[0] for weight, _ in self._convs], [head.shape[1] for head in self._heads]
        if found != ([conv.channels for conv in self._layout], tapped):
            raise ModelError(f"{backbone} and {heads} do not belong together as {self.kind} and its heads")

    @torch.inference_mode()
    def __call__(self, a: Rgb, b: Rgb) -> float:
        """Measure the distance of two pictures, 0 for equal ones.

        Raises:
            SourceError: they are smaller than 64x64.
        """
        x = (as_pair(a, b, measure="LPIPS") / 127.5 - 1 - _MEAN) / _DEVIATION
        total, heads = 0.0, iter(self._heads)
        for conv, (weight, bias) in zip(self._layout, self._convs, strict=True):
            x = F.max_pool2d(x, conv.pool, 2) if conv.pool else x
            # AlexNet's first layer pads less than half.
            padding = 2 if conv.stride == 4 else weight.shape[-1] // 2
            x = F.conv2d(x, weight, bias, stride=conv.stride, padding=padding).relu_()
            if conv.tap:
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
                total += float(F.conv2d((unit[:1] - unit[1:]).square(), next(heads)).mean())
        return total


def as_pair(a: Rgb, b: Rgb, *, measure: str) -> Tensor:
    """(2, 3, H, W) float32, 0 to 255, of two pictures.

    Raises:
        SourceError: they are smaller than 64x64, which this measure needs.
    """
    if min(a.shape[:2]) < SMALLEST:
        size = f"{a.shape[1]}x{a.shape[0]}"
        raise SourceError(f"{measure} needs {SMALLEST}x{SMALLEST} pixels; a picture has {size}")
    return torch.stack([torch.from_numpy(np.array(rgb)).permute(2, 0, 1) for rgb in (a, b)]).float()


def _first_side(weights: Mapping[str, Tensor]) -> int:
    first = weights.get("features.0.weight")
    return 0 if first is None else int(first.shape[-1])
