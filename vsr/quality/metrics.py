"""PSNR and SSIM by the field's rules, on planes, frames and test sets. Plain numpy; nothing here resizes or draws."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from vsr.errors import SourceError
from vsr.frames import Frame, PictureFormat

Array = npt.NDArray[Any]

SSIM_WINDOW = 11
"""Edge of the window in samples; smaller planes have no SSIM."""

_SIGMA = 1.5
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
"""MATLAB's rgb2ycbcr: ITU-R BT.601 to 16..235."""


class PictureScore(NamedTuple):
    """One picture of a test set."""

    name: str
    psnr: float
    """dB, on luma."""
    ssim: float
    """-1 to 1, on luma."""


def _pair(a: Array, b: Array, border: int) -> tuple[Array, Array]:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"two planes of one size are compared; these have {a.shape} and {b.shape}")
    inner = (slice(border, a.shape[0] - border), slice(border, a.shape[1] - border))
    return a[inner].astype(np.float64), b[inner].astype(np.float64)


def psnr(a: Array, b: Array, *, peak: float, border: int = 0) -> float:
    """Measure the peak signal-to-noise ratio in dB; infinite for equal planes.

    Args:
        a, b: (height, width), any dtype.
        peak: largest value a sample can have.
        border: samples left out at every edge.
    """
    a, b = _pair(a, b, border)
    error = float(np.mean((a - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


def ssim(a: Array, b: Array, *, peak: float, border: int = 0) -> float:
    """Measure the mean structural similarity, -1 to 1.

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", 2004:
    Gaussian window of 11x11 with σ 1.5, K 0.01 and 0.03, only where the window fits.

    Args:
        a, b: (height, width), any dtype, at least 11x11 inside the border.
        peak: largest value a sample can have.
        border: samples left out at every edge.
    """
    a, b = _pair(a, b, border)
    if min(a.shape) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs {SSIM_WINDOW}x{SSIM_WINDOW} samples; {a.shape[1]}x{a.shape[0]} are left")
    taps, edge = cv2.getGaussianKernel(SSIM_WINDOW, _SIGMA), SSIM_WINDOW // 2

    def blur(x: Array) -> Array:
        return cv2.sepFilter2D(x, cv2.CV_64F, taps, taps)[edge:-edge, edge:-edge]

    mean_a, mean_b = blur(a), blur(b)
    variances = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    similar = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(similar / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))))


def luma_of(rgb: Array) -> Array:
    """Compute the luma that super-resolution papers measure on: MATLAB's rgb2ycbcr, unrounded.

    Args:
        rgb: (height, width, 3), 0 to 255.

    Returns:
        (height, width) float64, 16 to 235.
    """
    return 16 + rgb.astype(np.float64) @ _LUMA


def frame_luma(frame: Frame) -> Array:
    """Bring a frame's luma to 8-bit limited range, so that frames of any depth, range and layout can be compared.

    Returns:
        (height, width) float64, black 16, white 235.
    """
    format = frame.format
    if format.layout == "rgb":
        return luma_of(np.stack(frame.planes[:3], axis=2) * (255 / ((1 << format.bit_depth) - 1)))
    luma = frame.planes[0].astype(np.float64)
    if format.range == "limited":
        return luma / (1 << (format.bit_depth - 8))
    return 16 + luma * (219 / ((1 << format.bit_depth) - 1))


def luma_psnr(a: Frame, b: Frame, *, border: int = 0) -> float:
    """Measure PSNR on luma in dB, with 255 as the peak as papers have it."""
    return psnr(frame_luma(a), frame_luma(b), peak=255, border=border)


def luma_ssim(a: Frame, b: Frame, *, border: int = 0) -> float:
    """Measure SSIM on luma, with 255 as the peak as papers have it."""
    return ssim(frame_luma(a), frame_luma(b), peak=255, border=border)


def _rgb(path: Path) -> Array:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SourceError(f"{path} cannot be decoded as a picture")
    return pixels[..., ::-1]


def _stems(folder: str | Path, scale: int) -> dict[str, Path]:
    """Pictures of a folder by name, without the `x2` that test sets append to reduced ones."""
    files = (
        path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp")
    )
    return {re.sub(rf"[_-]?x{scale}$", "", path.stem, flags=re.IGNORECASE): path for path in files}


def evaluate_folder(
    enhance: Callable[[Frame], Frame], hr_folder: str | Path, lr_folder: str | Path, scale: int
) -> list[PictureScore]:
    """Score an enhancer on a test set: luma, `scale` pixels cropped at every edge, sizes cut to multiples of `scale`.

    Args:
        enhance: turns an 8-bit RGB frame into one `scale` times larger.
        hr_folder: originals.
        lr_folder: their reduced versions; same names, `x2` and the like may follow the stem.
        scale: enlargement.

    Raises:
        SourceError: a folder holds no pictures, or an original has no reduced version.
    """
    originals, reduced = _stems(hr_folder, scale), _stems(lr_folder, scale)
    absent = originals.keys() - reduced.keys()
    if absent or not originals:
        raise SourceError(
            f"{lr_folder} has no version of {', '.join(sorted(absent)) or 'anything in ' + str(hr_folder)}"
        )
    scores: list[PictureScore] = []
    for name, path in originals.items():
        high, low = _rgb(path), _rgb(reduced[name])
        height, width = (size // scale * scale for size in high.shape[:2])
        format = PictureFormat(
            *low.shape[:2], layout="rgb", matrix="gbr", range="full", primaries="bt709", transfer="iec61966-2-1"
        )
        planes = tuple(np.ascontiguousarray(low[..., channel]) for channel in range(3))
        result, wanted = frame_luma(enhance(Frame(planes, format))), luma_of(high[:height, :width])
        measured = [metric(result, wanted, peak=255, border=scale) for metric in (psnr, ssim)]
        scores.append(PictureScore(name, *measured))
    return scores
