"""DeblurGAN-v2's generators (Kupyn, Martyniuk, Wu, Wang, "DeblurGAN-v2: Deblurring (Orders-of-Magnitude)
Faster and Better", ICCV 2019): a feature pyramid on MobileNetV2 or Inception-ResNet-v2.

Files hold the encoder twice, under its own names and as `fpn.enc0` ... `fpn.enc4`, and the part of it that
classifies. The authors let every layer normalise by the picture at hand ("GAN inference should be in train
mode", their `predict.py`), and so do we: the result of a pixel depends on the whole picture.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers import inception, mobilenet
from vsr.models.layers.facts import facts_of
from vsr.models.layers.inception import Inception
from vsr.models.layers.mobilenet import MobileNet
from vsr.models.layers.single_frame import SingleFrame, blocks_of, is_kernel
from vsr.models.layers.upsampling import Normalisation

_UNUSED = re.compile(r"fpn\.(enc\d|features\.1[678]|inception\.(repeat_2|block8|conv2d_7b|last_linear))\.")
"""The second copy of the encoder, and what comes after the layers that are looked at."""

MULTIPLE = 32
"""Of height and width."""


def _smoothed(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, 3, padding=1), Normalisation(num_out, affine=False), nn.ReLU()
    )


def _enlarged(x: Tensor, by: int = 2) -> Tensor:
    return F.interpolate(x, scale_factor=by, mode="nearest")


class _Pyramid(nn.Module):
    """Maps of one width from an encoder's, each with what the next smaller one has seen."""

    def __init__(self, name: str, encoder: nn.Module, widths: tuple[int, ...], wide: int):
        super().__init__()
        self.add_module(name, encoder)
        self._name = name
        for i in (1, 2, 3):
            self.add_module(f"td{i}", _smoothed(wide, wide))
        for i, width in enumerate(widths):
            self.add_module(f"lateral{i}", nn.Conv2d(width, wide if i else wide // 2, 1, bias=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) → from half the size to a thirty-second."""
        seen = self.get_submodule(self._name)(x)
        maps = [self.get_submodule(f"lateral{i}")(each) for i, each in enumerate(seen)]
        for step, i in enumerate((3, 2, 1), 1):
            maps[i] = self.get_submodule(f"td{step}")(maps[i] + _enlarged(maps[i + 1]))
        return maps


class _Head(nn.Module):
    """Two layers on one of the maps."""

    def __init__(self, wide: int, channels: int):
        super().__init__()
        self.block0 = nn.Conv2d(wide, channels, 3, padding=1, bias=False)
        self.block1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.block1(F.relu(self.block0(x))))


class DeblurGan(SingleFrame):
    """`wide` channels in the pyramid, `channels` in what becomes of it;
    emits what is added to the picture."""

    def __init__(self, *, depths: tuple[int, int] | None, wide: int, channels: int, colors: int = 3):
        super().__init__()
        self._least = inception.LEAST if depths else mobilenet.LEAST
        if depths:
            self.fpn = _Pyramid("inception", Inception(depths=depths), inception.WIDTHS, wide)
        else:
            self.fpn = _Pyramid("features", MobileNet(), mobilenet.WIDTHS, wide)
        for i in (1, 2, 3, 4):
            self.add_module(f"head{i}", _Head(wide, channels))
        self.smooth = _smoothed(4 * channels, channels)
        self.smooth2 = _smoothed(channels, channels // 2)
        self.final = nn.Conv2d(channels // 2, colors, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), multiples of 32, 0 to 1 → same shape, the residual."""
        height, width = x.shape[-2:]
        grow = (0, max(0, self._least - width), 0, max(0, self._least - height))
        half, *maps = self.fpn((F.pad(x, grow, mode="replicate") if any(grow) else x) * 2 - 1)
        heads = [
            _enlarged(self.get_submodule(f"head{i}")(seen), 2 ** (i - 1)) for i, seen in enumerate(maps, 1)
        ]
        smooth = self.smooth2(_enlarged(self.smooth(torch.cat(heads[::-1], 1))) + half)
        return torch.tanh(self.final(_enlarged(smooth)))[..., :height, :width] / 2


def deblurgan_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that `DeblurGan` has."""
    return {key: value for key, value in state.items() if not _UNUSED.match(key)}


def deblurgan_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `DeblurGan`'s arguments from its tensors; None where they are not a `DeblurGan`'s."""
    if not is_kernel(state, "fpn.lateral1.weight", "head1.block0.weight", "final.weight"):
        return None
    depths = (blocks_of(state, "fpn.inception.repeat."), blocks_of(state, "fpn.inception.repeat_1."))
    return {
        "depths": None if "fpn.features.0.0.weight" in state else depths,
        "wide": state["fpn.lateral1.weight"].shape[0],
        "channels": state["head1.block0.weight"].shape[0],
        "colors": state["final.weight"].shape[0],
    }


def deblurgan_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Cost and multiple; the whole picture counts. Statistics of what bf16 has rounded would be too rough."""
    return facts_of(network, colors=colors) | {
        "halo": None,
        "size_multiple": MULTIPLE,
        "dtypes": ("fp32", "fp16"),
    }
