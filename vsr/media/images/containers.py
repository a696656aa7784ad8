"""The structure of PNG, JPEG and WebP files: sizes before anything is
decoded, and metadata moved byte for byte.

Codecs see bare pixels; EXIF, XMP and ICC profiles are cut out of one file and put into another here, because
no encoder at hand keeps all of them for all formats (OpenCV 5.0 drops XMP from JPEG and pads it in PNG).
Never touches pixels.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from vsr.media.images.exif import make_exif, portable_tags

Color = Literal["gray", "rgb", "palette", "cmyk"]

MAX_METADATA = 64 << 20
"""Bytes that a compressed profile or text may unfold to."""

_JPEG_EXIF = b"Exif\0\0"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_ICC = b"ICC_PROFILE\0"
_PNG_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
_PNG_CARRIED = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tEXt", b"zTXt", b"iTXt")


class DamagedError(Exception):
    """The file's structure is broken; the text completes the sentence "the file ..."."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What travels beside the pixels; empty where absent."""

    exif: bytes = b""
    """From the byte order mark on."""
    xmp: bytes = b""
    icc: bytes = b""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Further PNG chunks (name, body) that only a PNG can hold."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says about itself before it is decoded."""

    container: Literal["png", "jpeg", "webp", "tiff"]
    height: int
    width: int
    bit_depth: int = 8
    """8 or 16; fewer bits are widened to 8 by the decoder."""
    color: Color = "rgb"
    alpha: bool = False
    key: int | None = None
    """Grey value that means transparent (PNG's tRNS), at the stored depth widened to `bit_depth`."""
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()


def unfold(data: bytes) -> bytes:
    """Decompress zlib data, at most `MAX_METADATA` bytes of it."""
    try:
        return zlib.decompressobj().decompress(data, MAX_METADATA)
    except zlib.error as error:
        raise DamagedError(f"has broken metadata ({error})") from error


# PNG: https://www.w3.org/TR/png-3/


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body, end = data[at + 8 : at + 8 + size], at + 12 + size
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise DamagedError(f"is damaged near byte {at}")
        yield data[at + 4 : at + 8], body
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end
    raise DamagedError("is truncated")


