"""What lenses and scalers do: blur, another size, halos of sharpening. Each draws its strength, none included."""

import math

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from vsr.resample import resize
from vsr.training.data.footage import Pictures, each_of


def gaussian(sigma_x: float, sigma_y: float, angle: float) -> npt.NDArray[np.float32]:
    """An elliptic Gaussian as a kernel of odd size that sums to 1; σ in pixels, angle in radians."""
    reach = max(1, math.ceil(3 * max(sigma_x, sigma_y)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((along / max(sigma_x, 1e-3)) ** 2 + (across / max(sigma_y, 1e-3)) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def soften(pictures: Pictures, most: float, rng: np.random.Generator) -> Pictures:
    """Blur all frames by one kernel, in two of five cases narrower across than along.

    Args:
        pictures: what the lens shows.
        most: largest σ in pixels; none in three of ten cases.
        rng: every choice comes from it.
    """
    sigma = rng.uniform(0, most) if rng.random() < 0.7 else 0.0
    narrower = rng.uniform(0.4, 1) if rng.random() < 0.4 else 1.0
    angle = rng.uniform(0, math.pi)
    if sigma < 0.15:
        return pictures
    kernel = gaussian(sigma, sigma * narrower, angle)
    return each_of(pictures, lambda p: cv2.filter2D(p, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def scaled(pictures: Pictures, size: tuple[int, int], rng: np.random.Generator) -> Pictures:
    """Bring frames to (height, width) by whichever scaler the footage met: by area, or bicubic, bilinear or Lanczos
    filtering that is widened where it reduces, or bilinear that is not and aliases, as cheap devices do."""
    kind = str(
        rng.choice(["area", "bicubic", "bilinear", "lanczos", "aliasing"], p=[0.4, 0.3, 0.14, 0.1, 0.06])
    )
    if pictures.shape[1:3] == size:
        return pictures
    if kind == "area" and size[0] < pictures.shape[1]:
        return each_of(pictures, lambda p: cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA))
    if kind == "aliasing":
        return each_of(pictures, lambda p: cv2.resize(p, size[::-1], interpolation=cv2.INTER_LINEAR))
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    if kind == "lanczos":
        other = resize(tensor, size)
    else:
        mode = "bilinear" if kind == "bilinear" else "bicubic"
        other = F.interpolate(tensor, size=size, mode=mode, antialias=True)
    return other.permute(0, 2, 3, 1).contiguous().numpy()


def sharpened(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """Unsharp masking, whose halos one in eight cameras and players leaves at edges."""
    chance, amount, sigma = rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.7, 1.5)
    if chance > 0.12:
        return pictures
    return each_of(pictures, lambda p: p + amount * (p - cv2.GaussianBlur(p, (0, 0), sigma)))
