"""Real-ESRGAN's compact network (SRVGGNetCompact; Wang et al., 2021): 3x3
convolutions and PReLU, pixel shuffle last.

The keys are the published ones: `body.0.weight` ... `body.N.weight`, convolutions and PReLU slopes in turn.
"""

import math
import re

from torch import Tensor, nn

from vsr.models.layers.int8_table import Ranges
from vsr.models.layers.single_frame import SingleFrame
from vsr.resample import pixel_shuffle


class CompactNet(SingleFrame):
    """`depth` hidden layers of `channels`; emits the residual to the nearest-neighbour enlargement."""

    ranges: tuple[Ranges, ...] = ()
    """What int8 tells apart before and after each PReLU; empty until measured on pictures at hand. Not in files."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int = 3):
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(colors, channels, 3, padding=1), nn.PReLU(channels)]
        for _ in range(depth):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU(channels)]
        layers.append(nn.Conv2d(channels, colors * scale * scale, 3, padding=1))
        self.body = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W), the residual."""
        for layer in self.body:
            x = layer(x)
        return pixel_shuffle(x, self.scale)


def compact_parameters(state: dict[str, Tensor]) -> dict[str, int] | None:
    """Infer `CompactNet`'s arguments from its tensors; None where they are not a `CompactNet`'s."""
    if not all(re.fullmatch(r"body\.\d+\.(weight|bias)", key) for key in state):
        return None
    head, slope = state.get("body.0.weight"), state.get("body.1.weight")
    convolutions = [int(key.split(".")[1]) for key, value in state.items() if value.ndim == 4]
    if head is None or slope is None or head.ndim != 4 or slope.ndim != 1 or len(convolutions) < 2:
        return None
    tail = state[f"body.{max(convolutions)}.weight"]
    colors = head.shape[1]
    if colors not in (1, 3) or tail.shape[0] < colors:
        return None
    scale = math.isqrt(tail.shape[0] // colors)  # where that does not come out even, the tensors will not fit
    return {"channels": head.shape[0], "depth": len(convolutions) - 2, "scale": scale, "colors": colors}
