"""Picture files to pixels and back, in memory: one face before the libraries, each kind by the one that does it best.

What can be read and written, by a name's ending, is in `kinds.py`. Knows nothing of frames.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from vsr.errors import one_line
from vsr.media.images.linear import SRGB
from vsr.media.images.metadata import DamagedError, Header, Metadata, Pixels, taken_for_damage
from vsr.media.images.png import png_header

_BY = {
    **dict.fromkeys(("jpeg", "webp", "avif", "heic", "gif", "ico"), "pillow"),
    **dict.fromkeys(("png", "jpeg2000", "jpegxl"), "imagecodecs"),
    "tiff": "tifffile",
}
"""Which library has a kind; FFmpeg has the others."""

_TELLING = ("png", "jpeg", "webp", "avif", "heic", "gif", "jpeg2000")
"""Kinds whose header tells all, but where they move."""


def _by(container: str, what: str) -> Any:
    """The function that has a kind, loaded when it is needed: what OpenCV and tifffile bring takes half a second."""
    library = _BY.get(container, "ffmpeg")
    return getattr(import_module(f"vsr.media.images.by_{library}"), f"{library}_{what}")


_READ_LAST: dict[tuple[str, int, int], Header] = {}
"""The last header that took decoding to know, by its file's kind, size and hash: a file is asked several times."""


def image_header(
    data: bytes, container: str, check: Callable[[Header], None] = lambda header: None
) -> Header:
    """Tell what a file of this kind holds; only where no header says it by decoding it.

    Args:
        data: the file.
        container: its kind.
        check: is asked before anything large is unpacked; what it raises passes.

    Raises:
        DamagedError: it is broken, of a variant that is not read, or needs what is not installed.
    """
    header: Header | None = None
    if container in _TELLING:
        header = _first_look(data, container)
        check(header)
        if header.num_frames == 1:
            return header
    key = container, len(data), hash(data)
    known = _READ_LAST.get(key)
    if header is None:
        header = known or _first_look(data, container)
        check(header)
    with taken_for_damage():
        known = known or _second_look(data, header)
    _READ_LAST.clear()
    _READ_LAST[key] = known
    return known


def _first_look(data: bytes, container: str) -> Header:
    with taken_for_damage():
        return png_header(data) if container == "png" else _by(container, "header")(data, container)


def _second_look(data: bytes, header: Header) -> Header:
    """What decoding tells: the times of frames that move, how far a TIFF's floats go."""
    if header.num_frames > 1:
        from vsr.media.images.moving import moving_header

        return moving_header(data, header)
    if header.container == "tiff":
        from vsr.media.images.by_tifffile import with_range

        return with_range(data, header)
    return header


def decode_image(data: bytes, header: Header) -> Pixels:
    """Decode to (height, width, channels), RGB order, alpha last: uint8, or uint16 with the value in the low bits.

    Floats become 16-bit codes by the header's transfer.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    with taken_for_damage("its pixels cannot be decoded"):
        pixels: Pixels = _by(header.container, "decode")(data, header)
    if pixels.shape != (header.height, header.width, header.num_channels):
        raise DamagedError("is damaged: its size differs from its header")
    return pixels


def encode_image(
    pixels: Pixels,
    container: str,
    *,
    quality: int = 75,
    metadata: Metadata = Metadata(),
    bit_depth: int = 0,
    transfer: str = SRGB,
) -> tuple[bytes, tuple[str, ...]]:
    """Encode (height, width, 1 to 4 channels), RGB order, alpha last, of a shape and depth that the kind holds.

    Args:
        quality: 0 to 100 for JPEG, WebP and AVIF; 100 makes a WebP lossless.
        metadata: of which the kind writes what its `holds` names.
        bit_depth: 0 for the samples' own 8 or 16.
        transfer: of the codes, for kinds that hold linear light.

    Returns:
        The file, and notes about metadata that it cannot hold.

    Raises:
        EncoderError: the encoder refuses.
    """
    details = {"quality": quality, "bit_depth": bit_depth or 8 * pixels.dtype.itemsize, "transfer": transfer}
    try:
        return _by(container, "encode")(pixels, container, metadata=metadata, **details)
    except Exception as error:  # each library has errors of its own
        raise EncoderError(one_line(error)) from error


class EncoderError(Exception):
    """A picture cannot be encoded; the text says why."""
