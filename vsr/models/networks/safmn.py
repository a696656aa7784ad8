"""SAFMN (Sun, Dong, Tang, Pan, "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution",
ICCV 2023): features are multiplied by what they look like from farther away.

Three layouts are read: the paper's (`feats.N.norm1`, `safm`, `norm2`, `ccm`), the one of NTIRE 2023 (`norm`,
a response to the whole picture, and no norms within), and the light SAFMN++ of AIS 2024 (`feats.N.conv1`,
`conv2`). The squares that are looked at are stretched to fill the picture, so that they depend on its size;
whole ones, and the picture grown to a multiple of them, would cost 0.05 dB on Set5.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.facts import facts_of
from vsr.models.layers.single_frame import SingleFrame, blocks_of, is_kernel
from vsr.resample import pixel_shuffle

_LEVELS = 4
"""Sizes at which features are looked at."""

Kind = Literal["paper", "ntire", "light"]

_CELL: dict[Kind, int] = {"paper": 8, "ntire": 16, "light": 8}
"""Edge of the largest squares, in input pixels; smaller pictures grow by repeating their edge."""


def _seen_from_afar(x: Tensor, cell: int) -> Tensor:
    """The largest of each square."""
    return F.adaptive_max_pool2d(x, (x.shape[-2] // cell, x.shape[-1] // cell))


class _Norm(nn.Module):
    """Each pixel's channels to mean 0 and variance 1."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / ((x - mean).square().mean(1, keepdim=True) + 1e-6).sqrt()
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class _Response(nn.Module):
    """Channels that respond strongly anywhere in the picture are raised."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.zeros(1, channels, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        strength = x.square().sum((2, 3), keepdim=True).sqrt()
        return self.gamma * x * strength / (strength.mean(1, keepdim=True) + 1e-6) + self.beta + x


class _Modulation(nn.Module):
    """A quarter of the channels at each size."""

    def __init__(self, channels: int, *, cell: int, bias: bool):
        super().__init__()
        quarter = channels // _LEVELS
        self.mfr = nn.ModuleList(
            nn.Conv2d(quarter, quarter, 3, padding=1, groups=quarter, bias=bias) for _ in range(_LEVELS)
        )
        self.aggr = nn.Conv2d(channels, channels, 1, bias=bias)
        self._cells = [1, *(cell >> i for i in reversed(range(_LEVELS - 1)))]

    def forward(self, x: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for part, layer, cell in zip(x.chunk(_LEVELS, 1), self.mfr, self._cells, strict=True):
            seen = layer(_seen_from_afar(part, cell) if cell > 1 else part)
            parts.append(F.interpolate(seen, size=x.shape[-2:], mode="nearest") if cell > 1 else seen)
        return F.gelu(self.aggr(torch.cat(parts, 1))) * x


class _LightModulation(nn.Module):
    """Half of the channels, at one size."""

    def __init__(self, channels: int, *, cell: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.dwconv = nn.Conv2d(channels // 2, channels // 2, 3, padding=1, groups=channels // 2, bias=False)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self._cell = cell

    def forward(self, x: Tensor) -> Tensor:
        seen, kept = self.proj(x).chunk(2, 1)
        far = self.dwconv(_seen_from_afar(seen, self._cell))
        far = F.gelu(F.interpolate(far, size=x.shape[-2:], mode="bilinear", align_corners=False)) * seen
        return self.out(F.gelu(torch.cat((kept, far), 1)))


class _Mixer(nn.Module):
    """Two convolutions under the name that they have in a layout."""

    def __init__(self, name: str, channels: int, hidden: int, *, bias: bool):
        super().__init__()
        wide, back = (
            nn.Conv2d(channels, hidden, 3, padding=1, bias=bias),
            nn.Conv2d(hidden, channels, 1, bias=bias),
        )
        self.add_module(name, nn.Sequential(wide, nn.GELU(), back))
        self._name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self._name)(x)


class _Block(nn.Module):
    def __init__(self, channels: int, hidden: int, kind: Kind):
        super().__init__()
        bias = kind == "paper"
        self.norm1, self.norm2 = (_Norm(channels) if bias else nn.Identity() for _ in range(2))
        self.safm = _Modulation(channels, cell=_CELL[kind], bias=bias)
        self.ccm = _Mixer("ccm", channels, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.safm(self.norm1(x)) + x
        return self.ccm(self.norm2(x)) + x


def _light_block(channels: int, hidden: int) -> nn.Module:
    block = nn.Sequential()
    block.add_module("conv1", _LightModulation(channels, cell=_CELL["light"]))
    block.add_module("conv2", _Mixer("conv", channels, hidden, bias=False))
    return block


class SafmnNet(SingleFrame):
    """`depth` blocks of `channels` at input size, pixel shuffle last."""

    def __init__(self, *, kind: Kind, channels: int, hidden: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.scale, self._least = scale, _CELL[kind]
        self._adds_enlarged = kind == "ntire"
        bias = kind != "light"
        self.norm = _Response(channels) if kind == "ntire" else nn.Identity()
        self.to_feat = nn.Conv2d(colors, channels, 3, padding=1, bias=bias)
        light = kind == "light"
        self.feats = nn.Sequential(
            *(
                _light_block(channels, hidden) if light else _Block(channels, hidden, kind)
                for _ in range(depth)
            )
        )
        self.to_img = nn.Sequential(nn.Conv2d(channels, colors * scale**2, 3, padding=1, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        height, width = x.shape[-2:]
        least = self._least
        grow = (0, max(0, least - width), 0, max(0, least - height))
        out = self._enlarged(F.pad(x, grow, mode="replicate") if any(grow) else x)
        return out[..., : self.scale * height, : self.scale * width]

    def _enlarged(self, x: Tensor) -> Tensor:
        head = self.norm(self.to_feat(x))
        if self._adds_enlarged:
            base = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
            return pixel_shuffle(self.to_img(self.feats(head)), self.scale) + base
        return pixel_shuffle(self.to_img(self.feats(head) + head), self.scale)


def safmn_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SafmnNet`'s arguments from its tensors; None where they are not a `SafmnNet`'s."""
    light = "feats.0.conv1.dwconv.weight" in state
    mixer = "feats.0.conv2.conv.0.weight" if light else "feats.0.ccm.ccm.0.weight"
    if not is_kernel(state, "to_feat.weight", "to_img.0.weight", mixer):
        return None
    channels, colors = state["to_feat.weight"].shape[:2]
    return {
        "kind": "light" if light else "ntire" if "norm.gamma" in state else "paper",
        "channels": channels,
        "hidden": state[mixer].shape[0],
        "depth": blocks_of(state, "feats."),
        "scale": math.isqrt(state["to_img.0.weight"].shape[0] // max(1, colors)),
        "colors": colors,
    }


def safmn_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Cost; the size of the whole picture counts."""
    return facts_of(network, colors=colors) | {"halo": None, "dtypes": ("fp32", "fp16")}
