"""BasicVSR++ (Chan, Zhou, Xu, Loy, "BasicVSR++: Improving Video Super-Resolution with
Enhanced Propagation and Alignment", CVPR 2022).

Features run back, forth, back and forth again; at each step those of the two frames before are
aligned by deformable convolutions whose offsets start from SPyNet's motion. Keys of the two
layouts that BasicVSR has are read.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vsr.models.layers.bidirectional import Chunked
from vsr.models.layers.deformable import SIDE, DeformConv, parted
from vsr.models.layers.flow import moved
from vsr.models.layers.single_frame import is_kernel
from vsr.models.layers.spynet import SpyNet
from vsr.models.layers.video_trunk import SLOPE, Enlarging, Trunk, over_bicubic, pictures_for, trunk_sizes
from vsr.models.networks.basicvsr import generator_keys

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
"""In the order in which they run; each sees what those before it have found."""

_FARTHEST = 10.0
"""Pixels by which an offset may differ from the motion."""

Past = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""The frame before, (B, 3, H, W); its motion, (B, 2, H, W) float32; the features of the two frames before,
the older ones first, of both forward branches, (B, 2, channels, H, W) each; how many frames there have been,
(B,), at most 2."""


class SecondOrderAlignment(DeformConv):
    """Aligns the features of two frames before, which are read around where the motion says."""

    def __init__(self, channels: int, sets: int):
        super().__init__(2 * channels, channels)
        layers: list[nn.Module] = []
        for seen in (3 * channels + 4, channels, channels):
            layers += [nn.Conv2d(seen, channels, 3, padding=1), nn.LeakyReLU(SLOPE)]
        self.conv_offset = nn.Sequential(*layers, nn.Conv2d(channels, 3 * SIDE * SIDE * sets, 3, padding=1))

    def aligned(self, now: Tensor, features: tuple[Tensor, Tensor], flows: tuple[Tensor, Tensor]) -> Tensor:
        """Features of this frame and of the two before it, (B, channels, H,
        W), and where these frames lie."""
        near, far = (
            moved(*pair, outside="zeros").to(now.dtype) for pair in zip(features, flows, strict=True)
        )
        told = self.conv_offset(torch.cat([near, now, far, *(flow.to(now.dtype) for flow in flows)], 1))
        offset, mask = parted(told)
        half = offset.shape[1] // 4  # pairs of y and x of each of the two frames
        motion = torch.cat([flow.flip(1).repeat(1, half, 1, 1) for flow in flows], 1)
        return self(torch.cat(features, 1), _FARTHEST * torch.tanh(offset) + motion, mask)


