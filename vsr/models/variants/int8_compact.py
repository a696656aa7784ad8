"""Compact networks of others in eight-bit integers, by what they make of pictures at hand.

Their files say nothing of how large activations get, and PReLU costs as much as half a convolution when it is computed
apart. So ranges are measured on a few pictures of the very source, PReLU is part of the table that turns sums into
bytes.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vsr.models.layers.int8_conv import LEVELS, Steps
from vsr.models.layers.int8_table import MOST_CHANNELS, Bytes, Ranges, on_bytes, ranges_of, tabled
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.networks.compact import CompactNet
from vsr.resample import pixel_shuffle

_SEEN = Bytes(Steps(1 / LEVELS, 0), torch.ones(1))
"""What the network sees: the codes of 8 bits. The picture that its residual is added to is not rounded."""


class Int8Compact(SingleFrame):
    """A measured `CompactNet` that counts in integers; takes and gives float32. Any number of threads may call it."""

    def __init__(self, network: CompactNet):
        super().__init__()
        self.scale = network.scale
        self._layers, seen = [], _SEEN
        for convolution, slope, ranges in zip(*_parts(network), network.ranges, strict=True):
            self._layers.append(tabled(convolution, slope, seen, ranges))
            seen = self._layers[-1].gives
        self._tail = on_bytes(network.body[-1], seen)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W), the residual."""
        x = _SEEN.steps.bytes_of(x)
        for layer in self._layers:
            x = layer(x)
        return pixel_shuffle(self._tail.to_float(x), self.scale)


def fits_tables(network: CompactNet) -> bool:
    """Whether its layers are no wider than tables can be."""
    return all(len(each.weight) <= MOST_CHANNELS for each in _parts(network)[0])


def compact_ranges(network: CompactNet, pictures: Sequence[Tensor]) -> tuple[Ranges, ...]:
    """What bytes must tell apart before and after each PReLU, of pictures, (1, C, H, W) each."""
    seen, found = list(pictures), []
    for convolution, slope in zip(*_parts(network), strict=True):
        sums = [convolution(each) for each in seen]
        seen = [slope(each) for each in sums]
        found.append(ranges_of(_in_a_row(sums), _in_a_row(seen)))
    return tuple(found)


def _parts(network: CompactNet) -> tuple[list[nn.Conv2d], list[nn.PReLU]]:
    """Convolutions but the last, and what follows each."""
    return cast(list[nn.Conv2d], list(network.body[:-1:2])), cast(list[nn.PReLU], list(network.body[1::2]))


def _in_a_row(values: list[Tensor]) -> Tensor:
    """(1, C, all pixels) of (1, C, H, W) each."""
    return torch.cat([each.flatten(2) for each in values], 2)
