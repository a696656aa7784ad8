"""Cutting a picture into overlapping tiles so that tiled equals whole. Pure arithmetic on tensors."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

HALO_OF_GLOBAL = 32
"""Overlap for a network that looks at the whole picture; tiles are then an approximation."""


def tiled(
    step: Callable[[Tensor], Tensor],
    frames: Tensor,
    *,
    tile: int,
    halo: int | None,
    scale: int,
    multiple: int = 1,
) -> Tensor:
    """Run `step` tile by tile, each with `halo` pixels of its surroundings, and join the results.

    A tile ends where the picture ends, so that the network pads there as it would for the whole picture.

    Args:
        step: (B, T, C, h, w) → (B, E, C, scale*h, scale*w), for any h and w that are multiples of `multiple`.
        frames: (B, T, C, H, W).
        tile: edge of the part of a tile that is kept, in input pixels.
        halo: input pixels a result depends on; None where the whole picture counts.
        scale: enlargement of `step`.
        multiple: tiles begin and end on multiples of this.
    """
    height, width = frames.shape[-2:]
    reach = round_up(HALO_OF_GLOBAL if halo is None else halo, multiple)
    tile = round_up(tile, multiple)
    out: Tensor | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(0, top - reach), max(0, left - reach)
            part = step(frames[..., y : min(bottom + reach, height), x : min(right + reach, width)])
            if out is None:
                out = part.new_empty((*part.shape[:-2], height * scale, width * scale))
            out[..., top * scale : bottom * scale, left * scale : right * scale] = part[
                ..., (top - y) * scale : (bottom - y) * scale, (left - x) * scale : (right - x) * scale
            ]
    assert out is not None
    return out


def padded(step: Callable[[Tensor], Tensor], frames: Tensor, *, scale: int, multiple: int) -> Tensor:
    """Run `step` on a picture grown at the right and bottom to a multiple by
    repeating its edge; crop the result."""
    height, width = frames.shape[-2:]
    return step(grown(frames, multiple))[..., : height * scale, : width * scale]


def grown(frames: Tensor, multiple: int) -> Tensor:
    """Repeat the edge of (B, T, C, H, W) at the right and bottom up to a
    multiple; a view where nothing is missing."""
    height, width = frames.shape[-2:]
    grow = (round_up(height, multiple) - height, round_up(width, multiple) - width)
    if grow == (0, 0):
        return frames
    flat = F.pad(frames.flatten(0, 1), (0, grow[1], 0, grow[0]), mode="replicate")
    return flat.unflatten(0, frames.shape[:2])


def round_up(value: int, multiple: int) -> int:
    """The next multiple of `multiple`, or `value` itself."""
    return -(-value // multiple) * multiple


_NO_MEMORY = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")
"""What the CPU allocators of Linux and Windows, cuDNN and cuBLAS, and the CUDA driver say."""

_NO_WORKSPACE = ("unable to find an engine", "Unable to find a valid cuDNN algorithm")
"""What cuDNN says where none of its ways works; where memory is short, because none has room."""

_SHORT = 1 / 8
"""Of a GPU's memory free: less is short."""

_LOST = (
    "illegal memory access",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction",
    "invalid program counter",
    "hardware stack error",
    "uncorrectable ECC error",
    "uncorrectable NVLink error",
    "launch timed out",
    "fallen off the bus",
    "device not ready for use",
)
"""What CUDA says of errors after which every call of the process fails alike."""


def is_out_of_memory(error: BaseException) -> bool:
    """PyTorch's CUDA allocator has a type for it; the others only a message."""
    if isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _NO_MEMORY):
        return True
    return any(text in str(error) for text in _NO_WORKSPACE) and _memory_is_short()


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the GPU answers nothing any more in this process."""
    return "CUDA" in str(error) and any(text in str(error) for text in _LOST)


def _memory_is_short() -> bool:
    """On the current device, where there is one."""
    if not torch.cuda.is_available():
        return False
    free, total = torch.cuda.mem_get_info()
    return free < _SHORT * total
