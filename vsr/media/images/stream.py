"""A picture as a stream of one frame: PNG, JPEG, WebP and TIFF, 8 and 16 bit, with EXIF, XMP and ICC profile.

Pixels stay as they are stored; EXIF's orientation travels unchanged. What the output's format cannot hold is
named in a note. Never PyAV, and no temporary file but the output's own.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from vsr.durable import give_free_name, whole
from vsr.errors import ConfigError, SinkError, SourceError, VerifyError
from vsr.frames import Frame, StreamInfo
from vsr.media.images import codec
from vsr.media.images.containers import DamagedError, Metadata
from vsr.media.images.exif import portable_tags
from vsr.media.images.probe_image import PICTURES, picture_info, probe_image, read
from vsr.media.images.tiff import Pixels
from vsr.media.target import check_target, unverified_names

_MAX_EDGE = {"jpeg": 65_500, "webp": 16_383}
_EIGHT_BIT = ("jpeg", "webp")
_LOSSLESS = ("png", "tiff")
_SURE_TO_FIT = 65_000
"""Bytes of EXIF or XMP that every format holds."""


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
            raise SourceError(f"{self.info.path}: the {header.container.upper()} file {error}") from error
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
    """An encoded picture, and what reading it back must give."""

    data: bytes
    pixels: Pixels
    """(height, width, channels) as they went into the encoder."""
    container: str
    metadata: Metadata
    notes: tuple[str, ...]


def _to_depth(pixels: Pixels, source: int, target: int) -> Pixels:
    if source == target:
        return pixels
    factor = ((1 << target) - 1) / ((1 << source) - 1)
    return np.rint(pixels * np.float64(factor)).astype(np.uint8 if target == 8 else np.uint16)


def _fitting(frame: Frame, container: str) -> tuple[Pixels, tuple[str, ...]]:
    """Stack the planes as (height, width, channels) and bring them to what the format holds, with notes."""
    format, notes = frame.format, list[str]()
    pixels = np.stack(frame.planes, axis=2)
    depth = 8 if format.bit_depth == 8 or container in _EIGHT_BIT else 16
    if depth < format.bit_depth:
        notes.append(f"{format.bit_depth} bits are reduced to 8, which is what {container.upper()} holds")
    pixels = _to_depth(pixels, format.bit_depth, depth)
    if format.alpha and container == "jpeg":
        white = (1 << depth) - 1
        opacity = pixels[..., -1:] / white
        pixels = np.rint(pixels[..., :-1] * opacity + white * (1 - opacity)).astype(pixels.dtype)
        notes.append("transparency is laid over white, since JPEG holds none")
    if format.layout == "gray" and container == "webp":
        pixels = pixels[..., [0, 0, 0, 1][: pixels.shape[2] + 2]]
        notes.append("grey is stored as RGB, since WebP holds no grey")
    return pixels, tuple(notes)


def _carried(source: StreamInfo, pixels: Pixels, container: str) -> tuple[Metadata, tuple[str, ...]]:
    """Metadata of the source's file that fits the output."""
    if source.kind != "image":
        return Metadata(), ()
    try:
        header = read(source.path)[1]
    except SourceError as error:
        return Metadata(), (f"metadata is not carried: {error}",)
    metadata, notes = header.metadata, list[str]()
    gray_out = pixels.shape[2] <= 2
    if metadata.icc and (header.color == "cmyk" or (header.color == "gray") != gray_out):
        metadata = replace(metadata, icc=b"")
        if header.color != "cmyk":  # probing has said so for CMYK
            notes.append("the colour profile is left out, since grey and RGB need different ones")
    if container != "png" and metadata.chunks:
        names = ", ".join(sorted({name.decode() for name, _ in metadata.chunks}))
        metadata = replace(metadata, chunks=())
        notes.append(f"of the PNG, {names} are left out, which {container.upper()} does not have")
    return metadata, tuple(notes)


def _encode(frame: Frame, path: Path, source: StreamInfo, quality: int) -> _Encoded:
    container = PICTURES[path.suffix.lower()]
    format = frame.format
    edge = _MAX_EDGE.get(container, max(format.height, format.width))
    if max(format.height, format.width) > edge:
        size = f"{format.width}x{format.height}"
        raise SinkError(
            f"{path}: {size} is too large for {container.upper()} (at most {edge}); PNG and TIFF hold it"
        )
    if format.layout not in ("rgb", "gray"):
        raise SinkError(
            f"{path}: a picture is written from rgb or gray frames, and this one is {format.layout}"
        )
    pixels, notes = _fitting(frame, container)
    metadata, left_out = _carried(source, pixels, container)
    try:
        data, reduced = codec.encode_image(pixels, container, quality=quality, metadata=metadata)
    except (cv2.error, ValueError) as error:
        raise SinkError(f"{path} cannot be encoded: {error}") from error
    return _Encoded(data, pixels, container, metadata, (*notes, *left_out, *reduced))


def _difference(path: Path, encoded: _Encoded) -> str:
    """Read a written file back and say how it differs from what went in; empty where it does not."""
    try:
        data, header = read(path)
        pixels = codec.decode_image(data, header)
    except (SourceError, DamagedError) as error:
        return f"the written file cannot be read back ({error})"
    expected = encoded.pixels
    opaque = expected.shape[2] in (2, 4) and bool((expected[..., -1] == np.iinfo(expected.dtype).max).all())
    if opaque and pixels.shape[2] == expected.shape[2] - 1:
        expected = expected[..., :-1]  # WebP leaves out an alpha that is opaque everywhere
    if (pixels.shape, pixels.dtype) != (expected.shape, expected.dtype):
        return f"written as {expected.shape} {expected.dtype}, read back as {pixels.shape} {pixels.dtype}"
    if encoded.container in _LOSSLESS and not np.array_equal(pixels, expected):
        return "pixels differ from what was written"
    want, got = encoded.metadata, header.metadata
    reduced = encoded.container == "tiff" or len(want.exif) > _SURE_TO_FIT  # then a note has said so
    exif = portable_tags(want.exif) == portable_tags(got.exif) if reduced else want.exif == got.exif
    xmp = want.xmp == got.xmp or len(want.xmp) > _SURE_TO_FIT
    kept = {"EXIF": exif, "XMP": xmp, "ICC profile": want.icc == got.icc}
    lost = [name for name, same in kept.items() if not same]
    return f"{' and '.join(lost)} differs from what was written" if lost else ""


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
                difference = _difference(part, self._encoded)
                if difference:
                    kept = give_free_name(part, unverified_names(self._path))
                    raise VerifyError(f"{self._path}: {difference}; what was written lies in {kept.name}")
        except FileExistsError:
            raise SinkError(
                f"{self._path} has come to exist meanwhile; pass --overwrite to replace it"
            ) from None
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written: {error.strerror or error}") from error
        self.report = ImageReport(str(self._path), 1, len(self._encoded.data), self._encoded.notes)
