"""From scores to a mask with a promise: conformal risk control. Plain NumPy.

Angelopoulos, Bates, Fisch, Lei, Schuster, "Conformal risk control", 2024; for pictures Adame, Csillag, Goedert,
"Image super-resolution with guarantees via conformalized generative models", 2025. The promise is marginal: it holds on
average over pictures that are like those of the calibration, and for none of them alone.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]

MOST = 1.0
"""Largest error there can be, as a share of the range from black to white."""


def threshold_of(pictures: Sequence[tuple[Values, Values]], alpha: float) -> float:
    """Find the largest t for which the largest error among the blocks of score below t is on average at most `alpha`.

    t = sup{t : (1/(n+1)) Σ max_{p: σ(p) < t} d(p) + M/(n+1) ≤ α}, with M = `MOST`.

    Args:
        pictures: scores and true errors of each picture's blocks, of one shape; errors from 0 to `MOST`.
        alpha: above 0.

    Returns:
        Infinite where all blocks may be taken; minus infinity where there are too few pictures for any.
    """
    count = len(pictures) + 1
    scores, rises = (np.concatenate(each) for each in zip(*map(_rises, pictures), strict=True))
    order = np.argsort(scores, kind="stable")
    risk = (np.cumsum(rises[order]) + MOST) / count
    if MOST / count > alpha:
        return -np.inf
    over = np.flatnonzero(risk > alpha)
    return float(scores[order][over[0]]) if over.size else np.inf


def risk_of(pictures: Sequence[tuple[Values, Values]], threshold: float) -> float:
    """Mean over pictures of the largest error among the blocks of score below a threshold; 0 where there are none."""
    largest = [errors[scores < threshold].max(initial=0.0) for scores, errors in pictures]
    return float(np.mean(largest))


def _rises(picture: tuple[Values, Values]) -> tuple[Values, Values]:
    """The scores at which the largest error so far grows, and by how much."""
    scores, errors = (each.ravel() for each in picture)
    order = np.argsort(scores, kind="stable")
    so_far = np.maximum.accumulate(errors[order])
    rises = np.diff(so_far, prepend=0.0)
    grows = rises > 0
    return scores[order][grows], rises[grows]
