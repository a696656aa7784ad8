"""The plain network of our own ladder (`nano`, `fast`, ...): 3x3 convolutions and ReLU, pixel shuffle last.

All at input resolution, since pixel-unshuffle at the input gave away 0.4 dB for 14 % of the time. ReLU,
because it is what CPUs run fastest in bf16: PReLU costs up to twice as much.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from vsr.models.layers.conv_relu import conv_relu
from vsr.models.layers.single_frame import SingleFrame
from vsr.resample import pixel_shuffle


class PlainNet(SingleFrame):
    """Head, `depth` hidden layers, tail; emits the residual to the bicubic enlargement."""

    ranges: Tensor
    """Largest activation that int8 tells apart, for each layer before the tail; 0 before calibration."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int = 1):
        super().__init__()
        self.scale = scale
        widths = [colors] + [channels] * (depth + 1)
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.tail = nn.Conv2d(channels, colors * scale * scale, 3, padding=1)
        self.register_buffer("ranges", torch.zeros(depth + 1))
        for layer in self.body:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
        nn.init.normal_(self.tail.weight, std=1e-3)  # begin as the plain enlargement
        nn.init.zeros_(self.tail.bias) if self.tail.bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W), the residual."""
        for layer in self.body:
            assert isinstance(layer, nn.Conv2d)
            x = conv_relu(layer, x)
        return pixel_shuffle(self.tail(x), self.scale)


def plain_parameters(state: dict[str, Tensor]) -> dict[str, int] | None:
    """Infer `PlainNet`'s arguments from its tensors; None where they are not a `PlainNet`'s."""
    head, tail = state.get("body.0.weight"), state.get("tail.weight")
    if head is None or tail is None or head.ndim != 4 or tail.ndim != 4:
        return None
    colors = head.shape[1]
    if colors not in (1, 3) or tail.shape[0] < colors:
        return None
    depth = sum(key.startswith("body.") and key.endswith(".weight") for key in state) - 1
    scale = math.isqrt(tail.shape[0] // colors)  # where that does not come out even, the tensors will not fit
    return {"channels": head.shape[0], "depth": depth, "scale": scale, "colors": colors}
