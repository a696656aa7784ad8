"""The recurrent network of our own ladder (`video`): three frames in, one out, and a memory of all before.

The memory is the picture that was given for the frame before, moved to where things are now, and as many
hidden channels as the layers have. The moved picture, less the plain enlargement of this frame, is a residual
that detail of earlier frames suggests (as FRVSR does: Sajjadi, Vemulapalli, Brown, "Frame-Recurrent Video
Super-Resolution", 2018; the hidden channels after RLSP: Fuoli, Gu, Timofte, 2019). The neighbours are seen as
what differs once they are aligned, which tells where to trust the memory. Without alignment the same network
learnt nothing from its neighbours in 5,000 steps: 0.01 dB on panned pictures.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.conv_relu import conv_relu
from vsr.models.layers.flow import anchors, motion_between, moved
from vsr.models.spec import Context, State
from vsr.resample import enlarge, pixel_shuffle

Memory = tuple[Tensor, Tensor]
"""The picture given last, (B, C, scale*H, scale*W) float32, and the hidden channels, (B, channels, H, W)."""

NEIGHBOURS = Context(before=1, after=1, stateful=True)
"""The frame after costs one frame of latency and gives as much as several before."""


class RecurrentNet(nn.Module):
    """Head, `depth` hidden layers, tail; emits the residual to the bicubic
    enlargement of the middle frame."""

    num_frames = NEIGHBOURS.num_frames

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int = 1):
        super().__init__()
        self.scale, self.colors = scale, colors
        self.num_memory = colors * scale * scale + channels
        widths = [self.num_frames * colors + self.num_memory] + [channels] * (depth + 1)
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.tail = nn.Conv2d(channels, self.num_memory, 3, padding=1)
        for layer in self.body:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
        nn.init.normal_(self.tail.weight[: -channels or None], std=1e-3)  # begin as the plain enlargement
        nn.init.zeros_(self.tail.bias) if self.tail.bias is not None else None
        self._channels = channels

    def init_state(self, batch: int, height: int, width: int) -> Memory:
        """An empty memory; the first step of a scene says `reset` and does not look at it."""
        like = self.tail.weight
        picture = like.new_zeros(
            batch, self.colors, self.scale * height, self.scale * width, dtype=torch.float32
        )
        return picture, like.new_zeros(batch, self._channels, height, width)

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, Memory]:
        """Enhance the middle one of three frames, (B, 3, C, H, W), and remember."""
        assert state is not None
        before, now, after = frames.float().unbind(1)
        picture, hidden = state
        anchored = anchors(_luma(now))
        back = motion_between(anchored, _luma(before))
        forth = motion_between(anchored, _luma(after), start=-back)
        base = enlarge(now, self.scale)
        fresh = reset[:, None, None, None]
        suggested = (moved(picture, back) - base).masked_fill(fresh, 0)
        changes = [moved(before, back) - now, moved(after, forth) - now]
        seen = [now, *changes, F.pixel_unshuffle(suggested, self.scale), hidden.masked_fill(fresh, 0)]
        x = torch.cat([part.to(frames.dtype) for part in seen], 1).contiguous(
            memory_format=torch.channels_last
        )
        for layer in self.body:
            assert isinstance(layer, nn.Conv2d)
            x = conv_relu(layer, x)
        small, hidden = self.tail(x).split([self.num_memory - self._channels, self._channels], 1)
        residual = pixel_shuffle(small, self.scale)
        return residual[:, None], (base + residual.float(), F.relu(hidden))


def _luma(frame: Tensor) -> Tensor:
    """(B, 1, H, W); of RGB the mean, which is near enough to follow things."""
    return frame if frame.shape[1] == 1 else frame.mean(1, keepdim=True)


def recurrent_parameters(state: dict[str, Tensor]) -> dict[str, int] | None:
    """Infer `RecurrentNet`'s arguments from its tensors; None where they are not a `RecurrentNet`'s."""
    head, tail = state.get("body.0.weight"), state.get("tail.weight")
    if head is None or tail is None or head.ndim != 4 or tail.ndim != 4:
        return None
    channels, memory = head.shape[0], tail.shape[0]
    colors = (head.shape[1] - memory) // RecurrentNet.num_frames
    if (
        colors not in (1, 3)
        or head.shape[1] != RecurrentNet.num_frames * colors + memory
        or memory <= channels
    ):
        return None
    depth = sum(key.startswith("body.") and key.endswith(".weight") for key in state) - 1
    scale = math.isqrt(
        (memory - channels) // colors
    )  # where that does not come out even, the tensors will not fit
    return {"channels": channels, "depth": depth, "scale": scale, "colors": colors}
