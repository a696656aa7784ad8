"""Finding out what a video file holds, before anything is read from it.

Owns opening untrusted files: local files only, no playlists, one clear line for everything that is not a
video. Never keeps a file open.
"""

import io
import struct
from collections.abc import Generator
from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from vsr.errors import SourceError, reason_of
from vsr.frames import MasteringMetadata, OtherStream, PictureFormat, StreamInfo
from vsr.media.pixels import MATRICES, PRIMARIES, SITINGS, TRANSFERS, name_of, range_of, reading
from vsr.media.source_file import SourceFile, check_read, is_scrambled

_PLAYLISTS = frozenset(
    {"hls", "concat", "concatf", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "vapoursynth", "avisynth"}
)
"""Demuxers that open what a file names, here or on other hosts, or that run it as a script."""
_TEXT = frozenset({"tty", "txt", "bintext", "xbin", "adf", "idf"})
"""Demuxers that take any text for ANSI art."""
_BUFFER_BYTES = 1 << 16
"""Read at once; less costs a third more, more helps nobody (measured on 40 Mbit/s)."""
_MAX_PACKETS = 2000
"""Packets looked at for a first picture; a damaged beginning passes, a file of noise ends soon."""


@cache
def _open_options() -> dict[str, str]:
    # FFmpeg matches each alias of a demuxer's name by itself, so a whole name
    # must go when one alias is refused.
    refused = _PLAYLISTS | _TEXT
    allowed = sorted(name for name in av.formats_available if not refused & set(name.split(",")))
    return {"protocol_whitelist": "file,crypto,data", "format_whitelist": ",".join(allowed)}


