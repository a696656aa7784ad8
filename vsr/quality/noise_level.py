"""What pictures themselves tell of their damage: noise, blocks, and how much detail there is. Plain NumPy.

Noise is measured in the diagonal Haar detail (a - b - c + d) / 2 of luma, where noise is as strong as anywhere and
texture weakest (Donoho and Johnstone, 1994), of the blocks whose other details are weakest (after Liu, Tanaka and
Okutomi, "Single-image noise level estimation for blind denoising", 2013). As light makes noise, each of four classes of
brightness has its own blocks, and the picture's noise is the mean over them. What is also in the next coarser scale is
texture, and a part of it is taken off. Where nothing moves, the difference of two pictures has no texture at all.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from vsr.frames import Frame
from vsr.quality.blocking import blocking_of

_Values = npt.NDArray[Any]

_SIDE = 8
"""Details along a block's side: 16 pixels."""

_LIGHTS, _WEAKEST = 4, 0.3
"""Classes of brightness, and the share of each class's blocks that tells its noise."""

_FEWEST = 24
"""Blocks that a class takes at least."""

_OF_TEXTURE = 0.08
"""Of the energy of texture in the next scale, what is in the diagonal detail."""

_DARKEST, _BRIGHTEST, _CLIPPED = 3, 252, 0.1
"""Where black and white begin that cut noise off, and the share of a block's samples that may be such."""

_CHANGED = 0.3
"""Share of blocks that must differ from the picture before for differences to tell anything."""

_MOST_PIXELS = 1 << 20
"""Of a larger picture strips are looked at, `_STRIP` rows each."""
_STRIP = 64


@dataclass(frozen=True, slots=True)
class LookOfPictures:
    """What has been measured."""

    noise: float
    """σ in the diagonal Haar detail of luma, in code values of 8 bits, as single pictures show it."""
    least: float
    """The same of the class of brightness that has the least, only half of its texture taken off."""
    change: float | None
    """The same as differences of consecutive pictures show it: without the texture of what is still, and without the
    noise that a codec has repeated. None where nearly all is repeated, or there are no two pictures."""
    detail: float
    """Root mean square of the upright and level Haar details, noise and all."""
    sharpness: float
    """How much that detail, without noise, is above the half of the next coarser scale's that smooth ramps have, over
    that half: 0.3 and more where pictures are sharp (22 photos: 0.32 to 0.94), less where they were enlarged (up to
    0.22) or blurred by a σ of 1 (up to 0.26)."""
    blocking: float = 0.0
    """Of blocks of 8x8, as `blocking_of` measures it; the median of the runs' first pictures."""


