"""What every network that enhances a frame on its own has in common: no state, no neighbours."""

import torch
from torch import Tensor, nn

from vsr.models.spec import State

STUDIO_SPAN, STUDIO_BLACK = 219 / 255, 16 / 255
"""What networks trained on MATLAB's Y' saw: codes of limited range, divided by 255."""


def div2k_mean(colors: int) -> Tensor:
    """What EDSR and those after it take from a picture: DIV2K's mean of R, G and B, (1, colors, 1, 1), or 0."""
    mean = (0.4488, 0.4371, 0.4040) if colors == 3 else [0.0] * colors
    return torch.tensor(mean).view(1, -1, 1, 1)


class SingleFrame(nn.Module):
    """A `Network` made of `forward`, (B, C, H, W) → (B, C, scale*H, scale*W)."""

    def init_state(self, batch: int, height: int, width: int) -> None:
        """No state."""
        return

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, None]:
        """Enhance each frame on its own."""
        return self(frames[:, 0])[:, None], None


def blocks_of(state: dict[str, Tensor], prefix: str) -> int:
    """How many different numbers follow a prefix such as `body.`; a key with a huge number is but one."""
    return len({key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)})


def is_kernel(state: dict[str, Tensor], *keys: str) -> bool:
    """Whether all of the keys are there and name weights of two-dimensional convolutions."""
    return all(key in state and state[key].ndim == 4 for key in keys)
