"""Pictures damaged by known strengths: the table by which networks for real footage are judged."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class KnownDamage:
    """What is done to a picture; nothing but reduction unless said otherwise."""

    scale: int
    """By how much it is reduced, by area."""
    noise: float = 0.0
    """σ of what is added to each of R, G, B, in code values of 8 bits."""
    jpeg: int = 100
    """Quality of the file that it is stored in; 100 for none."""
    blur: float = 0.0
    """σ of the Gaussian before the reduction, in pixels of the original."""

    def __str__(self) -> str:
        words = [f"x{self.scale}"]
        if self.noise or self.jpeg < 100 or self.blur:
            words += [f"noise {self.noise:g}", f"JPEG {self.jpeg}", f"blur {self.blur:g}"]
        return " ".join(words) if len(words) > 1 else f"{words[0]} undegraded"


DAMAGE_TABLE = (
    KnownDamage(4, noise=0, jpeg=40, blur=0.6),
    KnownDamage(4, noise=8, jpeg=70, blur=0.6),
    KnownDamage(4, noise=15, jpeg=60, blur=0.8),
    KnownDamage(4, noise=25, jpeg=50, blur=1.0),
    KnownDamage(2, noise=25, jpeg=50, blur=1.0),
    KnownDamage(4),
    KnownDamage(2),
)
"""What networks for real footage are compared by, rows from hardly to heavily damaged, and then not at all."""


def damaged(picture: npt.NDArray[np.uint8], damage: KnownDamage) -> npt.NDArray[np.uint8]:
    """Blur, reduce, add noise and store a picture; the noise has seed 0 for every picture.

    Args:
        picture: (H, W, 3) R, G, B; rows and columns beyond a multiple of the scale are left out.
        damage: how.

    Returns:
        (H // scale, W // scale, 3) R, G, B.
    """
    height, width = (side // damage.scale for side in picture.shape[:2])
    pixels: npt.NDArray[Any] = picture[: height * damage.scale, : width * damage.scale].astype(np.float32)
    if damage.blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), damage.blur)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    if damage.noise:
        pixels = pixels + np.random.default_rng(0).normal(0, damage.noise, pixels.shape)
    codes = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if damage.jpeg == 100:
        return codes
    file = cv2.imencode(".jpg", codes[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, damage.jpeg])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
