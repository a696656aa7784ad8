"""A picture as a stream of one frame, whatever its kind, with EXIF, XMP, colour profile and density.

Pixels stay as they are stored, and EXIF's orientation travels along wherever the output holds it. What the
output cannot hold is named in a note. No temporary file but the output's own.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from vsr.durable import give_free_name, whole
from vsr.errors import ConfigError, SinkError, SourceError, VerifyError
from vsr.frames import Frame, StreamInfo
from vsr.media.images import codec
from vsr.media.images.kinds import KINDS, PICTURES, title
from vsr.media.images.metadata import DamagedError
from vsr.media.images.probe_image import picture_info, probe_image, read
from vsr.media.images.to_kind import Fitted, difference, fitted
from vsr.media.target import check_target, unverified_names


class ImageSource:
    """A picture as a stream of one frame.

    Raises:
        SourceError: as `probe_image`.
    """

    def __init__(self, path: str | Path):
        self.info = probe_image(path)
        """What the file holds."""

    def frames(self) -> Iterator[Frame]:
        """Decode the picture and yield it.

        Raises:
            SourceError: the pixels are damaged.
        """
        data, header = read(self.info.path)
        try:
            pixels = codec.decode_image(data, header)
        except DamagedError as error:
            raise SourceError(f"{self.info.path}: the {title(header.container)} file {error}") from error
        planes = tuple(np.ascontiguousarray(pixels[..., channel]) for channel in range(pixels.shape[2]))
        yield Frame(planes, picture_info(self.info.path, header).format, time_base=self.info.time_base)


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What an `ImageSink` wrote."""

    path: str
    num_frames: int
    num_bytes: int
    notes: tuple[str, ...] = ()
    """What the format could not hold."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    data: bytes
    fitted: Fitted
    """What reading it back must give."""
    notes: tuple[str, ...]


def _encode(frame: Frame, path: Path, source: StreamInfo, quality: int) -> _Encoded:
    container = PICTURES[path.suffix.lower()]
    format, edge = frame.format, KINDS[container].max_edge
    if max(format.height, format.width) > edge:
        size = f"{format.width}x{format.height}"
        raise SinkError(
            f"{path}: {size} is too large for {title(container)} (at most {edge}); PNG and TIFF hold it"
        )
    if format.layout not in ("rgb", "gray"):
        raise SinkError(
            f"{path}: a picture is written from rgb or gray frames, and this one is {format.layout}"
        )
    fits = fitted(frame, container, source)
    try:
        data, reduced = codec.encode_image(
            fits.pixels,
            container,
            quality=quality,
            metadata=fits.metadata,
            bit_depth=fits.bit_depth,
            transfer=format.transfer,
        )
    except codec.EncoderError as error:
        raise SinkError(f"{path} cannot be encoded: {error}") from error
    return _Encoded(data, fits, (*fits.notes, *reduced))


class ImageSink:
    """Writes one frame as a picture; the extension chooses the format.

    A context manager: the file appears under its name when the block ends without an error, read back and
    verified. After an error nothing is left.

    Raises:
        ConfigError: the extension names no picture format that is written.
    """

    report: ImageReport
    """What was written; there once the block has ended."""

    def __init__(self, path: str | Path, *, source: StreamInfo, quality: int = 75, replace: bool = True):
        """`replace`: whether what bears the name when the picture is finished may lose it."""
        self._path, self._replace = Path(path), replace
        if self._path.suffix.lower() not in PICTURES:
            raise ConfigError(f"{path}: pictures are written as {', '.join(PICTURES)}")
        self._source = source
        self._quality = quality
        self._encoded: _Encoded | None = None

    def __enter__(self) -> Self:
        """Check where the output is to lie, before anything is enhanced.

        Raises:
            SinkError: the folder is missing or cannot be written to, or the output is the input.
        """
        check_target(self._path, Path(self._source.path))
        if not os.access(folder := self._path.parent, os.W_OK):
            raise SinkError(f"folder {str(folder)!r} cannot be written to; name another output")
        return self

    def write(self, frame: Frame) -> None:
        """Encode the frame in memory.

        Raises:
            SinkError: it is the second frame, or the format cannot hold its size or layout.
        """
        if self._encoded is not None:
            raise SinkError(
                f"{self._path} holds one picture and a second frame came; name a video file instead"
            )
        self._encoded = _encode(frame, self._path, self._source, self._quality)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()

    def _finish(self) -> None:
        if self._encoded is None:
            raise SinkError(f"{self._path}: no frame came, so no picture was written")
        try:
            with whole(self._path, replace=self._replace) as part:
                part.write_bytes(self._encoded.data)
                different = difference(part, self._path.suffix, self._encoded.fitted)
                if different:
                    kept = give_free_name(part, unverified_names(self._path))
                    raise VerifyError(f"{self._path}: {different}; what was written lies in {kept.name}")
        except FileExistsError:
            raise SinkError(
                f"{self._path} has come to exist meanwhile; pass --overwrite to replace it"
            ) from None
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written: {error.strerror or error}") from error
        self.report = ImageReport(str(self._path), 1, len(self._encoded.data), self._encoded.notes)
