"""PSNR and SSIM by the field's rules, on planes and frames. Plain numpy; nothing reads, resizes or draws."""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsr.frames import Frame

Array = npt.NDArray[Any]

SSIM_WINDOW = 11
"""Edge of the window in samples; smaller planes have no SSIM."""

PSNR_OF_EQUAL = 100.0
"""dB that a picture without any error counts in a mean, where infinity would hide all others."""

_SIGMA = 1.5
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
"""MATLAB's rgb2ycbcr: ITU-R BT.601 to 16..235."""
_CHROMA = np.array([[-37.797, 112.0], [-74.203, -93.786], [112.0, -18.214]]) / 255


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

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", 2004: Gaussian window of 11x11 with σ 1.5, K 0.01 and 0.03, only where the window fits.

    Args:
        a, b: (height, width), any dtype, at least 11x11 inside the border.
        peak: largest value a sample can have.
        border: samples left out at every edge.
    """
    a, b = _pair(a, b, border)
    if min(a.shape) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs {SSIM_WINDOW}x{SSIM_WINDOW} samples; {a.shape[1]}x{a.shape[0]} are left"
        )
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


def chroma_of(rgb: Array) -> tuple[Array, Array]:
    """Compute Cb and Cr of the same conversion, unrounded and at full size.

    Args:
        rgb: (height, width, 3), 0 to 255.

    Returns:
        Two of (height, width) float64, 16 to 240, grey 128.
    """
    both = 128 + rgb.astype(np.float64) @ _CHROMA
    return both[..., 0], both[..., 1]


def frame_luma(frame: Frame) -> Array:
    """Bring a frame's luma to 8-bit limited range, so that frames of any
    depth, range and layout can be compared.

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
