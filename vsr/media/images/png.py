"""The chunks of a PNG file (https://www.w3.org/TR/png-3/): its header, and what travels beside the pixels,
byte for byte. No encoder at hand writes 16 bits with all of it."""

import struct
import zlib
from collections.abc import Iterator

from vsr.media.images.metadata import MAX_METADATA, DamagedError, Header, Metadata

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
_CARRIED = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tEXt", b"zTXt", b"iTXt")
_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT")
_INCH = 0.0254


def _chunks(data: bytes, notes: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and bodies. Damage to what the pixels do not need is told in `notes`."""
    at, seen = len(_SIGNATURE), set[bytes]()
    while at + 12 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            break
        whole = zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if not whole and (name in _OF_PIXELS or not name.isalpha()):
            raise DamagedError(f"is damaged near byte {at}")
        if whole:
            yield name, data[at + 8 : end - 4]
        else:
            notes.append(f"{name.decode('ascii', 'replace')} is damaged and left out")
        if name == b"IEND":
            return
        seen.add(name)
        at = end
    if b"IDAT" not in seen or data[at + 4 : at + 8] == b"IDAT":
        raise DamagedError("is truncated")
    notes.append("the file ends without its end mark")


def png_header(data: bytes) -> Header:
    """Read the chunks.

    Raises:
        DamagedError: they are broken or end too early, or a profile is larger than `MAX_METADATA`.
    """
    notes: list[str] = []
    chunks = list(_chunks(data, notes))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise DamagedError("does not begin with a picture header")
    first = dict(reversed(chunks))
    width, height, depth, kind = struct.unpack_from(">IIBB", first[b"IHDR"])
    if kind not in (0, 2, 3, 4, 6):
        raise DamagedError(f"names colour type {kind}, which does not exist")
    carried = [(n, b) for n, b in chunks if n in _CARRIED and not b.startswith(_XMP)]
    xmp = next((body[len(_XMP) :] for name, body in chunks if name == b"iTXt" and body.startswith(_XMP)), b"")
    density = _density(first.get(b"pHYs", b""))
    return Header(
        container="png",
        height=height,
        width=width,
        bit_depth=16 if depth == 16 else 8,
        color="palette" if kind == 3 else "rgb" if kind & 2 else "gray",
        alpha=bool(kind & 4) or b"tRNS" in first,
        metadata=Metadata(
            exif=first.get(b"eXIf", b""),
            xmp=xmp,
            icc=_profile(first.get(b"iCCP", b""), notes),
            density=density,
            chunks=tuple((n, b) for n, b in carried if n != b"pHYs" or density is None),
        ),
        notes=tuple(notes),
        num_frames=max(1, int.from_bytes(first.get(b"acTL", b"")[:4], "big")),
    )


def _density(body: bytes) -> tuple[float, float] | None:
    """Pixels an inch, where the chunk says pixels a metre."""
    if len(body) != 9 or body[8] != 1:
        return None
    across, down = struct.unpack(">II", body[:8])
    return (across * _INCH, down * _INCH) if across and down else None


def _profile(body: bytes, notes: list[str]) -> bytes:
    folded = body.partition(b"\0")[2][1:]
    unfolding = zlib.decompressobj()
    try:
        profile = unfolding.decompress(folded, MAX_METADATA)
    except zlib.error:
        profile, unfolding = b"", zlib.decompressobj()
    if unfolding.unconsumed_tail:
        raise DamagedError(f"holds a colour profile of more than {MAX_METADATA >> 20} MiB")
    if body and not unfolding.eof:
        notes.append("its colour profile is damaged and left out")
        return b""
    return profile


def pixels_alone(data: bytes) -> bytes:
    """The same picture without what decoders may trip over."""
    notes: list[str] = []
    chunks = [(name, body) for name, body in _chunks(data, notes) if name in _OF_PIXELS]
    if chunks[-1][0] != b"IEND":
        unfolding = zlib.decompressobj()
        for body in (body for name, body in chunks if name == b"IDAT"):
            unfolding.decompress(body)
        if not unfolding.eof:
            raise DamagedError("is truncated")
        chunks.append((b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Put metadata into an encoded file that has none."""
    added = list(metadata.chunks)
    if metadata.icc:
        added.insert(0, (b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.density:
        added.append((b"pHYs", struct.pack(">IIB", *(round(each / _INCH) for each in metadata.density), 1)))
    if metadata.exif:
        added.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        added.append((b"iTXt", _XMP + metadata.xmp))
    return data[:33] + b"".join(_chunk(*each) for each in added) + data[33:]  # 33: signature and IHDR
