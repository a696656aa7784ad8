"""What is left in pictures of blocks of 8x8 that they were once compressed in, where no file tells of it any more."""

from typing import Any

import numpy as np
import numpy.typing as npt

_SIDE = 8
_MOST = 12.0
"""Differences of neighbours, in code values, that count: more are edges of objects."""

_STRIP = 64
"""Rows after which a picture of which strips are looked at may jump."""

_LEAST = 0.1
"""Added to the mean difference of flat pictures."""


def blocking_of(luma: npt.NDArray[Any]) -> float:
    """Measure by how much neighbours across the edges of blocks differ more than others (after Wang, Bovik and Evans,
    "Blind measurement of blocking artifacts in images", 2000), in the direction in which it is less.

    At most 0.08 in 54 photos and 70 pictures of text without blocks; median of JPEGs of quality 80: 0.15, 50: 0.31,
    20: 0.63. 0 for pictures of less than three blocks.

    Args:
        luma: (H, W), 0 to 255, its first block whole.
    """
    if min(luma.shape) < 3 * _SIDE:
        return 0.0
    across = np.minimum(np.abs(np.diff(luma, axis=1)), _MOST).mean(0)
    down = np.minimum(np.abs(np.diff(luma, axis=0)), _MOST).mean(1)
    down[_STRIP - 1 :: _STRIP] = np.nan
    return max(0.0, min(_excess(across), _excess(down)))


def _excess(differences: npt.NDArray[Any]) -> float:
    """Of the differences at edges of blocks over the others."""
    at_edges = differences[_SIDE - 1 :: _SIDE]
    others = np.delete(differences, np.s_[_SIDE - 1 :: _SIDE])
    return float((np.nanmean(at_edges) - others.mean()) / (others.mean() + _LEAST))
