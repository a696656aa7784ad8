"""BMP, TGA, PNM, OpenEXR, DPX and rare kinds by FFmpeg's decoders and encoders, one picture at a time, in memory."""

from fractions import Fraction
from typing import Any, cast

import av
import numpy as np

from vsr.media.images.linear import BRIGHTEST, PQ, SRGB, Floats, from_linear, to_linear
from vsr.media.images.metadata import (
    MAX_PIXELS,
    DamagedError,
    Header,
    Metadata,
    Pixels,
    density,
    taken_for_damage,
)

_DECODERS = {"tga": "targa", "pnm": "ppm", "openexr": "exr", "sun": "sunrast"}
_PACKED = {
    "gray": ("u1", 1, (0,)),
    "ya8": ("u1", 2, (0, 1)),
    "rgb24": ("u1", 3, (0, 1, 2)),
    "bgr24": ("u1", 3, (2, 1, 0)),
    "rgba": ("u1", 4, (0, 1, 2, 3)),
    "bgra": ("u1", 4, (2, 1, 0, 3)),
    "abgr": ("u1", 4, (3, 2, 1, 0)),
    "bgr0": ("u1", 4, (2, 1, 0)),
    "gray16": ("u2", 1, (0,)),
    "ya16": ("u2", 2, (0, 1)),
    "rgb48": ("u2", 3, (0, 1, 2)),
    "rgba64": ("u2", 4, (0, 1, 2, 3)),
}
"""Sample, samples a pixel, and which of them are ours, by the pixel format's name without its byte order."""

_NAMES = {
    ("bmp", 8): (None, None, "bgr24", "bgra"),
    ("tga", 8): ("gray", None, "bgr24", "bgra"),
    ("pnm", 8): ("gray", None, "rgb24", None),
    ("pnm", 16): ("gray16be", None, "rgb48be", None),
    ("pam", 8): ("gray", "ya8", "rgb24", "rgba"),
    ("pam", 16): ("gray16be", "ya16be", "rgb48be", "rgba64be"),
    ("dpx", 8): ("gray", None, "rgb24", "rgba"),
    ("dpx", 10): (None, None, "gbrp10be", None),
    ("dpx", 12): (None, None, "gbrp12be", None),
    ("dpx", 16): ("gray16be", None, "rgb48be", "rgba64be"),
    ("openexr", 16): ("grayf32le", None, "gbrpf32le", "gbrapf32le"),
}
"""Pixel format that is encoded, by kind and depth, for 1 to 4 channels."""


def _decode(data: bytes, container: str) -> av.VideoFrame:
    decoder = cast(Any, av.CodecContext.create(_DECODERS.get(container, container), "r"))
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
    with taken_for_damage(f"it cannot be decoded, or has more than {MAX_PIXELS:,} pixels"):
        pictures = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    if not pictures or pictures[0].is_corrupt:
        raise DamagedError("is damaged: its pixels cannot be decoded")
    return pictures[0]


def _samples(picture: av.VideoFrame) -> Pixels:
    """Codes as they are stored, or floats; (height, width, channels)."""
    name = picture.format.name
    plain, order = name.removesuffix("le").removesuffix("be"), ">" if name.endswith("be") else "<"
    if plain.startswith(("gbr", "grayf")):
        wide = {"f32": "f4", "f16": "f2"}.get(plain[-3:], "u2" if plain[-1].isdigit() else "u1")
        planes = (2, 0, 1, 3)[: len(picture.planes)] if plain.startswith("gbr") else (0,)
        rows = [_rows(picture.planes[plane], order + wide)[:, : picture.width] for plane in planes]
        return np.stack(rows, axis=2)
    if plain not in _PACKED:  # palettes, black and white, few bits
        name = "rgba" if picture.format.has_palette else "gray" if plain.startswith("mono") else "rgb24"
        picture = picture.reformat(format=name)
        plain, order = name, "<"
    sample, count, ours = _PACKED[plain]
    rows = _rows(picture.planes[0], order + sample)[:, : picture.width * count]
    pixels = rows.reshape(picture.height, picture.width, count)
    return pixels if ours == tuple(range(count)) else pixels[..., list(ours)]


def _rows(plane: Any, sample: str) -> Pixels:
    rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size].reshape(plane.height, -1)
    return rows.view(sample)


def ffmpeg_header(data: bytes, container: str) -> Header:
    """Decode a picture to tell what is in it.

    Raises:
        DamagedError: it cannot be decoded.
    """
    picture = _decode(data, container)
    parts = picture.format.components
    colour, alpha = not picture.format.name.startswith(("gray", "ya", "mono")), any(p.is_alpha for p in parts)
    depth = max(p.bits for p in parts)
    transfer, notes = SRGB, list[str]()
    if "f" in picture.format.name[4:]:
        depth, light = 16, _samples(picture)
        transfer, notes = _of_light(light[..., :-1] if alpha else light)
    return Header(
        container=container,
        height=picture.height,
        width=picture.width,
        bit_depth=next(each for each in (8, 10, 12, 16) if depth <= each),
        color="rgb" if colour else "gray",
        alpha=alpha,
        metadata=Metadata(density=_bmp_density(data) if container == "bmp" else None),
        notes=tuple(notes),
        transfer=transfer,
    )


