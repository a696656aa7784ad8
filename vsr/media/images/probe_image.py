"""What a picture file holds, from its header. Owns the limits on what is read."""

import os
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from vsr.errors import ReadError, SourceError
from vsr.frames import PictureFormat, StreamInfo
from vsr.limits import USUAL_GB, check_memory
from vsr.media.images import codec
from vsr.media.images.kinds import BEGINNING, KINDS, kind_of, title
from vsr.media.images.metadata import MAX_PIXELS, TICK, TURNS, DamagedError, Header, orientation_of
from vsr.media.source_file import check_plain

MAX_BYTES = 2 << 30
"""Largest file that is read."""

_CODECS = {"jpeg": "mjpeg", "openexr": "exr"}
_PIXEL_FORMATS = {
    ("gray", 8): ("gray", "ya8"),
    ("gray", 16): ("gray16le", "ya16le"),
    ("rgb", 8): ("rgb24", "rgba"),
    ("rgb", 16): ("rgb48le", "rgba64le"),
}
"""FFmpeg's names by layout and depth, without and with opacity."""

_CMYK_NOTE = "CMYK is converted to RGB without its colour profile, which is left out"


def read(path: str | Path, ending: str = "", *, most_gb: float = USUAL_GB) -> tuple[bytes, Header]:
    """Read a file and its header; nothing is decoded yet where the header tells.

    Args:
        path: of the file.
        ending: of the name that the file will have, where it is not its own.
        most_gb: gigabytes that its pixels may take unpacked.

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
    container = kind_of(data[:BEGINNING], ending or Path(path).suffix)
    if container is None:
        what = "is no picture that is understood" if data else "is empty"
        raise SourceError(f"{path} {what}; {', '.join(map(title, KINDS))} are accepted")
    try:
        return data, codec.image_header(data, container, partial(_check, path, most_gb))
    except DamagedError as error:
        raise SourceError(f"{path}: the {title(container)} file {error}") from error


def _check(path: str | Path, most_gb: float, header: Header) -> None:
    claimed = f"{header.width}x{header.height}"
    if not 0 < header.height * header.width <= MAX_PIXELS:
        raise SourceError(f"{path} claims {claimed} pixels; 1 to {MAX_PIXELS:,} pixels are accepted")
    check_memory(f"{path}: its samples of {claimed}, unpacked,", header.decoded_bytes, most_gb)


def is_image(path: str | Path) -> bool:
    """Tell by a file's first bytes whether `ImageSource` reads it; False where it cannot be opened."""
    if Path(path).suffix.lower() in (".mjpeg", ".mjpg"):
        return False  # a video: JPEG files one after another
    try:
        if not Path(path).is_file():
            return False  # a pipe would wait for ever
        with open(path, "rb") as file:
            return kind_of(file.read(BEGINNING), Path(path).suffix) is not None
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
        pixel_format=_PIXEL_FORMATS[layout, 8 if header.bit_depth == 8 else 16][header.alpha],
        format=PictureFormat(
            height=header.height,
            width=header.width,
            bit_depth=header.bit_depth,
            layout=layout,
            alpha=header.alpha,
            matrix="gbr" if layout == "rgb" else "unknown",
            range="full",
            primaries=header.primaries,
            transfer=header.transfer,
        ),
        time_base=TICK if header.ticks else Fraction(1, 1000),
        start_pts=0,
        duration_s=float(sum(header.ticks) * TICK) if header.ticks else None,
        num_frames=header.num_frames,
        rotation=TURNS.get(orientation_of(header.metadata.exif), 0),
        notes=notes,
    )


def probe_image(path: str | Path, *, opaque: bool = False, most_gb: float = USUAL_GB) -> StreamInfo:
    """Tell what a picture file holds; with `opaque` as it is where what is transparent is laid over white.

    `most_gb`: gigabytes that it may take unpacked.

    Raises:
        SourceError: the file is missing, empty, damaged, too large or no picture.
    """
    info = picture_info(path, read(path, most_gb=most_gb)[1])
    return replace(info, format=replace(info.format, alpha=False)) if opaque else info
