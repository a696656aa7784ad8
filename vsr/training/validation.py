"""How a network does on pictures that it does not learn from: numbers, and a few samples to look at."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsr.engine import pack_picture
from vsr.errors import SourceError
from vsr.models import PACKED, Damage, UNet, remembered
from vsr.quality import DAMAGE_TABLE, KnownDamage, damaged, luma_of, psnr
from vsr.training.batch import Batch
from vsr.training.data.batches import as_tensor
from vsr.training.data.degrade import noise_of
from vsr.training.data.examples import example
from vsr.training.data.footage import Footage, find_pictures, read_picture
from vsr.training.data.storage import coded
from vsr.training.logbook import sample
from vsr.training.networks import Trained, Unrolled, enlarged, predict
from vsr.training.options import TrainOptions

_NUM_SAMPLES = 4

_SMALLEST = 8
"""Low-resolution pixels that a side must have at least."""


@dataclass(frozen=True)
class Trial:
    """A picture or clip to be tried on."""

    name: str
    batch: Batch
    """Of one clip, whole."""
    row: str = ""
    """What has been done to it, where several things are done to each picture."""


def trials(options: TrainOptions) -> list[Trial]:
    """Make the pictures of `options.validate` worse, whole, and always the same way: as what is learnt from is made,
    for a network on planes as `DAMAGE_TABLE` says.

    Raises:
        SourceError: a folder does not exist or holds no picture.
    """
    paths = find_pictures(options.validate)
    stills = [read_picture(path) for path in paths]
    found: list[Trial] = []
    for index, (path, still) in enumerate(zip(paths, stills, strict=True)):
        if min(still.shape[1:3]) < _SMALLEST * max(options.shares):
            raise SourceError(
                f"{path} is too small to validate on; {_SMALLEST * max(options.shares)} pixels are needed"
            )
        if options.on_planes:
            found += [
                Trial(path.stem, shown_to(options.network, damaged_planes(still[0], row)), str(row))
                for row in _rows(options.shares)
            ]
        else:
            found.append(Trial(path.stem, _degraded(still, stills, options, index)))
    return found


def _degraded(still: Footage, stills: list[Footage], options: TrainOptions, index: int) -> Batch:
    """A picture made worse as what is learnt from is made."""
    multiple = UNet.size_multiple if options.network == "unet" else 1
    pair = example(still, stills, options, np.random.default_rng((options.seed, index, 2)))
    middle = len(pair.low) // 2
    times = slice(middle, middle + 1) if options.network == "plain" else slice(None)
    height, width = (side - side % multiple for side in pair.low.shape[1:3])
    low = as_tensor(pair.low[times, :height, :width], options.colors)
    high = pair.high[times, : height * options.scale, : width * options.scale]
    return Batch(low[None], as_tensor(high, options.colors)[None])


def _rows(scales: dict[int, float]) -> Iterator[KnownDamage]:
    """The rows of the table for these scales, and one for each scale that has none."""
    yield from (row for row in DAMAGE_TABLE if row.scale in scales)
    yield from (
        KnownDamage(scale, noise=8, jpeg=70)
        for scale in scales
        if all(row.scale != scale for row in DAMAGE_TABLE)
    )


def damaged_planes(still: npt.NDArray[np.uint8], row: KnownDamage) -> Batch:
    """A photo damaged by known strengths, told as it is."""
    height, width = (side - side % (4 * row.scale) for side in still.shape[:2])
    still = still[:height, :width]
    pictures = [still, damaged(still, row), damaged(still, KnownDamage(row.scale, blur=row.blur))]
    high, low, undamaged = (picture[None].astype(np.float32) for picture in pictures)
    (original,), seen = coded(high, siting="center"), coded(low, siting="center")
    damage = Damage(noise_of(seen, undamaged), (100 - row.jpeg) / 100)
    originals = pack_picture(original, damage)[:, :PACKED]
    return Batch(pack_picture(seen[0], damage)[None], originals[None], "center")


def shown_to(network: str, batch: Batch) -> Batch:
    """A photo on planes as that network sees it: without anything around it in time."""
    if network == "planes":
        return batch
    frame = batch.low[:, 0]
    return replace(batch, low=remembered([frame], neighbours=[frame, frame])[:, None])


@torch.no_grad()
def validate(
    net: Trained, tests: list[Trial], device: torch.device
) -> tuple[dict[str, float], dict[str, npt.NDArray[np.uint8]]]:
    """Try a network out, in fp32.

    Returns:
        `psnr`, the mean Y-PSNR in dB as papers have it, `scale` pixels cropped at every edge; where the trials have
        rows, for each of them how much more that is than without the network, and the same of chroma; samples of the
        first few pictures by name.
    """
    scores: list[float] = []
    gains: defaultdict[str, list[float]] = defaultdict(list)
    samples: dict[str, npt.NDArray[np.uint8]] = {}
    for trial in tests:
        batch = trial.batch.to(device)
        output, target = (frames[0] for frames in predict(Unrolled(net), batch, bf16=False))
        scores += _psnrs(batch, output, target)
        if trial.row:
            base = enlarged(batch)[0]
            gains[trial.row].append(scores[-1] - _psnrs(batch, base, target)[-1])
            gains[f"{trial.row}, chroma"].append(_chroma_psnr(output, target) - _chroma_psnr(base, target))
        if len(samples) < _NUM_SAMPLES and trial.name not in samples:
            middle, seen = len(output) // 2, batch.low.shape[1] // 2
            pictures = batch.low[0, seen], output[middle], target[middle]
            samples[trial.name] = sample(*(batch.shown(each[None])[0].cpu() for each in pictures))
    rows = {f"gain {row}": math.fsum(values) / len(values) for row, values in gains.items()}
    return {"psnr": math.fsum(scores) / len(scores)} | rows, samples


def _psnrs(batch: Batch, output: Tensor, target: Tensor) -> list[float]:
    """Y-PSNR of each of two clips' frames, (T, C, H, W), of a batch's kind."""
    pairs = zip(*(batch.luma(each).clamp(0, 1).cpu() for each in (output, target)), strict=True)
    return [_luma_psnr(a, b, batch.scale) for a, b in pairs]


def _chroma_psnr(output: Tensor, target: Tensor) -> float:
    """PSNR of both chroma planes together, of packed pictures."""
    a, b = (each[:, 4:].flatten(0, 2).double().cpu().numpy() for each in (output, target))
    return psnr(a, b, peak=255 / 224)


def _luma_psnr(output: Tensor, target: Tensor, border: int) -> float:
    """Y-PSNR of two (C, H, W) pictures."""
    a, b = (picture.permute(1, 2, 0).double().numpy() * 255 for picture in (output, target))
    if a.shape[2] == 3:
        return psnr(luma_of(a), luma_of(b), peak=255, border=border)
    # Black to white is 219 steps there.
    return psnr(a[..., 0], b[..., 0], peak=255 * 255 / 219, border=border)
