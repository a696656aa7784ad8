"""SPyNet (Ranjan, Black, "Optical Flow Estimation using a Spatial Pyramid
Network", CVPR 2017), as BasicVSR has it.

Six sizes, each half of the next; at each a few convolutions correct the motion found at the size before.
Keys of two layouts are read: `basic_module.N.basic_module.0, 2, 4, 6, 8` and
`basic_module.N.basic_module.0, 1, 2, 3, 4.conv`.
"""

import re
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.flow import moved, resized

LEVELS = 6
"""Sizes; the smallest is a thirty-second of the picture's."""

_WIDTHS = (8, 32, 64, 32, 16, 2)
"""Seen: two pictures and a motion. Given: a motion."""


class _Level(nn.Module):
    """Corrects the motion at one size."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for seen, given in pairwise(_WIDTHS):
            layers += [nn.Conv2d(seen, given, 7, padding=3), nn.ReLU()]
        self.basic_module = nn.Sequential(*layers[:-1])


class SpyNet(nn.Module):
    """Tells where each pixel of a frame lies in another frame."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.basic_module = nn.ModuleList(_Level() for _ in range(LEVELS))

    def forward(self, frame: Tensor, other: Tensor) -> Tensor:
        """(B, 3, H, W) RGB 0–1, twice, of any size → (B, 2, H, W) float32: x and
        y, in pixels, from frame to other.

        Motion is kept and added up in float32 whatever the layers compute in: in half precision places of a
        wide picture would be off by a pixel.
        """
        height, width = frame.shape[-2:]
        smallest = 1 << (LEVELS - 1)
        size = tuple(-(-side // smallest) * smallest for side in (height, width))
        frames, others = self._pyramid(frame, size), self._pyramid(other, size)
        flow = torch.zeros_like(frames[0][:, :2], dtype=torch.float32)
        for level, now, there in zip(self.basic_module, frames, others, strict=True):
            assert isinstance(level, _Level)
            if flow.shape[-2:] != now.shape[-2:]:
                flow = 2 * resized(flow, now.shape[-2:], align_corners=True)
            seen = torch.cat([now, moved(there, flow).to(now.dtype), flow.to(now.dtype)], 1)
            flow = flow + level.basic_module(seen).float()
        if size == (height, width):
            return flow
        flow = resized(flow, (height, width))
        return torch.stack([flow[:, 0] * (width / size[1]), flow[:, 1] * (height / size[0])], 1)

    def _pyramid(self, picture: Tensor, size: tuple[int, ...]) -> list[Tensor]:
        """The normalised picture at all sizes, the smallest first."""
        picture = (picture - self.get_buffer("mean")) / self.get_buffer("std")
        if picture.shape[-2:] != size:
            picture = resized(picture, size)
        sizes = [picture]
        while len(sizes) < LEVELS:
            sizes.insert(0, F.avg_pool2d(sizes[0], 2))
        return sizes


def spynet_keys(key: str) -> str:
    """A key of either layout under the first one's name."""
    numbered = re.fullmatch(r"((?:.*\.)?basic_module\.\d+\.basic_module\.)(\d)\.conv\.(weight|bias)", key)
    return f"{numbered[1]}{2 * int(numbered[2])}.{numbered[3]}" if numbered else key
