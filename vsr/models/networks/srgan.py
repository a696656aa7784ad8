"""SRGAN's generator and the SRResNet it is trained from, with batch normalisation as in the paper (Ledig et
al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR 2017).

Two layouts are read: `block1` ... `block8` with a tanh at the end, and `conv_block1`, `trunk`, `conv_block2`,
`upsampling`, `conv_block3` (or `conv1`, `conv2`, `conv3`) without. Statistics are those of training.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor, nn

from vsr.models.layers.single_frame import SingleFrame, blocks_of, is_kernel
from vsr.resample import pixel_shuffle

_TRUNK = (
    (r"^conv(_block)?1\.", "head."),
    (r"^trunk\.(\d+)\.rcb\.", r"body.\1."),
    (r"^conv(_block)?2\.", "after."),
    (r"^upsampling\.(\d+)\.upsample_block\.0\.", r"up.\1.0."),
    (r"^upsampling\.(\d+)\.upsample_block\.2\.", r"up.\1.1."),
    (r"^conv(_block)?3\.", "last."),
)
_PARTS = {"conv1": "0", "bn1": "1", "prelu": "2", "conv2": "3", "bn2": "4"}
"""Of a residual block."""


class _Residual(nn.Sequential):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + input


def _normalised(channels: int, *, bias: bool) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1, bias=bias), nn.BatchNorm2d(channels)]


class SrganNet(SingleFrame):
    """`depth` residual blocks of `channels` at input size, pixel shuffles by 2;
    first and last kernels of `side`."""

    def __init__(
        self, *, channels: int, depth: int, scale: int, colors: int, side: int, bias: bool, tanh: bool
    ):
        super().__init__()
        self.scale, self._tanh = scale, tanh
        self.head = nn.Sequential(nn.Conv2d(colors, channels, side, padding=side // 2), nn.PReLU())
        self.body = nn.Sequential(
            *(
                _Residual(*_normalised(channels, bias=bias), nn.PReLU(), *_normalised(channels, bias=bias))
                for _ in range(depth)
            )
        )
        self.after = nn.Sequential(*_normalised(channels, bias=bias))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PReLU())
            for _ in range(int(math.log2(scale)))
        )
        self.last = nn.Conv2d(channels, colors, side, padding=side // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        head = self.head(x)
        x = self.after(self.body(head)) + head
        for step in self.up:  # a single slope, so that it may come before the shuffle
            x = pixel_shuffle(step(x), 2)
        x = self.last(x)
        return (torch.tanh(x) + 1) / 2 if self._tanh else x


def srgan_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `SrganNet`'s names."""
    last = max(blocks_of(state, "block8.") - 1, 0)
    after = 7 if "block7.0.weight" in state else 0
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, name in _TRUNK:
            key = re.sub(pattern, name, key)
        if (found := re.match(r"block(\d+)\.(\w+)\.(.+)", key)) is not None:
            block, part, rest = int(found[1]), found[2], found[3]
            if block == 1:
                key = f"head.{part}.{rest}"
            elif block == after:
                key = f"after.{part}.{rest}"
            elif block < after:
                key = f"body.{block - 2}.{_PARTS.get(part, part)}.{rest}"
            elif part == str(last):
                key = f"last.{rest}"
            else:
                key = f"up.{part}.{rest.replace('conv', '0').replace('prelu', '1')}"
        named[key] = value
    return named


def srgan_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SrganNet`'s arguments from its tensors; None where they are not a `SrganNet`'s."""
    named = srgan_keys(state)
    if not is_kernel(named, "head.0.weight", "body.0.0.weight", "after.0.weight", "last.weight"):
        return None
    channels, colors, side = named["head.0.weight"].shape[:3]
    return {
        "channels": channels,
        "depth": blocks_of(named, "body."),
        "scale": 2 ** blocks_of(named, "up."),
        "colors": colors,
        "side": side,
        "bias": "body.0.0.bias" in named,
        "tanh": "block1.0.weight" in state,
    }
