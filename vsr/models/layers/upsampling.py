"""How EDSR and those after it enlarge, by convolutions to more channels and pixel shuffles; and normalisation with the
statistics of the picture at hand, or with those of training."""

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


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


class TailLayer(NamedTuple):
    """A layer between residual blocks and the picture."""

    layer: nn.Conv2d
    shuffle: int = 1
    """Scale of the pixel shuffle that follows."""
    slope: float = 1.0
    """Of the leaky ReLU after that; 1 where there is none."""

    def __call__(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        if self.shuffle > 1:
            x = F.pixel_shuffle(x, self.shuffle)
        return x if self.slope == 1 else F.leaky_relu(x, self.slope)


class Normalisation(nn.BatchNorm2d):
    """A layer of either kind under its usual keys.

    The statistics are each picture's own, as in training with one picture at a time: the whole picture
    counts, and tiles are an approximation. `trained` takes the ones that the file has kept.
    """

    trained = False

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        if not self.trained:
            return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
