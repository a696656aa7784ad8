"""TIFF files through tifffile, with imagecodecs for what their strips and tiles are packed by."""

import io
import logging
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile

from vsr.media.images.metadata import (
    CAMERA,
    GPS,
    Color,
    DamagedError,
    Header,
    Metadata,
    Pixels,
    density,
    portable,
    taken_for_damage,
)

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else its remarks on damage go to stderr

_XMP, _ICC = 700, 34675
_COLORS: dict[int, Color] = {0: "gray", 1: "gray", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb"}
"""Colour by photometric interpretation (TIFF 6.0, page 37)."""
_CHANNELS = {"gray": 1, "palette": 1, "rgb": 3, "cmyk": 4}
_JPEG = (6, 7)
"""Compressions whose decoder gives RGB."""
_MAX_EXTRA = 4
"""Samples beyond the colours that are unpacked, though one alone, opacity, is taken."""
_ACCEPTED = "whole numbers of 1 to 16 bits, or floats, of grey, RGB or CMYK are accepted"


def _first_page(data: bytes) -> tuple[Any, int]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages[0], len(file.pages)


def _tag(page: Any, number: int) -> Any:
    tag = page.tags.get(number)
    return None if tag is None else tag.value


def _metadata(page: Any, data: bytes) -> Metadata:
    xmp = _tag(page, _XMP)
    across, down = (_quotient(_tag(page, number)) for number in (282, 283))
    return Metadata(
        exif=portable(data).block(),
        xmp=xmp.encode() if isinstance(xmp, str) else bytes(xmp or b""),
        icc=bytes(_tag(page, _ICC) or b""),
        density=density(across, down, 2 if _tag(page, 296) is None else _tag(page, 296)),
    )


def _quotient(value: Any) -> float | None:
    return value[0] / value[1] if isinstance(value, tuple) and len(value) == 2 and value[1] else None


def tifffile_header(data: bytes, container: str = "tiff") -> Header:
    """Read the first page's structure.

    Raises:
        DamagedError: the structure is broken, or samples are of a kind that is not read.
    """
    return _header(*_first_page(data), data)


def _header(page: Any, count: int, data: bytes) -> Header:
    color, bits = _COLORS.get(int(page.photometric)), _bits(page)
    extra = int(page.samplesperpixel) - _CHANNELS.get(color or "", 0)
    whole = page.dtype is not None and (page.dtype.kind == "f" or (page.dtype.kind in "ub" and bits <= 16))
    if color is None or not whole or not 0 <= extra <= _MAX_EXTRA:
        kind = page.dtype or f"{bits} bits"
        raise DamagedError(
            f"holds {page.samplesperpixel} {kind} samples of {page.photometric!s}; {_ACCEPTED}"
        )
    notes = (f"TIFF of {count} pages: only the first is read",) if count > 1 else ()
    return Header(
        container="tiff",
        height=int(page.imagelength),
        width=int(page.imagewidth),
        bit_depth=16 if bits > 8 and color != "palette" else 8,
        color=color,
        alpha=extra > 0 and bool(page.extrasamples),
        metadata=_metadata(page, data),
        notes=notes,
        unpacked=_unpacked_bytes(page),
    )


def _unpacked_bytes(page: Any) -> int:
    """The whole page as it is stored, a strip or tile of it, and what is made of its samples by floats of 4 bytes."""
    tile = int(page.tilelength or 1) * int(page.tilewidth or 1) * int(page.tiledepth or 1)
    samples = int(page.samplesperpixel)
    whole = int(page.imagelength) * int(page.imagewidth) * int(page.imagedepth or 1)
    size = page.dtype.itemsize
    return (whole + tile) * samples * size + (whole * samples * 4 if _is_converted(page) else 0)


def _is_converted(page: Any) -> bool:
    return page.dtype.kind == "f" or int(page.photometric) not in (1, 2) or _bits(page) not in (8, 16)


def _bits(page: Any) -> int:
    return page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)


def with_range(data: bytes, header: Header) -> Header:
    """Say where floats go beyond 0 to 1, which their pixels alone tell."""
    if _first_page(data)[0].dtype.kind != "f":
        return header
    pixels = _unpacked(data)
    low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
    if low >= 0 and high <= 1:
        return header
    note = f"its floats run from {low:.4g} to {high:.4g}; 0 to 1 are kept as 16 bits, the rest is cut"
    return replace(header, notes=(*header.notes, note))


def _unpacked(data: bytes) -> Pixels:
    """The first page's samples as they are stored; (height, width, channels)."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        short = [n for n, size in enumerate(page.databytecounts) if page.dataoffsets[n] + size > len(data)]
        if short:
            raise DamagedError("is truncated")
        pixels = np.asarray(page.asarray(maxworkers=1))
        planar = int(page.planarconfig) == 2 and pixels.ndim == 3
        return np.atleast_3d(pixels.transpose(1, 2, 0) if planar else pixels)


def tifffile_decode(data: bytes, header: Header) -> Pixels:
    """Decode the first page; straight (not premultiplied) alpha.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    page, _ = _first_page(data)
    with taken_for_damage("it is packed in a way that is not understood"):
        pixels = _whole_codes(_unpacked(data), page)
    pixels = _as_rgb(pixels, page, header.color)[..., : header.num_channels]
    return _straight(pixels) if header.alpha and int(page.extrasamples[0]) == 1 else pixels


