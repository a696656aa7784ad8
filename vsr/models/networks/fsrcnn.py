"""FSRCNN (Dong, Loy, Tang, "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016).

Keys as in the usual PyTorch layout: `first_part`, `mid_part`, `last_part`; the last is a transposed
convolution of 9 pixels whatever the scale, so that the tensors do not tell it.
"""

from typing import Any

from torch import Tensor, nn

from vsr.models.layers.single_frame import STUDIO_BLACK, STUDIO_SPAN, SingleFrame, blocks_of, is_kernel

_SIDE = 9
"""Of the last layer's kernel."""


class FsrcnnNet(SingleFrame):
    """Extract `wide` features, shrink them to `narrow`, map `depth` times, expand, and enlarge."""

    def __init__(self, *, wide: int, narrow: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.scale = scale
        self.first_part = nn.Sequential(nn.Conv2d(colors, wide, 5, padding=2), nn.PReLU(wide))
        layers: list[nn.Module] = [nn.Conv2d(wide, narrow, 1), nn.PReLU(narrow)]
        for _ in range(depth):
            layers += [nn.Conv2d(narrow, narrow, 3, padding=1), nn.PReLU(narrow)]
        self.mid_part = nn.Sequential(*layers, nn.Conv2d(narrow, wide, 1), nn.PReLU(wide))
        self.last_part = nn.ConvTranspose2d(
            wide, colors, _SIDE, stride=scale, padding=_SIDE // 2, output_padding=scale - 1
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        studio = x.shape[1] == 1
        x = self.last_part(self.mid_part(self.first_part(x * STUDIO_SPAN + STUDIO_BLACK if studio else x)))
        return (x - STUDIO_BLACK) / STUDIO_SPAN if studio else x


def fsrcnn_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `FsrcnnNet`'s arguments but the scale from its tensors; None where they are not a
    `FsrcnnNet`'s."""
    if not is_kernel(state, "first_part.0.weight", "mid_part.0.weight", "last_part.weight"):
        return None
    wide, colors = state["first_part.0.weight"].shape[:2]
    depth = blocks_of(state, "mid_part.") // 2 - 2
    return {"wide": wide, "narrow": state["mid_part.0.weight"].shape[0], "depth": depth, "colors": colors}
