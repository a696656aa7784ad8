"""SRResNet, which SRGAN is trained from (Ledig et al., "Photo-Realistic Single Image
Super-Resolution Using a Generative Adversarial Network", CVPR 2017), without normalisation, as the
field's toolboxes publish both (MSRResNet).
"""

import math
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.int8_conv import Steps
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame, blocks_of, is_kernel
from vsr.models.layers.upsampling import TailLayer

_SLOPE = 0.1
"""Of leaky ReLU."""


class SrResNet(SingleFrame):
    """Residual blocks, one or two pixel shuffles, two layers at full size, and the bilinear enlargement."""

    seen: tuple[Steps, ...] = ()
    """Bytes in which int8 has what each convolution but the first sees; empty until measured on pictures at hand. Not
    in files."""

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
        features = self.body(self.head(x))
        for layer in self.enlarging():
            features = layer(features)
        return self.picture(features, x)

    def head(self, x: Tensor) -> Tensor:
        """What the blocks add to."""
        return F.leaky_relu(self.conv_first(x), _SLOPE)

    def after_blocks(self) -> None:
        """Nothing follows them."""
        return

    def enlarging(self) -> list[TailLayer]:
        """The layers after them, the last two at full size."""
        steps = [cast(nn.Conv2d, self.get_submodule(f"upconv{i}")) for i in range(1, len(self._steps) + 1)]
        return [
            *(TailLayer(layer, step, _SLOPE) for layer, step in zip(steps, self._steps, strict=True)),
            TailLayer(self.conv_hr, slope=_SLOPE),
            TailLayer(self.conv_last),
        ]

    def picture(self, last: Tensor, x: Tensor) -> Tensor:
        """The result, of what the last layer makes of the picture `x`."""
        return last + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)


def srresnet_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SrResNet`'s arguments from its tensors; None where they are not a `SrResNet`'s."""
    if not is_kernel(state, "conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"):
        return None
    channels, colors = state["conv_first.weight"].shape[:2]
    scale = 4 if "upconv2.weight" in state else math.isqrt(state["upconv1.weight"].shape[0] // channels)
    return {"channels": channels, "depth": blocks_of(state, "body."), "scale": scale, "colors": colors}
