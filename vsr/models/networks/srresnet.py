"""SRResNet, which SRGAN is trained from (Ledig et al., "Photo-Realistic Single Image
Super-Resolution Using a Generative Adversarial Network", CVPR 2017), without normalisation, as the
field's toolboxes publish both (MSRResNet).
"""

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame, blocks_of, is_kernel

_SLOPE = 0.1
"""Of leaky ReLU."""


class SrResNet(SingleFrame):
    """Residual blocks, one or two pixel shuffles, two layers at full size, and the bilinear enlargement."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.scale = scale
        self.conv_first = nn.Conv2d(colors, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
        self._steps = (2, 2) if scale == 4 else (scale,)
        for i, step in enumerate(self._steps, 1):
            self.add_module(f"upconv{i}", nn.Conv2d(channels, step * step * channels, 3, padding=1))
        self.conv_hr = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_last = nn.Conv2d(channels, colors, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        base = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        x = self.body(F.leaky_relu(self.conv_first(x), _SLOPE))
        for i, step in enumerate(self._steps, 1):
            x = F.leaky_relu(F.pixel_shuffle(self.get_submodule(f"upconv{i}")(x), step), _SLOPE)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), _SLOPE)) + base


def srresnet_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SrResNet`'s arguments from its tensors; None where they are not a `SrResNet`'s."""
    if not is_kernel(state, "conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"):
        return None
    channels, colors = state["conv_first.weight"].shape[:2]
    scale = 4 if "upconv2.weight" in state else math.isqrt(state["upconv1.weight"].shape[0] // channels)
    return {"channels": channels, "depth": blocks_of(state, "body."), "scale": scale, "colors": colors}
