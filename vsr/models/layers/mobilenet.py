"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018) as an encoder.

Keys are those of the usual `features`: 0 a convolution, 1 to 17 inverted residuals, of which 15 matter here.
"""

import itertools

from torch import Tensor, nn

from vsr.models.layers.upsampling import Normalisation

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 2, 2))
"""The paper's table 2 as far as it matters here: how much wider inside,
channels, blocks, stride of the first."""

_ENDS = (1, 3, 6, 10, 15)
"""The last layer at each size."""

WIDTHS = (16, 24, 32, 64, 160)
"""Channels there."""

LEAST = 64
"""Height and width below which the smallest map is one pixel, which has no variance."""


def _layer(num_in: int, num_out: int, *, side: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    kernel = nn.Conv2d(num_in, num_out, side, stride, side // 2, groups=groups, bias=False)
    return [kernel, Normalisation(num_out), nn.ReLU6()]


class _InvertedResidual(nn.Module):
    def __init__(self, num_in: int, num_out: int, *, wider: int, stride: int):
        super().__init__()
        inside = num_in * wider
        layers = _layer(num_in, inside) if wider > 1 else []
        layers += _layer(inside, inside, side=3, stride=stride, groups=inside)
        self.conv = nn.Sequential(*layers, *_layer(inside, num_out)[:-1])
        self._adds = stride == 1 and num_in == num_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self._adds else self.conv(x)


class MobileNet(nn.Sequential):
    """What is seen at a half, a quarter, ... and a thirty-second of the size."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.Sequential(*_layer(3, 32, side=3, stride=2))]
        channels = [32, *itertools.chain(*([width] * count for _, width, count, _ in _STAGES))]
        steps = [
            (wider, stride if i == 0 else 1) for wider, _, count, stride in _STAGES for i in range(count)
        ]
        for num_in, num_out, (wider, stride) in zip(channels, channels[1:], steps, strict=False):
            layers.append(_InvertedResidual(num_in, num_out, wider=wider, stride=stride))
        super().__init__(*layers)

    def forward(self, input: Tensor) -> list[Tensor]:
        """(B, 3, H, W), multiples of 32 → five maps of `WIDTHS` channels, the largest first."""
        maps: list[Tensor] = []
        for i, layer in enumerate(self):
            input = layer(input)
            maps += [input] if i in _ENDS else []
        return maps
