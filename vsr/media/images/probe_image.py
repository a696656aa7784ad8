"""What a picture file holds, from its header alone.

Owns the limits on what is read; decodes nothing, and loads OpenCV for TIFF only.
"""

import os
from pathlib import Path

from vsr.errors import ReadError, SourceError
from vsr.frames import PictureFormat, StreamInfo
from vsr.media.images.containers import DamagedError, Header, read_header
from vsr.media.images.exif import TURNS, orientation_of
from vsr.media.source_file import check_plain

_CONTAINERS = {"png": ".png", "jpeg": ".jpg .jpeg .jpe .jfif", "webp": ".webp", "tiff": ".tif .tiff"}
PICTURES = {extension: name for name, those in _CONTAINERS.items() for extension in those.split()}
"""Format by the output's extension."""

MAX_PIXELS = 200_000_000
"""More than any camera's sensor; a file that claims more is a mistake or an attack."""

MAX_BYTES = 2 << 30
"""Largest file that is read."""

_SIGNATURES = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}

_CODECS = {"jpeg": "mjpeg"}
_PIXEL_FORMATS = {
    ("gray", 8): ("gray", "ya8"),
    ("gray", 16): ("gray16le", "ya16le"),
    ("rgb", 8): ("rgb24", "rgba"),
    ("rgb", 16): ("rgb48le", "rgba64le"),
}
"""FFmpeg's names by layout and depth, without and with opacity."""

_CMYK_NOTE = "CMYK is converted to RGB without its colour profile, which is left out"


def container_of(head: bytes) -> str | None:
    """Tell a picture file's format by its first 16 bytes."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((name for name, signatures in _SIGNATURES.items() if head.startswith(signatures)), None)


def read(path: str | Path) -> tuple[bytes, Header]:
    """Read a file and its header; nothing is decoded yet.

    Raises:
        SourceError: the file is missing, empty, damaged, too large or no picture.
    """
    if os.path.exists(path):
        check_plain(Path(path), "a picture")
    try:
        size = os.path.getsize(path)
        if size > MAX_BYTES:
            raise SourceError(f"{path} has {size:,} bytes; a picture of at most {MAX_BYTES:,} is accepted")
        data = Path(path).read_bytes()
    except OSError as error:
        raise ReadError(f"{path} cannot be read: {error.strerror or error}") from error
    container = container_of(data[:16])
    if container is None:
        what = "is no picture that is understood" if data else "is empty"
        raise SourceError(f"{path} {what}; PNG, JPEG, WebP and TIFF are accepted")
    try:
        header = _header_of(data, container)
    except DamagedError as error:
        raise SourceError(f"{path}: the {container.upper()} file {error}") from error
    if not 0 < header.height * header.width <= MAX_PIXELS:
        size = f"{header.width}x{header.height}"
        raise SourceError(f"{path} claims {size} pixels; 1 to {MAX_PIXELS:,} pixels are accepted")
    return data, header


def _header_of(data: bytes, container: str) -> Header:
    if container == "tiff":
        from vsr.media.images.tiff import read_tiff_header  # tifffile and OpenCV take half a second to load

        return read_tiff_header(data)
    return read_header(data, container)


def is_image(path: str | Path) -> bool:
    """Tell by a file's first bytes whether `ImageSource` reads it; False where it cannot be opened."""
    if Path(path).suffix.lower() in (".mjpeg", ".mjpg"):
        return False  # a video: JPEG files one after another
    try:
        if not Path(path).is_file():
            return False  # a pipe would wait for ever
        with open(path, "rb") as file:
            return container_of(file.read(16)) is not None
    except OSError:
        return False


def picture_info(path: str | Path, header: Header) -> StreamInfo:
    """Return what a picture's header says."""
    layout = "gray" if header.color == "gray" else "rgb"
    notes = header.notes + ((_CMYK_NOTE,) if header.color == "cmyk" else ())
    return StreamInfo(
        path=str(path),
        kind="image",
        container=header.container,
        codec=_CODECS.get(header.container, header.container),
        pixel_format=_PIXEL_FORMATS[layout, header.bit_depth][header.alpha],
        format=PictureFormat(
            height=header.height,
            width=header.width,
            bit_depth=header.bit_depth,
            layout=layout,
            alpha=header.alpha,
            matrix="gbr" if layout == "rgb" else "unknown",
            range="full",
            primaries="bt709",
            transfer="iec61966-2-1",
        ),
        start_pts=0,
        num_frames=1,
        rotation=TURNS.get(orientation_of(header.metadata.exif), 0),
        notes=notes,
    )


def probe_image(path: str | Path) -> StreamInfo:
    """Tell what a picture file holds, from its header alone.

    Raises:
        SourceError: the file is missing, empty, damaged, too large or no picture.
    """
    return picture_info(path, read(path)[1])
