"""From what a network gives to a picture: the base of its residual, chroma and opacity, never seen by it."""

from dataclasses import replace

import cv2
import torch
from torch import Tensor

from vsr.color import BAND_ROWS
from vsr.engine.packing import add_packed, enlarged_planes
from vsr.models import ModelSpec
from vsr.picture import Picture, enlarge_chroma
from vsr.resample import enlarge, repeat


def surroundings(spec: ModelSpec, picture: Picture, seen: Tensor) -> Picture:
    """The enlarged picture without what its network gives: the base of the
    residual, if it has one, in its place; what `merge` repeats is not yet enlarged.

    Args:
        spec: the network's.
        picture: in the colours that the network wants.
        seen: (1, C, H, W), what the network saw of it.
    """
    alpha = None if picture.alpha is None else enlarge(picture.alpha, spec.scale)
    if spec.packs > 1:
        return replace(enlarged_planes(picture, spec.scale), alpha=alpha)
    base = (
        _base(seen, spec.scale) if spec.residual == "bicubic" else None if spec.residual == "none" else seen
    )
    if spec.in_channels == 3:
        return replace(picture, rgb=base, alpha=alpha)
    return replace(picture, luma=base, chroma=enlarge_chroma(picture, spec.scale), alpha=alpha)


def merge(spec: ModelSpec, around: Picture, output: Tensor) -> Picture:
    """Put what a network gave, (1, C, scale*H, scale*W), into its `surroundings`, writing to a bicubic base."""
    if spec.packs > 1:
        return add_packed(around, output)
    base = around.rgb if spec.in_channels == 3 else around.luma
    if base is None:
        whole = output.float()
    elif spec.residual == "nearest":
        whole = _added_to_repeated(base, output, spec.scale)
    else:
        whole = _added(base, output)
    return replace(around, rgb=whole) if spec.in_channels == 3 else replace(around, luma=whole)


def _added(base: Tensor, output: Tensor) -> Tensor:
    """`base` with what the network gave added to it, in place where both lie alike.

    Networks on a CPU give colours pixel by pixel; put together band by band they are added in half the time.
    """
    by_pixel = output[0].permute(1, 2, 0)
    if output.device.type != "cpu" or output.shape[1] == 1 or not by_pixel.is_contiguous():
        return base.add_(output)
    whole = torch.empty(by_pixel.shape)
    for top in range(0, base.shape[2], BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        pixels = torch.from_numpy(cv2.merge(list(base[0, :, rows].numpy())))
        torch.add(pixels.view_as(whole[rows]), by_pixel[rows].float(), out=whole[rows])
    return whole.permute(2, 0, 1)[None]


def _added_to_repeated(small: Tensor, output: Tensor, scale: int) -> Tensor:
    """What the network gave and the nearest-neighbour enlargement of what it saw, a fresh float32 tensor.

    Where it gives pixels one after the other on a CPU, only rows are enlarged, and each is added as often as it is
    repeated: a third of the time of adding whole planes.
    """
    by_pixel = output[0].permute(1, 2, 0)
    if output.device.type != "cpu" or not by_pixel.is_contiguous():
        return _added(small.clone() if scale == 1 else repeat(small, scale), output)
    channels, height, width = small.shape[1], small.shape[2], output.shape[3]
    pixels = small[0].permute(1, 2, 0).contiguous().numpy()
    wide = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    rows = torch.from_numpy(wide).view(height, 1, width * channels)
    given = by_pixel.reshape(height, scale, width * channels)
    whole, step = torch.empty(given.shape), max(1, BAND_ROWS // scale)
    for top in range(0, height, step):
        band = slice(top, top + step)
        torch.add(given[band].float(), rows[band], out=whole[band])
    return whole.view(1, *by_pixel.shape).permute(0, 3, 1, 2)


def _base(x: Tensor, scale: int) -> Tensor:
    """A fresh tensor, to be added to."""
    return x.clone() if scale == 1 else enlarge(x, scale)
