"""What happens to pictures on the way to a viewer: reduction, and for the
real world blur, noise, JPEG and codecs.

`degrade` makes the low-resolution twin of a clip. The real chain is run twice, the second time weaker, as
footage is often recorded, edited and sent on (after Wang et al., "Real-ESRGAN", 2021; video codecs take the
place of its sinc filter).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from vsr.media import Codec, through_codec
from vsr.resample import reduce
from vsr.training.data.footage import Footage

Pictures = npt.NDArray[np.float32]
"""(T, H, W, 3), 0–255."""

_CLEAN = 0.1
"""Share of clips that are only reduced: the network must not soften what is good already."""

_CODECS: tuple[tuple[Codec, float, tuple[int, int]], ...] = (
    ("h264", 0.6, (20, 37)),
    ("mpeg4", 0.2, (2, 14)),
    ("mpeg2", 0.1, (2, 14)),
    ("hevc", 0.1, (22, 38)),
)
"""Codec, share, range of quality."""


def cleanly(high: Footage, scale: int, rng: np.random.Generator) -> Footage:
    """Reduce and nothing else, as the test sets of the field are made."""
    if min(high.shape[1:3]) < scale:  # an icon among the pictures; no patch will fit it
        return np.zeros((len(high), high.shape[1] // scale, high.shape[2] // scale, 3), np.uint8)
    return reduce(torch.from_numpy(high).permute(0, 3, 1, 2), scale).permute(0, 2, 3, 1).contiguous().numpy()


def really(high: Footage, scale: int, rng: np.random.Generator) -> Footage:
    """Blur, reduce, add noise, compress as JPEG and as video; then once more, weaker."""
    if rng.random() < _CLEAN:
        return cleanly(high, scale, rng)
    size = (high.shape[1] // scale, high.shape[2] // scale)
    pictures = high.astype(np.float32)
    pictures = _blur(pictures, 0.6 * scale * rng.random(), rng)
    pictures = _resize(pictures, size, rng)
    pictures = _add_noise(pictures, 10 * rng.random() ** 2, rng)
    pictures = _maybe(0.3, rng, through_jpeg, pictures, (40, 95))
    pictures = _maybe(0.8, rng, _codec, pictures, 0)
    if rng.random() < 0.4:
        pictures = _blur(pictures, 0.5 * rng.random(), rng)
        pictures = _add_noise(pictures, 3 * rng.random() ** 2, rng)
        pictures = _codec(pictures, -6, rng)
    return _to_bytes(pictures)


Degradation = Callable[[Footage, int, np.random.Generator], Footage]


def _maybe(
    chance: float, rng: np.random.Generator, what: Callable[..., Pictures], pictures: Pictures, how: object
):
    return what(pictures, how, rng) if rng.random() < chance else pictures


def _stack(pictures: Sequence[Any]) -> Pictures:
    return np.stack(pictures).astype(np.float32)


def _to_bytes(pictures: Pictures) -> Footage:
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def gaussian(sigma_x: float, sigma_y: float, angle: float) -> npt.NDArray[np.float32]:
    """An elliptic Gaussian as a kernel of odd size that sums to 1; σ in pixels, angle in radians."""
    reach = max(1, math.ceil(3 * max(sigma_x, sigma_y)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((along / max(sigma_x, 1e-3)) ** 2 + (across / max(sigma_y, 1e-3)) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def _blur(pictures: Pictures, sigma: float, rng: np.random.Generator) -> Pictures:
    """Lenses and cheap scalers: one kernel for all frames, up to half as wide across as along."""
    if sigma < 0.2:
        return pictures
    kernel = gaussian(sigma, sigma * rng.uniform(0.5, 1), rng.uniform(0, math.pi))
    return _stack([cv2.filter2D(p, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for p in pictures])


def _resize(pictures: Pictures, size: tuple[int, int], rng: np.random.Generator) -> Pictures:
    """By whichever scaler the footage met; bicubic and bilinear filter first, as FFmpeg's do."""
    kind = rng.choice(["area", "bilinear", "bicubic"], p=[0.3, 0.3, 0.4])
    if kind == "area":
        return _stack([cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA) for p in pictures])
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    small = F.interpolate(tensor, size=size, mode=str(kind), antialias=True, align_corners=False)
    return small.permute(0, 2, 3, 1).contiguous().numpy()


def _add_noise(pictures: Pictures, sigma: float, rng: np.random.Generator) -> Pictures:
    """Sensor noise: partly common to the colours, partly growing with the light, new in every frame."""
    if sigma < 0.3:
        return pictures
    shape, common = pictures.shape, rng.random()
    grey = rng.standard_normal((*shape[:3], 1), np.float32)
    color = rng.standard_normal(shape, np.float32)
    noise = math.sqrt(common) * grey + math.sqrt(1 - common) * color
    light = np.sqrt(np.clip(pictures, 0, 255) / 128) if rng.random() < 0.5 else np.float32(1)
    return np.asarray(pictures + np.float32(sigma) * noise * light, np.float32)


def through_jpeg(pictures: Pictures, qualities: tuple[int, int], rng: np.random.Generator) -> Pictures:
    """Each of (T, H, W, 3), 0–255, as a JPEG file of one quality between the two, both included."""
    quality = int(rng.integers(qualities[0], qualities[1] + 1))
    files = [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for p in _to_bytes(pictures)]
    return _stack([cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files])


def _codec(pictures: Pictures, better: int, rng: np.random.Generator) -> Pictures:
    """Through one of the codecs; `better` is negative for a higher quality than usual."""
    shares = np.array([share for _, share, _ in _CODECS])
    codec, _, (best, worst) = _CODECS[int(rng.choice(len(_CODECS), p=shares / shares.sum()))]
    quality = max(2, int(rng.integers(best, worst + 1)) + better)
    return _stack(through_codec(list(_to_bytes(pictures)), codec, quality))
