"""SRCNN and VDSR: convolutions over the picture already enlarged, so that the weights do not tell the scale.

SRCNN: Dong, Loy, He, Tang, "Image Super-Resolution Using Deep Convolutional Networks", 2014; keys `conv1` ...
`conv3`. VDSR: Kim, Lee, Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional Networks", CVPR
2016; keys `input`, `residual_layer.N.conv`, `output`, without biases. Both were trained on MATLAB's
enlargement, which is the cubic with a = -0.5, and on its Y'; what is emitted is the residual to our
enlargement, which the engine adds in fp32.
"""

from typing import Any

from torch import Tensor, nn

from vsr.models.layers.conv_relu import conv_relu
from vsr.models.layers.facts import facts_of
from vsr.models.layers.single_frame import STUDIO_BLACK, STUDIO_SPAN, SingleFrame, blocks_of, is_kernel
from vsr.resample import enlarge

_AROUND = 2
"""Input pixels that the cubic kernel reads on either side."""


class _Enlarged(SingleFrame):
    def __init__(self, scale: int):
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W), the residual to the bicubic enlargement."""
        large = enlarge(x.float(), self.scale, kernel="catmull-rom")
        rest = large - enlarge(x.float(), self.scale)  # so small that its own rounding does not count
        seen = large * STUDIO_SPAN + STUDIO_BLACK if large.shape[1] == 1 else large
        change = self.change(seen.to(x.dtype)).float()
        return rest + (change / STUDIO_SPAN if large.shape[1] == 1 else change)

    def change(self, x: Tensor) -> Tensor:
        """What is added to the enlarged picture."""
        raise NotImplementedError


class SrcnnNet(_Enlarged):
    """Three convolutions, of 9, 1 to 5, and 5 pixels."""

    def __init__(self, *, sides: tuple[int, int, int], widths: tuple[int, int], scale: int, colors: int):
        super().__init__(scale)
        channels = [colors, *widths, colors]
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(channels[i], channels[i + 1], side, padding=side // 2) for i, side in enumerate(sides)
        )

    def change(self, x: Tensor) -> Tensor:
        return self.conv3(conv_relu(self.conv2, conv_relu(self.conv1, x))) - x


class _Inner(nn.Module):
    """A hidden layer under the name that VDSR's has."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)


class VdsrNet(_Enlarged):
    """Twenty layers of 3x3, ReLU between them."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int):
        super().__init__(scale)
        self.input = nn.Conv2d(colors, channels, 3, padding=1, bias=False)
        self.residual_layer = nn.ModuleList(_Inner(channels) for _ in range(depth))
        self.output = nn.Conv2d(channels, colors, 3, padding=1, bias=False)

    def change(self, x: Tensor) -> Tensor:
        x = conv_relu(self.input, x)
        for layer in self.residual_layer:
            assert isinstance(layer, _Inner)
            x = conv_relu(layer.conv, x)
        return self.output(x)


def srcnn_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SrcnnNet`'s arguments but the scale from its tensors; None where they are not a `SrcnnNet`'s."""
    keys = ("conv1.weight", "conv2.weight", "conv3.weight")
    if not is_kernel(state, *keys) or blocks_of(state, "") != 3:
        return None
    first, second, third = (state[key] for key in keys)
    if third.shape[0] != first.shape[1]:
        return None
    sides = (first.shape[-1], second.shape[-1], third.shape[-1])
    return {"sides": sides, "widths": (first.shape[0], second.shape[0]), "colors": first.shape[1]}


def vdsr_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `VdsrNet`'s arguments but the scale from its tensors; None where they are not a `VdsrNet`'s."""
    if not is_kernel(state, "input.weight", "output.weight", "residual_layer.0.conv.weight"):
        return None
    channels, colors = state["input.weight"].shape[:2]
    return {"channels": channels, "depth": blocks_of(state, "residual_layer."), "colors": colors}


def enlarged_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Reach and cost; the enlargement reads a little farther than the convolutions."""
    return facts_of(network, colors=colors, around=_AROUND)
