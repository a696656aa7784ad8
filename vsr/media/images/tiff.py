"""TIFF files through tifffile: header, pixels and writing. OpenCV decodes what tifffile cannot."""

import io
import logging
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from vsr.media.images.containers import Color, DamagedError, Header, Metadata
from vsr.media.images.exif import ORIENTATION, POINTERS, TEXTS, make_exif, portable_tags

Pixels = npt.NDArray[Any]
"""(height, width) or (height, width, channels), RGB order, alpha last; uint8 or uint16."""

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else its remarks on damage go to stderr

_XMP = 700
_COLORS: dict[int, Color] = {0: "gray", 1: "gray", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb"}
"""Colour by photometric interpretation (TIFF 6.0, page 37)."""


def _first_page(data: bytes) -> tuple[Any, int]:
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return file.pages[0], len(file.pages)
    except Exception as error:  # tifffile leaks whatever its parsing trips over
        raise DamagedError("is damaged") from error


def _tag(page: Any, number: int) -> Any:
    tag = page.tags.get(number)
    return None if tag is None else tag.value


def _metadata(page: Any) -> Metadata:
    values = {number: _tag(page, number) for number in (ORIENTATION, *TEXTS)}
    tags: dict[int, int | str] = {
        number: value if isinstance(value, str) else int(value) for number, value in values.items() if value
    }
    xmp = _tag(page, _XMP)
    return Metadata(
        exif=make_exif(tags) if tags else b"",
        xmp=xmp.encode() if isinstance(xmp, str) else bytes(xmp or b""),
        icc=bytes(_tag(page, 34675) or b""),
    )


def read_tiff_header(data: bytes) -> Header:
    """Read the first page's structure.

    Raises:
        DamagedError: the structure is broken, or samples are neither whole numbers
            of 1 to 16 bits nor a known colour.
    """
    page, count = _first_page(data)
    try:
        return _header(page, count)
    except (TypeError, ValueError, AttributeError) as error:  # a tag of another kind than it should be
        raise DamagedError("is damaged") from error


def _header(page: Any, count: int) -> Header:
    color = _COLORS.get(int(page.photometric))
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    if color is None or page.dtype is None or page.dtype.kind not in "ub" or bits > 16:
        kind = page.dtype or f"{bits} bits"
        raise DamagedError(
            f"holds {kind} samples of {page.photometric!s}; 8 or 16 bit grey, RGB or CMYK is accepted"
        )
    channels = {"gray": 1, "palette": 1, "rgb": 3, "cmyk": 4}[color]
    notes = (f"TIFF of {count} pages: only the first is read",) if count > 1 else ()
    if any(pointer in page.tags for pointer in POINTERS):
        notes += ("camera settings and GPS of the TIFF's EXIF are not carried; orientation and texts are",)
    return Header(
        container="tiff",
        height=int(page.imagelength),
        width=int(page.imagewidth),
        bit_depth=16 if bits > 8 and color != "palette" else 8,
        color=color,
        alpha=int(page.samplesperpixel) > channels and bool(page.extrasamples),
        metadata=_metadata(page),
        notes=notes,
    )


def opencv_pixels(data: bytes) -> Pixels | None:
    """Decode with OpenCV as stored, BGR order; None where it cannot. What it would print is kept quiet."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)


def _upright_bytes(data: bytes, page: Any) -> bytes:
    """Blank the orientation tag: OpenCV 5.0 turns a TIFF's pixels by it, and they must stay as stored."""
    tag = page.tags.get(ORIENTATION)
    if tag is None:
        return data
    order = page.parent.byteorder
    return data[: tag.valueoffset] + struct.pack(order + "H", 1) + data[tag.valueoffset + 2 :]


def _by_opencv(data: bytes, page: Any) -> Pixels:
    pixels = opencv_pixels(_upright_bytes(data, page))
    if pixels is None:
        raise DamagedError("is damaged or of a kind that is not understood: its pixels cannot be decoded")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=2)
    return pixels


def _as_rgb(pixels: Pixels, page: Any, color: Color) -> Pixels:
    """Undo inverted grey, palettes and CMYK, in stored samples."""
    full = np.iinfo(pixels.dtype).max
    if int(page.photometric) == 0:
        inverted = pixels if pixels.ndim == 2 else pixels[..., :1]
        return np.concatenate([np.atleast_3d(full - inverted), np.atleast_3d(pixels)[..., 1:]], axis=2)
    if color == "palette":
        return (np.asarray(page.colormap)[:, pixels] >> 8).astype(np.uint8).transpose(1, 2, 0)
    if color == "cmyk":
        ink = full - pixels[..., :4].astype(np.float32)
        return np.rint(ink[..., :3] * ink[..., 3:] / full).astype(pixels.dtype)
    return pixels


def decode_tiff(data: bytes, header: Header) -> Pixels:
    """Decode the first page; straight (not premultiplied) alpha.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    page, _ = _first_page(data)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pixels = np.asarray(file.pages[0].asarray(maxworkers=1))
        if int(page.planarconfig) == 2 and pixels.ndim == 3:
            pixels = pixels.transpose(1, 2, 0)
        pixels = pixels.astype(np.uint8) * np.uint8(255) if pixels.dtype == bool else pixels
        if int(page.photometric) == 6:
            raise ValueError("Y'CbCr")
        pixels = _as_rgb(pixels, page, header.color)
    except Exception:
        # A compression that tifffile leaves to an optional package, or damage: OpenCV tells which.
        pixels = _by_opencv(data, page)
    colors = 1 if header.color == "gray" else 3
    pixels = np.atleast_3d(pixels)[..., : colors + header.alpha]
    if pixels.shape != (header.height, header.width, colors + header.alpha):
        raise DamagedError("is damaged")
    if header.alpha and int(page.extrasamples[0]) == 1:  # premultiplied
        full = np.iinfo(pixels.dtype).max
        color = pixels[..., :-1].astype(np.float32) * full / np.maximum(pixels[..., -1:], 1)
        pixels = np.concatenate(
            [np.minimum(np.rint(color), full).astype(pixels.dtype), pixels[..., -1:]], axis=2
        )
    return pixels


def encode_tiff(pixels: Pixels, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    """Encode (height, width, 1 to 4 channels) with deflate and a horizontal predictor.

    Returns:
        The file, and notes about metadata that it does not hold.
    """
    tags = portable_tags(metadata.exif)
    extra = [
        (number, 3 if isinstance(value, int) else 2, 1 if isinstance(value, int) else 0, value, True)
        for number, value in tags.items()
    ]
    if metadata.xmp:
        extra.append((_XMP, 1, len(metadata.xmp), metadata.xmp, True))  # type: ignore[arg-type]
    channels = pixels.shape[2]
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels if channels > 1 else pixels[..., 0],
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=("unassalpha",) if channels in (2, 4) else None,
        compression="zlib",
        predictor=True,
        iccprofile=metadata.icc or None,
        extratags=extra,
        metadata=None,
        software=False,
    )
    whole = not metadata.exif or make_exif(tags) == metadata.exif
    return file.getvalue(), () if whole else (
        "of EXIF, a TIFF here holds orientation and texts; the rest is left out",
    )
