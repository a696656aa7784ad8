"""What the published video networks share: trunks of residual blocks, and
the way from features to a picture."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.flow import resized
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import blocks_of
from vsr.resample import enlarge

SLOPE = 0.1
"""Of leaky ReLU."""

SCALE = 4
"""All of them enlarge by two pixel shuffles of 2."""

_ROWS = 1 << 17
"""Input pixels that are enlarged at once: 64 channels of sixteen times as many
pixels are half a gigabyte in fp32."""

_REACH = 4
"""Input rows around a band; 1 + 1/2 + 1/4 + 1/4 count."""


class Trunk(nn.Module):
    """A convolution, leaky ReLU, `depth` residual blocks; keys `main.0`, `main.2.N.conv1`."""

    def __init__(self, channels_in: int, channels: int, depth: int):
        super().__init__()
        blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
        self.main = nn.Sequential(nn.Conv2d(channels_in, channels, 3, padding=1), nn.LeakyReLU(SLOPE), blocks)

    def forward(self, *features: Tensor) -> Tensor:
        """Features, (B, C, H, W) each and `channels_in` together → (B, channels, H, W)."""
        return self.main(torch.cat(features, 1))


class Enlarging(nn.Module):
    """A network that ends in two pixel shuffles and two layers at full size;
    keys `upconv1` ... `conv_last`."""

    def __init__(self, channels: int, wide: int):
        """Give a network its last layers: `channels` at input size, `wide` ones at full size."""
        super().__init__()
        self.upconv1 = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.upconv2 = nn.Conv2d(channels, 4 * wide, 3, padding=1)
        self.conv_hr = nn.Conv2d(wide, wide, 3, padding=1)
        self.conv_last = nn.Conv2d(wide, 3, 3, padding=1)

    def enlarged(self, features: Tensor) -> Tensor:
        """(B, channels, H, W) → (B, 3, 4*H, 4*W), in bands of rows that see all
        that counts: the same as whole."""
        b, _, height, width = features.shape
        rows = max(_REACH, _ROWS // (b * width))
        if rows >= height:
            return self._shuffled(features)
        out = features.new_empty(b, 3, SCALE * height, SCALE * width)
        for top in range(0, height, rows):
            bottom, first = min(top + rows, height), max(0, top - _REACH)
            part = self._shuffled(features[:, :, first : bottom + _REACH])
            out[:, :, SCALE * top : SCALE * bottom] = part[
                :, :, SCALE * (top - first) : SCALE * (bottom - first)
            ]
        return out

    def _shuffled(self, x: Tensor) -> Tensor:
        for layer in (self.upconv1, self.upconv2):
            x = F.leaky_relu_(F.pixel_shuffle(layer(x), 2), SLOPE)
        return self.conv_last(F.leaky_relu_(self.conv_hr(x), SLOPE))


def over_bicubic(detail: Tensor, seen: Tensor, frame: Tensor) -> Tensor:
    """The residual to the bicubic enlargement of what comes in, which the engine adds in float32.

    Args:
        detail: (B, 3, 4*H, 4*W), what the network adds to the bilinear enlargement of what it has seen.
        seen: (B, 3, H, W), that.
        frame: (B, 3, H, W), what has come in.
    """
    base = resized(seen.float(), detail.shape[-2:])
    return (base - enlarge(frame.float(), SCALE) + detail.float()).to(detail.dtype)


def pictures_for(frames: Tensor) -> Tensor:
    """Room for what frames, (B, T, 3, H, W), are enlarged to."""
    height, width = frames.shape[-2:]
    return frames.new_empty(*frames.shape[:3], SCALE * height, SCALE * width)


def trunk_sizes(state: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    """Width and depth of the `Trunk` under a prefix such as `backward_trunk.`."""
    return {
        "channels": state[f"{prefix}main.0.weight"].shape[0],
        "depth": blocks_of(state, f"{prefix}main.2."),
    }
