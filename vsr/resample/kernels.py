"""The interpolation kernels that planes are resized with."""

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["bicubic", "catmull-rom", "lanczos"]
"""`bicubic` has a = -0.75, the value of OpenCV and PyTorch, so that our baseline is the one users know; it
bends ramps by up to a percent. `catmull-rom` (a = -0.5) keeps them straight, which is why chroma is carried
by it (Keys 1981)."""

SUPPORT: dict[Kernel, int] = {"bicubic": 2, "catmull-rom": 2, "lanczos": 3}
"""Half the width of a kernel, in input samples."""


def kernel_at(x: Tensor, kernel: Kernel) -> Tensor:
    """What samples at these distances, in input samples, count."""
    x = x.abs()
    if kernel == "lanczos":
        return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))
    a = -0.75 if kernel == "bicubic" else -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
