"""What one picture is worth: scores that need but the result and its original, and their means."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vsr.quality.drawing import Rgb
from vsr.quality.metrics import PSNR_OF_EQUAL, chroma_of, luma_of, psnr, ssim
from vsr.quality.noise_left import noise_left


@dataclass(frozen=True, slots=True)
class Score:
    """One picture's scores, or their means; None where something was not measured."""

    psnr: float
    """dB, on luma; infinite for equal pictures."""
    ssim: float
    """-1 to 1, on luma."""
    lpips: float | None = None
    """0 for equal pictures, smaller is better."""
    niqe: float | None = None
    """Distance from natural pictures, smaller is better; knows no original."""
    dists: float | None = None
    """0 for equal pictures, smaller is better; other texture of the same kind hardly counts."""
    cvvdp: float | None = None
    """JOD, 10 for no visible difference."""
    psnr_cb: float | None = None
    psnr_cr: float | None = None
    """dB, on the two colour differences at full size."""
    noise_left: float | None = None
    """σ in code values of 8 bits; see `noise_left`."""


Show = Callable[[str, Rgb, Rgb, Score], None]
"""Is shown a result: name of the picture, the result, its original, its score."""


def show_nobody(name: str, result: Rgb, original: Rgb, score: Score) -> None:
    """Show a result to nobody."""


@dataclass(frozen=True)
class Judge:
    """Scores results against originals, the same way for all of them."""

    border: int
    """Pixels left out at every edge by PSNR and SSIM; papers take the scale."""
    lpips: Callable[[Rgb, Rgb], float] | None = None
    """Perceptual distance, where the user has its backbone."""
    niqe: Callable[[Rgb], float] | None = None
    """Naturalness, where the user has its parameters."""
    dists: Callable[[Rgb, Rgb], float] | None = None
    """The same with texture as texture, where the user has its weights."""
    cvvdp: Callable[[Rgb, Rgb], float] | None = None
    """Visible difference, where its program is installed."""
    with_chroma: bool = False
    """Whether colour is scored, too."""

    def score(self, result: Rgb, original: Rgb) -> Score:
        """Score one picture; both are of one size, at least 11x11 inside the border."""
        a, b = luma_of(result), luma_of(original)
        return Score(
            psnr(a, b, peak=255, border=self.border),
            ssim(a, b, peak=255, border=self.border),
            self.lpips(result, original) if self.lpips else None,
            self.niqe(result) if self.niqe else None,
            self.dists(result, original) if self.dists else None,
            self.cvvdp(result, original) if self.cvvdp else None,
            *(self._chroma(result, original) if self.with_chroma else (None, None)),
            noise_left(a, b),
        )

    def _chroma(self, result: Rgb, original: Rgb) -> tuple[float, float]:
        """PSNR of Cb and Cr."""
        (cb, cr), (true_cb, true_cr) = chroma_of(result), chroma_of(original)
        return psnr(cb, true_cb, peak=255, border=self.border), psnr(
            cr, true_cr, peak=255, border=self.border
        )


def mean_score(scores: Sequence[Score]) -> Score:
    """Average each score over pictures or frames, PSNR in dB as papers do; NaN where there is none."""

    def mean(name: str) -> Any:
        values = [getattr(score, name) for score in scores]
        if None in values:
            return None
        if name.startswith("psnr") and not all(math.isinf(value) for value in values):
            values = [min(value, PSNR_OF_EQUAL) for value in values]
        return sum(values) / len(values) if values else math.nan

    return Score(*(mean(field.name) for field in fields(Score)))
