"""How a network does on pictures that it does not learn from: a number and a few samples to look at."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsr.errors import SourceError
from vsr.models import UNet
from vsr.quality import luma_of, psnr
from vsr.training.data.batches import as_tensor, example
from vsr.training.data.footage import find_pictures, read_picture
from vsr.training.logbook import sample
from vsr.training.networks import Trained, Unrolled, predict
from vsr.training.options import TrainOptions

_NUM_SAMPLES = 4

_SMALLEST = 8
"""Low-resolution pixels that a side must have at least."""


@dataclass(frozen=True)
class Trial:
    """A picture or clip to be tried on."""

    name: str
    low: Tensor
    """(1, T, C, h, w), 0–1."""
    high: Tensor
    """(1, T, C, scale*h, scale*w)."""


def trials(options: TrainOptions) -> list[Trial]:
    """Make the pictures of `options.validate` worse as what is learnt from is
    made, whole, and always the same way.

    Raises:
        SourceError: a folder does not exist or holds no picture.
    """
    paths = find_pictures(options.validate)
    stills = [read_picture(path) for path in paths]
    multiple = UNet.size_multiple if options.network == "unet" else 1
    found: list[Trial] = []
    for index, (path, still) in enumerate(zip(paths, stills, strict=True)):
        pair = example(still, stills, options, np.random.default_rng((options.seed, index, 2)))
        middle = len(pair.low) // 2
        times = slice(middle, middle + 1) if options.network == "plain" else slice(None)
        height, width = (side - side % multiple for side in pair.low.shape[1:3])
        if min(height, width) < _SMALLEST:
            raise SourceError(
                f"{path} is too small to validate on; {_SMALLEST * options.scale} pixels are needed"
            )
        low = as_tensor(pair.low[times, :height, :width], options.colors)
        high = pair.high[times, : height * options.scale, : width * options.scale]
        found.append(Trial(path.stem, low[None], as_tensor(high, options.colors)[None]))
    return found


@torch.no_grad()
def validate(
    net: Trained, tests: list[Trial], device: torch.device
) -> tuple[float, dict[str, npt.NDArray[np.uint8]]]:
    """Try a network out, in fp32.

    Returns:
        The mean Y-PSNR in dB as papers have it, `scale` pixels cropped at every
        edge; samples of the first few by name.
    """
    scores: list[float] = []
    samples: dict[str, npt.NDArray[np.uint8]] = {}
    for trial in tests:
        low, high = trial.low.to(device), trial.high.to(device)
        output, target = predict(Unrolled(net), low, high, bf16=False)
        output, target = output[0].clamp(0, 1).cpu(), target[0].cpu()
        scores += [_luma_psnr(a, b, net.scale) for a, b in zip(output, target, strict=True)]
        if len(samples) < _NUM_SAMPLES:
            middle, seen = len(output) // 2, trial.low.shape[1] // 2
            samples[trial.name] = sample(trial.low[0, seen], output[middle], target[middle])
    return math.fsum(scores) / len(scores), samples


def _luma_psnr(output: Tensor, target: Tensor, border: int) -> float:
    """Y-PSNR of two (C, H, W) pictures."""
    a, b = (picture.permute(1, 2, 0).double().numpy() * 255 for picture in (output, target))
    if a.shape[2] == 3:
        return psnr(luma_of(a), luma_of(b), peak=255, border=border)
    # Black to white is 219 steps there.
    return psnr(a[..., 0], b[..., 0], peak=255 * 255 / 219, border=border)
