"""ESPCN (Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network", CVPR 2016): a few convolutions at input size, pixel shuffle last.

Three layouts go by that name: `first_part.0`, `first_part.2`, `last_part.0` with tanh between, as the paper
has it; `conv1` ... `convN` with ReLU, as PyTorch's own example; and EGVSR's, `conv1` ... `conv3`, `pwconv`,
with tanh between and a sigmoid at the end, beside which two other ends lie unused. The first was trained on
MATLAB's Y', the others on JPEG's.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.single_frame import STUDIO_BLACK, STUDIO_SPAN, SingleFrame, blocks_of, is_kernel
from vsr.resample import pixel_shuffle

_NAMES = {"first_part.0": "conv1", "first_part.2": "conv2", "last_part.0": "conv3", "pwconv": "conv4"}
"""The layers of the paper and of EGVSR under the names that they have here."""

_UNUSED = ("reconv.", "deconv.")
"""EGVSR's other ends."""


class EspcnNet(SingleFrame):
    """Convolutions of `sides` pixels and `widths` channels, an activation between them, pixel shuffle."""

    def __init__(
        self,
        *,
        sides: tuple[int, ...],
        widths: tuple[int, ...],
        scale: int,
        colors: int,
        tanh: bool,
        sigmoid: bool = False,
    ):
        super().__init__()
        self.scale = scale
        self._tanh, self._sigmoid = tanh, sigmoid
        self._layers: list[str] = []
        channels = (colors, *widths, colors * scale * scale)
        for i, side in enumerate(sides):
            self._layers.append(f"conv{i + 1}")
            self.add_module(
                self._layers[-1], nn.Conv2d(channels[i], channels[i + 1], side, padding=side // 2)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        studio = self._tanh and not self._sigmoid and x.shape[1] == 1
        if studio:
            x = x * STUDIO_SPAN + STUDIO_BLACK
        *hidden, last = (self.get_submodule(name) for name in self._layers)
        for layer in hidden:
            x = torch.tanh(layer(x)) if self._tanh else F.relu(layer(x))
        large = pixel_shuffle(last(x), self.scale)
        large = torch.sigmoid(large) if self._sigmoid else large
        return (large - STUDIO_BLACK) / STUDIO_SPAN if studio else large


def espcn_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `EspcnNet`'s names."""
    parts = ((key.rpartition("."), value) for key, value in state.items() if not key.startswith(_UNUSED))
    return {f"{_NAMES.get(layer, layer)}.{kind}": value for (layer, _, kind), value in parts}


def espcn_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `EspcnNet`'s arguments from its tensors; None where they are not an `EspcnNet`'s."""
    named = espcn_keys(state)
    depth = blocks_of(named, "")
    keys = [f"conv{i + 1}.weight" for i in range(depth)]
    if depth < 3 or not is_kernel(named, *keys):
        return None
    kernels = [named[key] for key in keys]
    colors, last = kernels[0].shape[1], kernels[-1].shape[0]
    if colors not in (1, 3) or last < 4 * colors:
        return None
    return {
        "sides": tuple(kernel.shape[-1] for kernel in kernels),
        "widths": tuple(kernel.shape[0] for kernel in kernels[:-1]),
        "scale": math.isqrt(last // colors),
        "colors": colors,
        "tanh": "first_part.0.weight" in state or "pwconv.weight" in state,
        "sigmoid": "pwconv.weight" in state,
    }
