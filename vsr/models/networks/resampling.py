"""Networks without weights: the honest baselines that every other model must
beat, and the one that changes nothing."""

from torch import Tensor

from vsr.models.layers.single_frame import SingleFrame
from vsr.models.spec import Context, ModelSpec
from vsr.resample import Kernel, enlarge


class Resampler(SingleFrame):
    """Enlarges every frame on its own with one kernel; scale 1 gives back the frame itself."""

    def __init__(self, *, scale: int, kernel: Kernel):
        super().__init__()
        self.scale = scale
        self.kernel: Kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        return enlarge(x, self.scale, kernel=self.kernel)


def resampling_spec(name: str, *, scale: int, kernel: Kernel) -> ModelSpec:
    """Facts of a `Resampler`; fp32 alone, since it is the reference that others are held against."""
    return ModelSpec(
        name=name,
        scale=scale,
        in_channels=1,
        context=Context(),
        halo=4 if kernel == "lanczos" else 3,
        dtypes=("fp32",),
        kflop_per_pixel=2 * (7 if kernel == "lanczos" else 5) ** 2 * scale**2 / 1000,
        licence="MIT",
        trained_on="nothing",
    )
