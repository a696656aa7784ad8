"""PNG, JPEG 2000 and JPEG XL by imagecodecs, which has libpng, OpenJPEG and libjxl; 8 and 16 bit, without loss."""

import struct
from dataclasses import dataclass
from typing import Any

import cv2
import imagecodecs
import numpy as np

from vsr.media.images import png
from vsr.media.images.boxes import boxes
from vsr.media.images.metadata import MAX_PIXELS, DamagedError, Header, Metadata, Pixels


def imagecodecs_header(data: bytes, container: str) -> Header:
    """Tell what is in a JPEG 2000, or in a JPEG XL, whose header tells the size alone: it is decoded.

    Raises:
        DamagedError: it is broken or too large.
    """
    return _HEADERS[container](data)


def _jpeg2000(data: bytes) -> Header:
    """ISO/IEC 15444-1, annex A.5.1 (SIZ) and I.5.3 (colour)."""
    at = data.index(b"\xffO\xffQ") + 4
    _, _, right, bottom, left, top = struct.unpack_from(">HHIIII", data, at)
    (num_channels,) = struct.unpack_from(">H", data, at + 36)
    if not 1 <= num_channels <= 4:
        raise DamagedError(f"holds {num_channels} channels; 1 to 4 are accepted")
    bits = max((data[at + 38 + 3 * n] & 0x7F) + 1 for n in range(num_channels))
    if bits > 16:
        raise DamagedError(f"has {bits} bits a sample; up to 16 are accepted")
    colour = next((body for kind, body in boxes(data) if kind == b"colr"), b"")
    palette = any(kind == b"pclr" for kind, _ in boxes(data))
    return Header(
        container="jpeg2000",
        height=bottom - top,
        width=right - left,
        bit_depth=8 if bits <= 8 else 16,
        color="gray" if num_channels <= 2 and not palette else "rgb",
        alpha=num_channels in (2, 4),
        metadata=Metadata(icc=colour[3:] if colour[:1] == b"\x02" else b""),
    )


def _jpegxl(data: bytes) -> Header:
    height, width = _jpegxl_size(data)
    if height * width > MAX_PIXELS:
        raise DamagedError(f"claims {width}x{height} pixels; up to {MAX_PIXELS:,} are accepted")
    pixels = _decoded(data, "jpegxl")
    inside = dict(boxes(data))
    left_out = [name for name, box in (("EXIF", b"Exif"), ("XMP", b"xml ")) if box in inside]
    notes = (f"{' and '.join(left_out)} of the JPEG XL are not carried",) if left_out else ()
    return Header(
        container="jpegxl",
        height=pixels.shape[0],
        width=pixels.shape[1],
        bit_depth=8 * pixels.dtype.itemsize,
        color="gray" if pixels.shape[2] <= 2 else "rgb",
        alpha=pixels.shape[2] in (2, 4),
        notes=notes,
    )


@dataclass(slots=True)
class _Bits:
    """A codestream's bits, the lowest of each byte first."""

    value: int

    def take(self, count: int) -> int:
        taken = self.value & ((1 << count) - 1)
        self.value >>= count
        return taken


_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _jpegxl_size(data: bytes) -> tuple[int, int]:
    """Height, width by SizeHeader (ISO/IEC 18181-1, D.2)."""
    at = data.index(b"\xff\x0a")
    bits = _Bits(int.from_bytes(data[at + 2 : at + 14], "little"))
    small = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else 1 + bits.take((9, 13, 18, 30)[bits.take(2)])

    height, ratio = side(), bits.take(3)
    if not ratio:
        return height, side()
    across, down = _RATIOS[ratio - 1]
    return height, height * across // down


_HEADERS = {"jpeg2000": _jpeg2000, "jpegxl": _jpegxl}


def _decoded(data: bytes, container: str) -> Pixels:
    if container == "png":
        pixels = imagecodecs.png_decode(png.pixels_alone(data))
    elif container == "jpeg2000":
        pixels = imagecodecs.jpeg2k_decode(data, numthreads=1)
    else:
        pixels = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)
    pixels = np.atleast_3d(pixels)
    if pixels.dtype.kind == "f":
        return np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 65535).astype(np.uint16)
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2 or pixels.shape[2] > 4:
        raise DamagedError(
            f"holds {pixels.shape[2]} channels of {pixels.dtype}; up to 4 of 8 or 16 bits are accepted"
        )
    return pixels


def imagecodecs_decode(data: bytes, header: Header) -> Pixels:
    """Decode to (height, width, channels) of the header's depth.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    return _decoded(data, header.container)


def imagecodecs_encode(
    pixels: Pixels, container: str, *, metadata: Metadata = Metadata(), **_: Any
) -> tuple[bytes, tuple[str, ...]]:
    """Encode 1 to 4 channels of 8 or 16 bits without loss; no notes.

    Raises:
        ValueError, RuntimeError, cv2.error: the encoder refuses.
    """
    flat = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if container == "png":
        return png.with_metadata(_png(flat), metadata), ()
    if container == "jpeg2000":
        return bytes(
            imagecodecs.jpeg2k_encode(flat, level=0, reversible=True, codecformat="jp2", numthreads=1)
        ), ()
    return bytes(imagecodecs.jpegxl_encode(flat, lossless=True, numthreads=1)), ()


def _png(pixels: Pixels) -> bytes:
    """OpenCV's encoder is four times as quick as others; grey with alpha alone is beyond it."""
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        return png.pixels_alone(bytes(imagecodecs.png_encode(pixels)))
    done, data = cv2.imencode(
        ".png", pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    )
    if not done:
        raise ValueError("no PNG was made")
    return data.tobytes()
