"""JPEG, WebP, AVIF, HEIC, GIF and ICO by Pillow, with all that travels along; HEIC by its plug-in pillow-heif."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from vsr.media.images.boxes import boxes
from vsr.media.images.kinds import KINDS
from vsr.media.images.metadata import (
    MAX_PIXELS,
    SURE_TO_FIT,
    Color,
    DamagedError,
    Directories,
    Header,
    Metadata,
    Pixels,
    density_of,
    portable,
)
from vsr.media.pixels import PRIMARIES, TRANSFERS, name_of

_OPENERS = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "ico": IcoImagePlugin.IcoImageFile,
    "png": PngImagePlugin.PngImageFile,
}
"""By themselves, not by `Image.open`: files of other kinds are nobody's business, and the limit on pixels is ours."""

GIF_NOTE = "a GIF holds 256 colours a frame, each pixel is clear or not, and times are hundredths of a second"

_CHROMA_WHOLE, _CHROMA_HALVED = 0, 2


def opened(data: bytes, container: str) -> Image.Image:
    """Open a file; its pixels are decoded when they are asked for.

    Raises:
        DamagedError: it is no such file, or needs what is not installed.
    """
    opener = _heif_opener() if container == "heic" else _OPENERS[container]
    image = opener(io.BytesIO(data))
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise DamagedError(
            f"claims {image.width}x{image.height} pixels; 1 to {MAX_PIXELS:,} pixels are accepted"
        )
    return image


def _heif_opener() -> Any:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise DamagedError("is read where pillow-heif is installed: pip install 'vsr[heic]'") from error
    return HeifImageFile


def pillow_header(data: bytes, container: str) -> Header:
    """Read what a file says before it is decoded.

    Raises:
        DamagedError: it is broken.
    """
    image = opened(data, container)
    exif: bytes = (image.info.get("exif") or b"").removeprefix(b"Exif\0\0")
    jfif = image.info["dpi"] if image.info.get("jfif_unit") in (1, 2) else None
    color: Color = {"L": "gray", "LA": "gray", "CMYK": "cmyk", "P": "palette"}.get(image.mode, "rgb")  # pyright: ignore[reportAssignmentType]
    depth, primaries, transfer = _deep(data, image) if container in ("avif", "heic") else (8, *_SRGB)
    num_frames = getattr(image, "n_frames", 1) if KINDS[container].moves else 1
    moves = num_frames > 1
    return Header(
        container=container,
        height=image.height,
        width=image.width,
        bit_depth=depth,
        color=color,
        alpha=image.mode in ("LA", "RGBA", "PA")
        or "transparency" in image.info
        or (container == "gif" and moves),
        metadata=Metadata(
            exif=exif,
            xmp=image.info.get("xmp") or b"",
            icc=image.info.get("icc_profile") or b"",
            density=jfif or density_of(exif),
            segments=_texts(image),
        ),
        notes=(*_broken(data, container), *_left_behind(image)),
        primaries=primaries,
        transfer=transfer,
        num_frames=num_frames,
    )


_SRGB = ("bt709", "iec61966-2-1")


def _deep(data: bytes, image: Image.Image) -> tuple[int, str, str]:
    """Bits a sample, primaries and transfer of an AVIF (AV1-ISOBMFF 2.3.3, `nclx`) or HEIC."""
    depth, primaries, transfer = int(image.info.get("bit_depth", 8)), *_SRGB
    for kind, body in boxes(data):
        if kind == b"av1C" and body[2] & 0x40:
            depth = 12 if body[2] & 0x20 else 10
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            codes = int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
            primaries = name_of(PRIMARIES, codes[0], primaries) if codes[0] != 2 else primaries
            transfer = name_of(TRANSFERS, codes[1], transfer) if codes[1] != 2 else transfer
    return depth, primaries, transfer


def _broken(data: bytes, container: str) -> Iterator[str]:
    """What is wrong with a file that is read all the same."""
    if container == "gif" and not data.rstrip(b"\0").endswith(b";"):
        yield "the file ends without its end mark; frames may be missing"
    if container == "jpeg" and not _has_end(data):
        yield "the file ends without its end mark"
    at = 2
    while container == "jpeg" and data[at : at + 1] == b"\xff" and data[at + 1] != 0xDA:
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if container == "jpeg" and data[at : at + 1] != b"\xff":
        yield f"damaged near byte {at}, outside of the picture; what is there is left out"


def _texts(image: Image.Image) -> bytes:
    """A JPEG's comments and what Photoshop's segment holds, of which IPTC texts are a part."""
    wanted = {"COM": b"\xff\xfe", "APP13": b"\xff\xed"}
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    return b"".join(
        wanted[name] + (len(body) + 2).to_bytes(2, "big") + body for name, body in segments if name in wanted
    )


