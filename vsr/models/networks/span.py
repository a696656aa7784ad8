"""SPAN (Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPRW 2024).

Every convolution is trained as three in a row (`conv.0` ... `conv.2`) and one beside them (`sk`). They are
folded into one of 3x3, `eval_conv`, as is already done in files for use; what training left there itself may
be older than its branches. The attention is what a block computes itself, through an odd sigmoid.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.single_frame import SingleFrame, div2k_mean, is_kernel

_BRANCHES = tuple(
    f"{name}.{kind}" for name in ("sk", "conv.0", "conv.1", "conv.2") for kind in ("weight", "bias")
)
"""Of a convolution in training."""

_DEPTH = 6
"""Blocks; what the first and the last give is kept for the end, so that there cannot be more."""


class _Fused(nn.Module):
    def __init__(self, num_in: int, num_out: int):
        super().__init__()
        self.eval_conv = nn.Conv2d(num_in, num_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.eval_conv(x)


class _Block(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (_Fused(channels, channels) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the block gives, and its first layer's features."""
        first = F.silu(self.c1_r(x))
        last = self.c3_r(F.silu(self.c2_r(first)))
        return (last + x) * (torch.sigmoid(last) - 0.5), first


class SpanNet(SingleFrame):
    """Six blocks; four stages of features are joined to `narrow` channels before the pixel shuffle."""

    def __init__(self, *, channels: int, narrow: int, scale: int, colors: int, normed: bool = True):
        super().__init__()
        self.scale, self._white = scale, 255 if normed else 1
        self.conv_1 = _Fused(colors, channels)
        for i in range(_DEPTH):
            self.add_module(f"block_{i + 1}", _Block(channels))
        self.conv_2 = _Fused(channels, channels)
        self.conv_cat = nn.Conv2d(4 * channels, narrow, 1)
        self.upsampler = nn.Sequential(
            nn.Conv2d(narrow, colors * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )
        mean = (
            div2k_mean(colors) if normed else torch.zeros(1, colors, 1, 1)
        )  # a product would load a compiler
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), 0 to 1 → (B, C, scale*H, scale*W)."""
        head = self.conv_1((x - self.get_buffer("mean")) * self._white)
        first, features = self.get_submodule("block_1")(head)
        x = first
        for i in range(1, _DEPTH):
            x, features = self.get_submodule(f"block_{i + 1}")(x)
        return self.upsampler(self.conv_cat(torch.cat((head, self.conv_2(x), first, features), 1)))


def span_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `SpanNet`, the branches of training folded; as they are
    where these do not fit together."""
    heads = [key.removesuffix(".sk.weight") for key in state if key.endswith(".sk.weight")]
    kept = {key: value for key, value in state.items() if key != "no_norm"}
    try:
        folded = {head: _folded({key: state[f"{head}.{key}"] for key in _BRANCHES}) for head in heads}
    except (KeyError, RuntimeError, ValueError):
        return kept
    for head, (weight, bias) in folded.items():
        kept |= {f"{head}.eval_conv.weight": weight, f"{head}.eval_conv.bias": bias}
    inside = {f"{head}.{key}" for head in heads for key in _BRANCHES}
    return {key: value for key, value in kept.items() if key not in inside}


def _folded(branch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that does what four do."""
    first, last = branch["conv.0.weight"][..., 0, 0], branch["conv.2.weight"][..., 0, 0]
    middle = branch["conv.1.weight"]
    weight = torch.einsum("oa,abhw,bi->oihw", last, middle, first)
    weight[:, :, 1:2, 1:2] += branch["sk.weight"]
    bias = last @ (middle.sum((2, 3)) @ branch["conv.0.bias"] + branch["conv.1.bias"])
    return weight, bias + branch["conv.2.bias"] + branch["sk.bias"]


def span_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SpanNet`'s arguments from its tensors; None where they are not a `SpanNet`'s."""
    keys = (
        "conv_1.eval_conv.weight",
        "block_1.c1_r.eval_conv.weight",
        "conv_cat.weight",
        "upsampler.0.weight",
    )
    if not is_kernel(state, *keys):
        return None
    channels, colors = state["conv_1.eval_conv.weight"].shape[:2]
    many, narrow = state["upsampler.0.weight"].shape[:2]
    return {
        "channels": channels,
        "narrow": narrow,
        "scale": math.isqrt(many // max(1, colors)),
        "colors": colors,
        "normed": "no_norm" not in state,
    }
