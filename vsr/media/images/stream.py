"""A picture as a stream of one frame, whatever its kind, with EXIF, XMP, colour profile and density.

Pixels stay as they are stored, and EXIF's orientation travels along wherever the output holds it. What the
output cannot hold is named in a note. No temporary file but the output's own.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np
from av.error import FFmpegError

from vsr.durable import give_free_name, whole
from vsr.errors import ConfigError, ReadError, SinkError, SourceError, VerifyError, one_line, reason_of
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.limits import USUAL_GB
from vsr.media.images import codec
from vsr.media.images.kinds import KINDS, PICTURES, title
from vsr.media.images.metadata import TICK, DamagedError, Header, Pixels
from vsr.media.images.probe_image import picture_info, probe_image, read
from vsr.media.images.to_kind import Fitted, difference, fitted, kept_of, over_white, source_header
from vsr.media.target import check_target, unverified_names


class ImageSource:
    """A picture as a stream of one frame, or of several with their times where it moves.

    `opaque` lays what is transparent over white; `transfer` is how linear light is coded, where it is not left to
    the file; `most_gb` gigabytes may it take unpacked.

    Raises:
        SourceError: as `probe_image`.
    """

    def __init__(
        self, path: str | Path, *, opaque: bool = False, transfer: str = "", most_gb: float = USUAL_GB
    ):
        self._transfer = transfer
        self.info = probe_image(path, opaque=opaque, most_gb=most_gb)
        """What the file holds."""

    def frames(self) -> Iterator[Frame]:
        """Decode and yield each frame.

        Raises:
            SourceError: the pixels are damaged.
        """
        data, header = read(self.info.path, most_gb=math.inf)
        if self._transfer and header.container == "openexr":
            header = replace(header, transfer=self._transfer)
        format, pts = replace(picture_info(self.info.path, header).format, alpha=self.info.format.alpha), 0
        try:
            for pixels, ticks in _decoded(data, header):
                if header.alpha and not format.alpha:
                    pixels = over_white(pixels, format.bit_depth)
                planes = tuple(
                    np.ascontiguousarray(pixels[..., channel]) for channel in range(pixels.shape[2])
                )
                yield Frame(planes, format, pts, self.info.time_base, ticks)
                pts += ticks
        except DamagedError as error:
            raise SourceError(f"{self.info.path}: the {title(header.container)} file {error}") from error


def _decoded(data: bytes, header: Header) -> Iterator[tuple[Pixels, int]]:
    """Each frame, and how many ticks it is shown for."""
    if not header.ticks:
        yield codec.decode_image(data, header), 0
        return
    from vsr.media.images.moving import moving_frames

    yield from moving_frames(data, header)


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What an `ImageSink` wrote."""

    path: str
    num_frames: int
    num_bytes: int
    notes: tuple[str, ...] = ()
    """What the format could not hold."""


class _Still:
    """One frame on its way into a file in memory."""

    def __init__(self, container: str, header: Header | None, quality: int, notes: Sequence[str] = ()):
        self._container, self._header, self._quality = container, header, quality
        self._fits: Fitted | None = None
        self._data, self.num_frames, self.notes = b"", 0, [*notes]

    def add(self, frame: Frame) -> None:
        fits = self._fits = fitted(frame, self._container, self._header)
        self._data, notes = codec.encode_image(
            fits.pixels,
            self._container,
            quality=self._quality,
            metadata=fits.metadata,
            bit_depth=fits.bit_depth,
            transfer=fits.transfer,
        )
        self.notes += [*fits.notes, *notes]
        self.num_frames = 1

    def finish(self) -> bytes:
        return self._data

    def difference(self, path: Path, ending: str) -> str:
        """How what is read back differs from what went in."""
        assert self._fits is not None
        return difference(path, ending, self._fits)