def _left_behind(image: Image.Image) -> list[str]:
    """What of a file does not go along, in lines."""
    notes: list[str] = []
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    if any(body.startswith(b"http://ns.adobe.com/xmp/extension/") for _, body in segments):
        notes.append("the extended part of its XMP is not carried")
    if any(name == "APP2" and body.startswith(b"MPF\0") for name, body in segments):
        notes.append("further pictures inside the file (preview, depth or gain map) are not carried")
    if image.format == "HEIF" and getattr(image, "n_frames", 1) > 1:
        notes.append(f"HEIC of {getattr(image, 'n_frames', 1)} pictures: only the main one is read")
    return notes


def pillow_decode(data: bytes, header: Header) -> Pixels:
    """Decode to (height, width, channels) of the header's depth.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    if header.bit_depth > 8:
        return _decode_deep(data, header)
    if header.container != "jpeg" or _has_end(data):
        return _pixels(data, header)
    # Where only the end mark is missing, what stands in its place changes nothing.
    first, second = (_pixels(data + filler * 64 + _END, header) for filler in (b"\0", b"\xaa"))
    if not np.array_equal(first, second):
        raise DamagedError("is truncated")
    return first


_SCAN, _END = b"\xff\xda", b"\xff\xd9"


def _has_end(data: bytes) -> bool:
    """Whether a JPEG's end mark follows its last scan."""
    return data.endswith(_END) or data.rfind(_END) > data.rfind(_SCAN)


def _pixels(data: bytes, header: Header) -> Pixels:
    image = opened(data, header.container)
    image.load()
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[header.num_channels]
    return np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode)))


def _decode_deep(data: bytes, header: Header) -> Pixels:
    """Of more than 8 bits: AVIF by imagecodecs, HEIC by pillow-heif, which puts the value into the high bits."""
    if header.container == "avif":
        import imagecodecs

        pixels = np.atleast_3d(imagecodecs.avif_decode(data, index=0))
    else:
        import pillow_heif

        wide = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        pixels = np.atleast_3d(np.asarray(wide[wide.primary_index])) >> (16 - header.bit_depth)
    return pixels[..., : header.num_channels]


def pillow_encode(
    pixels: Pixels, container: str, *, quality: int = 75, metadata: Metadata = Metadata(), **_: Any
) -> tuple[bytes, tuple[str, ...]]:
    """Encode 8-bit pixels as JPEG, WebP, AVIF or GIF.

    Returns:
        The file, and notes about what of the metadata it cannot hold.

    Raises:
        OSError, ValueError: the encoder refuses.
    """
    metadata, notes = _fitting(metadata) if container == "jpeg" else (metadata, ())
    # Chroma stays whole where quality is asked for, because enlarged colour edges show.
    whole = quality >= 50
    options: dict[str, Any] = {"quality": level_of(quality)} if container != "gif" else {}
    if container == "jpeg":
        options |= {"subsampling": _CHROMA_WHOLE if whole else _CHROMA_HALVED, "optimize": True}
    elif container == "webp":
        options |= {"lossless": quality == 100, "exact": quality == 100}
    elif container == "avif":
        options |= {"subsampling": "4:4:4" if whole else "4:2:0"}
    else:
        notes = (GIF_NOTE,)
        if pixels.shape[2] == 4:
            pixels = np.concatenate(
                [pixels[..., :3], np.where(pixels[..., 3:] < 128, 0, 255).astype(np.uint8)], axis=2
            )
    if metadata.density and container == "jpeg":
        options["dpi"] = tuple(round(each) for each in metadata.density)
    exif = b"Exif\0\0" + metadata.exif if metadata.exif else b""
    along = {"extra": metadata.segments, "exif": exif, "xmp": metadata.xmp, "icc_profile": metadata.icc}
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    along = {name: value for name, value in along.items() if value}
    return saved(image, container.upper(), **options, **along), notes


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    """Encode by Pillow, in memory."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def level_of(quality: int) -> int:
    """The encoder's own scale, from 50 on; 75 gives its 95."""
    return round(50 + 0.6 * quality if quality <= 75 else 95 + 0.2 * (quality - 75))


def _fitting(metadata: Metadata) -> tuple[Metadata, tuple[str, ...]]:
    """What a JPEG's segments of 64 KiB hold, and notes about the rest."""
    exif, xmp, notes = metadata.exif, metadata.xmp, list[str]()
    if len(exif) > SURE_TO_FIT:
        exif = Directories(portable(exif).first, {}, {}).block()
        notes.append("EXIF is larger than a JPEG can hold: orientation and texts alone are kept")
    if len(xmp) > SURE_TO_FIT:
        xmp = b""
        notes.append("XMP is larger than a JPEG can hold and is left out")
    return replace(metadata, exif=exif, xmp=xmp), tuple(notes)
