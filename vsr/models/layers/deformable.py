"""Modulated deformable convolution (Zhu, Hu, Lin, Dai, "Deformable ConvNets v2", CVPR 2019).

Each tap of a 3x3 kernel reads, bilinearly, where an offset of its own says, and counts as much as a mask
says. The operator is torchvision's where that is installed with it, else PyTorch's own sampling, band by
band, because what is read is nine times as large as the features.
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 3
"""Of every kernel."""

_BAND = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Values that are read at once; more gives nothing on a CPU, and a GPU wants to be kept busy."""


class DeformConv(nn.Conv2d):
    """3x3 deformable convolution; offsets and masks are given, in `groups` sets,
    each for its share of the channels."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, SIDE, padding=SIDE // 2)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Convolve.

        Args:
            input: (B, C, H, W).
            offset: (B, sets * 9 * 2, H, W) float32, y before x, in pixels, from where the tap would be.
            mask: (B, sets * 9, H, W), of each tap.

        Returns:
            (B, channels out, H, W). Beyond the edges everything is 0.
        """
        if input.is_meta:  # led through for its cost, which is a plain convolution's
            return super().forward(input)
        operator = _operator()
        if operator is None:
            return sampled_convolution(input, offset, mask, self.weight, self.bias)
        return operator(input, offset.to(input.dtype), self.weight, self.bias, padding=SIDE // 2, mask=mask)


@cache
def _operator() -> Callable[..., Tensor] | None:
    """torchvision's operator; None where there is none, or one that was built for another PyTorch."""
    if not importlib.util.find_spec("torchvision"):
        return None
    try:
        operator = importlib.import_module("torchvision.ops").deform_conv2d
        return (
            operator if hasattr(torch.ops.torchvision, "deform_conv2d") else None
        )  # without kernels it would fail
    except (ImportError, RuntimeError, AttributeError, OSError):
        return None


def sampled_convolution(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """The operator in plain PyTorch; arguments as `DeformConv.forward`. Places are computed in float32."""
    b, c, h, w = x.shape
    taps = SIDE * SIDE
    sets = mask.shape[1] // taps
    source = x.float().reshape(b * sets, c // sets, h, w)
    offset, mask = offset.reshape(b, sets, taps, 2, h, w), mask.reshape(b * sets, 1, taps, h, w)
    kernel = weight.flatten(1)
    rows = max(1, _BAND.get(x.device.type, _BAND["cpu"]) // (b * c * taps * w))
    out = x.new_empty(b, len(weight), h, w)
    for top in range(0, h, rows):
        part = slice(top, min(top + rows, h))
        height = part.stop - top
        grid = _grid(offset[..., part, :], top, h).view(b * sets, taps * height, w, 2)
        read = F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        read = read.view(b * sets, c // sets, taps, height, w) * mask[..., part, :]
        columns = read.to(x.dtype).reshape(b, c * taps, height * w)
        out[:, :, part] = (kernel @ columns).view(b, -1, height, w)
    return out if bias is None else out + bias[:, None, None]


def _grid(offset: Tensor, top: int, height: int) -> Tensor:
    """Where each tap of rows from `top` on reads, (B, sets, taps, rows, W, 2), x
    before y, from -1 to 1 over edges."""
    rows, w = offset.shape[-2:]
    like: dict[str, Any] = {"device": offset.device, "dtype": torch.float32}
    around = torch.arange(SIDE, **like) - SIDE // 2
    y = around.repeat_interleave(SIDE)[:, None, None] + torch.arange(top, top + rows, **like)[:, None]
    x = around.repeat(SIDE)[:, None, None] + torch.arange(w, **like)
    offset = offset.float()
    places_y, places_x = offset[:, :, :, 0] + y, offset[:, :, :, 1] + x
    return torch.stack([(2 * places_x + 1) / w - 1, (2 * places_y + 1) / height - 1], -1)


def parted(values: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives for offsets and masks, (B, 3 * sets * 9, H, W): offsets in float32, masks from 0 to
    1."""
    first, second, mask = values.chunk(3, 1)
    return torch.cat([first, second], 1).float(), torch.sigmoid(mask)
