"""RRN (Isobe, Zhu, Jia, Wang, "Revisiting Temporal Modeling for Video Super-resolution", BMVC 2020).

The frame before and this one, what was remembered and the picture that was given last make the picture and
what is remembered; nothing is aligned.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.conv_relu import conv_relu
from vsr.models.layers.facts import facts_of
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import blocks_of, is_kernel
from vsr.models.spec import Context, State
from vsr.resample import enlarge

Past = tuple[Tensor, Tensor]
"""What is remembered, (B, channels, H, W), and the picture given last,
pixel-unshuffled, (B, 3 * scale², H, W)."""


class _Cell(nn.Module):
    def __init__(self, channels: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.conv_1 = nn.Conv2d(2 * colors + channels + colors * scale**2, channels, 3, padding=1)
        self.recon_trunk = nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
        self.conv_h = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_o = nn.Conv2d(channels, colors * scale**2, 3, padding=1)


class Rrn(nn.Module):
    """`depth` residual blocks of `channels`: 5 in the small network, 10 in the large one."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.neuro = _Cell(channels, depth, scale, colors)
        self.scale, self._colors, self._channels = scale, colors, channels

    def init_state(self, batch: int, height: int, width: int) -> Past:
        """Nothing remembered."""
        like = self.neuro.conv_h.weight
        picture = like.new_zeros(batch, self._colors * self.scale**2, height, width)
        return like.new_zeros(batch, self._channels, height, width), picture

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, Past]:
        """Enhance the second of two frames and remember."""
        assert state is not None
        now = frames[:, 1]
        past = [part.masked_fill(reset[:, None, None, None], 0) for part in state]
        x = conv_relu(self.neuro.conv_1, torch.cat([frames.flatten(1, 2), *past], 1))
        x = self.neuro.recon_trunk(x)
        hidden, small = conv_relu(self.neuro.conv_h, x), self.neuro.conv_o(x)
        base = F.interpolate(now.float(), scale_factor=self.scale, mode="bilinear", align_corners=False)
        picture = base + F.pixel_shuffle(small, self.scale).float()
        residual = picture - enlarge(now.float(), self.scale)
        past = hidden, F.pixel_unshuffle(picture.to(now.dtype), self.scale)
        return residual.to(now.dtype)[:, None], past


def rrn_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `Rrn`'s arguments from its tensors; None where they are not an `Rrn`'s."""
    if not is_kernel(state, "neuro.conv_1.weight", "neuro.conv_h.weight", "neuro.conv_o.weight"):
        return None
    return {
        "channels": state["neuro.conv_h.weight"].shape[0],
        "depth": blocks_of(state, "neuro.recon_trunk."),
        "scale": math.isqrt(state["neuro.conv_o.weight"].shape[0] // 3),
        "colors": 3,
    }


def rrn_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """What the spec says of an `Rrn`; bf16 would round the picture that it sees again to eight bits."""
    context = Context(before=1, stateful=True)
    return recurrent_facts(network, colors, context) | {"dtypes": ("fp32", "fp16")}


def recurrent_facts(network: nn.Module, colors: int, context: Context) -> dict[str, Any]:
    """Reach of one step, cost and neighbours of a network with a state."""
    num_frames = context.before + context.emit + context.after

    def call(shadow: Any, picture: Tensor) -> None:
        fresh = torch.ones(1, dtype=torch.bool, device="meta")
        frames = picture[:, None].expand(-1, num_frames, -1, -1, -1)
        shadow.step(frames, shadow.init_state(1, *picture.shape[-2:]), fresh)

    return facts_of(network, colors=colors, around=2, call=call) | {"context": context}
