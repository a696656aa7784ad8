"""Resizing planes on tensors, with the place of every sample exact. Knows
nothing of colour or frames.

Positions follow the convention of centres: sample `i` of `n` lies at `i + 0.5`. `shift` moves the grid that
is read, in input samples, which is how chroma siting is honoured.
"""

from functools import cache, lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.resample.halving import Halving
from vsr.resample.kernels import SUPPORT, Kernel, kernel_at


@lru_cache(maxsize=64)
def _phases(scale: int, shift: float, kernel: Kernel) -> tuple[Tensor, int]:
    """Filter taps (scale, taps) of each output phase, and how many samples before their own they begin."""
    reach = SUPPORT[kernel]
    centers = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5 + shift
    first = -reach if shift > -0.5 else -reach - 1
    offsets = torch.arange(first, reach + 2, dtype=torch.float64)
    taps = kernel_at(centers[:, None] - offsets[None], kernel)
    taps = taps / taps.sum(1, keepdim=True)
    used = (taps.abs() > 1e-12).any(0).nonzero().flatten()
    low, high = int(used[0]), int(used[-1]) + 1
    return taps[:, low:high].float(), -int(offsets[low])


@cache  # few and small, and a recorded CUDA graph reads them where they lie
@torch.inference_mode(False)  # kept for all callers, and training cannot use what was made in inference mode
def _filters(
    scale: tuple[int, int], shift: tuple[float, float], kernel: Kernel, device: torch.device
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """One 2-D filter per output phase, (phases, 1, rows, columns), and padding (left, right, top, bottom)."""
    rows, top = _phases(scale[0], shift[0], kernel)
    columns, left = _phases(scale[1], shift[1], kernel)
    filters = torch.einsum("ph,qw->pqhw", rows, columns).flatten(0, 1)[:, None]
    return filters.contiguous().to(device), (left, columns.shape[1] - 1 - left, top, rows.shape[1] - 1 - top)


def enlarge(
    x: Tensor,
    scale: int | tuple[int, int],
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    kernel: Kernel = "bicubic",
) -> Tensor:
    """Enlarge by whole factors: one filter per output phase, whose results interleave.

    Args:
        x: (B, C, H, W) float32, any device.
        scale: 1 or more, for rows and columns alike or for each; 1 without a shift returns `x` itself.
        shift: rows, columns by which the grid that is read is moved, in input samples, above -1 and below 1.
        kernel: interpolation kernel.

    Returns:
        (B, C, scale*H, scale*W) float32. Edges repeat.
    """
    factors = (scale, scale) if isinstance(scale, int) else scale
    if factors == (1, 1) and shift == (0.0, 0.0):
        return x
    b, c, h, w = x.shape
    size = (h * factors[0], w * factors[1])
    planes = x.reshape(b * c, 1, h, w)
    if x.device.type == "cpu" and not x.requires_grad:
        large = x.new_empty(b * c, *size)
        for plane, out in zip(planes, large, strict=True):
            _enlarge_on_cpu(plane[0], out, factors, shift, kernel)
        return large.view(b, c, *size)
    filters, padding = _filters(factors, shift, kernel, x.device)
    # TensorFloat-32 would round the base that 10-bit pictures rest on to 10 bits.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        phases = F.conv2d(F.pad(planes, padding, mode="replicate"), filters)
    return phases.view(b * c, *factors, h, w).permute(0, 3, 1, 4, 2).reshape(b, c, *size)


def _enlarge_on_cpu(
    plane: Tensor, out: Tensor, scale: tuple[int, int], shift: tuple[float, float], kernel: Kernel
) -> None:
    """Enlarge one (H, W) plane with OpenCV: rows first, each phase into its place, then columns, which interleave.

    A sixteenth of a convolution's time; the kernel that OpenCV itself has takes half of that again.
    """
    source, into = plane.contiguous().numpy(), out.numpy()
    if kernel == "bicubic" and shift == (0.0, 0.0):
        cv2.resize(source, out.shape[::-1], dst=into, interpolation=cv2.INTER_CUBIC)
        return
    rows, top = _phases(scale[0], shift[0], kernel)
    columns, left = _phases(scale[1], shift[1], kernel)
    tall = np.empty((len(into), source.shape[1]), np.float32)
    for phase, taps in enumerate(rows.numpy()):
        into_rows = tall[phase :: scale[0]]
        cv2.filter2D(source, -1, taps[:, None], into_rows, (0, top), borderType=cv2.BORDER_REPLICATE)
    wide = [
        cv2.filter2D(tall, -1, taps[None], anchor=(left, 0), borderType=cv2.BORDER_REPLICATE)
        for taps in columns.numpy()
    ]
    cv2.merge(wide, into.reshape(*tall.shape, scale[1]))


def repeat(x: Tensor, scale: int) -> Tensor:
    """Enlarge (B, C, H, W) by repeating samples: (B, C, scale*H, scale*W), a fresh tensor."""
    if x.device.type != "cpu" or x.requires_grad:
        return F.interpolate(x, scale_factor=scale, mode="nearest")
    b, c, h, w = x.shape
    large = x.new_empty(b, c, scale * h, scale * w)
    for plane, out in zip(x.flatten(0, 1), large.flatten(0, 1), strict=True):  # half of PyTorch's time
        source, size = plane.contiguous().numpy(), (scale * w, scale * h)
        cv2.resize(source, size, dst=out.numpy(), interpolation=cv2.INTER_NEAREST_EXACT)
    return large


_RUNS = {4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""Numbers of so many bytes; only moved."""


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """Rearrange (B, scale²*C, H, W) to (B, C, scale*H, scale*W), as PyTorch's
    function of that name (Shi et al., 2016).

    For one channel in channels_last order, which is what luma networks give, the neighbours that stay
    together are moved as one number where there is one of their size: 640x360 in bf16 takes 0.15 ms of a core
    at scale 2 and 0.45 at scale 4, where PyTorch takes 3.0 and 6.9.
    """
    by_pixel = x.permute(0, 2, 3, 1)
    if x.shape[1] != scale * scale or x.requires_grad or not by_pixel.is_contiguous():
        return F.pixel_shuffle(x, scale)
    b, _, h, w = x.shape
    run = _RUNS.get(scale * x.element_size(), x.dtype)
    # Flat before each change of type, since a side of length 1 may have any stride.
    # The last two axes: the rows of an output block, and the runs of each.
    runs = by_pixel.reshape(-1).view(run).view(b, h, w, scale, -1)
    return runs.permute(0, 1, 3, 2, 4).reshape(-1).view(x.dtype).view(b, 1, scale * h, scale * w)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _taps(
    sizes: tuple[int, int],
    ratio: float,
    shift: float,
    kernel: Kernel,
    device: torch.device,
    *,
    mirror: bool = False,
) -> list[tuple[Tensor, Tensor]]:
    """For each tap the index of the input row, (num_out,), and its weight, (num_out, 1), that make an output row.

    `sizes` is the number of rows in and out.
    """
    num_in, num_out = sizes
    stretch = max(1.0, ratio)  # reducing widens the kernel, else detail aliases
    centers = (torch.arange(num_out, dtype=torch.float64) + 0.5) * ratio - 0.5 + shift
    reach = SUPPORT[kernel] * stretch
    first = torch.ceil(centers - reach)
    index = first[:, None] + torch.arange(int(2 * reach) + 1, dtype=torch.float64)
    weights = kernel_at((index - centers[:, None]) / stretch, kernel)
    weights = (weights / weights.sum(1, keepdim=True)).float()
    index = index.long()
    if mirror:  # … 1 0 0 1 … n-1 n-1 n-2 …
        index = index.remainder(2 * num_in)
        index = torch.minimum(index, 2 * num_in - 1 - index)
    index = index.clamp(0, num_in - 1)
    used = (weights != 0).any(0)
    pairs = zip(index.T[used], weights.T[used], strict=True)
    return [(i.contiguous().to(device), weight[:, None].to(device)) for i, weight in pairs]


def _resize_rows(x: Tensor, taps: list[tuple[Tensor, Tensor]]) -> Tensor:
    (index, weight), *others = taps
    total = x.index_select(2, index).mul_(weight)
    for index, weight in others:
        total.addcmul_(x.index_select(2, index), weight)
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
    if x.device.type == "cpu" and not x.requires_grad and _is_halved(x, size, (rows, columns)):
        small = [_halve_on_cpu(plane, (rows, columns), shift, kernel) for plane in x.flatten(0, 1)]
        return torch.stack(small).view(*x.shape[:2], *size)
    if x.device.type != "cpu" and float(rows).is_integer() and float(columns).is_integer():
        return _reduce(x, size, (int(rows), int(columns)), shift, kernel)
    x = _resize_rows(x, _taps((x.shape[2], size[0]), rows, shift[0], kernel, x.device))
    # Columns are resized as rows of the transposed picture: whole rows are read ten times faster than columns.
    x = x.transpose(2, 3).contiguous()
    x = _resize_rows(x, _taps((x.shape[2], size[1]), columns, shift[1], kernel, x.device))
    return x.transpose(2, 3).contiguous()


def _is_halved(x: Tensor, size: tuple[int, int], ratio: tuple[float, float]) -> bool:
    """Whether every output sample has the same filter: one or two input samples further from each to the next."""
    sides = zip(x.shape[2:], size, ratio, strict=True)
    return all(step in (1, 2) and num_out == -(-num_in // int(step)) for num_in, num_out, step in sides)


def _halve_on_cpu(
    plane: Tensor, ratio: tuple[float, float], shift: tuple[float, float], kernel: Kernel
) -> Tensor:
    """Filter one (H, W) plane and keep what is wanted: a quarter of the time of summing rows."""
    halving = Halving((int(ratio[0]), int(ratio[1])), shift, kernel)
    num_rows = -(-plane.shape[0] // halving.ratio[0])
    return torch.from_numpy(halving.rows(plane.contiguous().numpy(), 0, num_rows))


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _line(ratio: int, shift: float, kernel: Kernel, device: torch.device) -> tuple[Tensor, int]:
    """The filter that makes every output sample of a whole ratio, (taps,), and the input sample where the first
    output's begins."""
    taps = _taps((1 << 12, 1 << 8), float(ratio), shift, kernel, torch.device("cpu"))
    middle = 1 << 7  # far from the edges, whose samples repeat
    first, last = (int(taps[end][0][middle]) for end in (0, -1))
    weights = torch.zeros(last - first + 1)
    for index, weight in taps:  # those of no weight are left out there
        weights[int(index[middle]) - first] = weight[middle, 0]
    return weights.to(device), first - middle * ratio


def _reduce(
    x: Tensor, size: tuple[int, int], ratio: tuple[int, int], shift: tuple[float, float], kernel: Kernel
) -> Tensor:
    """`resize` by whole ratios as strided convolutions, one for each axis: a GPU then reads each sample once and not
    once for each tap."""
    for axis in (0, 1):
        weights, first = _line(ratio[axis], shift[axis], kernel, x.device)
        num_in, taps = x.shape[2 + axis], len(weights)
        if (taps, first, ratio[axis], size[axis]) == (1, 0, 1, num_in):
            continue  # nothing happens along this axis
        last = first + (size[axis] - 1) * ratio[axis] + taps - 1
        before, behind = max(0, -first), max(0, last - num_in + 1)
        b, c, h, w = x.shape
        edges = (0, 0, before, behind) if axis == 0 else (before, behind, 0, 0)
        planes = F.pad(x.reshape(b * c, 1, h, w), edges, mode="replicate")
        planes = planes.narrow(2 + axis, max(0, first), last - first + 1)
        filters = weights.view(1, 1, -1, 1) if axis == 0 else weights.view(1, 1, 1, -1)
        # TensorFloat-32 would round to 10 bits.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            made = F.conv2d(planes, filters, stride=(ratio[0], 1) if axis == 0 else (1, ratio[1]))
        x = made.view(b, c, *made.shape[2:])
    return x


def reduce(codes: Tensor, scale: int, *, rounding: Literal["codes", "none"] = "codes") -> Tensor:
    """Make the low-resolution twin of a picture exactly as MATLAB's `imresize`
    does, on which the field's sets rest.

    Cubic kernel with a = -0.5, widened by the scale against aliasing, edges mirrored; rows first, then
    columns, and rounded to whole codes after each, halves upward. The LR files of Set5 come out bit for bit.

    Args:
        codes: (B, C, H, W), whole code values from 0 to 255, uint8 or floating
            point; sizes multiples of `scale`.
        scale: 1 or more.
        rounding: `none` as for MATLAB's doubles: any values, neither rounded nor clipped.

    Returns:
        (B, C, H/scale, W/scale) of the same type.
    """
    small = codes.double()  # thirds summed in float32 would now and then fall on the other side of a half
    for _ in range(2):
        size = small.shape[2]
        taps = _taps((size, size // scale), float(scale), 0.0, "catmull-rom", codes.device, mirror=True)
        small = _resize_rows(small, taps)
        if rounding == "codes":
            small = (small + 0.5).floor_().clamp_(0, 255)
        small = small.transpose(2, 3).contiguous()
    return small.to(codes.dtype)