def open_container(path: str | Path, *, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a local media file for reading. The caller closes it, in the thread that read from it.

    Raises:
        SourceError: there is no such file, or it is no media file, or a playlist.
    """
    file = SourceFile(Path(path))
    beginning = file.read(16)
    file.check()
    file.seek(0)
    if not beginning:
        raise SourceError(f"cannot read {str(path)!r}: the file is empty")
    if beginning.startswith((b"#EXTM3U", b"ffconcat", b"v=0")):
        raise SourceError(f"cannot read {str(path)!r}: it is a playlist; give the media file it names")
    try:
        opened = av.open(
            file,
            "r",
            options=dict(_open_options()),
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
            hwaccel=hwaccel,
        )
        file.check()
        return opened
    except (FFmpegError, ValueError) as error:
        file.check()
        raise SourceError(
            f"cannot read {str(path)!r}: no video format is recognised, or the file is cut off ({reason_of(error)})"
        ) from error


def packets_of(container: InputContainer, *streams: Any) -> Generator[Any, None, None]:
    """Yield the packets of some streams, and for each at its end an empty one.

    PyAV ends with an IndexError where a stream has turned up on the way (broadcasts, FLV);
    those that are read are flushed by then.

    Raises:
        ReadError: the disk or the network behind the file has failed; FFmpeg says so seldom.
    """
    try:
        with suppress(IndexError):
            yield from container.demux(*streams)
    except FFmpegError:
        check_read(container)
        raise
    check_read(container)


def _encrypted(path: str | Path) -> SourceError:
    return SourceError(
        f"cannot read {str(path)!r}: it is encrypted; a file without copy protection is wanted"
    )


def check_clear(packet: Any, path: str | Path) -> None:
    """Raise SourceError for a packet that is encrypted; what a decoder makes of it is noise."""
    if packet.has_sidedata("encryption_info"):
        raise _encrypted(path)


def _check_clear_stream(stream: VideoStream, path: str | Path) -> None:
    """Raise SourceError for a stream that its container says is encrypted: Matroska by
    a key's name, QuickTime by the type of its samples, broadcasts by a bit of each packet."""
    named = "enc_key_id" in stream.metadata or stream.codec_context.codec_tag in ("encv", "drmi")
    if named or (stream.container.format.name == "mpegts" and is_scrambled(Path(path), stream.id)):
        raise _encrypted(path)


def best_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """Return the video stream that a player shows: the default one, then the largest; never a cover picture.

    Raises:
        SourceError: there is none, or FFmpeg has no decoder for it.
    """
    cover = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        found = ", ".join(_kind(stream) for stream in container.streams) or "nothing"
        raise SourceError(f"cannot use {str(path)!r}: it holds no video stream (found: {found})")
    usable = [stream for stream in streams if cast(Any, stream.codec_context) is not None]
    if not usable:
        raise SourceError(f"cannot decode {str(path)!r}: FFmpeg has no decoder for its video stream")
    default = Disposition.default
    return max(usable, key=lambda s: (bool(s.disposition & default), s.width * s.height, -s.index))


def _kind(stream: Any) -> str:
    if stream.type == "video":
        return f"a cover picture ({codec_of(stream)})"
    return f"{stream.type} {codec_of(stream)}".strip()


def codec_of(stream: Any) -> str:
    """Return FFmpeg's name of a stream's codec; empty where it has none."""
    context = stream.codec_context
    return str(context.codec.canonical_name) if context is not None else ""


def probe(path: str | Path) -> StreamInfo:
    """Return the facts of a video file: it is opened, its first picture decoded, and closed again.

    Raises:
        SourceError: the file is missing, no video, or not one picture of it can be decoded.
    """
    with open_container(path) as container:
        stream = best_stream(container, path)
        _check_clear_stream(stream, path)
        picture = _first_picture(container, stream, path)
        format, notes = picture_format(picture, stream)
        duration = _duration_s(container, stream)
        rate = stream.average_rate or stream.guessed_rate or None
        rotation, mirrored = _rotation(picture)
        if mirrored:
            notes.append("the source asks players to mirror the picture")
        return StreamInfo(
            path=str(path),
            kind="video",
            container=container.format.name,
            codec=codec_of(stream),
            pixel_format=picture.format.name,
            format=format,
            time_base=_time_base(stream),
            start_pts=stream.start_time,
            duration_s=duration,
            num_frames=stream.frames or (round(duration * rate) if duration and rate else None),
            average_rate=Fraction(rate) if rate else None,
            rotation=rotation,
            interlaced=picture.interlaced_frame or stream.codec_context.field_order > 1,
            mastering=_mastering(picture),
            bit_rate=stream.bit_rate or (container.bit_rate if len(container.streams) == 1 else None) or None,
            stream_index=stream.index,
            others=tuple(_other(other) for other in container.streams if other.index != stream.index),
            num_chapters=len(container.chapters()),
            metadata=dict(container.metadata),
            notes=tuple(notes),
        )


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base
    return Fraction(stream.time_base)


def _first_picture(container: InputContainer, stream: VideoStream, path: str | Path) -> av.VideoFrame:
    stream.thread_type = "SLICE"  # frame threads would read further ahead for the same first picture
    stream.thread_count = 1
    problem = "it holds no pictures"
    try:
        for packet in islice(packets_of(container, stream), _MAX_PACKETS):
            check_clear(packet, path)
            try:
                for picture in packet.decode():
                    return picture
            except FFmpegError as error:
                problem = reason_of(error)
    except FFmpegError as error:
        problem = reason_of(error)
    raise SourceError(
        f"cannot decode {str(path)!r}: no picture of its {codec_of(stream)} stream can be decoded ({problem})"
    )


def picture_format(picture: av.VideoFrame, stream: VideoStream) -> tuple[PictureFormat, list[str]]:
    """Return the planar format that holds a decoded picture without loss, and what was assumed, in lines."""
    how = reading(picture.format.name)
    notes = [f"{picture.format.name}: {note}" for note in how.notes]
    rgb = how.layout == "rgb"
    matrix = "gbr" if rgb else name_of(MATRICES, picture.colorspace)
    primaries = name_of(PRIMARIES, picture.color_primaries)
    transfer = name_of(TRANSFERS, picture.color_trc)
    if matrix == "unknown" or (matrix == "gbr" and not rgb):
        matrix, primaries, transfer = _usual_colours(picture.height, primaries, transfer)
        if how.layout != "gray":
            notes.append(
                f"the source does not say its colour matrix; it is taken as {matrix}, and the output says so"
            )
    format = PictureFormat(
        height=picture.height,
        width=picture.width,
        bit_depth=how.bit_depth,
        layout=how.layout,
        matrix=matrix,
        range=range_of(picture, how),
        primaries=primaries,
        transfer=transfer,
        siting=_siting(stream) if how.layout == "yuv420" else "unspecified",
        sample_aspect=Fraction(stream.sample_aspect_ratio or 1),
    )
    return format, notes


def _usual_colours(height: int, primaries: str, transfer: str) -> tuple[str, str, str]:
    """Fill in what is not tagged: by the primaries, else BT.601 below 720 lines and BT.709 from there."""
    by_primaries = {"bt2020": "bt2020nc", "bt709": "bt709", "smpte170m": "smpte170m", "bt470bg": "bt470bg"}
    usual = "smpte170m" if height < 720 else "bt709"
    matrix = by_primaries.get(primaries, usual)
    if primaries == "unknown":
        primaries = usual
    if transfer == "unknown" and matrix in ("smpte170m", "bt709"):
        transfer = matrix
    return matrix, primaries, transfer


def _siting(stream: VideoStream) -> str:
    """Return where chroma samples lie.

    PyAV does not show it. Matroska's header does: a stream copied into one, never to be written, gets
    ChromaSitingHorz and ChromaSitingVert (0x55B7, 0x55B8; RFC 9559, 1 = at the luma sample, 2 = half way).
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as muxer:
            muxer.add_stream_from_template(stream, opaque=True)
            muxer.start_encoding()
    except (FFmpegError, ValueError):
        return "unspecified"  # a codec that Matroska cannot hold
    data = header.getvalue()
    found = (data.find(element) for element in (b"\x55\xb7\x81", b"\x55\xb8\x81"))
    place = tuple(data[at + 3] for at in found if at >= 0)
    names = {(1, 2): "left", (2, 2): "center", (1, 1): "topleft", (2, 1): "top"}
    siting = names.get(cast(Any, place), "unspecified")
    assert siting in SITINGS
    return siting


def _rotation(picture: av.VideoFrame) -> tuple[int, bool]:
    """Return degrees counter-clockwise in quarter turns, and whether the display matrix mirrors."""
    if "DISPLAYMATRIX" not in {data.type.name for data in cast(Any, picture.side_data)}:
        return 0, False
    values = struct.unpack("=9i", bytes(cast(Any, picture.side_data)["DISPLAYMATRIX"])[:36])
    mirrored = values[0] * values[4] - values[1] * values[3] < 0
    return round(picture.rotation / 90) * 90 % 360, mirrored


def _mastering(picture: av.VideoFrame) -> MasteringMetadata | None:
    """Read FFmpeg's AVMasteringDisplayMetadata (ten rationals, two flags) and
    AVContentLightMetadata (two numbers)."""
    found = {data.type.name: bytes(data) for data in cast(Any, picture.side_data)}
    display, light = found.get("MASTERING_DISPLAY_METADATA"), found.get("CONTENT_LIGHT_LEVEL")
    if display is None and light is None:
        return None
    primaries: tuple[tuple[Fraction, Fraction], ...] = ()
    white = low = high = None
    if display is not None:
        numbers = struct.unpack("=22i", display[:88])
        rationals = zip(numbers[0:20:2], numbers[1:20:2], strict=True)
        values = [Fraction(n, d) if d else Fraction(0) for n, d in rationals]
        if numbers[20]:
            primaries = tuple((values[i], values[i + 1]) for i in (0, 2, 4))
            white = (values[6], values[7])
        if numbers[21]:
            low, high = values[8], values[9]
    max_light, average_light = struct.unpack("=2I", light[:8]) if light else (0, 0)
    return MasteringMetadata(primaries, white, low, high, max_light, average_light)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    return container.duration / 1_000_000 if container.duration else None


def _other(stream: Any) -> OtherStream:
    return OtherStream(
        index=stream.index,
        kind=stream.type,
        codec=codec_of(stream),
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
    )
