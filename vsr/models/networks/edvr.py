"""EDVR (Wang, Chan, Yu, Dong, Loy, "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks",
CVPRW 2019), in its medium and large sizes, ×4.

Five frames: each is aligned to the middle one by deformable convolutions at three sizes (PCD), then all are
weighed by how much they resemble it and where (TSA).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.deformable import SIDE, DeformConv, parted
from vsr.models.layers.facts import facts_of
from vsr.models.layers.flow import resized
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import blocks_of, is_kernel
from vsr.models.layers.video_trunk import SCALE, SLOPE, Enlarging, over_bicubic
from vsr.models.spec import Context, State

SIZE_MULTIPLE = 4
"""Two halvings."""

_LEVELS = ("l3", "l2", "l1")
"""From a quarter of the size to the whole."""


def _conv(seen: int, given: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(seen, given, side, stride=stride, padding=side // 2)


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu_(x, SLOPE)


def _doubled(x: Tensor) -> Tensor:
    return resized(x, (2 * x.shape[-2], 2 * x.shape[-1]))


class Alignment(DeformConv):
    """Reads features where other features say."""

    def __init__(self, channels: int, sets: int):
        super().__init__(channels, channels)
        self.conv_offset = _conv(channels, 3 * SIDE * SIDE * sets)

    def aligned(self, features: Tensor, told: Tensor) -> Tensor:
        """Both (B, channels, H, W)."""
        return self(features, *parted(self.conv_offset(told)))


class Pyramid(nn.Module):
    """Aligns a frame's features to the middle frame's, from the smallest
    size on, and once more at the end."""

    def __init__(self, channels: int, sets: int):
        super().__init__()
        c = channels
        self.offset_conv1 = nn.ModuleDict({level: _conv(2 * c, c) for level in _LEVELS})
        self.offset_conv2 = nn.ModuleDict(
            {level: _conv(c if level == "l3" else 2 * c, c) for level in _LEVELS}
        )
        self.offset_conv3 = nn.ModuleDict({level: _conv(c, c) for level in _LEVELS[1:]})
        self.dcn_pack = nn.ModuleDict({level: Alignment(c, sets) for level in _LEVELS})
        self.feat_conv = nn.ModuleDict({level: _conv(2 * c, c) for level in _LEVELS[1:]})
        self.cas_offset_conv1, self.cas_offset_conv2 = _conv(2 * c, c), _conv(c, c)
        self.cas_dcnpack = Alignment(c, sets)

    def forward(self, other: list[Tensor], middle: list[Tensor]) -> Tensor:
        """Features at all three sizes, the smallest first, of the frame and of the
        middle one → (B, channels, H, W)."""
        offset = feature = other[0]  # replaced at once
        for level, theirs, ours in zip(_LEVELS, other, middle, strict=True):
            told = _lrelu(self.offset_conv1[level](torch.cat([theirs, ours], 1)))
            if level != "l3":
                told = torch.cat([told, 2 * _doubled(offset)], 1)
            told = _lrelu(self.offset_conv2[level](told))
            offset = told if level == "l3" else _lrelu(self.offset_conv3[level](told))
            align = self.dcn_pack[level]
            assert isinstance(align, Alignment)
            found = align.aligned(theirs, offset)
            if level != "l3":
                found = self.feat_conv[level](torch.cat([found, _doubled(feature)], 1))
            feature = found if level == "l1" else _lrelu(found)
        told = _lrelu(self.cas_offset_conv1(torch.cat([feature, middle[-1]], 1)))
        return _lrelu(self.cas_dcnpack.aligned(feature, _lrelu(self.cas_offset_conv2(told))))


class Fusion(nn.Module):
    """Weighs each frame where it resembles the middle one, then each feature by what lies around it."""

    def __init__(self, channels: int, num_frames: int):
        super().__init__()
        c = channels
        self.temporal_attn1, self.temporal_attn2 = _conv(c, c), _conv(c, c)
        self.feat_fusion = _conv(num_frames * c, c, 1)
        self.spatial_attn1 = _conv(num_frames * c, c, 1)
        self.spatial_attn2, self.spatial_attn3 = _conv(2 * c, c, 1), _conv(c, c)
        self.spatial_attn4, self.spatial_attn5 = _conv(c, c, 1), _conv(c, c)
        self.spatial_attn_l1, self.spatial_attn_l2 = _conv(c, c, 1), _conv(2 * c, c)
        self.spatial_attn_l3 = _conv(c, c)
        self.spatial_attn_add1, self.spatial_attn_add2 = _conv(c, c, 1), _conv(c, c, 1)

    def forward(self, aligned: list[Tensor]) -> Tensor:
        """(B, channels, H, W) of each frame → (B, channels, H, W)."""
        own = self.temporal_attn1(aligned[len(aligned) // 2])
        alike = [torch.sigmoid((self.temporal_attn2(frame) * own).sum(1, keepdim=True)) for frame in aligned]
        seen = torch.cat([frame * share for frame, share in zip(aligned, alike, strict=True)], 1)
        feature = _lrelu(self.feat_fusion(seen))
        around = _lrelu(self.spatial_attn2(_pooled(_lrelu(self.spatial_attn1(seen)))))
        farther = _lrelu(self.spatial_attn_l2(_pooled(_lrelu(self.spatial_attn_l1(around)))))
        farther = _doubled(_lrelu(self.spatial_attn_l3(farther)))
        around = _lrelu(self.spatial_attn4(_lrelu(self.spatial_attn3(around)) + farther))
        around = self.spatial_attn5(_doubled(around))
        added = self.spatial_attn_add2(_lrelu(self.spatial_attn_add1(around)))
        return feature * torch.sigmoid(around) * 2 + added


def _pooled(x: Tensor) -> Tensor:
    """Largest and mean value of each 3x3 pixels, at half the size."""
    return torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)], 1)


class Edvr(Enlarging):
    """`outer` residual blocks on each frame, `depth` on what is made of all."""

    def __init__(
        self, *, channels: int, depth: int, outer: int, sets: int, num_frames: int, wide: int, colors: int = 3
    ):
        super().__init__(channels, wide)
        self.num_frames = num_frames
        self.conv_first = _conv(colors, channels)
        self.feature_extraction = nn.Sequential(*(ResidualBlock(channels) for _ in range(outer)))
        self.conv_l2_1, self.conv_l3_1 = (
            _conv(channels, channels, stride=2),
            _conv(channels, channels, stride=2),
        )
        self.conv_l2_2, self.conv_l3_2 = _conv(channels, channels), _conv(channels, channels)
        self.pcd_align = Pyramid(channels, sets)
        self.fusion = Fusion(channels, num_frames)
        self.reconstruction = nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))

    def init_state(self, batch: int, height: int, width: int) -> None:
        """No state."""
        return

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, None]:
        """Enhance the middle frame."""
        features = [self._features(frame) for frame in frames.unbind(1)]
        middle = self.num_frames // 2
        fused = self.fusion([self.pcd_align(other, features[middle]) for other in features])
        now = frames[:, middle]
        return over_bicubic(self.enlarged(self.reconstruction(fused)), now, now)[:, None], None

    def _features(self, frame: Tensor) -> list[Tensor]:
        """At a quarter, half and all of the size."""
        whole = self.feature_extraction(_lrelu(self.conv_first(frame)))
        half = _lrelu(self.conv_l2_2(_lrelu(self.conv_l2_1(whole))))
        return [_lrelu(self.conv_l3_2(_lrelu(self.conv_l3_1(half)))), half, whole]


def edvr_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `Edvr`'s arguments from its tensors; None where they are not an `Edvr`'s."""
    keys = ("conv_first.weight", "pcd_align.dcn_pack.l1.conv_offset.weight", "fusion.feat_fusion.weight")
    if not is_kernel(state, *keys, "conv_hr.weight"):
        return None
    first, offsets, fusion = (state[key] for key in keys)
    return {
        "channels": first.shape[0],
        "depth": blocks_of(state, "reconstruction."),
        "outer": blocks_of(state, "feature_extraction."),
        "sets": len(offsets) // (3 * SIDE * SIDE),
        "num_frames": fusion.shape[1] // max(1, first.shape[0]),
        "wide": state["conv_hr.weight"].shape[0],
        "colors": 3,
    }


def edvr_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """What the spec says of an `Edvr`; an offset may lead anywhere."""
    assert isinstance(network, Edvr)
    num = network.num_frames

    def call(shadow: nn.Module, picture: Tensor) -> None:
        assert isinstance(shadow, Edvr)
        shadow.step(picture[:, None].expand(-1, num, -1, -1, -1), None, picture)

    return {
        **facts_of(network, colors=colors, call=call),
        "scale": SCALE,
        "context": Context(before=num // 2, after=num - 1 - num // 2),
        "halo": None,
        "size_multiple": SIZE_MULTIPLE,
        "dtypes": ("fp32", "fp16"),
    }
