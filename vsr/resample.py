"""Resizing planes on tensors, with the place of every sample exact. Owns kernels and weights; knows nothing of colour or frames.

Positions follow the convention of centres: sample `i` of `n` lies at `i + 0.5`. `shift` moves the grid that is read,
in input samples, which is how chroma siting is honoured.
"""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Kernel = Literal["bicubic", "lanczos"]

_SUPPORT: dict[Kernel, int] = {"bicubic": 2, "lanczos": 3}
"""Half the width of a kernel, in input samples."""


def _kernel(x: Tensor, kernel: Kernel) -> Tensor:
    x = x.abs()
    if kernel == "lanczos":
        return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))
    # Keys 1981 with a = -0.75, the value of OpenCV and PyTorch, so that our baseline is the one users know.
    a = -0.75
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def _phases(scale: int, shift: float, kernel: Kernel) -> tuple[Tensor, int]:
    """Filter taps (scale, taps) of each output phase, and how many samples before the current one they begin."""
    reach = _SUPPORT[kernel]
    centers = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5 + shift
    first = -reach if shift > -0.5 else -reach - 1
    offsets = torch.arange(first, reach + 2, dtype=torch.float64)
    taps = _kernel(centers[:, None] - offsets[None], kernel)
    taps = taps / taps.sum(1, keepdim=True)
    used = (taps.abs() > 1e-12).any(0).nonzero().flatten()
    low, high = int(used[0]), int(used[-1]) + 1
    return taps[:, low:high].float(), -int(offsets[low])


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for all callers, and training cannot use what was made in inference mode
def _filters(scale: int, shift: tuple[float, float], kernel: Kernel) -> tuple[Tensor, tuple[int, int, int, int]]:
    """One 2-D filter per output phase, (scale², 1, rows, columns), and the padding (left, right, top, bottom)."""
    rows, top = _phases(scale, shift[0], kernel)
    columns, left = _phases(scale, shift[1], kernel)
    filters = torch.einsum("ph,qw->pqhw", rows, columns).flatten(0, 1)[:, None]
    return filters.contiguous(), (left, columns.shape[1] - 1 - left, top, rows.shape[1] - 1 - top)


def enlarge(x: Tensor, scale: int, *, shift: tuple[float, float] = (0.0, 0.0), kernel: Kernel = "bicubic") -> Tensor:
    """Enlarge by a whole factor: one filter per output phase, then a pixel shuffle.

    Args:
        x: (B, C, H, W) float32, any device.
        scale: 1 or more; 1 without a shift returns `x` itself.
        shift: rows, columns by which the grid that is read is moved, in input samples, above -1 and below 1.
        kernel: interpolation kernel.

    Returns:
        (B, C, scale*H, scale*W) float32. Edges repeat.
    """
    if scale == 1 and shift == (0.0, 0.0):
        return x
    filters, padding = _filters(scale, shift, kernel)
    b, c, h, w = x.shape
    planes = F.pad(x.reshape(b * c, 1, h, w), padding, mode="replicate")
    phases = F.conv2d(planes, filters.to(x.device, x.dtype))
    return F.pixel_shuffle(phases, scale).reshape(b, c, h * scale, w * scale)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _taps(num_in: int, num_out: int, ratio: float, shift: float, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Indices and weights, each (num_out, taps), of the input samples that make an output sample."""
    stretch = max(1.0, ratio)  # reducing widens the kernel, else detail aliases
    centers = (torch.arange(num_out, dtype=torch.float64) + 0.5) * ratio - 0.5 + shift
    reach = _SUPPORT[kernel] * stretch
    first = torch.ceil(centers - reach)
    index = first[:, None] + torch.arange(int(2 * reach) + 1, dtype=torch.float64)
    weights = _kernel((index - centers[:, None]) / stretch, kernel)
    weights = weights / weights.sum(1, keepdim=True)
    return index.clamp(0, num_in - 1).long(), weights.float()


def _along(x: Tensor, dim: int, index: Tensor, weights: Tensor) -> Tensor:
    shape = [1] * x.ndim
    shape[dim] = -1
    total: Tensor | None = None
    for tap in range(index.shape[1]):
        part = x.index_select(dim, index[:, tap].to(x.device)) * weights[:, tap].to(x.device).view(shape)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def resize(
    x: Tensor,
    size: tuple[int, int],
    *,
    ratio: tuple[float, float] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    kernel: Kernel = "lanczos",
) -> Tensor:
    """Resize to any size; reducing filters first (antialiasing).

    Args:
        x: (B, C, H, W) float32.
        size: height, width wanted.
        ratio: input samples per output sample, rows and columns; `None` maps edge to edge.
        shift: rows, columns by which the grid that is read is moved, in input samples.
        kernel: interpolation kernel.

    Returns:
        (B, C, *size) float32. Edges repeat.
    """
    rows, columns = ratio or (x.shape[2] / size[0], x.shape[3] / size[1])
    x = _along(x, 2, *_taps(x.shape[2], size[0], rows, shift[0], kernel))
    return _along(x, 3, *_taps(x.shape[3], size[1], columns, shift[1], kernel))
