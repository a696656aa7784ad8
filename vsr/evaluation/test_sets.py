"""Test sets of pictures: folders of originals, with their reduced versions beside them or made here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vsr.errors import SourceError
from vsr.models import Damage
from vsr.quality import KnownDamage, Rgb, damaged, luma_of
from vsr.resample import reduce

Array = npt.NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class PicturePair:
    """An original and what a network is given of it."""

    name: str
    high: Rgb
    """(scale*h, scale*w, 3); what the scale does not divide has been cut off at the right and bottom."""
    low: Rgb
    """(h, w, 3)."""


def reduced(rgb: Rgb, scale: int) -> Rgb:
    """Reduce a picture as MATLAB does, whose size is a multiple of `scale`."""
    codes = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None]
    return reduce(codes, scale)[0].permute(1, 2, 0).contiguous().numpy()


def cut_to(rgb: Rgb, scale: int) -> Rgb:
    """Cut a picture to the largest size that `scale` divides, as papers do."""
    height, width = (side // scale * scale for side in rgb.shape[:2])
    return rgb[:height, :width]


class PictureSet:
    """Pairs of pictures, read when they are asked for.

    `low` names the folder of reduced versions: the same names, `x2` and the like may follow the stem. Without
    it they are made by MATLAB's bicubic reduction, or as `damage` says. Of all pictures every `every`th counts.

    Raises:
        SourceError: a folder does not exist or holds no pictures, or an original has no reduced version.
    """

    def __init__(
        self,
        high: str | Path,
        low: str | Path | None,
        scale: int,
        *,
        damage: KnownDamage | None = None,
        every: int = 1,
    ):
        self.scale = scale
        self._damage = damage
        self._high = dict([*_stems(high, scale).items()][::every])
        self._low = None if low is None else _stems(low, scale)
        absent = [] if self._low is None else sorted(self._high.keys() - self._low.keys())
        if absent:
            raise SourceError(f"{low} has no version of {', '.join(absent)}")

    @property
    def names(self) -> list[str]:
        return list(self._high)

    def __len__(self) -> int:
        return len(self._high)

    def __iter__(self) -> Iterator[PicturePair]:
        """Read pair after pair.

        Raises:
            SourceError: a picture cannot be decoded, or a reduced version has
                another size than its original asks for.
        """
        for name, path in self._high.items():
            high = cut_to(_read(path), self.scale)
            low = self._reduced(high) if self._low is None else _read(self._low[name])
            if tuple(side * self.scale for side in low.shape[:2]) != high.shape[:2]:
                size = f"{high.shape[1] // self.scale}x{high.shape[0] // self.scale}"
                raise SourceError(
                    f"the reduced version of {path} is {low.shape[1]}x{low.shape[0]}; at scale {self.scale} {size} is "
                    "expected"
                )
            yield PicturePair(name, high, low)

    def _reduced(self, high: Rgb) -> Rgb:
        return reduced(high, self.scale) if self._damage is None else damaged(high, self._damage)


_FLATTEST = 0.4
"""Share of squares in which noise is measured, as where networks that are told it have learnt."""


def told_of(pairs: PictureSet, damage: KnownDamage) -> Damage:
    """What a network is told of pictures with a known damage: the noise as it lies in them after storage."""
    clean = replace(damage, noise=0.0, jpeg=100)
    noises = [_noise(luma_of(pair.low), luma_of(damaged(pair.high, clean))) for pair in pairs]
    return Damage(sum(noises) / len(noises), (100 - damage.jpeg) / 100)


def _noise(low: Array, undamaged: Array) -> float:
    """`Damage.noise`: of the diagonal Haar detail, where the undamaged picture is flattest."""
    added = _squares(low - undamaged)
    details = (
        added[..., ::2, ::2] - added[..., ::2, 1::2] - added[..., 1::2, ::2] + added[..., 1::2, 1::2]
    ) / 2
    flattest = _squares(undamaged).var((1, 2)).argsort()[: max(1, round(_FLATTEST * len(added)))]
    return float(np.sqrt(np.square(details[flattest]).mean())) * 255 / 219  # black to white is 219 steps here


def _squares(plane: Array, edge: int = 16) -> Array:
    """(height, width) → (squares, edge, edge), with rows and columns mirrored where they do not fill one."""
    grown = np.pad(plane, [(0, -side % edge) for side in plane.shape], "symmetric")
    rows, columns = (side // edge for side in grown.shape)
    return grown.reshape(rows, edge, columns, edge).swapaxes(1, 2).reshape(-1, edge, edge)


def _read(path: Path) -> Rgb:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SourceError(f"{path} cannot be decoded as a picture")
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8, copy=False)


def _stems(folder: str | Path, scale: int) -> dict[str, Path]:
    """Pictures of a folder by name, without the `x2` that test sets append to reduced ones."""
    if not Path(folder).is_dir():
        raise SourceError(f"{folder} is not a folder; a folder of pictures is expected")
    files = (path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in SUFFIXES)
    found = {re.sub(rf"[_-]?x{scale}$", "", path.stem, flags=re.IGNORECASE): path for path in files}
    if not found:
        raise SourceError(f"folder {folder} holds no picture ({', '.join(SUFFIXES)})")
    return found
