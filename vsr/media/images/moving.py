"""Pictures that move: GIF, APNG, animated WebP and AVIF. Read by Pillow, which puts each frame together whole;
written by FFmpeg's encoders one frame at a time, AVIF by Pillow all at once."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import av
import numpy as np
from av.error import BlockingIOError as NotYetError
from av.error import EOFError as EndError
from av.filter import Graph
from PIL import Image

from vsr.media.images.by_pillow import level_of, opened, saved
from vsr.media.images.metadata import TICK, DamagedError, Header, Pixels, taken_for_damage
from vsr.media.images.png import pixels_alone, with_metadata

_USUAL = 0.1
"""Seconds that browsers show a frame for whose time is 0 or, but for APNG and AVIF, up to 10 ms."""

_MOST_FRAMES = 100_000

_FORMATS = {
    "png": ("apng", "apng", "rgba"),
    "gif": ("gif", "gif", "pal8"),
    "webp": ("webp", "libwebp_anim", "bgra"),
}
"""FFmpeg's muxer, encoder and pixel format."""


def moving_frames(data: bytes, header: Header) -> Iterator[tuple[Pixels, int]]:
    """Yield each frame, (height, width, channels) of 8 bits, and its `TICK`s.

    Raises:
        DamagedError: one of them cannot be decoded.
    """
    container = header.container
    image = _opened(data, container)
    first = 1 if getattr(image, "default_image", False) else 0
    mode = "RGBA" if header.alpha else "RGB"
    for number in range(first, first + header.num_frames):
        with taken_for_damage(f"its frame {number + 1} cannot be decoded"):
            image.seek(number)
            image.load()
            pixels = np.asarray(image.convert(mode))
        if pixels.shape[:2] != (header.height, header.width):
            raise DamagedError(f"is damaged: its frame {number + 1} has another size")
        yield pixels, _ticks(image.info.get("duration", 0), container)


def _opened(data: bytes, container: str) -> Image.Image:
    return opened(pixels_alone(data) if container == "png" else data, container)


def _ticks(milliseconds: float, container: str) -> int:
    seconds = milliseconds / 1000
    shortest = 0.0 if container in ("png", "avif") else 0.01
    return round((seconds if seconds > shortest else _USUAL) / TICK)


def moving_header(data: bytes, header: Header) -> Header:
    """A file's header with the times of its frames, which decoding them tells, and how often it is played.

    Raises:
        DamagedError: it has too many frames, or one of them cannot be decoded.
    """
    if header.num_frames > _MOST_FRAMES:
        raise DamagedError(f"claims {header.num_frames:,} frames; up to {_MOST_FRAMES:,} are accepted")
    notes = (f"{header.bit_depth} bits are read as 8, since it moves",) if header.bit_depth > 8 else ()
    plain = replace(header, color="rgb", bit_depth=8, notes=(*header.notes, *notes))
    loop = _opened(data, header.container).info.get("loop")
    if header.container == "gif":
        loop = 1 if loop is None else loop and loop + 1  # it says how often again
    ticks, is_clear = list[int](), False
    for pixels, shown in moving_frames(data, plain):
        ticks.append(shown)
        is_clear = is_clear or (plain.alpha and int(pixels[..., 3].min()) < 255)
    return replace(plain, alpha=is_clear, ticks=tuple(ticks), plays=loop or 0)