def _whole_codes(pixels: Pixels, page: Any) -> Pixels:
    """Samples of any depth as 8 or 16 bits; a palette's stay as they are."""
    bits, palette = _bits(page), int(page.photometric) == 3
    if pixels.dtype.kind == "f":
        return np.rint(np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1) * 65535).astype(np.uint16)
    if palette or bits in (8, 16):
        return pixels
    target = 8 if bits < 8 else 16
    codes = pixels.astype(np.uint32) * ((1 << target) - 1) + ((1 << bits) - 1) // 2
    return (codes // ((1 << bits) - 1)).astype(np.uint8 if target == 8 else np.uint16)


def _straight(pixels: Pixels) -> Pixels:
    full = np.iinfo(pixels.dtype).max
    color = pixels[..., :-1].astype(np.float32) * full / np.maximum(pixels[..., -1:], 1)
    return np.concatenate([np.minimum(np.rint(color), full).astype(pixels.dtype), pixels[..., -1:]], axis=2)


def _as_rgb(pixels: Pixels, page: Any, color: Color) -> Pixels:
    """Undo inverted grey, palettes and CMYK."""
    full = np.iinfo(pixels.dtype).max
    if int(page.photometric) == 0:
        return np.concatenate([full - pixels[..., :1], pixels[..., 1:]], axis=2)
    if color == "palette":
        return (np.asarray(page.colormap)[:, pixels[..., 0]] >> 8).astype(np.uint8).transpose(1, 2, 0)
    if int(page.photometric) == 6 and int(page.compression) not in _JPEG:
        return _from_ycc(pixels, _tag(page, 529))
    if color == "cmyk":
        ink = full - pixels[..., :4].astype(np.float32)
        rgb = np.rint(ink[..., :3] * ink[..., 3:] / full).astype(pixels.dtype)
        return np.concatenate([rgb, pixels[..., 4:]], axis=2)
    return pixels


def _from_ycc(pixels: Pixels, coefficients: Any) -> Pixels:
    """Y'CbCr of full range to RGB, by the weights of red and blue that the file names (TIFF 6.0, page 89)."""
    pairs = np.reshape(coefficients or (299, 1000, 587, 1000, 114, 1000), (3, 2))
    red, _, blue = (float(above / below) for above, below in pairs)
    full = np.iinfo(pixels.dtype).max
    luma, cb, cr = (pixels[..., channel].astype(np.float32) for channel in range(3))
    r, b = luma + (2 - 2 * red) * (cr - (full + 1) / 2), luma + (2 - 2 * blue) * (cb - (full + 1) / 2)
    rgb = np.stack([r, (luma - red * r - blue * b) / (1 - red - blue), b], axis=2)
    return np.concatenate([np.clip(np.rint(rgb), 0, full).astype(pixels.dtype), pixels[..., 3:]], axis=2)


def tifffile_encode(
    pixels: Pixels, container: str = "tiff", *, metadata: Metadata = Metadata(), **_: Any
) -> tuple[bytes, tuple[str, ...]]:
    """Encode (height, width, 1 to 4 channels) with deflate and a horizontal predictor; no notes."""
    kept = portable(metadata.exif)
    tags: list[Any] = [
        (number, 3, 1, value, True) if isinstance(value, int) else (number, 2, 0, _text(value), True)
        for number, value in kept.first.items()
    ]
    # tifffile writes no pointers: what comes to be one is written with the number before its own.
    tags += [
        (number - 1, 4, 1, 0, True) for number, there in ((CAMERA, kept.camera), (GPS, kept.gps)) if there
    ]
    if metadata.xmp:
        tags.append((_XMP, 1, len(metadata.xmp), metadata.xmp, True))
    channels = pixels.shape[2]
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels if channels > 1 else pixels[..., 0],
        byteorder="<",
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=("unassalpha",) if channels in (2, 4) else None,
        compression="zlib",
        predictor=True,
        resolution=metadata.density,
        resolutionunit=2 if metadata.density else 1,
        iccprofile=metadata.icc or None,
        extratags=tags,
        metadata=None,
        software=False,
    )
    data = file.getvalue()
    return _with_below(data + b"\0" * (len(data) % 2), kept), ()


def _text(value: str) -> bytes:
    return value.encode("latin-1", "replace") + b"\0"


def _with_below(data: bytes, kept: Any) -> bytes:
    """Add EXIF's further directories at the end, and say where they are."""
    below, places = kept.below(len(data))
    page, whole = _first_page(data)[0], bytearray(data)
    for tag, place in places.items():
        entry = page.tags[tag - 1]
        struct.pack_into("<H", whole, entry.offset, tag)
        struct.pack_into("<I", whole, entry.valueoffset, place)
    return bytes(whole) + below
