"""RealBasicVSR (Chan, Zhou, Xu, Loy, "Investigating Tradeoffs in Real-World
Video Super-Resolution", CVPR 2022).

BasicVSR for compressed and noisy footage: residual blocks clean the frames first, up to three times, for as
long as they find much to clean. Its files hold the generator, `generator.`, and the average of it,
`generator_ema.`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vsr.models.layers.bidirectional import Chunked
from vsr.models.layers.single_frame import is_kernel
from vsr.models.layers.video_trunk import Trunk, trunk_sizes
from vsr.models.networks.basicvsr import BasicVsr, Past, basicvsr_parameters, generator_keys

_MOST = 3
"""Times that frames are cleaned."""

_CLEAN = 5 / 255
"""Mean change below which they are clean; the authors set it for tests."""


class RealBasicVsr(Chunked):
    """`outer` residual blocks that clean, then a `BasicVsr`."""

    def __init__(self, *, channels: int, depth: int, outer: int, wide: int, colors: int = 3):
        super().__init__()
        self.image_cleaning = nn.Sequential(
            Trunk(colors, channels, outer), nn.Conv2d(channels, colors, 3, padding=1)
        )
        self.basicvsr = BasicVsr(channels=channels, depth=depth, wide=wide, colors=colors)
        self.kept = self.basicvsr.kept

    def init_state(self, batch: int, height: int, width: int) -> Past:
        """Nothing seen yet."""
        return self.basicvsr.init_state(batch, height, width)

    def run(self, frames: Tensor, num_emitted: int, state: Past, reset: Tensor) -> tuple[Tensor, Past]:
        """Clean all frames and enhance the first `num_emitted`."""
        return self.basicvsr.enhance(self._cleaned(frames), frames[:, :num_emitted], state, reset)

    def _cleaned(self, frames: Tensor) -> Tensor:
        """Frames of which no more than a little would be cleaned. Each chunk
        decides for itself, by all its frames."""
        on = torch.ones(len(frames), dtype=torch.bool, device=frames.device)
        for _ in range(_MOST):
            change = torch.stack([self.image_cleaning(frame) for frame in frames.unbind(1)], 1)
            frames = torch.where(on[:, None, None, None, None], frames + change, frames)
            on = on & (change.float().abs().mean((1, 2, 3, 4)) >= _CLEAN)
            if not frames.is_meta and not on.any():
                break
        return frames


def realbasicvsr_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `RealBasicVsr`'s arguments from its tensors; None where they are not a `RealBasicVsr`'s."""
    state = generator_keys(state)
    if not is_kernel(state, "image_cleaning.0.main.0.weight"):
        return None
    inner = {
        key.removeprefix("basicvsr."): value for key, value in state.items() if key.startswith("basicvsr.")
    }
    found = basicvsr_parameters(inner)
    return found and found | {"outer": trunk_sizes(state, "image_cleaning.0.")["depth"]}
