"""Between the linear light of float pictures and 16-bit codes: sRGB where nothing is brighter than white, else PQ.

sRGB: IEC 61966-2-1. PQ and HLG: ITU-R BT.2100-2, with white where BT.2408 puts it (203 cd/m², 75 % of HLG).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vsr.media.images.metadata import Pixels

SRGB, PQ, HLG = "iec61966-2-1", "smpte2084", "arib-std-b67"
BRIGHTEST = 10_000 / 203
"""The largest value that PQ holds; white is 1."""

_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

Floats = npt.NDArray[np.float32]


def from_linear(light: Floats, transfer: str) -> Pixels:
    """16-bit codes of linear light; below 0 and above what the transfer holds it is cut."""
    if transfer == PQ:
        power = np.clip(light / np.float32(BRIGHTEST), 0, 1) ** np.float32(_M1)
        signal = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** np.float32(_M2)
        signal[light <= 0] = 0
    else:
        light = np.clip(light, 0, 1)
        signal = np.where(
            light <= 0.0031308,
            12.92 * light,
            np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055),
        )
    return np.rint(signal * np.float32(65535)).astype(np.uint16)


@lru_cache(maxsize=4)
def _lights(transfer: str) -> Floats:
    """Light of each 16-bit code."""
    signal = np.arange(65536) / 65535
    if transfer == PQ:
        root = signal ** (1 / _M2)
        light = (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1) * BRIGHTEST
    elif transfer == HLG:
        low, high = signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        light = np.where(signal <= 0.5, low, high)
        light /= light[49151]
    else:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def to_linear(codes: Pixels, transfer: str) -> Floats:
    """Linear light of 16-bit codes; any transfer but PQ and HLG is taken as sRGB's."""
    return _lights(transfer if transfer in (PQ, HLG) else SRGB)[codes]
