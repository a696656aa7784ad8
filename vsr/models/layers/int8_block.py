"""Residual blocks in eight-bit integers: what they add to stays in fp32, only what a convolution sees is in bytes."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from vsr.models.layers.int8_conv import Steps, in_integers, sampled
from vsr.models.layers.residual_block import ResidualBlock


class Int8Block(nn.Module):
    """A `ResidualBlock` that counts in integers; adds to what it is given."""

    def __init__(self, block: ResidualBlock, first: Steps, second: Steps):
        super().__init__()
        last = copy.deepcopy(block.conv2)
        for parameter in last.parameters():
            parameter.data *= block.share
        self._first, self._second = in_integers(block.conv1, first), in_integers(last, second)

    def forward(self, x: Tensor) -> Tensor:
        """float32 in channels_last, in place."""
        hidden = self._first.to_bytes(self._first.seen.bytes_of(x), self._second.seen.step)
        return self._second.add_to(x, hidden)


def seen_by(layers: Sequence[nn.Module], network: nn.Module, x: Tensor) -> list[Tensor]:
    """A sample of what convolutions and residual blocks, two for each, are given when a network sees a picture; in the
    order in which they are met."""
    met: list[Tensor] = []
    inner = [layer.conv2 for layer in layers if isinstance(layer, ResidualBlock)]
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: met.append(sampled(given[0])))
        for layer in (*layers, *inner)
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return met
