"""Compact networks of others in eight-bit integers, by what they make of pictures at hand.

Their files say nothing of how large activations get, and PReLU costs as much as half a convolution when it is computed
apart. So ranges are measured on a few pictures of the very source, PReLU is part of the table that turns sums into
bytes, and what that costs is found by reducing those pictures and enlarging them both ways.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.int8_conv import LEVELS, Steps
from vsr.models.layers.int8_table import MOST_CHANNELS, Bytes, on_bytes, ranges_of, tabled
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.networks.compact import CompactNet
from vsr.models.spec import Model
from vsr.resample import pixel_shuffle, resize

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


def can_be_measured(model: Model) -> bool:
    """Whether `measured` knows such networks."""
    network = model.network
    return isinstance(network, CompactNet) and all(
        len(each.weight) <= MOST_CHANNELS for each in _parts(network)[0]
    )


@torch.inference_mode()
def measured(model: Model, pictures: Sequence[Tensor]) -> Model:
    """The same model, able to run in int8, and knowing what that costs on these pictures.

    Args:
        model: one that `can_be_measured`.
        pictures: (1, C, H, W), nominal, of the source; some ten thousand pixels suffice.
    """
    network = copy.deepcopy(model.network)
    assert isinstance(network, CompactNet)
    seen, found = list(pictures), []
    for convolution, slope in zip(*_parts(network), strict=True):
        sums = [convolution(each) for each in seen]
        seen = [slope(each) for each in sums]
        found.append(ranges_of(_in_a_row(sums), _in_a_row(seen)))
    network.ranges = tuple(found)
    loss = _error(Int8Compact(network), pictures, network.scale) / _error(network, pictures, network.scale)
    costs = max(0.0, 10 * float(torch.log10(loss)))
    return Model(replace(model.spec, dtypes=(*model.spec.dtypes, "int8"), int8_loss=costs), network)


def _parts(network: CompactNet) -> tuple[list[nn.Conv2d], list[nn.PReLU]]:
    """Convolutions but the last, and what follows each."""
    return cast(list[nn.Conv2d], list(network.body[:-1:2])), cast(list[nn.PReLU], list(network.body[1::2]))


def _in_a_row(values: list[Tensor]) -> Tensor:
    """(1, C, all pixels) of (1, C, H, W) each."""
    return torch.cat([each.flatten(2) for each in values], 2)


def _error(network: nn.Module, pictures: Sequence[Tensor], scale: int) -> Tensor:
    """Squared error of pictures that were reduced and enlarged."""
    total = torch.zeros(())
    for each in pictures:
        height, width = (side // scale for side in each.shape[2:])
        small = resize(each[..., : height * scale, : width * scale], (height, width)).clamp(0, 1)
        large = (network(small) + F.interpolate(small, scale_factor=scale)).clamp(0, 1)
        total += (large - each[..., : height * scale, : width * scale]).square().sum()
    return total.clamp(min=1e-9)
