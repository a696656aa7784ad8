"""How EDSR and those after it enlarge: convolutions to more channels and pixel shuffles, by 2 or 3 at a
time."""

import math

from torch import Tensor, nn


def upsampler(channels: int, scale: int) -> nn.Sequential:
    """`log2(scale)` times a convolution and a shuffle by 2, or once by 3; keys `0.weight`, `2.weight`, ..."""
    steps = [3] if scale == 3 else [2] * int(math.log2(scale))
    layers: list[nn.Module] = []
    for step in steps:
        layers += [nn.Conv2d(channels, step * step * channels, 3, padding=1), nn.PixelShuffle(step)]
    return nn.Sequential(*layers)


def upsampler_scale(state: dict[str, Tensor], prefix: str) -> int:
    """What the `upsampler` under a prefix enlarges by; 1 where there is none."""
    kernels = [value for key, value in state.items() if key.startswith(prefix) and value.ndim == 4]
    return math.prod(math.isqrt(kernel.shape[0] // max(1, kernel.shape[1])) for kernel in kernels)
