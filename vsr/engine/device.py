"""Which device runs the networks, and in which precision."""

import torch


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware; without that bf16 is 4–17 times slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