def _of_light(light: Pixels) -> tuple[str, list[str]]:
    """The transfer that holds linear light, and what it cuts."""
    low, high = float(np.nanmin(light)), float(np.nanmax(light))
    notes = ["light below 0 is cut"] if low < 0 else []
    if high <= 1.0005:  # what a half float makes of white
        return SRGB, notes
    notes.append(f"light up to {high:.4g} times white is kept as PQ in 16 bits")
    return PQ, [*notes, *([f"above {BRIGHTEST:.1f} it is cut"] if high > BRIGHTEST else [])]


def ffmpeg_decode(data: bytes, header: Header) -> Pixels:
    """Decode to (height, width, channels) of the header's depth.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    pixels = _samples(_decode(data, header.container))
    if pixels.dtype.kind == "f":
        return _codes(np.nan_to_num(pixels.astype(np.float32)), header)
    if pixels.shape[2] == 4 and not header.alpha:
        pixels = pixels[..., :3]
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _codes(light: Floats, header: Header) -> Pixels:
    if not header.alpha:
        return from_linear(light, header.transfer)
    opacity = np.clip(light[..., -1:], 0, 1)
    # OpenEXR's is premultiplied.
    straight = (light[..., :-1] / np.where(opacity > 0, opacity, 1)).astype(np.float32)
    flat = np.rint(opacity * 65535).astype(np.uint16)
    return np.concatenate([from_linear(straight, header.transfer), flat], axis=2)


def _bmp_density(data: bytes) -> tuple[float, float] | None:
    """Pixels an inch, where BITMAPINFOHEADER says pixels a metre."""
    whole = int.from_bytes(data[14:18], "little") >= 40
    across, down = np.frombuffer(data[38:46], "<i4") if whole else (0, 0)
    return density(across / 100, down / 100, 3)


def ffmpeg_encode(
    pixels: Pixels,
    container: str,
    *,
    metadata: Metadata = Metadata(),
    bit_depth: int = 8,
    transfer: str = SRGB,
    **_: Any,
) -> tuple[bytes, tuple[str, ...]]:
    """Encode 1 to 4 channels, RGB order, alpha last; no notes.

    Raises:
        ValueError: such files hold no such picture.
        av.error.FFmpegError: the encoder refuses.
    """
    name = _NAMES[container, bit_depth][pixels.shape[2] - 1]
    if name is None:
        raise ValueError(f"{bit_depth} bits and {pixels.shape[2]} channels do not go together")
    if container == "openexr":
        return _encode(_light(pixels, transfer), "exr", name, compression="zip16"), ()
    encoder = {"pnm": "pgm" if pixels.shape[2] == 1 else "ppm"}.get(
        container, _DECODERS.get(container, container)
    )
    data = _encode(pixels, encoder, name)
    if container == "bmp" and metadata.density:
        per_metre = np.array([round(each / 0.0254) for each in metadata.density], "<i4")
        data = data[:38] + per_metre.tobytes() + data[46:]
    return data, ()


def _light(pixels: Pixels, transfer: str) -> Pixels:
    """As OpenEXR has it: linear, premultiplied."""
    if pixels.shape[2] < 4:
        return to_linear(pixels, transfer)
    opacity = pixels[..., 3:] / np.float32(65535)
    return np.concatenate([to_linear(pixels[..., :3], transfer) * opacity, opacity], axis=2)


def _encode(pixels: Pixels, encoder: str, name: str, **options: str) -> bytes:
    height, width, _ = pixels.shape
    picture = av.VideoFrame(width, height, name)
    plain, order = name.removesuffix("le").removesuffix("be"), ">" if name.endswith("be") else "<"
    if plain in _PACKED:
        sample, count, ours = _PACKED[plain]
        rows = _rows(picture.planes[0], order + sample)[:, : width * count].reshape(height, width, count)
        rows[..., list(ours)] = pixels
    else:
        sample = "f4" if plain.endswith("f32") else "u2"
        for plane, channel in enumerate((1, 2, 0, 3)[: pixels.shape[2]] if pixels.shape[2] > 1 else (0,)):
            _rows(picture.planes[plane], order + sample)[:, :width] = pixels[..., channel]
    picture.pts = 0
    context = cast(Any, av.CodecContext.create(encoder, "w"))
    context.width, context.height, context.pix_fmt = width, height, name
    context.time_base, context.options, context.thread_count = Fraction(1), options, 1
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])
