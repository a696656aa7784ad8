"""EDSR and SRResNet in eight-bit integers, by what they make of pictures at hand.

Blocks add to float32; from the last of them to the picture everything is bytes, four to sixteen times as many of them,
and each shuffle moves all channels of a pixel as one run.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.int8_block import Int8Block, seen_by
from vsr.models.layers.int8_conv import LEVELS, Int8Conv, Steps, best_range, in_integers, steps_between
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.layers.upsampling import TailLayer
from vsr.models.networks.edsr import EdsrNet
from vsr.models.networks.srresnet import SrResNet


class Int8Residual(SingleFrame):
    """A measured network of residual blocks that counts in integers; takes and gives float32. Any number of threads may
    call it."""

    def __init__(self, network: EdsrNet | SrResNet):
        super().__init__()
        self.scale = network.scale
        self._network = network
        seen = iter(network.seen)
        self._blocks = [Int8Block(block, next(seen), next(seen)) for block in _blocks(network)]
        after = network.after_blocks()
        self._after = in_integers(after, next(seen)) if after else None
        *layers, last = network.enlarging()
        self._enlarged, *gives = steps = list(seen)
        self._tail = [_in_bytes(*each) for each in zip(layers, steps[:-1], gives, strict=True)]
        self._last = in_integers(last.layer, steps[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        head = self._network.head(x).contiguous(memory_format=torch.channels_last)
        sums = head.clone() if self._after else head  # to which blocks add in place
        for block in self._blocks:
            sums = block(sums)
        if self._after:
            sums = self._after.add_to(head, self._after.seen.bytes_of(sums))
        seen = self._enlarged.bytes_of(sums)
        for layer in self._tail:
            seen = layer(seen)
        return self._network.picture(self._last.to_float(seen), x)


@torch.no_grad()
def steps_seen(network: EdsrNet | SrResNet, pictures: Sequence[Tensor]) -> tuple[Steps, ...]:
    """Bytes that render best what each convolution but the first sees of pictures, (1, C, H, W) each."""
    after = network.after_blocks()
    layers = [*_blocks(network), *([after] if after else []), *(each.layer for each in network.enlarging())]
    values = zip(*(seen_by(layers, network, picture) for picture in pictures), strict=True)
    return tuple(steps_between(*best_range(torch.cat(each)).tolist()) for each in values)


def _blocks(network: EdsrNet | SrResNet) -> list[ResidualBlock]:
    return [block for block in network.body if isinstance(block, ResidualBlock)]


@dataclass(frozen=True, slots=True)
class _InBytes:
    """A convolution, a pixel shuffle and leaky ReLU, bytes to bytes."""

    layer: Int8Conv
    shuffled: int
    table: npt.NDArray[np.uint8] | None
    """Of leaky ReLU, (256,)."""

    def __call__(self, x: Tensor) -> Tensor:
        sums = self.layer.to_codes(x).permute(0, 2, 3, 1)
        if self.table is not None:
            values = sums.reshape(1, -1).numpy()
            sums = torch.from_numpy(cast(Any, cv2.LUT(values, self.table, dst=values))).view(sums.shape)
        return _by_runs(sums, self.shuffled)


def _in_bytes(each: TailLayer, seen: Steps, gives: Steps) -> _InBytes:
    layer = in_integers(_in_runs(each.layer, each.shuffle), seen)
    if each.slope == 1:
        return _InBytes(layer.giving(gives), each.shuffle, None)
    low, high = (byte * gives.step for byte in (-gives.zero, LEVELS - gives.zero))
    sums = steps_between(low / each.slope, high)
    values = (torch.arange(LEVELS + 1.0) - sums.zero) * sums.step
    table = gives.bytes_of(F.leaky_relu(values, each.slope).view(1, 1, 1, -1))
    return _InBytes(layer.giving(sums), each.shuffle, table.flatten().numpy())


def _in_runs(convolution: nn.Conv2d, shuffled: int) -> nn.Conv2d:
    """The same one with the channels of each pixel after a shuffle side by side."""
    if shuffled == 1:
        return convolution
    ordered = copy.deepcopy(convolution)
    for parameter in ordered.parameters():
        by_place = parameter.data.unflatten(0, (-1, shuffled * shuffled))
        parameter.data = by_place.transpose(0, 1).flatten(0, 1).contiguous()
    return ordered


def _by_runs(by_pixel: Tensor, scale: int) -> Tensor:
    """`pixel_shuffle` of (B, H, W, channels in runs), in channels_last; a sixth of its time for 256 channels."""
    batch, height, width, channels = by_pixel.shape
    rows = by_pixel.reshape(batch, height, width, scale, -1).transpose(2, 3)
    return rows.reshape(batch, scale * height, scale * width, channels // scale**2).permute(0, 3, 1, 2)
