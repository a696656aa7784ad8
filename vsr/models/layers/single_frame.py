"""What every network that enhances a frame on its own has in common: no state, no neighbours."""

from torch import Tensor, nn

from vsr.models.spec import State

STUDIO_SPAN, STUDIO_BLACK = 219 / 255, 16 / 255
"""What networks trained on MATLAB's Y' saw: codes of limited range, divided by 255."""


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
