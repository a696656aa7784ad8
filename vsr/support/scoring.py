"""One number of a block's signals: the error that is to be expected there, learnt where the truth is known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsr.support.signals import Map, Signals

Values = npt.NDArray[np.floating]

LEAST = 0.5
"""Code values added to every signal before its logarithm is taken."""

DOUBT = 2.0
"""Times the source's own error that a round trip may be off before the score cannot be below it."""

QUICK = ("round_trip", "unconfirmed", "detail", "source_detail", "fine", "source_fine", "around")
FULL = (*QUICK, "disagreement")
"""Names of signals that a score is made of: from source and result alone, and with the network at hand."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """A product of powers of signals, none of which lowers it: more of any is never less error."""

    powers: Mapping[str, float]
    """By signal; 0 or more."""
    constant: float
    """Logarithm of the score where all signals are 1."""

    def score(self, signals: Signals) -> Map:
        """Expected RMS error of each block, in code values."""
        total = self.constant
        for name, power in self.powers.items():
            total = total + power * _logarithm(getattr(signals, name))
        shown = np.square(signals.round_trip) - (DOUBT * signals.noise) ** 2
        return np.maximum(np.exp(total), np.sqrt(np.maximum(shown, 0))).astype(np.float32)


def learn(names: Sequence[str], examples: Sequence[tuple[Signals, Map]]) -> Scoring:
    """Fit powers to true errors: least squares of logarithms, powers of 0 or more.

    Args:
        names: of the signals.
        examples: signals and the RMS error of each block, in code values, of each picture.
    """
    columns = [
        np.concatenate([_logarithm(getattr(signals, name)).ravel() for signals, _ in examples])
        for name in names
    ]
    wanted = np.concatenate([_logarithm(errors).ravel() for _, errors in examples])
    used = list(range(len(names)))
    while True:
        matrix = np.stack([columns[index] for index in used] + [np.ones_like(wanted)], axis=1)
        found = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
        if not used or min(found[:-1]) >= 0:
            break
        del used[int(np.argmin(found[:-1]))]
    powers = {names[index]: float(power) for index, power in zip(used, found[:-1], strict=True)}
    return Scoring(powers, float(found[-1]))


def rank_correlation(a: Values, b: Values) -> float:
    """Spearman's: 1 where both order alike. Equal values are ordered as they come."""
    one, other = (np.argsort(np.argsort(each.ravel(), kind="stable"), kind="stable") for each in (a, b))
    return float(np.corrcoef(one, other)[0, 1])


def contrast_of_tenths(scores: Values, errors: Values) -> float | None:
    """Root mean square error of the tenth of highest score over that of the tenth of lowest; None where that is 0."""
    order = np.argsort(scores.ravel(), kind="stable")
    tenth = max(1, len(order) // 10)
    squares = np.square(errors.ravel().astype(np.float64))
    worst, best = squares[order[-tenth:]].mean(), squares[order[:tenth]].mean()
    return math.sqrt(worst / best) if best else None


def _logarithm(values: Map) -> Values:
    return np.log(values.astype(np.float64) + LEAST)
