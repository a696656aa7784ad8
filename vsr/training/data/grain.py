"""Noise: of sensors, of film, of cameras at night. New in every frame; each draws its strength, none included.

`Pictures` in and out, 0-255 and beyond: what clips, clips where it is stored.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from vsr.training.data.footage import Pictures, each_of

_MOST = 30.0
"""Strongest noise of a sensor, σ in code values of 8 bits."""


@dataclass(frozen=True, slots=True)
class NoiseKind:
    """What the noise of one camera looks like."""

    common: float = 0.0
    """Share of its variance that R, G and B have in common; 1 is grey."""
    photons: bool = False
    """It is Poisson's: it grows with the root of the light."""
    width: float = 0.0
    """σ in pixels by which neighbours are alike, as scaling and demosaicking make them; 0 for white noise."""
    blotches: float = 0.0
    """Strength, beside the noise's own, of coloured patches some pixels wide."""


def drawn_kind(rng: np.random.Generator) -> NoiseKind:
    """Draw a kind: half is coloured and white, the rest is mixed."""
    return NoiseKind(
        common=float(rng.choice([0, 0, rng.random(), 1])),
        photons=bool(rng.random() < 0.35),
        width=rng.uniform(0.4, 0.9) if rng.random() < 0.2 else 0.0,
        blotches=rng.uniform(0.3, 0.7) if rng.random() < 0.2 else 0.0,
    )


def drawn_sigma(most: float, rng: np.random.Generator) -> float:
    """Draw a strength: none and weak in a quarter of the cases each, else up to `most`."""
    chance, share = rng.random(), rng.random()
    return 0.0 if chance < 0.25 else most * (share if chance > 0.5 else share / 4)


def noisy(pictures: Pictures, sigma: float, kind: NoiseKind, rng: np.random.Generator) -> Pictures:
    """Add noise of standard deviation `sigma` (where it is Poisson's: at middle grey), without blotches; below 0.3
    none."""
    if sigma < 0.3:
        return pictures
    noise = sigma * _field(pictures.shape, kind, rng)
    if kind.photons:
        per_code = 128 / sigma**2  # photons, whose variance is their number
        expected = np.clip(pictures, 0, 255) * per_code
        noise = _alike(((rng.poisson(expected) - expected) / per_code).astype(np.float32), kind)
    if kind.blotches:
        noise = noise + sigma * kind.blotches * _blotches(pictures.shape, rng)
    return (pictures + noise).astype(np.float32)


def sensor_noise(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """What a camera by day adds."""
    return noisy(pictures, drawn_sigma(_MOST, rng), drawn_kind(rng), rng)


def film_grain(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """The grain of a scanned film: as wide as its scan is fine, in colour by a third, strongest in middle tones."""
    kind = NoiseKind(common=rng.uniform(0.4, 1), width=rng.uniform(0.4, 1.0))
    sigma = drawn_sigma(14, rng)
    if sigma < 0.3:
        return pictures
    tone = np.clip(pictures.mean(3, keepdims=True) / 255, 0, 1)
    strength = sigma * (0.3 + 0.7 * 4 * tone * (1 - tone))
    return pictures + strength.astype(np.float32) * _field(pictures.shape, kind, rng)


def dusk(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """The same scene in little light and with less colour, as a camera shows it at night that does not move."""
    grey, gain = pictures.mean(3, keepdims=True), rng.uniform(0.12, 0.6)
    return (gain * (grey + rng.uniform(0, 0.8) * (pictures - grey))).astype(np.float32)


def night_noise(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """What a surveillance camera at night adds: strong noise, smoothed by the camera, in blotches, and columns of the
    sensor that stay brighter or darker."""
    kind = NoiseKind(
        common=rng.uniform(0, 0.6), photons=True, width=rng.uniform(0, 0.9), blotches=rng.uniform(0.3, 1)
    )
    sigma, columns = drawn_sigma(_MOST, rng), rng.uniform(0, 1.5)
    if sigma < 0.3:
        return pictures
    dark = noisy(pictures, sigma / 3, NoiseKind(width=kind.width), rng)  # what there is without light
    pattern = columns * rng.standard_normal((1, 1, pictures.shape[2], 1), np.float32)
    return (noisy(dark, sigma, kind, rng) + pattern).astype(np.float32)


def _field(shape: tuple[int, ...], kind: NoiseKind, rng: np.random.Generator) -> Pictures:
    """Normal noise of variance 1."""
    noise = rng.standard_normal(shape, np.float32)
    if kind.common:
        grey = rng.standard_normal((*shape[:3], 1), np.float32)
        noise = (math.sqrt(1 - kind.common) * noise + math.sqrt(kind.common) * grey).astype(np.float32)
    return _alike(noise, kind)


def _alike(noise: Pictures, kind: NoiseKind) -> Pictures:
    """Noise whose neighbours are as alike as the kind says, as strong as before."""
    if kind.width < 0.3:
        return noise
    smooth = each_of(noise, lambda p: cv2.GaussianBlur(p, (0, 0), kind.width))
    return (smooth * (noise.std() / max(float(smooth.std()), 1e-6))).astype(np.float32)


def _blotches(shape: tuple[int, ...], rng: np.random.Generator) -> Pictures:
    """Noise of colour alone, 4 to 12 pixels wide."""
    cell, (_, height, width, _) = rng.uniform(4, 12), shape
    coarse = rng.standard_normal(
        (shape[0], max(2, int(height / cell)), max(2, int(width / cell)), 3), np.float32
    )
    coarse -= coarse.mean(3, keepdims=True)
    return each_of(coarse, lambda p: cv2.resize(p, (width, height), interpolation=cv2.INTER_CUBIC))
