"""Rounding to code values in one Triton kernel each for planes and for R'G'B'; `color.to_codes`, and `picture.as_ycc`
with it, are their plain twins. Imported where there is Triton.

Of all that is made of a network's output this moves most: of planes the twin is five kernels, each of which reads and
writes the enlarged picture. Bytes per output sample of 8 bits: multiply 4 + 4, add 4 + 4, round 4 + 4, clamp
4 + 4, convert 4 + 1, together 37; here 4 + 1. For 3840x2160 in 4:2:0 that is 460 MB against 62 MB. Of R'G'B' the matrix
and the two convolutions that halve chroma come before that, some 100 bytes a pixel; here 12 are read and 1.5 written.
Adding the skip as well would save 8 more a sample, and pictures would have to carry a sum not yet made through
resampling and colour conversion; converting planes to RGB is at the input's size, a quarter to a sixteenth of this.
"""

# pyright: reportMissingParameterType=false
# Triton takes no annotations of kernels but `tl.constexpr`.

from functools import lru_cache
from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports] — comes with PyTorch for CUDA
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from vsr.color import chroma_halving, code_rows, weights
from vsr.frames import SUBSAMPLING, PictureFormat

_BLOCK = 1024
"""Samples of one program."""
_HIGH, _WIDE = 8, 64
"""Rows, columns of chroma of one program; of luma it makes those that lie there."""


