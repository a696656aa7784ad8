"""Code values ↔ nominal values, and Y'CbCr ↔ R'G'B', on tensors, from a
picture's own facts. Never a default matrix.

Nominal values: luma and R'G'B' run from 0 (black) to 1 (white), chroma from -0.5 to 0.5; head- and footroom
lie outside and are kept. Formulas: ITU-R BT.601-7, BT.709-6, BT.2020-2; code values: BT.2100-2 table 9.
"""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsr.errors import SourceError
from vsr.frames import SUBSAMPLING, Layout, PictureFormat
from vsr.resample import Halving

# Kr and Kb of each matrix, by FFmpeg's names.
_WEIGHTS: dict[str, tuple[float, float]] = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
    "gbr": (0.299, 0.114),  # the luma our networks learnt from RGB pictures
}

BAND_ROWS = 32
"""Rows that are worked on at once on a CPU: of 4K in R'G'B' 1.5 MB, which is about what a core's own cache holds."""

_SITED: dict[str, tuple[float, float]] = {
    "unspecified": (0.0, -0.5),
    "left": (0.0, -0.5),
    "center": (0.0, 0.0),
    "topleft": (-0.5, -0.5),
    "top": (-0.5, 0.0),
    "bottomleft": (0.5, -0.5),
    "bottom": (0.5, 0.0),
}
"""Rows, columns from the centre of a block of 2x2 to its chroma. Unspecified: left, as in H.264, HEVC."""


def weights(format: PictureFormat) -> tuple[float, float]:
    """Kr and Kb of a picture's matrix; a picture that says nothing is read by the
    usual rule (BT.601 below 720 lines).

    Raises:
        SourceError: the matrix is not of the Kr/Kb kind.
    """
    matrix = format.matrix
    if matrix in ("unknown", "unspecified", ""):
        matrix = "smpte170m" if format.height < 720 else "bt709"
    if matrix not in _WEIGHTS:
        raise SourceError(
            f"colour matrix {matrix!r} cannot be converted to RGB; known are {', '.join(_WEIGHTS)}"
        )
    return _WEIGHTS[matrix]


def luma_scale(format: PictureFormat) -> tuple[float, float]:
    """Code value of black, and codes from black to white, for luma and R'G'B'."""
    if format.range == "full":
        return 0.0, float((1 << format.bit_depth) - 1)
    step = 1 << (format.bit_depth - 8)
    return 16.0 * step, 219.0 * step


def chroma_scale(format: PictureFormat) -> tuple[float, float]:
    """Code value of no colour, and codes from -0.5 to 0.5."""
    middle = float(1 << (format.bit_depth - 1))
    if format.range == "full":
        return middle, float((1 << format.bit_depth) - 1)
    return middle, 224.0 * (1 << (format.bit_depth - 8))


def to_nominal(codes: Tensor, scale: tuple[float, float]) -> Tensor:
    """Code values of any integer type → float32 nominal values."""
    zero, span = scale
    values = codes.to(torch.float32)
    return values.sub_(zero).mul_(1 / span) if zero else values.mul_(1 / span)


def to_codes(values: Tensor, scale: tuple[float, float], bit_depth: int) -> Tensor:
    """Nominal float32 values → rounded code values, uint8 for 8 bits, else uint16."""
    if values.device.type == "cpu" and not values.requires_grad:
        return _to_codes_on_cpu(values, scale, bit_depth)
    zero, span = scale
    codes = values.mul(span).add_(zero).round_().clamp_(0, (1 << bit_depth) - 1)
    return codes.to(torch.uint8 if bit_depth == 8 else torch.uint16)


def _to_codes_on_cpu(values: Tensor, scale: tuple[float, float], bit_depth: int) -> Tensor:
    """The same in one pass of OpenCV's, a fifth of the time; what lies on a half may fall to the other side."""
    zero, span = scale
    flat = values.float().reshape(1, -1).numpy()
    # Half and half: OpenCV scales, adds and rounds at once nothing but the sum of two.
    codes = cv2.addWeighted(
        flat, span / 2, flat, span / 2, zero, dtype=cv2.CV_8U if bit_depth == 8 else cv2.CV_16U
    )
    if 8 < bit_depth < 16:
        np.minimum(codes, (1 << bit_depth) - 1, out=codes)
    return torch.from_numpy(codes).view(values.shape)