def _png_header(data: bytes) -> Header:
    chunks = list(_png_chunks(data))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise DamagedError("does not begin with a picture header")
    first = dict(reversed(chunks))
    width, height, depth, kind = struct.unpack_from(">IIBB", first[b"IHDR"])
    if kind not in (0, 2, 3, 4, 6):
        raise DamagedError(f"names colour type {kind}, which does not exist")
    transparent = first.get(b"tRNS")
    key = None
    if transparent is not None and kind == 0:
        key = int.from_bytes(transparent[:2], "big") * (255 // ((1 << depth) - 1) if depth < 8 else 1)
    profile = first.get(b"iCCP", b"").partition(b"\0")[2][1:]
    xmp = next(
        (body[len(_PNG_XMP) :] for name, body in chunks if name == b"iTXt" and body.startswith(_PNG_XMP)), b""
    )
    return Header(
        container="png",
        height=height,
        width=width,
        bit_depth=16 if depth == 16 else 8,
        color="palette" if kind == 3 else "rgb" if kind & 2 else "gray",
        alpha=bool(kind & 4) or transparent is not None,
        key=key,
        metadata=Metadata(
            exif=first.get(b"eXIf", b""),
            xmp=xmp,
            icc=unfold(profile) if profile else b"",
            chunks=tuple((n, b) for n, b in chunks if n in _PNG_CARRIED and not b.startswith(_PNG_XMP)),
        ),
        notes=("animated PNG: only its first picture is read",) if b"acTL" in first else (),
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(height: int, width: int, depth: int, kind: int, rows: bytes) -> bytes:
    """Make a PNG of filtered rows; `kind` is the colour type (4: grey with alpha, not OpenCV's to write)."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 6)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _png_with(data: bytes, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    added = [_chunk(name, body) for name, body in metadata.chunks]
    if metadata.icc:
        added.insert(0, _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.exif:
        added.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        added.append(_chunk(b"iTXt", _PNG_XMP + metadata.xmp))
    return data[:33] + b"".join(added) + data[33:], ()  # 33: signature and IHDR


# JPEG: ITU-T T.81 annex B; EXIF 3.0 §4.7; XMP part 3 §1.1.3; ICC.1:2022 annex B.4


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 2
    while at + 4 <= len(data):
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF:
            raise DamagedError(f"is damaged near byte {at}")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in (0xDA, 0xD9):
            if data.find(b"\xff\xd9", at) < 0:
                raise DamagedError("is truncated")
            return
        yield marker, data[at + 4 : at + 2 + size]
        at += 2 + size
    raise DamagedError("is truncated")


def _jpeg_header(data: bytes) -> Header:
    exif = xmp = b""
    profile: dict[int, bytes] = {}
    size: tuple[int, int, int, int] | None = None
    notes: list[str] = []
    for marker, body in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) >= 6:
            size = struct.unpack_from(">BHHB", body)
        elif marker == 0xE1 and body.startswith(_JPEG_EXIF):
            exif = exif or body[len(_JPEG_EXIF) :]
        elif marker == 0xE1 and body.startswith(_JPEG_XMP):
            xmp = xmp or body[len(_JPEG_XMP) :]
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xmp/extension/"):
            notes.append("the extended part of its XMP is not carried")
        elif marker == 0xE2 and body.startswith(_JPEG_ICC):
            profile[body[len(_JPEG_ICC)]] = body[len(_JPEG_ICC) + 2 :]
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            notes.append("further pictures inside the file (preview, depth or gain map) are not carried")
    if size is None:
        raise DamagedError("has no picture header")
    depth, height, width, components = size
    if depth != 8:
        raise DamagedError(f"has {depth} bits a sample; 8 are accepted")
    icc = b"".join(profile[number] for number in sorted(profile))
    color: Color = {1: "gray", 4: "cmyk"}.get(components, "rgb")  # pyright: ignore[reportAssignmentType]
    metadata = Metadata(exif=exif, xmp=xmp, icc=icc)
    return Header("jpeg", height, width, color=color, metadata=metadata, notes=tuple(dict.fromkeys(notes)))


def _jpeg_with(data: bytes, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    room, notes, segments = 65533, list[str](), list[tuple[int, bytes]]()
    exif, xmp, icc = metadata.exif, metadata.xmp, metadata.icc
    if len(exif) + len(_JPEG_EXIF) > room:
        exif = make_exif(portable_tags(exif))
        notes.append("EXIF is larger than a JPEG can hold: orientation and texts alone are kept")
    if len(xmp) + len(_JPEG_XMP) > room:
        xmp = b""
        notes.append("XMP is larger than a JPEG can hold and is left out")
    if exif:
        segments.append((0xE1, _JPEG_EXIF + exif))
    if xmp:
        segments.append((0xE1, _JPEG_XMP + xmp))
    step = room - len(_JPEG_ICC) - 2
    count = -(-len(icc) // step)
    for number in range(count):
        part = icc[number * step : (number + 1) * step]
        segments.append((0xE2, _JPEG_ICC + bytes((number + 1, count)) + part))
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    # JFIF's own segment stays first.
    at = 4 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 2
    return data[:at] + added + data[at:], tuple(notes)


# WebP: https://developers.google.com/speed/webp/docs/riff_container

_WEBP_ANIMATION, _WEBP_XMP, _WEBP_EXIF, _WEBP_ALPHA, _WEBP_ICC = 0x02, 0x04, 0x08, 0x10, 0x20


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise DamagedError("is truncated")
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            raise DamagedError("is truncated")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _webp_size(chunks: dict[bytes, bytes]) -> tuple[int, int, bool, bool]:
    """Height, width, alpha, animated."""
    try:
        if extended := chunks.get(b"VP8X"):
            width, height = (1 + int.from_bytes(extended[at : at + 3], "little") for at in (4, 7))
            return height, width, bool(extended[0] & _WEBP_ALPHA), bool(extended[0] & _WEBP_ANIMATION)
        if lossless := chunks.get(b"VP8L"):
            bits = int.from_bytes(lossless[1:5], "little")
            return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF), bool(bits >> 28 & 1), False
        width, height = struct.unpack_from("<HH", chunks[b"VP8 "], 6)
        return height & 0x3FFF, width & 0x3FFF, False, False
    except (KeyError, IndexError, struct.error) as error:
        raise DamagedError("has no picture header") from error


def _webp_header(data: bytes) -> Header:
    chunks = dict(reversed(list(_webp_chunks(data))))
    height, width, alpha, animated = _webp_size(chunks)
    exif = chunks.get(b"EXIF", b"")
    metadata = Metadata(exif.removeprefix(_JPEG_EXIF), chunks.get(b"XMP ", b""), chunks.get(b"ICCP", b""))
    notes = ("animated WebP: only its first picture is read",) if animated else ()
    return Header("webp", height, width, alpha=alpha, metadata=metadata, notes=notes)


def _webp_with(data: bytes, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    chunks = [(name, body) for name, body in _webp_chunks(data) if name != b"VP8X"]
    height, width, alpha, _ = _webp_size(dict(_webp_chunks(data)))
    parts = ((_WEBP_ICC, metadata.icc), (_WEBP_EXIF, metadata.exif), (_WEBP_XMP, metadata.xmp))
    flags = sum(flag for flag, body in parts if body) | (_WEBP_ALPHA if alpha else 0)
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    ordered = [(b"VP8X", bytes((flags, 0, 0, 0)) + size), (b"ICCP", metadata.icc), *chunks]
    ordered += [(b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)]
    body = b"".join(n + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for n, b in ordered if b)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body, ()


_READERS = {"png": _png_header, "jpeg": _jpeg_header, "webp": _webp_header}
_WRITERS = {"png": _png_with, "jpeg": _jpeg_with, "webp": _webp_with}


def read_header(data: bytes, container: str) -> Header:
    """Read a PNG, JPEG or WebP file's structure.

    Raises:
        DamagedError: the structure is broken or ends too early.
    """
    try:
        return _READERS[container](data)
    except (struct.error, IndexError) as error:
        raise DamagedError("is damaged") from error


def with_metadata(data: bytes, container: str, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    """Put metadata into an encoded file that has none.

    Returns:
        The file, and notes about what it cannot hold.
    """
    if metadata == Metadata():
        return data, ()
    return _WRITERS[container](data, metadata)
