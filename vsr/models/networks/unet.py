"""The deblurring network of our own ladder (`deblur`): a U-Net of residual
blocks on the pixel-unshuffled picture.

Blur reaches further than any stack of 3x3 convolutions at full size; three halvings reach 130 pixels for the
price of a few layers. What blur there is, is told by a neighbourhood and not by a place, and each blur wants other
filters: the mean over a neighbourhood scales the channels of the blocks that follow (simplified channel attention of
NAFNet, Chen et al., 2022, over a window, so that tiles stay exact). Scale 1; emits the residual.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.conv_relu import conv_relu
from vsr.models.spec import Context, State

BLOCKS = (2, 2, 5)
"""Residual blocks at each size; on the way back the same, without the last."""

LOOKED_AT = 2
"""Blocks of the smallest size before the neighbourhood is looked at; those after it are told."""

WINDOW = 9
"""Edge of the neighbourhood, in pixels of the smallest size: 72 of the picture's."""


class Block(nn.Module):
    """x + conv(gain * relu(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.normal_(
            self.second.weight, std=1e-3
        )  # begin as nothing: deep stacks then learn from the first step

    def forward(self, x: Tensor, gain: Tensor | None = None) -> Tensor:
        """Same shape; `gain` may be an eighth or a quarter as large."""
        inside = conv_relu(self.first, x)
        if gain is not None:
            inside = inside * F.interpolate(gain, size=inside.shape[2:], mode="nearest")
        return x + self.second(inside)


def _blocks(channels: int, num: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(num)))


class UNet(nn.Module):
    """Head at half size, two halvings with `channels`, 2*`channels`, 4*`channels`, and back."""

    size_multiple = 8
    """One unshuffling and two halvings."""
    num_frames = 3
    """The frame before, the frame itself, the frame after."""

    def __init__(self, *, channels: int, colors: int = 3, told: bool = True):
        """Begin as the picture itself.

        Args:
            channels: at half size; twice and four times as many below.
            colors: 1 or 3.
            told: blocks are told what a neighbourhood looks like; older files are without.
        """
        super().__init__()
        self.scale = 1
        c1, c2, c3 = channels, 2 * channels, 4 * channels
        self.head = nn.Conv2d(4 * colors * self.num_frames, c1, 3, padding=1)
        self.down1, self.down2, self.bottom = (
            _blocks(c, num) for c, num in zip((c1, c2, c3), BLOCKS, strict=True)
        )
        self.shrink1, self.shrink2 = nn.Conv2d(c1, c2, 2, stride=2), nn.Conv2d(c2, c3, 2, stride=2)
        self.grow2, self.grow1 = (
            nn.ConvTranspose2d(c3, c2, 2, stride=2),
            nn.ConvTranspose2d(c2, c1, 2, stride=2),
        )
        self.up2, self.up1 = _blocks(c2, BLOCKS[1]), _blocks(c1, BLOCKS[0])
        self.tail = nn.Conv2d(c1, 4 * colors, 3, padding=1)
        widths = [c3] * (BLOCKS[2] - LOOKED_AT) + [c2] * BLOCKS[1] + [c1] * BLOCKS[0] if told else []
        self.gains = nn.ModuleList(nn.Conv2d(c3, width, 1) for width in widths)
        for parameter in self.gains.parameters():
            nn.init.zeros_(parameter)  # begin as if nothing were told
        nn.init.normal_(self.tail.weight, std=1e-3)  # begin as the picture itself
        nn.init.zeros_(self.tail.bias) if self.tail.bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3 * C, H, W), sides multiples of 8 → (B, C, H, W), the residual."""
        half = self.down1(self.head(F.pixel_unshuffle(x, 2)))
        quarter = self.down2(self.shrink1(half))
        eighth = self.bottom[:LOOKED_AT](self.shrink2(quarter))
        gains = self._gains(eighth)
        eighth = _told(list(self.bottom)[LOOKED_AT:], eighth, gains)
        quarter = _told(self.up2, self.grow2(eighth) + quarter, gains)
        half = _told(self.up1, self.grow1(quarter) + half, gains)
        return F.pixel_shuffle(self.tail(half), 2)

    def _gains(self, eighth: Tensor) -> Iterator[Tensor | None]:
        """For each block that follows, (B, width, H/8, W/8)."""
        if not self.gains:
            return repeat(None)
        around = F.avg_pool2d(eighth, WINDOW, 1, WINDOW // 2, count_include_pad=False)
        return (1 + gain(around) for gain in self.gains)

    def init_state(self, batch: int, height: int, width: int) -> None:
        """No state."""
        return

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, None]:
        """Sharpen the middle one of three frames, or a frame without neighbours: it then stands for them."""
        if frames.shape[1] == 1:
            frames = frames.expand(-1, self.num_frames, -1, -1, -1)
        return self(frames.flatten(1, 2))[:, None], None


def _told(blocks: Iterable[nn.Module], x: Tensor, gains: Iterator[Tensor | None]) -> Tensor:
    for block in blocks:
        x = block(x, next(gains))
    return x


def unet_parameters(state: dict[str, Tensor]) -> dict[str, int] | None:
    """Infer `UNet`'s arguments from its tensors; None where they are not a `UNet`'s."""
    head, tail = state.get("head.weight"), state.get("tail.weight")
    if head is None or tail is None or "shrink1.weight" not in state or head.ndim != 4:
        return None
    return {"channels": head.shape[0], "colors": tail.shape[0] // 4, "told": "gains.0.weight" in state}


def unet_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """What the spec says of a `UNet`: context, reach, cost."""
    cost, reach = 0.0, 8 * (WINDOW // 2) if "gains.0.weight" in network.state_dict() else 0
    steps = {"head": 2, "tail": 2, "down1": 2, "up1": 2, "down2": 4, "up2": 4, "bottom": 8}
    steps |= {"shrink1": 4, "shrink2": 8, "grow1": 4, "grow2": 8, "gains": 8}
    for name, weight in network.named_parameters():
        if weight.ndim == 4:
            step = steps[name.split(".")[0]]
            cost += 2 * weight.numel() / step**2 / 1000
            reach += step * (weight.shape[-1] // 2)
    context = Context(before=UNet.num_frames // 2, after=UNet.num_frames // 2)
    return {
        "context": context,
        "windows": (1, UNet.num_frames),
        "size_multiple": UNet.size_multiple,
        "halo": reach,
        "kflop_per_pixel": cost,
    }
