"""What video tape and interlaced recording leave: narrow luma, smeared colour, dropouts, torn lines, combs.

Needs frames that follow one another; each draws its strength, none included.
"""

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vsr.color import rgb_to_ycc, ycc_to_rgb
from vsr.training.data.footage import Pictures, each_of

_BT601 = (0.299, 0.114)


def combed(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """Every other line is partly of the next frame, as after a deinterlacer that missed it; in three of four cases."""
    chance, share, odd = rng.random(), np.float32(rng.uniform(0.3, 1)), int(rng.integers(2))
    if chance > 0.75:
        return pictures
    other = np.concatenate([pictures[1:], pictures[-2:-1] if len(pictures) > 1 else pictures])
    mixed = pictures.copy()
    mixed[:, odd::2] += share * (other[:, odd::2] - pictures[:, odd::2])
    return mixed


def from_tape(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """A VHS tape, played: as good as new, or as worn as luma, colour and lines then have faults."""
    wear = rng.random()
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    luma, chroma = (part.permute(0, 2, 3, 1).numpy().copy() for part in rgb_to_ycc(tensor, _BT601))
    luma = _narrowed(luma, wear * rng.uniform(0, 1.5), 0)
    chroma = _narrowed(chroma, wear * rng.uniform(0, 7), wear * rng.uniform(0, 4))
    chroma += wear * rng.uniform(0, 12) * _streaks(chroma.shape, rng)
    luma += wear * rng.uniform(0, 15) * _streaks(luma.shape, rng)
    planes = np.concatenate([luma, chroma], 3)
    for fault in (_jittered, _torn, _dropped):
        if rng.random() < wear:
            planes = fault(planes, rng)
    tensor = torch.from_numpy(planes).permute(0, 3, 1, 2)
    return ycc_to_rgb(tensor[:, :1], tensor[:, 1:], _BT601).permute(0, 2, 3, 1).contiguous().numpy()


def _narrowed(planes: Pictures, sigma: float, delay: float) -> Pictures:
    """Less bandwidth along lines, by a Gaussian of `sigma` pixels, and `delay` pixels to the right."""
    if sigma < 0.2:
        return planes
    reach = int(3 * sigma + delay) + 1
    kernel = np.exp(-0.5 * ((np.arange(-reach, reach + 1) + delay) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    one, edge = np.ones(1, np.float32), cv2.BORDER_REPLICATE
    return each_of(planes, lambda p: cv2.sepFilter2D(p, -1, kernel, one, borderType=edge)).reshape(
        planes.shape
    )


def _streaks(shape: tuple[int, ...], rng: np.random.Generator) -> Pictures:
    """Noise of variance 1 that is smooth along lines, as a narrow channel lets it pass."""
    sigma = rng.uniform(0.6, 3)
    noise = rng.standard_normal(shape, np.float32)
    smooth = each_of(noise, lambda p: cv2.GaussianBlur(p, (0, 1), sigma, sigmaY=1e-3)).reshape(shape)
    return (smooth / max(float(smooth.std()), 1e-6)).astype(np.float32)


def _jittered(planes: Pictures, rng: np.random.Generator) -> Pictures:
    """Lines begin a little early or late, each frame anew."""
    strength = rng.uniform(0.1, 0.8)
    shifts = strength * rng.standard_normal(planes.shape[:2])
    return _shifted(planes, shifts)


def _torn(planes: Pictures, rng: np.random.Generator) -> Pictures:
    """The last lines, where the heads change over, are bent aside and full of noise."""
    height = planes.shape[1]
    lines = min(height, int(rng.integers(2, 9)))
    bent = np.zeros(planes.shape[:2])
    bent[:, height - lines :] = rng.uniform(-12, 12) * np.linspace(0, 1, lines)
    torn = _shifted(planes, bent)
    torn[:, height - lines :] += rng.uniform(0, 30) * rng.standard_normal(
        torn[:, height - lines :].shape, np.float32
    )
    return torn


def _dropped(planes: Pictures, rng: np.random.Generator) -> Pictures:
    """White dashes where the tape has lost its coating."""
    dropped = planes.copy()
    for frame in dropped:
        for _ in range(rng.poisson(1.5)):
            row, column = int(rng.integers(frame.shape[0])), int(rng.integers(frame.shape[1]))
            frame[row, column : column + int(rng.integers(4, 40)), 0] = rng.uniform(150, 255)
    return dropped


def _shifted(planes: Pictures, shifts: npt.NDArray[np.float64]) -> Pictures:
    """Each line moved to the right by so many pixels, (T, H)."""
    _, height, width, _ = planes.shape
    rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, 1)
    columns = np.arange(width, dtype=np.float32)[None]
    read = columns - shifts[..., None].astype(np.float32)
    edge = cv2.BORDER_REPLICATE
    moved = [
        cv2.remap(*each, rows, cv2.INTER_LINEAR, borderMode=edge) for each in zip(planes, read, strict=True)
    ]
    return np.stack(moved).astype(np.float32)
