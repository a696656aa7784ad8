"""Training pairs: pictures from folders, their reduced twins, random patches. Owns no network and writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.errors import SourceError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}

# Y' of BT.601 from B, G, R. The networks see black to white as 0 to 1.
_LUMA = np.array([0.114, 0.587, 0.299], np.float32)


@dataclass(frozen=True)
class Pair:
    """One picture and its reduced twin, luma."""

    low: Tensor
    """(h, w) float32, 0–1."""
    high: Tensor
    """(scale*h, scale*w) float32, 0–1."""


def find_pictures(folders: tuple[str, ...]) -> list[Path]:
    """List the pictures in `folders` and below, sorted so that a seed means the same everywhere.

    Raises:
        SourceError: a folder does not exist, or none holds a picture.
    """
    paths: list[Path] = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise SourceError(f"training folder {folder} does not exist")
        paths += sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise SourceError(f"no picture in {', '.join(folders)}; {', '.join(sorted(SUFFIXES))} are read")
    return paths


def reduce(picture: Tensor, scale: int) -> Tensor:
    """Make the low-resolution twin by antialiased bicubic reduction (a = -0.5), rounded to 8 bits as a file would be.

    (1, C, H, W) float32 in 0–1, sizes multiples of `scale`.
    """
    size = (picture.shape[2] // scale, picture.shape[3] // scale)
    if 0 in size:
        return picture.new_zeros((*picture.shape[:2], *size))  # an icon among the pictures; no patch will fit it
    low = F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)
    return (low.clamp(0, 1) * 255).round() / 255


def load_pair(path: Path, scale: int) -> Pair:
    """Read one picture and reduce it in RGB, as the test sets of the field are made, then take luma of both.

    Raises:
        SourceError: the file is not a picture.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SourceError(f"{path} cannot be read as a picture")
    height, width = (side - side % scale for side in pixels.shape[:2])
    high = torch.from_numpy(pixels[:height, :width].astype(np.float32) / 255).permute(2, 0, 1)[None]
    low = reduce(high, scale)
    weights = torch.from_numpy(_LUMA).view(1, 3, 1, 1)
    return Pair(low=(low * weights).sum(1)[0], high=(high * weights).sum(1)[0])


def patches(
    pairs: list[Pair], *, scale: int, patch: int, batch: int, seed: int, first: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield endless random batches (B, 1, patch, patch) and (B, 1, scale*patch, scale*patch), flipped and turned.

    Step `n` draws from its own generator, seeded by (`seed`, n): a resumed run sees what the unbroken one would have.
    """
    large = [pair for pair in pairs if min(pair.low.shape) >= patch]
    if not large:
        raise SourceError(f"every picture is smaller than a patch of {patch}; use a smaller patch or larger pictures")
    areas = np.array([pair.low.numel() for pair in large], np.float64)
    chances = areas / areas.sum()
    step = first
    while True:
        rng = np.random.default_rng((seed, step))
        cuts = [_cut(large[i], patch, scale, rng) for i in rng.choice(len(large), batch, p=chances)]
        yield torch.stack([low for low, _ in cuts])[:, None], torch.stack([high for _, high in cuts])[:, None]
        step += 1


def _cut(pair: Pair, patch: int, scale: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    y, x = (int(rng.integers(side - patch + 1)) for side in pair.low.shape)
    low = pair.low[y : y + patch, x : x + patch]
    high = pair.high[y * scale : (y + patch) * scale, x * scale : (x + patch) * scale]
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    low, high = torch.rot90(low, turns), torch.rot90(high, turns)
    return (low.flip(0), high.flip(0)) if flip else (low, high)
