"""A convolution in integers and the function of one value that follows it, bytes to bytes.

Whatever PReLU, SiLU or another makes of a byte is a table of 256 bytes for each channel, which does at once what
would be a multiplication, a choice and a rounding of every value. Each channel's sums have steps of their own, since
its table knows them: what precedes the function is rounded more finely than what follows it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vsr.models.layers.int8_conv import LEVELS, Int8Conv, Steps, in_integers, steps_between

MOST_CHANNELS = 128
"""That OpenCV has tables for."""

_SPREAD = (0.0005, 0.9995)
"""Shares of a channel's values that its range lies between: a few beyond may be cut off."""


_SORTED = 10_000
"""Pixels, about, whose values are sorted for a range, which costs more than the convolutions would."""


class Ranges(NamedTuple):
    """Lowest and highest value of each channel that bytes must tell apart, (channels, 2)."""

    sums: Tensor
    """Before the function."""
    after: Tensor
    """After it, 0 among them."""


class Bytes(NamedTuple):
    """What bytes stand for: value = factor of the channel * step * (byte - zero)."""

    steps: Steps
    factors: Tensor
    """(channels,), or one for all: a small channel has smaller steps, by half of the way to filling a byte. All of it
    would make the next layer's weights, which take them in, as uneven as the channels were."""


def ranges_of(sums: Tensor, after: Tensor) -> Ranges:
    """Ranges that hold nearly all of (1, channels, pixels) before and after a function."""
    shares = torch.tensor(_SPREAD)
    every = max(1, sums.shape[2] // _SORTED) | 1  # odd, so that no column is always missed
    before, behind = (values[0, :, ::every].quantile(shares, dim=1).T for values in (sums, after))
    low, high = behind.unbind(1)
    return Ranges(before, torch.stack([low.clamp(max=0), high.clamp(min=0)], 1))


def on_bytes(convolution: nn.Module, seen: Bytes) -> Int8Conv:
    """The same convolution of such bytes."""
    taking = copy.deepcopy(convolution)
    assert isinstance(taking, nn.Conv2d)
    taking.weight.data *= seen.factors.view(1, -1, 1, 1)
    return in_integers(taking, seen.steps)


@dataclass(frozen=True, slots=True)
class TabledConv:
    """A convolution and its function."""

    layer: Int8Conv
    """Gives each channel's byte."""
    table: npt.NDArray[np.uint8]
    """(1, 256, channels)."""
    gives: Bytes

    def __call__(self, x: Tensor) -> Tensor:
        """Bytes of what the layer sees → bytes that it `gives`, channels_last."""
        sums = self.layer.to_codes(x)
        batch, channels, height, width = sums.shape
        pixels = sums.permute(0, 2, 3, 1).reshape(batch * height, width, channels).numpy()
        looked_up = torch.from_numpy(cast(Any, cv2.LUT(pixels, self.table, dst=pixels)))
        return looked_up.view(batch, height, width, channels).permute(0, 3, 1, 2)


def tabled(
    convolution: nn.Conv2d, function: Callable[[Tensor], Tensor], seen: Bytes, ranges: Ranges
) -> TabledConv:
    """The same convolution and function of such bytes.

    Args:
        convolution: to up to `MOST_CHANNELS`.
        function: of (1, channels, 256, 1), value by value; channels may differ.
        seen: what bytes stand for that come in.
        ranges: of what the two make of real pictures.
    """
    low, high = ranges.sums.unbind(1)
    steps = (high - low).clamp(min=1e-6) / LEVELS
    values = function((torch.arange(LEVELS + 1.0) * steps[:, None] + low[:, None])[None, :, :, None])[
        0, :, :, 0
    ]
    largest = ranges.after.abs().amax(1).clamp(min=1e-6)
    factors = (largest / largest.max()).sqrt()
    after = ranges.after / factors[:, None]
    gives = Bytes(steps_between(float(after.min()), float(after.max())), factors)
    codes = (values / (factors[:, None] * gives.steps.step)).round() + gives.steps.zero
    table = codes.clamp(0, LEVELS).to(torch.uint8).T[None].contiguous().numpy()
    return TabledConv(on_bytes(convolution, seen).giving((steps, -low / steps)), table, gives)
