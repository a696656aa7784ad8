"""Inception-ResNet-v2 (Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and
the Impact of Residual Connections on Learning", AAAI 2017) as an encoder, as far as its layers
at a thirty-second of the size.

Keys are those of the usual conversion from TensorFlow: `conv2d_1a.conv`, `conv2d_1a.bn`,
`mixed_5b.branch1.0.conv`, ...
"""

from torch import Tensor, cat, nn
from torch.nn import functional as F

from vsr.models.layers.upsampling import Normalisation

WIDTHS = (32, 64, 192, 1088, 2080)
"""Channels at a half, a quarter, ... of the size."""

LEAST = 128
"""Height and width below which the smallest map is too small to be reflected."""

_EPSILON = 1e-3
"""Of the normalisation, as in TensorFlow."""

Sides = int | tuple[int, int]


class _Layer(nn.Module):
    """Convolution without bias, normalisation, ReLU."""

    def __init__(self, num_in: int, num_out: int, sides: Sides = 1, *, stride: int = 1, padding: Sides = 0):
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, sides, stride, padding, bias=False)
        self.bn = Normalisation(num_out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _same(num_in: int, num_out: int, *sides: int) -> _Layer:
    """A layer that keeps the size."""
    height, width = sides if len(sides) == 2 else sides * 2
    return _Layer(num_in, num_out, (height, width), padding=(height // 2, width // 2))


class _Branches(nn.Module):
    """What several branches make of the same, side by side."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self._num_branches = len(branches)

    def joined(self, x: Tensor) -> Tensor:
        return cat([self.get_submodule(f"branch{i}")(x) for i in range(self._num_branches)], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x)


class _Residual(_Branches):
    """Branches, a convolution of what they make, and a share of that added; then ReLU."""

    def __init__(self, *branches: nn.Module, joined: int, channels: int, share: float):
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(joined, channels, 1)
        self._share = share

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self._share * self.conv2d(self.joined(x)) + x)


def _mixed_5b() -> nn.Module:
    return _Branches(
        _Layer(192, 96),
        nn.Sequential(_Layer(192, 48), _same(48, 64, 5)),
        nn.Sequential(_Layer(192, 64), _same(64, 96, 3), _same(96, 96, 3)),
        nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), _Layer(192, 64)),
    )


def _block_35() -> nn.Module:
    return _Residual(
        _Layer(320, 32),
        nn.Sequential(_Layer(320, 32), _same(32, 32, 3)),
        nn.Sequential(_Layer(320, 32), _same(32, 48, 3), _same(48, 64, 3)),
        joined=128,
        channels=320,
        share=0.17,
    )


def _mixed_6a() -> nn.Module:
    return _Branches(
        _Layer(320, 384, 3, stride=2),
        nn.Sequential(_Layer(320, 256), _same(256, 256, 3), _Layer(256, 384, 3, stride=2)),
        nn.MaxPool2d(3, 2),
    )


def _block_17() -> nn.Module:
    tall = nn.Sequential(_Layer(1088, 128), _same(128, 160, 1, 7), _same(160, 192, 7, 1))
    return _Residual(_Layer(1088, 192), tall, joined=384, channels=1088, share=0.1)


def _mixed_7a() -> nn.Module:
    return _Branches(
        nn.Sequential(_Layer(1088, 256), _Layer(256, 384, 3, stride=2)),
        nn.Sequential(_Layer(1088, 256), _Layer(256, 288, 3, stride=2)),
        nn.Sequential(_Layer(1088, 256), _same(256, 288, 3), _Layer(288, 320, 3, stride=2)),
        nn.MaxPool2d(3, 2),
    )


class Inception(nn.Module):
    """What is seen at a half, a quarter, ... and a thirty-second of the size."""

    def __init__(self, *, depths: tuple[int, int] = (10, 20)):
        super().__init__()
        self.conv2d_1a = _Layer(3, 32, 3, stride=2)
        self.conv2d_2a = _Layer(32, 32, 3)
        self.conv2d_2b = _same(32, 64, 3)
        self.conv2d_3b = _Layer(64, 80)
        self.conv2d_4a = _Layer(80, 192, 3)
        self.mixed_5b = _mixed_5b()
        self.repeat = nn.Sequential(*(_block_35() for _ in range(depths[0])))
        self.mixed_6a = _mixed_6a()
        self.repeat_1 = nn.Sequential(*(_block_17() for _ in range(depths[1])))
        self.mixed_7a = _mixed_7a()

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), multiples of 32 from `LEAST` on → five maps of `WIDTHS` channels, the largest first.

        The convolutions lose what is at the border; the maps are reflected up
        to the size that they stand for.
        """
        half = self.conv2d_1a(x)
        quarter = F.max_pool2d(self.conv2d_2b(self.conv2d_2a(half)), 3, 2)
        eighth = F.max_pool2d(self.conv2d_4a(self.conv2d_3b(quarter)), 3, 2)
        sixteenth = self.mixed_6a(self.repeat(self.mixed_5b(eighth)))
        last = self.mixed_7a(self.repeat_1(sixteenth))
        around = ((half, (0, 1)), (quarter, (1, 1)), (eighth, (1, 2)), (sixteenth, (1, 1)), (last, (1, 1)))
        return [F.pad(seen, (*sides, *sides), mode="reflect") for seen, sides in around]