class MovingPicture:
    """Frames on their way into a GIF, PNG or WebP in memory, one at a time."""

    def __init__(self, container: str, header: Header, quality: int):
        """`header` is of the source: how often it is played, how long its last frame is shown, what travels along."""
        self._container, self._header, self._quality = container, header, quality
        self._file = io.BytesIO()
        format, self._encoder, self._pixel_format = _FORMATS[container]
        plays, last = header.plays, header.ticks[-1] * TICK
        options = {
            "png": {"plays": str(plays), "final_delay": str(last)},
            "gif": {"loop": str(plays - 1 if plays > 1 else -plays), "final_delay": str(round(last * 100))},
            "webp": {"loop": str(plays)},
        }[container]
        self._out: Any = av.open(self._file, "w", format=format, options=options)
        self._stream: Any = None
        self._palette: Any = None

    def add(self, pixels: Pixels, pts: int, ticks: int) -> None:
        """Take a frame of 3 or 4 channels.

        Raises:
            av.error.FFmpegError: the encoder refuses.
        """
        if self._stream is None:
            self._stream = self._begin(*pixels.shape[:2])
        name = "rgba" if pixels.shape[2] == 4 else "rgb24"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), name)
        picture = picture.reformat(format="rgba" if self._palette else self._pixel_format)
        picture.pts, picture.time_base, picture.duration = pts, TICK, ticks
        for ready in self._with_palette(picture) if self._palette else [picture]:
            self._out.mux(self._stream.encode(ready))

    def _begin(self, height: int, width: int) -> Any:
        stream = self._out.add_stream(self._encoder, rate=1 / TICK)
        stream.width, stream.height, stream.pix_fmt = width, height, self._pixel_format
        stream.time_base = stream.codec_context.time_base = TICK
        if self._container == "webp":
            whole = self._quality == 100
            stream.options = {"lossless": "1"} if whole else {"quality": str(level_of(self._quality))}
        if self._container == "gif":
            self._palette = _palette_of_each(height, width)
        return stream

    def _with_palette(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        self._palette.push(picture)
        while True:
            try:
                yield self._palette.pull()
            except (NotYetError, EndError):
                return

    def finish(self) -> bytes:
        """The file.

        Raises:
            av.error.FFmpegError: the encoder refuses.
        """
        for ready in self._with_palette(None) if self._palette else ():
            self._out.mux(self._stream.encode(ready))
        self._out.mux(self._stream.encode(None))
        self._out.close()
        data = self._file.getvalue()
        if self._container == "png":
            return with_metadata(pixels_alone(data), self._header.metadata)
        return _webp_with(data, self._header) if self._container == "webp" else data


class MovingAvif:
    """Frames that wait until Pillow encodes them all as an AVIF."""

    def __init__(self, header: Header, quality: int):
        """`header` is of the source: what travels along."""
        self._metadata, self._quality = header.metadata, quality
        self._waiting: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def add(self, pixels: Pixels, pts: int, ticks: int) -> None:
        """Take a frame of 3 or 4 channels."""
        self._waiting.append(Image.fromarray(pixels))
        self._milliseconds.append(round(ticks * TICK * 1000))

    def finish(self) -> bytes:
        """The file.

        Raises:
            OSError, ValueError: the encoder refuses.
        """
        along = {"exif": self._metadata.exif, "xmp": self._metadata.xmp, "icc_profile": self._metadata.icc}
        return saved(
            self._waiting[0],
            "AVIF",
            save_all=True,
            append_images=self._waiting[1:],
            duration=self._milliseconds,
            quality=level_of(self._quality),
            subsampling="4:4:4" if self._quality >= 50 else "4:2:0",
            **{name: value for name, value in along.items() if value},
        )


def _palette_of_each(height: int, width: int) -> Any:
    """FFmpeg's filters that give each frame 256 colours of its own."""
    graph: Any = Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgba"), time_base=TICK)
    split, sink = graph.add("split"), graph.add("buffersink")
    made = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
    used = graph.add("paletteuse", "new=1:alpha_threshold=128")
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(made, 1, 0)
    made.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    return graph


_WEBP_XMP, _WEBP_EXIF, _WEBP_ICC = 0x04, 0x08, 0x20


def _webp_with(data: bytes, header: Header) -> bytes:
    """Say what FFmpeg does not: how long the last frame is shown, and what travels along.

    https://developers.google.com/speed/webp/docs/riff_container: VP8X with flags comes first, a profile next, then
    frames (ANMF, whose bytes 12 to 14 are milliseconds), EXIF and XMP.
    """
    metadata, whole = header.metadata, bytearray(data)
    at, last = 12, 0
    while at + 8 <= len(data):
        last = at if data[at : at + 4] == b"ANMF" else last
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    if last:
        whole[last + 20 : last + 23] = round(header.ticks[-1] * TICK * 1000).to_bytes(3, "little")
    parts = ((_WEBP_ICC, metadata.icc), (_WEBP_EXIF, metadata.exif), (_WEBP_XMP, metadata.xmp))
    whole[20] |= sum(flag for flag, body in parts if body)
    behind = _webp_chunk(b"EXIF", metadata.exif) + _webp_chunk(b"XMP ", metadata.xmp)
    whole = whole[:30] + _webp_chunk(b"ICCP", metadata.icc) + whole[30:] + behind
    whole[4:8] = (len(whole) - 8).to_bytes(4, "little")
    return bytes(whole)


def _webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2) if body else b""
