"""ColorVideoVDP: what an eye would notice, of colour and over time (extra `cvvdp`).

Mantiuk, Hanji, Ashraf, Asano, Chapiro, "ColorVideoVDP: A visual difference predictor for image, video and display
distortions", SIGGRAPH 2024, by their own program. A model of contrast sensitivity and masking, fitted to what people
said, without a network: nothing is fetched.

It imports torchvision for a Gaussian blur, and beside a PyTorch without CUDA there may be none; then ours stands in.
"""

import importlib
import importlib.util
import tempfile
import warnings
from typing import Any, BinaryIO, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.errors import ConfigError
from vsr.quality.drawing import Rgb
from vsr.stand_in import standing_in

DISPLAY = "standard_fhd"
"""What it is looked at on: 24 inches of 1920x1080 at 200 cd/m², from 60 cm, in an office."""


class ColorVideoVdp:
    """Measures quality in JOD on a CPU: 10 for no difference, and one less where three of four people see it.

    Of pictures it is called; of a clip it is a context, to which frames are added. They wait in a temporary file.

    Raises:
        ConfigError: it is not installed.
    """

    def __init__(self) -> None:
        self._metric = _metric()
        self._file: BinaryIO | None = None
        self._shape: tuple[int, ...] = ()
        self._num_frames = 0

    def __call__(self, result: Rgb, original: Rgb) -> float:
        """Measure one picture; both are of one size."""
        return self._measured(*(torch.from_numpy(np.array(rgb)[None]) for rgb in (result, original)), rate=0)

    def __enter__(self) -> Self:
        self._file, self._num_frames = cast(BinaryIO, tempfile.TemporaryFile(prefix="vsr-eval-")), 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, result: Rgb, original: Rgb) -> None:
        """Take the next frame."""
        assert self._file is not None
        self._shape = result.shape
        for rgb in (result, original):
            self._file.write(np.ascontiguousarray(rgb).tobytes())
        self._num_frames += 1

    def value(self, rate: float) -> float:
        """Measure the clip, at so many frames a second."""
        assert self._file is not None
        self._file.flush()
        shape = (self._num_frames, 2, *self._shape)
        frames = torch.from_numpy(np.memmap(self._file, np.uint8, "r+", shape=shape))
        return self._measured(frames[:, 0], frames[:, 1], rate=rate)

    def _measured(self, result: Tensor, original: Tensor, *, rate: float) -> float:
        """Of (frames, height, width, 3) uint8."""
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # what it warns of is its own affair
            jod, _ = self._metric.predict(result, original, dim_order="FHWC", frames_per_second=rate)
        return float(jod)


def _metric() -> Any:
    if importlib.util.find_spec("pycvvdp") is None:
        raise ConfigError("cvvdp: ColorVideoVDP is not installed; pip install 'vsr[cvvdp]'")
    asked = {"torchvision.transforms": {"GaussianBlur": GaussianBlur}, "torchvision.ops": {"MLP": nn.Module}}
    with warnings.catch_warnings(), standing_in(asked, importing="pycvvdp"):
        warnings.simplefilter("ignore")
        program = importlib.import_module("pycvvdp")
    return program.cvvdp(display_name=DISPLAY, heatmap=None, quiet=True, device=torch.device("cpu"))


class GaussianBlur(nn.Module):
    """torchvision's transform of this name, as far as it is used."""

    def __init__(self, kernel_size: int, sigma: float):
        super().__init__()
        places = torch.arange(kernel_size) - (kernel_size - 1) / 2
        weights = torch.exp(-0.5 * (places / sigma) ** 2)
        self._kernel = torch.outer(weights, weights) / weights.sum() ** 2

    def forward(self, x: Tensor) -> Tensor:
        """(..., H, W) → the same, blurred; edges are mirrored."""
        edge = self._kernel.shape[0] // 2
        padded = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (edge,) * 4, mode="reflect")
        return F.conv2d(padded, self._kernel.to(x)[None, None]).reshape(x.shape)