def rgb_to_ycc(rgb: Tensor, kr_kb: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """(B, 3, H, W) R'G'B' → (B, 1, H, W) luma and (B, 2, H, W) chroma, nominal."""
    kr, kb = kr_kb
    if rgb.device.type == "cpu" and not rgb.requires_grad:
        return _rgb_to_ycc_on_cpu(rgb, kr, kb)
    r, g, b = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    y = kr * r + (1 - kr - kb) * g + kb * b
    return y, torch.cat([(b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)], 1)


def _rgb_to_ycc_on_cpu(rgb: Tensor, kr: float, kb: float) -> tuple[Tensor, Tensor]:
    """The same by OpenCV in bands that stay in the cache, each read once: a sixth of the time."""
    batch, _, height, width = rgb.shape
    luma, chroma = rgb.new_empty(batch, 1, height, width), rgb.new_empty(batch, 2, height, width)
    to_cb, to_cr = 1 / (2 - 2 * kb), 1 / (2 - 2 * kr)
    for planes, (y_whole,), (cb, cr) in zip(rgb.numpy(), luma.numpy(), chroma.numpy(), strict=True):
        for top in range(0, height, BAND_ROWS):
            rows = slice(top, top + BAND_ROWS)
            (r, g, b), y = planes[:, rows], y_whole[rows]
            cv2.addWeighted(r, kr, g, 1 - kr - kb, 0, dst=y)
            cv2.scaleAdd(b, kb, y, dst=y)
            cv2.addWeighted(b, to_cb, y, -to_cb, 0, dst=cb[rows])
            cv2.addWeighted(r, to_cr, y, -to_cr, 0, dst=cr[rows])
    return luma, chroma


def ycc_to_rgb(luma: Tensor, chroma: Tensor, kr_kb: tuple[float, float]) -> Tensor:
    """(B, 1, H, W) luma and (B, 2, H, W) chroma → (B, 3, H, W) R'G'B', nominal."""
    kr, kb = kr_kb
    cb, cr = chroma[:, 0:1], chroma[:, 1:2]
    r = luma + (2 - 2 * kr) * cr
    b = luma + (2 - 2 * kb) * cb
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return torch.cat([r, g, b], 1)


def rgb_to_codes(rgb: Tensor, seen: PictureFormat, format: PictureFormat) -> list[Tensor]:
    """R'G'B' on a CPU → planes of Y'CbCr, (H, W) each, with code values; each band of rows is read once.

    What `rgb_to_ycc`, halving of chroma and `to_codes` give, but for what lies on a half; in a third of the time where
    pixels lie together, since nothing of a whole frame but its codes is written.

    Args:
        rgb: (1, 3, H, W) float32, nominal; quickest in channels_last.
        seen: whose matrix, layout and siting count.
        format: of the planes, (H, W); the same layout.
    """
    pixels = _pixels(rgb)
    luma, *chroma = code_rows(weights(seen), format)
    rows, columns = SUBSAMPLING[format.layout]
    halving = None if (rows, columns) == (1, 1) else chroma_halving(seen)
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    planes = [np.empty(format.plane_size(index), dtype) for index in range(format.num_planes - format.alpha)]
    for top in range(0, len(pixels), BAND_ROWS):
        band, bottom = pixels[top : top + BAND_ROWS], min(top + BAND_ROWS, len(pixels))
        _rounded(cv2.transform(band, luma), format.bit_depth, planes[0][top:bottom])
        first, last = top // rows, -(-bottom // rows)
        # Matrix and halving may change places, and half of the rows are the fewer to multiply.
        tall = band if halving is None else halving.of_rows(pixels, first, last)
        for plane, row in zip(planes[1:], chroma, strict=False):
            part = cv2.transform(tall, row)
            part = part if halving is None else halving.along_rows(part)
            _rounded(part, format.bit_depth, plane[first:last])
    return [torch.from_numpy(plane) for plane in planes]


def _pixels(rgb: Tensor) -> np.ndarray:
    """(H, W, 3) of (1, 3, H, W)."""
    by_pixel = rgb[0].permute(1, 2, 0)
    return by_pixel.numpy() if by_pixel.is_contiguous() else cv2.merge(list(rgb[0].numpy()))


def chroma_halving(format: PictureFormat) -> Halving:
    """How chroma at full size becomes that of a layout, at its siting."""
    siting = chroma_offset(format.layout, format.siting)
    return Halving(SUBSAMPLING[format.layout], siting, "catmull-rom")


def code_rows(kr_kb: tuple[float, float], format: PictureFormat) -> npt.NDArray[np.float32]:
    """What R', G', B' and 1 count in the codes of Y', Cb and Cr, (3, 1, 4)."""
    kr, kb = kr_kb
    luma = np.array([kr, 1 - kr - kb, kb])
    red, _, blue = np.eye(3)
    (black, span), (middle, spread) = luma_scale(format), chroma_scale(format)
    rows = (
        (luma * span, black),
        ((blue - luma) * spread / (2 - 2 * kb), middle),
        ((red - luma) * spread / (2 - 2 * kr), middle),
    )
    return np.array([[np.append(factors, zero)] for factors, zero in rows], np.float32)


def _rounded(codes: np.ndarray, bit_depth: int, into: np.ndarray) -> None:
    """Round float32 to the nearest codes that there are."""
    # Half and half: OpenCV scales, adds and rounds at once nothing but the sum of two.
    kind = cv2.CV_8U if bit_depth == 8 else cv2.CV_16U
    cv2.addWeighted(codes, 0.5, codes, 0.5, 0, dst=into, dtype=kind)
    if 8 < bit_depth < 16:
        np.minimum(into, (1 << bit_depth) - 1, out=into)


def chroma_offset(layout: Layout, siting: str) -> tuple[float, float]:
    """Rows, columns from the centre of a chroma sample's block to where it lies, in luma samples."""
    rows, columns = SUBSAMPLING[layout]
    down, across = _SITED.get(siting, _SITED["unspecified"])
    if layout == "yuv422":
        across = -0.5  # every standard for 4:2:2 places chroma on the even columns
    return down if rows == 2 else 0.0, across if columns == 2 else 0.0
