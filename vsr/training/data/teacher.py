"""What another network makes of a picture, to be learnt instead of what the picture was: distillation.

A small network cannot find the texture that a large one paints, but it can be shown it: what is to be learnt then
follows from what is seen, which the lost original does not (Hinton, Vinyals, Dean, "Distilling the Knowledge in a
Neural Network", 2015).
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.engine import has_fast_bf16, merge, surroundings
from vsr.errors import ConfigError
from vsr.models import load
from vsr.picture import Picture, as_rgb
from vsr.training.data.storage import coded


class Teacher:
    """A network on R, G, B that sees one frame."""

    def __init__(self, name: str, scales: tuple[int, ...]):
        """Load it.

        Args:
            name: catalogue name or checkpoint.
            scales: enlargements of a side that are learnt from it; smaller ones than its own by reducing.

        Raises:
            ModelError: there is no such model.
            ConfigError: it cannot teach these scales, or is not of the kind.
        """
        self._model = load(name, scale=max(scales))
        spec = self._model.spec
        if (
            spec.in_channels != 3
            or spec.context.num_frames > 1
            or spec.context.stateful
            or spec.value_range != 1
        ):
            raise ConfigError(f"teacher {name} must see single frames in R, G, B")
        if unfit := [scale for scale in scales if spec.scale % scale]:
            raise ConfigError(f"teacher {name} enlarges by {spec.scale}, and cannot teach x{unfit[0]}")

    @torch.no_grad()
    def __call__(self, seen: Picture, scale: int, *, siting: Literal["left", "center"]) -> Picture:
        """Enlarge a picture.

        Args:
            seen: in luma and chroma, 4:2:0.
            scale: by how much.
            siting: of the chroma that is given.

        Returns:
            Luma and chroma, 4:2:0, within black and white.
        """
        spec, multiple = self._model.spec, self._model.spec.size_multiple
        rgb = as_rgb(seen).clamp(0, 1)
        height, width = rgb.shape[2:]
        padded = F.pad(rgb, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        fresh = torch.ones(1, dtype=torch.bool)
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in spec.dtypes and has_fast_bf16()):
            output = self._model.network.step(padded[None], None, fresh)[0][:, 0].float()
        output = output[..., : height * spec.scale, : width * spec.scale]
        large = merge(
            spec, surroundings(spec, replace(seen, rgb=rgb, luma=None, chroma=None), rgb), output
        ).rgb
        assert large is not None
        reduced = F.avg_pool2d(large.clamp(0, 1), spec.scale // scale)
        return coded(_bytes(reduced), siting=siting)[0]


def _bytes(rgb: Tensor) -> npt.NDArray[np.float32]:
    """(1, 3, H, W), 0 to 1, as (1, H, W, 3), 0 to 255, not rounded."""
    return rgb.permute(0, 2, 3, 1).numpy() * 255
