"""SPAN (Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPRW 2024), fused.

Files for use have every training-time branch folded into one 3x3 convolution, `eval_conv`. The attention is what a
block computes itself, through an odd sigmoid.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.single import SingleFrame, is_kernel

_MEAN = (0.4488, 0.4371, 0.4040)
"""Of DIV2K, R G B."""

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

    def __init__(self, *, channels: int, narrow: int, scale: int, colors: int):
        super().__init__()
        self.scale = scale
        self.conv_1 = _Fused(colors, channels)
        for i in range(_DEPTH):
            self.add_module(f"block_{i + 1}", _Block(channels))
        self.conv_2 = _Fused(channels, channels)
        self.conv_cat = nn.Conv2d(4 * channels, narrow, 1)
        self.upsampler = nn.Sequential(nn.Conv2d(narrow, colors * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        mean = torch.tensor(_MEAN if colors == 3 else [0.0] * colors)
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), 0 to 1 → (B, C, scale*H, scale*W)."""
        head = self.conv_1((x - self.get_buffer("mean")) * 255)
        first, features = self.get_submodule("block_1")(head)
        x = first
        for i in range(1, _DEPTH):
            x, features = self.get_submodule(f"block_{i + 1}")(x)
        return self.upsampler(self.conv_cat(torch.cat((head, self.conv_2(x), first, features), 1)))


def span_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SpanNet`'s arguments from its tensors; None where they are not a fused `SpanNet`'s."""
    if not is_kernel(state, "conv_1.eval_conv.weight", "block_1.c1_r.eval_conv.weight", "upsampler.0.weight"):
        return None
    if any(".sk." in key for key in state):
        return None  # with the branches of training beside
    channels, colors = state["conv_1.eval_conv.weight"].shape[:2]
    many, narrow = state["upsampler.0.weight"].shape[:2]
    return {"channels": channels, "narrow": narrow, "scale": math.isqrt(many // max(1, colors)), "colors": colors}
