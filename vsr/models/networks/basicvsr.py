"""BasicVSR (Chan, Wang, Yu, Dong, Loy, "BasicVSR: The Search for Essential Components in Video
Super-Resolution and Beyond", CVPR 2021).

Features run from the last frame to the first and from the first to the last, moved by SPyNet's motion at each
step; both and a bilinear enlargement make the picture. Keys of two layouts are read: `backward_trunk`,
`upconv1` and `backward_resblocks`, `upsample1.upsample_conv`, the latter under `generator.`.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.bidirectional import Chunked
from vsr.models.layers.flow import moved
from vsr.models.layers.single_frame import is_kernel
from vsr.models.layers.spynet import SpyNet, spynet_keys
from vsr.models.layers.video_trunk import SLOPE, Enlarging, Trunk, over_bicubic, pictures_for, trunk_sizes

Past = tuple[Tensor, Tensor]
"""The frame before, (B, 3, H, W), and the features that came with it, (B, channels, H, W)."""


class BasicVsr(Enlarging, Chunked):
    """Two trunks of `depth` residual blocks."""

    def __init__(self, *, channels: int, depth: int, wide: int, colors: int = 3):
        super().__init__(channels, wide)
        self.spynet = SpyNet()
        self.backward_trunk = Trunk(channels + colors, channels, depth)
        self.forward_trunk = Trunk(channels + colors, channels, depth)
        self.fusion = nn.Conv2d(2 * channels, channels, 1)
        self._channels = self.kept = channels

    def init_state(self, batch: int, height: int, width: int) -> Past:
        """Nothing seen yet."""
        like = self.conv_last.weight
        return like.new_zeros(batch, 3, height, width), like.new_zeros(batch, self._channels, height, width)

    def run(self, frames: Tensor, num_emitted: int, state: Past, reset: Tensor) -> tuple[Tensor, Past]:
        """Enhance the first `num_emitted` frames."""
        return self.enhance(frames, frames[:, :num_emitted], state, reset)

    def enhance(self, seen: Tensor, frames: Tensor, state: Past, reset: Tensor) -> tuple[Tensor, Past]:
        """Enhance frames, (B, num, 3, H, W), of which the network sees a cleaner
        version, with those after them."""
        future = self._backward(seen, frames.shape[1])
        last, feature = state
        out = pictures_for(frames)
        for index, now in enumerate(seen[:, : frames.shape[1]].unbind(1)):
            feature = moved(feature, self.spynet(now, last), outside="zeros").to(now.dtype)
            if index == 0:
                feature = feature.masked_fill(reset[:, None, None, None], 0)
            feature = self.forward_trunk(now, feature)
            fused = F.leaky_relu(self.fusion(torch.cat([future.pop(), feature], 1)), SLOPE)
            out[:, index] = over_bicubic(self.enlarged(fused), now, frames[:, index])
            last = now
        return out, (last, feature)

    def _backward(self, frames: Tensor, num_emitted: int) -> list[Tensor]:
        """Features of the first `num_emitted` frames that know of all after
        them; those of the first come last."""
        kept: list[Tensor] = []
        later: Tensor | None = None
        feature = frames.new_zeros(len(frames), self._channels, *frames.shape[-2:])
        for index in reversed(range(frames.shape[1])):
            now = frames[:, index]
            if later is not None:
                feature = moved(feature, self.spynet(now, later), outside="zeros").to(now.dtype)
            feature = self.backward_trunk(now, feature)
            kept += [feature] if index < num_emitted else []
            later = now
        return kept


_NAMES = (
    (r"(^|\.)backward_resblocks\.", r"\1backward_trunk."),
    (r"(^|\.)forward_resblocks\.", r"\1forward_trunk."),
    (r"(^|\.)upsample([12])\.upsample_conv\.", r"\1upconv\2."),
)


def generator_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of either layout under the first one's names.

    Of what was trained together the generator is taken, the averaged one first, and the critic left.
    """
    for prefix in ("generator_ema.", "generator."):
        if any(key.startswith(prefix) for key in state):
            state = {
                key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
            }
            break
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, name in _NAMES:
            key = re.sub(pattern, name, key)
        named[spynet_keys(key)] = value
    return named


def basicvsr_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `BasicVsr`'s arguments from its tensors; None where they are not a `BasicVsr`'s."""
    state = generator_keys(state)
    if not is_kernel(state, "backward_trunk.main.0.weight", "fusion.weight", "conv_hr.weight"):
        return None
    return trunk_sizes(state, "backward_trunk.") | {"wide": state["conv_hr.weight"].shape[0], "colors": 3}
