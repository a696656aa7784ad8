"""How steady a clip is: warping error and flicker, against the original's motion. Sees luma alone."""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsr.quality.metrics import PSNR_OF_EQUAL

Array = npt.NDArray[Any]


class Steadiness:
    """Measures a stream of results beside their originals, frame by frame;
    memory does not grow with the clip.

    Warping error (Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, eq. 11): each result is
    compared with the one before it, moved by optical flow, where nothing is hidden. Here the flow is
    estimated on the original clip (DIS: Kroeger et al., ECCV 2016), so that all results are held to one
    motion, and luma is compared.

    Flicker: PSNR of what changes from frame to frame, result against original. A
        clip that is off by the same error in
    every frame does not flicker; white noise of its own in every frame, of
    deviation s, gives 20 log10(255 / (s √2)).
    """

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[Array, Array] | None = None
        self._warping: list[tuple[float, float]] = []
        """Of results and of originals."""
        self._flicker: list[float] = []

    def add(self, result: Array, original: Array, *, cut: bool = False) -> None:
        """Take the next frame.

        Args:
            result, original: (height, width) luma, 0 to 255, any real type.
            cut: the frame does not continue the one before; the two are not compared.
        """
        result, original = result.astype(np.float32), original.astype(np.float32)
        if self._before is not None and not cut:
            last_result, last_original = self._before
            change = (result - last_result) - (original - last_original)
            error = float(np.mean(np.square(change, dtype=np.float64)))
            self._flicker.append(
                min(PSNR_OF_EQUAL, 10 * math.log10(255**2 / error)) if error else PSNR_OF_EQUAL
            )
            self._add_warped(result, last_result, original, last_original)
        self._before = result, original

    def _add_warped(self, result: Array, last_result: Array, original: Array, last_original: Array) -> None:
        now, last = np.rint(original).astype(np.uint8), np.rint(last_original).astype(np.uint8)
        back = self._flow.calc(now, last, None)
        forth = self._flow.calc(last, now, None)
        seen, places = visible(back, forth)
        if not seen.any():
            return
        errors = [
            float(np.mean(np.square((frame - _moved(last_frame, places))[seen] / 255, dtype=np.float64)))
            for frame, last_frame in ((result, last_result), (original, last_original))
        ]
        self._warping.append((errors[0], errors[1]))

    @property
    def warping_error(self) -> float:
        """Mean squared error on luma of 0 to 1, mean over pairs of frames; NaN before there is a pair."""
        return float(np.mean([error for error, _ in self._warping])) if self._warping else math.nan

    @property
    def original_warping_error(self) -> float:
        """The same of the originals themselves: what flow and light leave over."""
        return float(np.mean([error for _, error in self._warping])) if self._warping else math.nan

    @property
    def flicker_psnr(self) -> float:
        """dB, mean over pairs of frames, equal changes counting 100; larger is
        steadier; NaN before there is a pair."""
        return float(np.mean(self._flicker)) if self._flicker else math.nan


def visible(back: Array, forth: Array) -> tuple[Array, Array]:
    """Tell which pixels of a frame could be seen in the frame before, by the forward-backward check.

    Sundaram, Brox, Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow",
    2010, eq. 5, which Lai et al. use through Ruder et al., 2016.

    Args:
        back: (height, width, 2) float32, x and y from this frame to the one before.
        forth: the same from the one before to this one.

    Returns:
        (height, width) bool, and (height, width, 2) float32: where each pixel lay in the frame before.
    """
    height, width = back.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = back + np.stack([x, y], axis=2)
    inside = ((places >= 0) & (places <= np.array([width - 1, height - 1]))).all(2)
    returning = _moved(forth, places)
    apart = np.square(back + returning).sum(2)
    allowed = 0.01 * (np.square(back).sum(2) + np.square(returning).sum(2)) + 0.5
    return inside & (apart <= allowed), places


def _moved(picture: Array, places: Array) -> Array:
    """Read a picture at the given places, between its samples."""
    x, y = places[..., 0], places[..., 1]
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
