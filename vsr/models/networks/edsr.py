"""EDSR (Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017).

Residual blocks without normalisation on the picture less DIV2K's mean, in codes of 0 to 255. Two layouts are
read: `conv_first`, `body.N.conv1`, ... and the authors' `head.0`, `body.N.body.0`, ..., `tail.1`.
"""

import re
from typing import Any, cast

from torch import Tensor, nn

from vsr.models.layers.int8_conv import Steps
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame, blocks_of, div2k_mean, is_kernel
from vsr.models.layers.upsampling import TailLayer, upsampler, upsampler_scale

_WIDE = 128
"""From so many channels on residuals are scaled by 0.1, as in the full network; tensors do not tell."""


class EdsrNet(SingleFrame):
    """`depth` residual blocks of `channels` at input size, then pixel shuffles."""

    mean: Tensor
    seen: tuple[Steps, ...] = ()
    """Bytes in which int8 has what each convolution but the first sees; empty until measured on pictures at hand. Not
    in files."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.scale = scale
        self.conv_first = nn.Conv2d(colors, channels, 3, padding=1)
        share = 0.1 if channels >= _WIDE else 1.0
        self.body = nn.Sequential(*(ResidualBlock(channels, share) for _ in range(depth)))
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsample = upsampler(channels, scale)
        self.conv_last = nn.Conv2d(channels, colors, 3, padding=1)
        self.register_buffer("mean", div2k_mean(colors), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), 0 to 1 → (B, C, scale*H, scale*W)."""
        head = self.head(x)
        features = self.conv_after_body(self.body(head)) + head
        for layer in self.enlarging():
            features = layer(features)
        return self.picture(features, x)

    def head(self, x: Tensor) -> Tensor:
        """What the blocks add to."""
        return self.conv_first((x - self.mean) * 255)

    def after_blocks(self) -> nn.Conv2d:
        """What follows them and adds to `head`."""
        return self.conv_after_body

    def enlarging(self) -> list[TailLayer]:
        """The layers after that, the last at full size."""
        layers = list(self.upsample)
        steps = zip(
            cast(list[nn.Conv2d], layers[::2]), cast(list[nn.PixelShuffle], layers[1::2]), strict=True
        )
        return [*(TailLayer(layer, step.upscale_factor) for layer, step in steps), TailLayer(self.conv_last)]

    def picture(self, last: Tensor, x: Tensor) -> Tensor:
        """The result, of what the last layer makes of the picture `x`."""
        return last / 255 + self.mean


def edsr_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `EdsrNet`'s names; the authors' means are the same in every file."""
    if "head.0.weight" not in state:
        return state
    depth = blocks_of(state, "body.") - 1
    rules = (
        (r"^head\.0\.", "conv_first."),
        (rf"^body\.{depth}\.", "conv_after_body."),
        (r"^(body\.\d+)\.body\.0\.", r"\1.conv1."),
        (r"^(body\.\d+)\.body\.2\.", r"\1.conv2."),
        (r"^tail\.0\.", "upsample."),
        (r"^tail\.1\.", "conv_last."),
    )
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, name in rules:
            key = re.sub(pattern, name, key)
        if not key.startswith(("sub_mean.", "add_mean.")):
            named[key] = value
    return named


def edsr_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `EdsrNet`'s arguments from its tensors; None where they are not an `EdsrNet`'s."""
    state = edsr_keys(state)
    if not is_kernel(
        state, "conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "conv_last.weight"
    ):
        return None
    channels, colors = state["conv_first.weight"].shape[:2]
    depth, scale = blocks_of(state, "body."), upsampler_scale(state, "upsample.")
    return {"channels": channels, "depth": depth, "scale": scale, "colors": colors}
