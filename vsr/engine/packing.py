"""A picture in the form that networks on coded planes see, packed 4:2:0, and what they give put back into it.

The one place where other layouts become 4:2:0 and back: chroma is resampled, each sample staying where it is sited.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.frames import SUBSAMPLING, PictureFormat
from vsr.models import NOISE_SPAN, Damage
from vsr.picture import Picture, enlarge_chroma
from vsr.resample import enlarge, resize


def to_packed(luma: Tensor, chroma: Tensor) -> Tensor:
    """(B, 1, H, W) luma, H and W even, and (B, 2, H/2, W/2) chroma → (B, 6, H/2, W/2)."""
    return torch.cat([F.pixel_unshuffle(luma, 2), chroma], 1)


def from_packed(packed: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `to_packed`."""
    return F.pixel_shuffle(packed[:, :4], 2), packed[:, 4:]


def told(packed: Tensor, damage: Damage) -> Tensor:
    """(B, 6, h, w) → (B, 8, h, w): with the two planes that tell how damaged it is."""
    strengths = damage.noise / NOISE_SPAN, damage.compression
    return torch.cat([packed, *(torch.full_like(packed[:, :1], strength) for strength in strengths)], 1)


def pack_picture(picture: Picture, damage: Damage) -> Tensor:
    """(1, 8, ceil(H/2), ceil(W/2)) of a picture in luma and chroma; odd sides are grown by their last line, and
    grey has chroma without colour."""
    assert picture.luma is not None
    height, width = picture.size
    luma = F.pad(picture.luma, (0, width % 2, 0, height % 2), mode="replicate")
    format, size = picture.frame.format, (luma.shape[2] // 2, luma.shape[3] // 2)
    chroma = luma.new_zeros(1, 2, *size) if picture.chroma is None else _to_420(picture.chroma, format, size)
    return told(to_packed(luma, chroma), damage)


def enlarged_planes(picture: Picture, scale: int) -> Picture:
    """What such a network's residual is added to: fresh tensors, of luma by bicubic interpolation."""
    assert picture.luma is not None
    luma, chroma = enlarge(picture.luma, scale), enlarge_chroma(picture, scale)
    if scale == 1:
        luma, chroma = luma.clone(), None if chroma is None else chroma.clone()
    return replace(picture, luma=luma, chroma=chroma)


def add_packed(picture: Picture, residual: Tensor) -> Picture:
    """Add (1, 6, ≥ ceil(H/2), ≥ ceil(W/2)) to the planes of an enlarged picture, writing to them."""
    assert picture.luma is not None
    height, width = picture.size
    luma, chroma = from_packed(residual.float())
    picture.luma.add_(luma[..., :height, :width])
    if picture.chroma is not None:
        chroma = chroma[..., : -(-height // 2), : -(-width // 2)]
        size = picture.chroma.shape[2], picture.chroma.shape[3]
        picture.chroma.add_(_from_420(chroma, picture.frame.format, size))
    return picture


def _to_420(chroma: Tensor, format: PictureFormat, size: tuple[int, int]) -> Tensor:
    """Chroma of any layout at 4:2:0's size: sited as before where it is subsampled, else in the middle of its block."""
    rows, columns = SUBSAMPLING[format.layout]
    if (rows, columns) == (2, 2):
        return chroma
    return resize(chroma, size, ratio=(2 / rows, 2 / columns), kernel="catmull-rom")


def _from_420(chroma: Tensor, format: PictureFormat, size: tuple[int, int]) -> Tensor:
    """The inverse of `_to_420`."""
    rows, columns = SUBSAMPLING[format.layout]
    if (rows, columns) == (2, 2):
        return chroma
    return resize(chroma, size, ratio=(rows / 2, columns / 2), kernel="catmull-rom")