@triton.jit  # pyright: ignore[reportUntypedFunctionDecorator]
def _round(values, codes, count, zero, span, most, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = at < count
    code = tl.load(values + at, mask=there).to(tl.float32) * span + zero
    tl.store(codes + at, _whole(code, most).to(codes.dtype.element_ty), mask=there)


@triton.jit  # pyright: ignore[reportUntypedFunctionDecorator]
def _whole(code, most):
    code = tl.minimum(tl.maximum(code, 0.0), most)
    # From 2^23 on float32 has whole numbers alone: what is added and taken away
    # again is rounded, halves to even.
    return (code + 12582912.0) - 12582912.0


@triton.jit  # pyright: ignore[reportUntypedFunctionDecorator]
def _weighed(red, green, blue, factors, row: tl.constexpr):
    """A row of the matrix: what three colours and 1 count."""
    at = factors + 4 * row
    return red * tl.load(at) + green * tl.load(at + 1) + blue * tl.load(at + 2) + tl.load(at + 3)


@triton.jit  # pyright: ignore[reportUntypedFunctionDecorator]
def _split(
    rgb, luma, chroma, factors, down, across,
    height, width, per_color, per_row, per_column, up, left, most,
    rows: tl.constexpr, columns: tl.constexpr, num_down: tl.constexpr, num_across: tl.constexpr,
    has_chroma: tl.constexpr, high: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    top, begin = tl.program_id(0) * high, tl.program_id(1) * wide
    y = (top * rows + tl.arange(0, high * rows)).to(tl.int64)[:, None]
    x = (begin * columns + tl.arange(0, wide * columns)).to(tl.int64)[None, :]
    there = (y < height) & (x < width)
    at = rgb + y * per_row + x * per_column
    red = tl.load(at, mask=there, other=0.0).to(tl.float32)
    green = tl.load(at + per_color, mask=there, other=0.0).to(tl.float32)
    blue = tl.load(at + 2 * per_color, mask=there, other=0.0).to(tl.float32)
    code = _whole(_weighed(red, green, blue, factors, 0), most)
    tl.store(luma + y * width + x, code.to(luma.dtype.element_ty), mask=there)
    if has_chroma:
        # What lies around a sample is read by its neighbours, too, and so comes from the cache.
        y = (top + tl.arange(0, high)).to(tl.int64)[:, None]
        x = (begin + tl.arange(0, wide)).to(tl.int64)[None, :]
        reds = tl.full((high, wide), 0.0, tl.float32)
        greens = tl.full((high, wide), 0.0, tl.float32)
        blues = tl.full((high, wide), 0.0, tl.float32)
        for row in range(num_down):
            near = tl.minimum(tl.maximum(y * rows - up + row, 0), height - 1)
            share = tl.load(down + row)
            for column in range(num_across):
                beside = tl.minimum(tl.maximum(x * columns - left + column, 0), width - 1)
                source, part = rgb + near * per_row + beside * per_column, share * tl.load(across + column)
                reds += part * tl.load(source).to(tl.float32)
                greens += part * tl.load(source + per_color).to(tl.float32)
                blues += part * tl.load(source + 2 * per_color).to(tl.float32)
        less_high, less_wide = (height + rows - 1) // rows, (width + columns - 1) // columns
        there = (y < less_high) & (x < less_wide)
        at = chroma + y * less_wide + x
        code = _whole(_weighed(reds, greens, blues, factors, 1), most)
        tl.store(at, code.to(chroma.dtype.element_ty), mask=there)
        code = _whole(_weighed(reds, greens, blues, factors, 2), most)
        tl.store(at + less_high * less_wide, code.to(chroma.dtype.element_ty), mask=there)


# What Triton says of its kernels' types depends on its version.
_rounding: Any = _round
_splitting: Any = _split


def fused_to_codes(values: Tensor, scale: tuple[float, float], bit_depth: int) -> Tensor:
    """Nominal values → rounded code values, as `color.to_codes` gives them
    bit for bit: halves to even, no FMA.

    Args:
        values: any shape, float32 or narrower, on the device.
        scale: code value of black, and codes from black to white.
        bit_depth: 8 gives uint8, up to 16 uint16.
    """
    values = values.contiguous()
    codes = torch.empty(values.shape, dtype=_dtype(bit_depth), device=values.device)
    zero, span = scale
    most = float((1 << bit_depth) - 1)
    grid = (triton.cdiv(values.numel(), _BLOCK),)
    _rounding[grid](values, codes, values.numel(), zero, span, most, block=_BLOCK, enable_fp_fusion=False)
    return codes


def fused_rgb_to_codes(rgb: Tensor, seen: PictureFormat, format: PictureFormat) -> list[Tensor]:
    """R'G'B' → planes of Y'CbCr, (H, W) each, with code values, as `color.rgb_to_codes` makes them on a CPU.

    Args:
        rgb: (1, 3, H, W), float32 or narrower, nominal, on the device; laid out in any way.
        seen: whose matrix, layout and siting count.
        format: of the planes, (H, W); the same layout.
    """
    height, width = rgb.shape[2:]
    rows, columns = SUBSAMPLING[format.layout]
    has_chroma = format.layout != "gray"
    factors, (down, up), (across, left) = _told(seen, format, rgb.device)
    luma = torch.empty((height, width), dtype=_dtype(format.bit_depth), device=rgb.device)
    chroma = luma.new_empty((2, *format.plane_size(1)) if has_chroma else 0)
    most = float((1 << format.bit_depth) - 1)
    grid = triton.cdiv(-(-height // rows), _HIGH), triton.cdiv(-(-width // columns), _WIDE)
    _splitting[grid](
        rgb, luma, chroma, factors, down, across, height, width, *rgb.stride()[1:], up, left, most,
        rows, columns, len(down), len(across), has_chroma, _HIGH, _WIDE,
    )  # fmt: skip
    return [luma, *chroma]


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _told(
    seen: PictureFormat, format: PictureFormat, device: torch.device
) -> tuple[Tensor, tuple[Tensor, int], tuple[Tensor, int]]:
    """The matrix from nominal R'G'B' and 1 to codes, (3, 4), and what halves chroma along rows and columns."""
    factors = torch.from_numpy(code_rows(weights(seen), format)).to(device)
    (down, up), (across, left) = chroma_halving(seen).taps
    return factors, (torch.from_numpy(down).to(device), up), (torch.from_numpy(across).to(device), left)


def _dtype(bit_depth: int) -> torch.dtype:
    return torch.uint8 if bit_depth == 8 else torch.uint16