class BasicVsrPp(Enlarging, Chunked):
    """Four branches of `depth` residual blocks between `outer` ones before and after."""

    def __init__(self, *, channels: int, depth: int, outer: int, sets: int, wide: int, colors: int = 3):
        super().__init__(channels, wide)
        self.spynet = SpyNet()
        self.feat_extract = Trunk(colors, channels, outer)
        self.deform_align = nn.ModuleDict({name: SecondOrderAlignment(channels, sets) for name in BRANCHES})
        self.backbone = nn.ModuleDict(
            {name: Trunk((2 + place) * channels, channels, depth) for place, name in enumerate(BRANCHES)}
        )
        self.reconstruction = Trunk((1 + len(BRANCHES)) * channels, channels, outer)
        self._channels = channels
        self.kept = (1 + len(BRANCHES)) * channels

    def init_state(self, batch: int, height: int, width: int) -> Past:
        """Nothing seen yet."""
        like = self.conv_last.weight
        features = like.new_zeros(batch, 2, self._channels, height, width)
        flow = like.new_zeros(batch, 2, height, width, dtype=torch.float32)
        num = torch.zeros(batch, dtype=torch.long, device=like.device)
        return like.new_zeros(batch, 3, height, width), flow, features, features.clone(), num

    def run(self, frames: Tensor, num_emitted: int, state: Past, reset: Tensor) -> tuple[Tensor, Past]:
        """Enhance the first `num_emitted` frames."""
        before, flow_before, first, second, num_before = state
        num_before = num_before.masked_fill(reset, 0)
        pictures = frames.unbind(1)
        last = num_emitted - 1
        found = [[self.feat_extract(frame)] for frame in pictures]
        forth = [self.spynet(now, then) for now, then in zip(pictures, (before, *pictures), strict=False)]
        back = [self.spynet(now, later) for now, later in pairwise(pictures)]
        self._go_back("backward_1", found, back)
        first = self._go_forth("forward_1", found, [flow_before, *forth], first, num_before, last)
        self._go_back("backward_2", found, back)
        second = self._go_forth(
            "forward_2", found[:num_emitted], [flow_before, *forth], second, num_before, last
        )
        out = pictures_for(frames[:, :num_emitted])
        for index, (frame, features) in enumerate(zip(pictures, found[:num_emitted], strict=False)):
            out[:, index] = over_bicubic(self.enlarged(self.reconstruction(*features)), frame, frame)
            features.clear()
        num = (num_before + num_emitted).clamp(max=2)
        return out, (pictures[last], forth[last], first, second, num)

    def _go_back(self, name: str, found: Sequence[list[Tensor]], flows: list[Tensor]) -> None:
        """Run from the last frame to the first and add what is found to what
        each has; `flows` lead to the next."""
        history = [torch.zeros_like(found[0][0])] * 2
        none = found[0][0].new_zeros(len(history[0]), dtype=torch.long)
        toward: list[Tensor] = [torch.zeros_like(flows[0])] * 2 if flows else []
        for num, index in enumerate(reversed(range(len(found)))):
            if num:
                toward.append(flows[index])
            self._step(name, found[index], history, toward if num else None, none + num)

    def _go_forth(
        self,
        name: str,
        found: Sequence[list[Tensor]],
        flows: list[Tensor],
        features: Tensor,
        num: Tensor,
        last: int,
    ) -> Tensor:
        """Run from the first frame to the last likewise; gives the features of
        frame `last` and the one before it.

        Args:
            name: of the branch.
            found: what each frame has.
            flows: the one before the first frame's own, then one for each frame, to the frame before it.
            features: of the two frames before the first one, (B, 2, channels, H, W).
            num: how many frames there have been, (B,).
            last: a frame's number.
        """
        history = [*features.masked_fill((num == 0)[:, None, None, None, None], 0).unbind(1)]
        for index, own in enumerate(found):
            self._step(name, own, history, flows[index : index + 2], num + index)
        return torch.stack(history[last + 1 : last + 3], 1)

    def _step(
        self, name: str, own: list[Tensor], history: list[Tensor], flows: list[Tensor] | None, num: Tensor
    ) -> None:
        """One frame of a branch: align the features of two frames before, refine, and remember."""
        feature = torch.zeros_like(own[0])
        if flows is not None:
            two, one = history[-2:]
            # Motion over two frames, where there have been two.
            far = flows[-1] + moved(flows[-2], flows[-1], outside="zeros")
            far = far.masked_fill((num < 2)[:, None, None, None], 0)
            align = self.deform_align[name]
            assert isinstance(align, SecondOrderAlignment)
            feature = align.aligned(own[0], (one, two), (flows[-1], far))
            feature = feature.masked_fill((num < 1)[:, None, None, None], 0)
        feature = feature + self.backbone[name](*own, feature)
        own.append(feature)
        history.append(feature)


def basicvsrpp_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `BasicVsrPp`'s arguments from its tensors; None where they are not a `BasicVsrPp`'s."""
    state = generator_keys(state)
    offsets = "deform_align.backward_1.conv_offset.6.weight"
    if not is_kernel(state, "feat_extract.main.0.weight", "backbone.backward_1.main.0.weight", offsets):
        return None
    sizes = trunk_sizes(state, "backbone.backward_1.")
    wide = state["conv_hr.weight"].shape[0] if is_kernel(state, "conv_hr.weight") else sizes["channels"]
    return sizes | {
        "outer": trunk_sizes(state, "feat_extract.")["depth"],
        "sets": len(state[offsets]) // (3 * SIDE * SIDE),
        "wide": wide,
        "colors": 3,
    }
