"""Rounding to code values as one Triton kernel; `color.to_codes` is its plain
twin. Imported where there is Triton.

Of all that is made of a network's output this moves most: the twin is five kernels, each of which reads and
writes the enlarged picture. Bytes per output sample of 8 bits: multiply 4 + 4, add 4 + 4, round 4 + 4, clamp
4 + 4, convert 4 + 1, together 37; here 4 + 1. For 3840x2160 in 4:2:0 that is 460 MB against 62 MB. Adding the
skip as well would save 8 more on luma networks alone, and pictures would have to carry a sum not yet made
through resampling and colour conversion; converting planes to RGB is at the input's size, a quarter to a
sixteenth of this.
"""

from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports] — comes with PyTorch for CUDA
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

_BLOCK = 1024
"""Samples of one program."""


@triton.jit  # pyright: ignore[reportUntypedFunctionDecorator]
def _round(values: Any, codes: Any, count: Any, zero: Any, span: Any, most: Any, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = at < count
    code = tl.load(values + at, mask=there).to(tl.float32) * span + zero
    code = tl.minimum(tl.maximum(code, 0.0), most)
    # From 2^23 on float32 has whole numbers alone: what is added and taken away
    # again is rounded, halves to even.
    code = (code + 12582912.0) - 12582912.0
    tl.store(codes + at, code.to(codes.dtype.element_ty), mask=there)


def fused_to_codes(values: Tensor, scale: tuple[float, float], bit_depth: int) -> Tensor:
    """Nominal values → rounded code values, as `color.to_codes` gives them
    bit for bit: halves to even, no FMA.

    Args:
        values: any shape, float32 or narrower, on the device.
        scale: code value of black, and codes from black to white.
        bit_depth: 8 gives uint8, up to 16 uint16.
    """
    values = values.contiguous()
    codes = torch.empty(
        values.shape, dtype=torch.uint8 if bit_depth == 8 else torch.uint16, device=values.device
    )
    zero, span = scale
    most = float((1 << bit_depth) - 1)
    grid = (triton.cdiv(values.numel(), _BLOCK),)
    _round[grid](values, codes, values.numel(), zero, span, most, block=_BLOCK, enable_fp_fusion=False)  # pyright: ignore[reportIndexIssue]
    return codes
