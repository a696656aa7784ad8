"""RLSP (Fuoli, Gu, Timofte, "Efficient Video Super-Resolution through Recurrent
Latent Space Propagation", ICCVW 2019).

Three frames in codes of 0 to 255, what was remembered and the luma given last, pixel-unshuffled, make the
luma of the middle frame; colour is enlarged by the engine. Keys `layer0` ... `layer7`: the last two give the
memory and the luma. Luma is MATLAB's Y' of 16 to 235: taken for one of full range, the published weights lose
0.2 dB.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.conv_relu import conv_relu
from vsr.models.layers.single_frame import STUDIO_BLACK, STUDIO_SPAN, blocks_of, is_kernel
from vsr.models.networks.rrn import recurrent_facts
from vsr.models.spec import Context, State
from vsr.resample import enlarge, pixel_shuffle

_SHARES = (0.299, 0.587, 0.114)
"""Of R, G and B in luma (BT.601)."""

NEIGHBOURS = Context(before=1, after=1, stateful=True)

Past = tuple[Tensor, Tensor]
"""What is remembered, (B, channels, H, W), and the luma given last, pixel-unshuffled, (B, scale², H, W)."""


class Rlsp(nn.Module):
    """`depth` layers, then one for the memory and one for the picture."""

    def __init__(self, *, channels: int, depth: int, scale: int, colors: int):
        super().__init__()
        self.scale, self._channels = scale, channels
        self._names = [f"layer{i}" for i in range(depth + 2)]
        seen = 3 * colors + channels + scale**2
        for i, name in enumerate(self._names):
            given = scale**2 if i == depth + 1 else channels
            self.add_module(name, nn.Conv2d(channels if i else seen, given, 3, padding=1))
        self.register_buffer("luma", STUDIO_SPAN * torch.tensor(_SHARES).view(1, 3, 1, 1), persistent=False)

    def init_state(self, batch: int, height: int, width: int) -> Past:
        """Nothing remembered."""
        like = self._layer(0).weight
        picture = like.new_zeros(batch, self.scale**2, height, width)
        return like.new_zeros(batch, self._channels, height, width), picture

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, Past]:
        """Enhance the middle one of three frames and remember. The residual is
        luma's, the same for R, G and B."""
        assert state is not None
        past = [part.masked_fill(reset[:, None, None, None], 0) for part in state]
        x = torch.cat([frames.flatten(1, 2), *past], 1).contiguous(memory_format=torch.channels_last)
        for i in range(len(self._names) - 2):
            x = conv_relu(self._layer(i), x)
        hidden, small = conv_relu(self._layer(-2), x), self._layer(-1)(x)
        now = (frames[:, 1].float() * self.get_buffer("luma").float()).sum(
            1, keepdim=True
        ) + 255 * STUDIO_BLACK
        picture = pixel_shuffle(now + small.float(), self.scale)
        residual = ((picture - enlarge(now, self.scale)) / STUDIO_SPAN).to(frames.dtype)
        past = hidden, F.pixel_unshuffle(picture, self.scale).to(frames.dtype)
        return residual.expand(-1, 3, -1, -1)[:, None], past

    def _layer(self, index: int) -> nn.Conv2d:
        layer = self.get_submodule(self._names[index])
        assert isinstance(layer, nn.Conv2d)
        return layer


def rlsp_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `Rlsp`'s arguments from its tensors; None where they are not an `Rlsp`'s."""
    num = blocks_of(state, "layer")
    if num < 3 or not is_kernel(state, "layer0.weight", f"layer{num - 1}.weight"):
        return None
    channels, seen = state["layer0.weight"].shape[:2]
    scale = math.isqrt(state[f"layer{num - 1}.weight"].shape[0])
    if seen != 3 * 3 + channels + scale**2:
        return None
    return {"channels": channels, "depth": num - 2, "scale": scale, "colors": 3}


def rlsp_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """What the spec says of an `Rlsp`."""
    return recurrent_facts(network, colors, NEIGHBOURS) | {
        "value_range": 255,
        "dtypes": ("fp32", "bf16", "fp16"),
    }
