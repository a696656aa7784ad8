"""What a network of convolutions costs and how far it sees, found by leading a
picture without content through it."""

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

FARTHEST = 96
"""Halo up to which tiles take in all that their pixels depend on.

Deeper networks see farther than what they see matters: 23 RRDB reach 349 pixels, so that tiles of
256 with all of it would cost fourteen times the whole picture. Theirs overlap by less, and the
seams are bounded by a test instead.
"""

_SIDE = 672
"""Edge of the picture that is led through; a multiple of every network's size multiple and window."""


class _Walk:
    """Sums over the convolutions that a picture with sides of so many pixels meets."""

    def __init__(self, side: int) -> None:
        self._side = side
        self.reach = 0.0
        """Input pixels."""
        self.operations = 0.0
        """Per input pixel, two per multiply-add."""

    def meet(self, layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        """Count one convolution, transposed convolution or linear layer."""
        weight = layer.weight
        assert isinstance(weight, Tensor)
        positions = (
            given[0].numel() / given[0].shape[1] if isinstance(layer, nn.ConvTranspose2d) else out.numel()
        )
        per_position = weight.numel() / (1 if isinstance(layer, nn.ConvTranspose2d) else len(weight))
        self.operations += 2 * positions * per_position / self._side**2
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            finer = out.shape[-1] * (1 if isinstance(layer, nn.ConvTranspose2d) else layer.stride[0])
            self.reach += layer.dilation[0] * (layer.kernel_size[0] // 2) * self._side / finer


def facts_of(
    network: nn.Module,
    *,
    colors: int,
    around: int = 0,
    call: Callable[[nn.Module, Tensor], object] = lambda network, picture: network(picture),
    small: int = 0,
) -> dict[str, Any]:
    """Find what the spec says of a network whose layers follow one another.

    Rounding up once is exact: enlarging by nearest neighbours or pixel shuffle
    divides positions, and ceilings nest.

    Args:
        network: its `forward` takes (B, C, H, W), or `call` says how it is run.
        colors: C.
        around: input pixels that it reads besides, as an enlargement inside does.
        call: leads one picture through a network.
        small: sides of a black picture that is computed instead, for networks that never reduce what they see and
            call each layer as it is: where nothing is computed, PyTorch loads its compiler, which takes seconds.

    Returns:
        `halo`, None where it would exceed `FARTHEST`, and `kflop_per_pixel`.
    """
    side, device = (small, "cpu") if small else (_SIDE, "meta")
    walk = _Walk(side)
    # With the weights or shadows in their place: nothing large is made, and what layers share stays shared.
    weights = [*network.parameters(), *network.buffers()]
    copied = copy.deepcopy(network, {id(weight): weight if small else _shadow(weight) for weight in weights})
    for layer in copied.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(partial(_Walk.meet, walk))
    with torch.inference_mode():
        call(copied, torch.zeros(1, colors, side, side, device=device))
    halo = math.ceil(walk.reach) + around
    return {"halo": halo if halo <= FARTHEST else None, "kflop_per_pixel": walk.operations / 1000}


def summed(layers: Iterable[tuple[nn.Conv2d, float]]) -> dict[str, Any]:
    """What `facts_of` finds, of convolutions that are named with how many of their samples lie along an input pixel's
    side: leading a picture through may make PyTorch load its compiler, which takes longer than all else at a start."""
    reach = kflop = 0.0
    for layer, finer in layers:
        reach += layer.kernel_size[0] // 2 / finer
        kflop += 2 * layer.weight.numel() * finer**2 / 1000
    halo = math.ceil(reach)
    return {"halo": halo if halo <= FARTHEST else None, "kflop_per_pixel": kflop}


def _shadow(weight: Tensor) -> Tensor:
    shadow = weight.detach().to("meta")
    return nn.Parameter(shadow, requires_grad=False) if isinstance(weight, nn.Parameter) else shadow
