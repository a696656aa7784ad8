"""EDSR (Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017).

Residual blocks without normalisation on the picture less DIV2K's mean, in codes of 0 to 255. Two layouts are
read: `conv_first`, `body.N.conv1`, ... and the authors' `head.0`, `body.N.body.0`, ..., `tail.1`.
"""

import re
from typing import Any

from torch import Tensor, nn

from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame, blocks_of, div2k_mean, is_kernel
from vsr.models.layers.upsampling import upsampler, upsampler_scale

_WIDE = 128
"""From so many channels on residuals are scaled by 0.1, as in the full network; tensors do not tell."""


class EdsrNet(SingleFrame):
    """`depth` residual blocks of `channels` at input size, then pixel shuffles."""

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
        mean = self.get_buffer("mean")
        head = self.conv_first((x - mean) * 255)
        body = self.conv_after_body(self.body(head)) + head
        return self.conv_last(self.upsample(body)) / 255 + mean


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