def luma_codes(frame: Frame, *, fields: bool = False) -> _Values:
    """Luma of a frame, 0 to 255 from black to white, (H, W) float32; of a large one strips, of `fields` the first."""
    format = frame.format
    planes = frame.planes[:3] if format.layout == "rgb" else frame.planes[:1]
    if fields:
        planes = [plane[::2] for plane in planes]
    height, width = planes[0].shape
    if (step := -(-height * width // _MOST_PIXELS)) > 1 and height > 2 * _STRIP:
        strips = height // _STRIP
        planes = [plane[: strips * _STRIP].reshape(strips, _STRIP, width)[::step] for plane in planes]
    planes = [plane.reshape(-1, width).astype(np.float32) for plane in planes]
    if len(planes) == 3:
        return (0.299 * planes[0] + 0.587 * planes[1] + 0.114 * planes[2]) * (
            255 / ((1 << format.bit_depth) - 1)
        )
    codes = planes[0] / (1 << (format.bit_depth - 8))
    return codes if format.range == "full" else (codes - 16) * np.float32(255 / 219)


def look_at_pictures(runs: Iterable[Sequence[_Values]]) -> LookOfPictures:
    """Measure runs of consecutive pictures: luma as `luma_codes` gives it, of one size within a run.

    4 ms of one core for a picture of 640x360.
    """
    single: list[_Blocks] = []
    differences: list[_Blocks] = []
    blocking: list[float] = []
    for run in runs:
        before: _Values | None = None
        for luma in run:
            single.append(_blocks(luma))
            if before is not None:
                differences.append(_blocks((luma - before) / np.float32(np.sqrt(2)), light=single[-1]))
            else:
                blocking.append(blocking_of(luma))
            before = luma
    pictures = _joined(single)
    energy, least = _energies(pictures)
    change = _joined(differences)
    changed = change.diagonal + change.other > 0  # the rest has been copied by the codec, or is black
    known = changed.size and changed.mean() > _CHANGED
    other, coarse = (
        float(values.mean()) if values.size else 0.0 for values in (pictures.other, pictures.coarse)
    )
    left = max(0.0, coarse - energy / 4)
    return LookOfPictures(
        noise=math.sqrt(energy),
        least=math.sqrt(least),
        change=math.sqrt(_energies(change.where(changed), textured=False)[0]) if known else None,
        detail=math.sqrt(other),
        sharpness=max(0.0, 2 * math.sqrt(max(0.0, other - energy) / left) - 1) if left > 1 else 0.0,
        blocking=median(blocking or [0.0]),
    )


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Of each block."""

    light: _Values
    diagonal: _Values
    """Mean energy of the diagonal detail."""
    other: _Values
    """Of the upright and the level one, their mean."""
    coarse: _Values
    """The same of the next scale."""
    clipped: _Values
    """Share of samples so dark or bright that noise is cut off."""

    def where(self, chosen: _Values) -> "_Blocks":
        return _Blocks(
            self.light[chosen],
            self.diagonal[chosen],
            self.other[chosen],
            self.coarse[chosen],
            self.clipped[chosen],
        )


def _blocks(luma: _Values, *, light: _Blocks | None = None) -> _Blocks:
    """Measure a picture, or a difference of pictures whose `light` is that of another."""
    half, upright, level, diagonal = _haar(_cut(luma, 2 * _SIDE))
    mean = half / 2
    _, coarse_upright, coarse_level, _ = _haar(mean)
    clipped = ((mean < _DARKEST) | (mean > _BRIGHTEST)).astype(np.float32)
    return _Blocks(
        light.light if light else _means(mean, _SIDE),
        _means(diagonal * diagonal, _SIDE),
        _means((upright * upright + level * level) / 2, _SIDE),
        _means((coarse_upright * coarse_upright + coarse_level * coarse_level) / 2, _SIDE // 2),
        light.clipped if light else _means(clipped, _SIDE),
    )


def _cut(values: _Values, side: int) -> _Values:
    return values[: values.shape[0] // side * side, : values.shape[1] // side * side]


def _haar(x: _Values) -> tuple[_Values, _Values, _Values, _Values]:
    """Sum and details of each square of 2x2 samples."""
    a, b, c, d = x[::2, ::2], x[::2, 1::2], x[1::2, ::2], x[1::2, 1::2]
    above, below, left, right = a + b, c + d, a - b, c - d
    return (above + below) / 2, (left + right) / 2, (above - below) / 2, (left - right) / 2


def _means(values: _Values, side: int) -> _Values:
    height, width = values.shape
    return values.reshape(height // side, side, width // side, side).mean(axis=(1, 3)).ravel()


def _joined(blocks: Sequence[_Blocks]) -> _Blocks:
    names = ("light", "diagonal", "other", "coarse", "clipped")
    empty = [np.zeros(0, np.float32)]
    return _Blocks(*(np.concatenate([getattr(one, name) for one in blocks] or empty) for name in names))


def _energies(blocks: _Blocks, *, textured: bool = True) -> tuple[float, float]:
    """Of the noise, σ²: the mean over classes of brightness, and the least."""
    if not blocks.light.size:
        return 0.0, 0.0
    sound = blocks.clipped < _CLIPPED
    blocks = blocks.where(sound) if sound.sum() >= 2 * _FEWEST else blocks
    order = np.argsort(blocks.light)
    energies: list[float] = []
    surely: list[float] = []  # the weakest class must not seem weaker than it is
    for chosen in np.array_split(order, max(1, min(_LIGHTS, len(order) // _FEWEST))):
        weakest = chosen[np.argsort(blocks.other[chosen])][: max(_FEWEST, round(len(chosen) * _WEAKEST))]
        energy, texture = (float(np.median(values[weakest])) for values in (blocks.diagonal, blocks.coarse))
        part = _OF_TEXTURE if textured else 0.0
        for found, share in ((energies, part), (surely, part / 2)):
            found.append(max(0.0, (energy - share * texture) / (1 - share / 4)))
    return float(np.mean(energies)), min(surely)
