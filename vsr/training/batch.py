"""What a step learns from: clips as they came to a viewer, and as they were."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vsr.engine import from_packed
from vsr.frames import Frame, PictureFormat
from vsr.models import PACKED, TOLD
from vsr.picture import Picture, as_rgb


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips and their originals, float32: luma or R, G, B in 0-1, or packed 4:2:0 with what is told of it."""

    low: Tensor
    """(B, T, C, h, w), C 1, 3, 8 or 20."""
    high: Tensor
    """(B, T, C, scale*h, scale*w), C 1, 3 or 6."""
    siting: str = "unspecified"
    """Of packed chroma, by the names of `PictureFormat`."""

    @property
    def scale(self) -> int:
        """How many times larger the originals are."""
        return self.high.shape[3] // self.low.shape[3]

    @property
    def packed(self) -> bool:
        """Whether these are packed planes."""
        return self.low.shape[2] >= PACKED + TOLD

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return replace(self, low=self.low.to(device), high=self.high.to(device))

    def picture(self, planes: Tensor) -> Picture:
        """Packed planes, (..., 6 or more, h, w), as one picture of luma and chroma for each of them."""
        luma, chroma = from_packed(planes.flatten(0, -4)[:, :PACKED])
        height, width = luma.shape[2:]
        format = PictureFormat(height, width, matrix="smpte170m", siting=self.siting)
        return Picture(Frame((), format), luma=luma, chroma=chroma)

    def luma(self, planes: Tensor) -> Tensor:
        """Of pictures of this batch's kind, (B, C, H, W): their luma, or R, G, B."""
        return from_packed(planes[:, :PACKED])[0] if self.packed else planes

    def shown(self, planes: Tensor) -> Tensor:
        """Of pictures of this batch's kind, (B, C, H, W): what a viewer sees, luma or R, G, B."""
        return as_rgb(self.picture(planes)) if self.packed else planes
