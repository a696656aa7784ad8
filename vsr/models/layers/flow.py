"""Motion between frames, and pictures moved by it: what a recurrent network aligns its memory with.

Lucas and Kanade's method (1981), coarse to fine, on patches that overlap (as in Kroeger et al., "Fast Optical
Flow using Dense Inverse Search", 2016), with the gradients of the frame that is asked about, so that they
serve for every correction and every other frame (Baker, Matthews, 2004). Nothing is learnt, nothing is
differentiated: a few pools and samplings of luma, the same on every device.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

ROUNDS = (1, 2, 3)
"""Corrections at the size of the frame, at half and at a quarter of it."""

STRIDE, REACH = 4, 12
"""A patch of `REACH` pixels every `STRIDE` pixels has one motion; between their middles it is
interpolated."""

STEP = 2.0
"""Most pixels that a correction may move; where there is no structure the
equations would ask for anything."""

NOISE = 2e-5
"""Added to the squared gradients (of luma 0–1): about the square of what noise and rounding leave in them."""

SMALLEST = 2 * REACH
"""Pixels; in smaller pictures nothing is looked for."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frame at one size, prepared to be looked for in others."""

    frame: Tensor
    """(B, 1, H, W)."""
    gradient: Tensor
    """(B, 2, H, W), x and y."""
    solver: Tensor
    """(B, 3, h, w): the inverse of each patch's structure tensor, xx, xy, yy."""


@torch.no_grad()
def anchors(frame: Tensor) -> list[Anchor]:
    """Prepare a frame, (B, 1, H, W) float32 luma 0–1, largest size first; none where it is too small."""
    found: list[Anchor] = []
    while len(found) < len(ROUNDS) and min(frame.shape[-2:]) >= SMALLEST:
        found.append(_anchor(frame))
        frame = F.avg_pool2d(frame, 2)
    return found


@torch.no_grad()
def motion_between(now: list[Anchor], other: Tensor, *, start: Tensor | None = None) -> Tensor:
    """Tell where each pixel of a frame lies in another frame.

    Args:
        now: the frame, prepared.
        other: (B, 1, H, W) float32 luma, 0–1.
        start: a guess, which is then only corrected at full size; None to look at all sizes.

    Returns:
        (B, 2, H, W) float32: x and y, in pixels, to be added to a pixel's place.
    """
    targets = [other]
    for _ in now[1:] if start is None else []:
        targets.append(F.avg_pool2d(targets[-1], 2))
    flow = start if start is not None else targets[-1].new_zeros(len(other), 2, *targets[-1].shape[-2:])
    for anchor, rounds, target in reversed(list(zip(now, ROUNDS, targets, strict=False))):
        if flow.shape[-2:] != target.shape[-2:]:
            flow = 2 * resized(flow, target.shape[-2:])
        for _ in range(rounds):
            flow = flow + resized(_correction(anchor, moved(target, flow)), target.shape[-2:])
    return flow


def moved(
    picture: Tensor,
    flow: Tensor,
    *,
    outside: Literal["border", "zeros"] = "border",
    kernel: Literal["bilinear", "bicubic"] = "bilinear",
) -> Tensor:
    """Read a picture (B, C, s*H, s*W) where the motion (B, 2, H, W) says, in float32.

    Outside the picture its border goes on, or there are zeros.
    """
    if (
        picture.is_meta
    ):  # led through for its cost; PyTorch takes 10 to 30 ms to find the shape of what is sampled
        return picture.float()
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)
    grid = flow + torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    # Filled on the device: a tensor made of a list would be copied there, and the copy waited for.
    sides = torch.cat([flow.new_full((1, 1, 1, 1), side) for side in (width, height)], 1)
    grid = (2 * grid + 1) / sides - 1
    if picture.shape[-2:] != flow.shape[-2:]:
        grid = resized(grid, picture.shape[-2:])
    where = grid.permute(0, 2, 3, 1)
    return F.grid_sample(picture.float(), where, mode=kernel, padding_mode=outside, align_corners=False)


def resized(picture: Tensor, size: tuple[int, ...], *, align_corners: bool = False) -> Tensor:
    """(B, C, H, W) at another size, bilinear without a filter."""
    if picture.is_meta:
        return picture.new_empty(*picture.shape[:2], *size)
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=align_corners)


def _pooled(values: Tensor) -> Tensor:
    """Mean over each patch."""
    return F.avg_pool2d(values, REACH, STRIDE, (REACH - STRIDE) // 2, ceil_mode=True, count_include_pad=False)


def _anchor(frame: Tensor) -> Anchor:
    padded = F.pad(frame, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    xx, xy, yy = _pooled(torch.cat([dx * dx, dx * dy, dy * dy], 1)).split(1, 1)
    xx, yy = xx + NOISE, yy + NOISE
    inverse = torch.cat([yy, -xy, xx], 1) / (xx * yy - xy * xy)
    return Anchor(frame, torch.cat([dx, dy], 1), inverse)


def _correction(anchor: Anchor, found: Tensor) -> Tensor:
    """Solve for the motion of each patch that best explains what is left between two frames: (B, 2, h, w)."""
    xt, yt = _pooled(anchor.gradient * (anchor.frame - found)).split(1, 1)
    a, b, c = anchor.solver.split(1, 1)
    return torch.cat([a * xt + b * yt, b * xt + c * yt], 1).clamp(-STEP, STEP)
