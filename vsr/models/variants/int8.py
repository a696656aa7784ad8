"""Networks of our own in eight-bit integers: for `fast-x2` half of bf16's time on x86 processors with VNNI, for up to
0.07 dB.

15.0 ms of one core for `fast-x2` at 640x360 where bf16 takes 29.8 (torchao and OpenVINO were said to give as
much). Networks on planes keep what their blocks add to in fp32, since it is not cut at 0 and eight bits of it would
show; only what a convolution sees is in bytes.
"""

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.int8_block import Int8Block, seen_by
from vsr.models.layers.int8_conv import LEVELS, Steps, best_range, in_integers, sampled, steps_between
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.networks.plain import PlainNet
from vsr.models.networks.planes import PlanesNet
from vsr.models.variants.int8_measured import measured_in_int8
from vsr.resample import pixel_shuffle

_SEEN = Steps(1 / 219, 16)
"""What a plain network sees: the code values of a picture of limited range, exactly."""


def has_int8() -> bool:
    """Whether the processor sums products of bytes in hardware; without VNNI they would overflow 16 bits."""
    return torch.cpu._is_vnni_supported() and hasattr(torch.ops.onednn, "qconv2d_pointwise")


@torch.no_grad()
def calibrate_int8(network: PlainNet | PlanesNet, pictures: Iterable[Tensor]) -> None:
    """Choose for each layer the range of activations that 255 steps render with the least squared error.

    Args:
        network: its `ranges` are set.
        pictures: (B, C, H, W), nominal, of the kind that the network is made for; a few dozen suffice.
    """
    seen: list[list[Tensor]] = [[] for _ in network.ranges]
    for x in pictures:
        for values, found in zip(_activations(network, x), seen, strict=True):
            found.append(values)
    ranges = torch.stack([best_range(torch.cat(values)) for values in seen])
    network.ranges.copy_(ranges[:, 1] if isinstance(network, PlainNet) else ranges)


def _activations(network: PlainNet | PlanesNet, x: Tensor) -> Iterator[Tensor]:
    """Samples of what is rounded to bytes, in the order of `ranges`."""
    if isinstance(network, PlainNet):
        for layer in network.body:
            x = F.relu(layer(x))
            yield sampled(x)
        return
    yield from seen_by([layer for _, layer in _converted(network)], network, x)


def in_int8(network: nn.Module) -> nn.Module:
    """The same network with every calibrated one of ours in it in integers; changes what is around them, not
    themselves."""
    if isinstance(network, PlainNet):
        return Int8Net(network).eval()
    if isinstance(network, PlanesNet):
        return _planes_in_int8(network)
    if (of_others := measured_in_int8(network)) is not None:
        return of_others
    for name, child in network.named_children():
        setattr(network, name, in_int8(child))
    return network


class Int8Net(SingleFrame):
    """A calibrated `PlainNet` that counts in integers; takes and gives float32.
    Any number of threads may call it."""

    def __init__(self, network: PlainNet):
        super().__init__()
        self.scale = network.scale
        self._steps = (network.ranges / LEVELS).tolist()
        inputs = [_SEEN, *(Steps(step, 0) for step in self._steps)]
        *self._body, self._tail = (
            in_integers(*layer) for layer in zip([*network.body, network.tail], inputs, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W), the residual."""
        x = _SEEN.bytes_of(x)
        for layer, step in zip(self._body, self._steps, strict=True):
            x = layer.to_bytes(x, step)
        return pixel_shuffle(self._tail.to_float(x), self.scale)


class _Conv(nn.Module):
    """A convolution from float32 to float32 that counts in integers."""

    def __init__(self, convolution: nn.Module, seen: Steps):
        super().__init__()
        self._layer = in_integers(convolution, seen)

    def forward(self, x: Tensor) -> Tensor:
        return self._layer.to_float(self._layer.seen.bytes_of(x))


def _planes_in_int8(network: PlanesNet) -> PlanesNet:
    """A copy of a calibrated network whose convolutions but the first, which sees half steps of codes, count in
    integers."""
    network = copy.deepcopy(network)
    steps = iter([steps_between(low, high) for low, high in network.ranges.tolist()])
    for name, layer in list(_converted(network)):
        whole = isinstance(layer, ResidualBlock)
        network.set_submodule(
            name, Int8Block(layer, next(steps), next(steps)) if whole else _Conv(layer, next(steps))
        )
    return network


def _converted(network: PlanesNet) -> Iterator[tuple[str, nn.Module]]:
    """The parts that are put into integers, in the order in which a picture meets them."""
    others = "down", "up", f"tails.{network.scale}"
    for name, layer in network.named_modules():
        if isinstance(layer, ResidualBlock) or name in others:
            yield name, layer
