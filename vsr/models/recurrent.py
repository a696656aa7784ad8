"""The recurrent network of our own ladder (`video`): three frames in, one out, and a memory of all before.

The memory is what the tail gave for the frame before: its residual, still unshuffled, and as many hidden channels as
the layers have (as RLSP does: Fuoli, Gu, Timofte, "Efficient Video Super-Resolution through Recurrent Latent Space
Propagation", 2019). There is no alignment: the layers' reach of ten pixels covers
what moves in ordinary video.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.spec import Context, State
from vsr.resample import pixel_shuffle

NEIGHBOURS = Context(before=1, after=1, stateful=True)
"""The frame after costs one frame of latency and gives as much as several before."""


class RecurrentNet(nn.Module):
    """Head, `depth` hidden layers, tail; emits the residual to the bicubic enlargement of the middle frame."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int = 1):
        super().__init__()
        self.scale = scale
        self.num_memory = colors * scale * scale + channels
        widths = [NUM_FRAMES * colors + self.num_memory] + [channels] * (depth + 1)
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.tail = nn.Conv2d(channels, self.num_memory, 3, padding=1)
        for layer in self.body:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
        nn.init.normal_(self.tail.weight[: -channels or None], std=1e-3)  # begin as the plain enlargement
        nn.init.zeros_(self.tail.bias) if self.tail.bias is not None else None
        self._channels = channels

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        """An empty memory, (B, colors*scale² + channels, H, W)."""
        like = self.tail.weight
        return like.new_zeros(batch, self.num_memory, height, width)

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance the middle one of three frames, (B, 3, C, H, W), and remember."""
        assert isinstance(state, Tensor)
        kept = torch.where(reset[:, None, None, None], torch.zeros_like(state), state)
        x = torch.cat([frames.flatten(1, 2), kept.to(frames.dtype)], 1).contiguous(memory_format=torch.channels_last)
        for layer in self.body:
            x = F.relu_(layer(x))
        residual, hidden = self.tail(x).split([self.num_memory - self._channels, self._channels], 1)
        memory = torch.cat([residual, F.relu(hidden)], 1)
        return pixel_shuffle(residual, self.scale)[:, None], memory


NUM_FRAMES = NEIGHBOURS.before + NEIGHBOURS.emit + NEIGHBOURS.after


def recurrent_parameters(state: dict[str, Tensor]) -> dict[str, int] | None:
    """Infer `RecurrentNet`'s arguments from its tensors; None where they are not a `RecurrentNet`'s."""
    head, tail = state.get("body.0.weight"), state.get("tail.weight")
    if head is None or tail is None or head.ndim != 4 or tail.ndim != 4:
        return None
    channels, memory = head.shape[0], tail.shape[0]
    colors = (head.shape[1] - memory) // NUM_FRAMES
    if colors not in (1, 3) or head.shape[1] != NUM_FRAMES * colors + memory or memory <= channels:
        return None
    depth = sum(key.startswith("body.") and key.endswith(".weight") for key in state) - 1
    scale = math.isqrt((memory - channels) // colors)  # where that does not come out even, the tensors will not fit
    return {"channels": channels, "depth": depth, "scale": scale, "colors": colors}
