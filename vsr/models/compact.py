"""Real-ESRGAN's compact network (SRVGGNetCompact; Wang et al., 2021): 3x3 convolutions and PReLU, pixel shuffle last.

The keys are the published ones: `body.0.weight` ... `body.N.weight`, convolutions and PReLU slopes in turn.
"""

from torch import Tensor, nn

from vsr.models.spec import State
from vsr.resample import pixel_shuffle


class CompactNet(nn.Module):
    """`depth` hidden layers of `channels`; emits the residual to the nearest-neighbour enlargement."""

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

    def init_state(self, batch: int, height: int, width: int) -> None:
        """A single-frame network has no state."""
        return None

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, None]:
        """Enhance each frame on its own."""
        return self(frames[:, 0])[:, None], None


def compact_parameters(state: dict[str, Tensor]) -> dict[str, int] | None:
    """Infer `CompactNet`'s arguments from its tensors; None where they are not a `CompactNet`'s."""
    head, slope = state.get("body.0.weight"), state.get("body.1.weight")
    if head is None or slope is None or head.ndim != 4 or slope.ndim != 1:
        return None
    convolutions = sorted(int(key.split(".")[1]) for key, value in state.items() if value.ndim == 4)
    tail = state[f"body.{convolutions[-1]}.weight"]
    colors = head.shape[1]
    return {
        "channels": head.shape[0],
        "depth": len(convolutions) - 2,
        "scale": round((tail.shape[0] / colors) ** 0.5),
        "colors": colors,
    }