class _Moving:
    """Frames with their times on their way into a file in memory."""

    def __init__(self, container: str, header: Header, quality: int):
        from vsr.media.images.by_pillow import GIF_NOTE
        from vsr.media.images.moving import MovingAvif, MovingPicture

        self.notes = list[str]()
        if container == "gif":
            self.notes.append(GIF_NOTE)
        self._container = container
        header = replace(header, metadata=kept_of(header.metadata, container, self.notes))
        is_avif = container == "avif"
        self._picture = MovingAvif(header, quality) if is_avif else MovingPicture(container, header, quality)
        self._written: list[tuple[int, int]] = []

    @property
    def num_frames(self) -> int:
        return len(self._written)

    def add(self, frame: Frame) -> None:
        fits = fitted(frame, self._container, None)
        self.notes += fits.notes if not self._written else ()
        ticks = round(frame.duration * frame.time_base / TICK)
        self._picture.add(fits.pixels, round(frame.pts * frame.time_base / TICK), ticks)
        self._written.append((ticks, crc32(fits.pixels.tobytes())))

    def finish(self) -> bytes:
        return self._picture.finish()

    def difference(self, path: Path, ending: str) -> str:
        """How what is read back differs from what went in."""
        try:
            return self._different(*read(path, ending, most_gb=math.inf))
        except ReadError:
            raise
        except (SourceError, DamagedError) as error:
            return f"the written file cannot be read back ({error})"

    def _different(self, data: bytes, header: Header) -> str:
        if header.num_frames != self.num_frames:
            return f"{self.num_frames} frames were written, {header.num_frames} are read back"
        coarse = {"gif": 0.01, "png": 0.0}.get(self._container, 0.001)
        for number, ((ticks, crc), (pixels, shown)) in enumerate(
            zip(self._written, _decoded(data, header), strict=True), 1
        ):
            if abs(ticks - shown) * TICK > coarse:
                return f"frame {number} is shown for {float(shown * TICK)} s instead of {float(ticks * TICK)}"
            if self._container == "png" and crc != crc32(pixels.tobytes()):
                return f"pixels of frame {number} differ from what was written"
        return ""


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
        self._container = PICTURES[self._path.suffix.lower()]
        self._source, self._quality = source, quality
        self._moves = source.kind == "image" and (source.num_frames or 1) > 1
        if self._moves and not KINDS[self._container].moves:
            moving = ", ".join(name for name in PICTURES if KINDS[PICTURES[name]].moves)
            raise ConfigError(
                f"{path} holds one picture, and {source.path} moves; name {moving}, or a video file"
            )
        self._encoding: _Still | _Moving | None = None

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
            SinkError: it is the second frame of what does not move, or the format cannot hold its size or layout.
        """
        self._check(frame.format)
        encoding = self._encoding = self._encoding or self._begin()
        try:
            encoding.add(frame)
        except (codec.EncoderError, FFmpegError, OSError, ValueError) as error:
            raise SinkError(f"{self._path} cannot be encoded: {one_line(error)}") from error

    def _check(self, format: PictureFormat) -> None:
        edge = KINDS[self._container].max_edge
        if max(format.height, format.width) > edge:
            size = f"{format.width}x{format.height}"
            raise SinkError(
                f"{self._path}: {size} is too large for {title(self._container)} (at most {edge}); PNG and TIFF hold it"
            )
        if format.layout not in ("rgb", "gray"):
            raise SinkError(
                f"{self._path}: a picture is written from rgb or gray frames, and this one is {format.layout}"
            )
        if self._encoding and not self._moves:
            raise SinkError(
                f"{self._path} holds one picture and a second frame came; name a video file instead"
            )

    def _begin(self) -> _Still | _Moving:
        """What takes the frames, knowing what the source's file says beside the pixels."""
        if self._source.kind != "image":
            return _Still(self._container, None, self._quality)
        header, notes = source_header(self._source.path)
        if header and self._moves:
            return _Moving(self._container, header, self._quality)
        return _Still(self._container, header, self._quality, notes)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()

    def _finish(self) -> None:
        if self._encoding is None:
            raise SinkError(f"{self._path}: no frame came, so no picture was written")
        try:
            data = self._encoding.finish()
            with whole(self._path, replace=self._replace) as part:
                part.write_bytes(data)
                if different := self._encoding.difference(part, self._path.suffix):
                    kept = give_free_name(part, unverified_names(self._path))
                    raise VerifyError(f"{self._path}: {different}; what was written lies in {kept.name}")
        except ReadError as error:
            reason = reason_of(error.__cause__ or error)
            raise SinkError(f"{self._path} cannot be read back: {reason}") from error
        except FileExistsError:
            raise SinkError(
                f"{self._path} has come to exist meanwhile; pass --overwrite to replace it"
            ) from None
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written: {error.strerror or error}") from error
        notes = tuple(self._encoding.notes)
        self.report = ImageReport(str(self._path), self._encoding.num_frames, len(data), notes)
