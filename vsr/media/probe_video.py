"""Finding out what a video file holds, before anything is read from it.

Owns opening untrusted files: local files only, no playlists, one clear line for everything that is not a
video. Never keeps a file open.
"""

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
from vsr.frames import OtherStream, StreamInfo
from vsr.media.largest_picture import at_most, coded_aspect_of
from vsr.media.network import REMOTE_PROTOCOLS, TIMEOUT_S, address_of, check_allowed, is_address
from vsr.media.picture_facts import facts_beside, picture_format
from vsr.media.source_file import SourceFile, check_read, is_scrambled
from vsr.media.standard_streams import StandardInput, is_standard, standard_input
from vsr.media.track_tags import track_tags
from vsr.pulse import beat

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


def open_container(path: str | Path, *, hwaccel: HWAccel | None = None, begin: int = 0) -> InputContainer:
    """Open a local media file, as if it began at a position of it, or standard input for reading. The caller closes
    it, in the thread that read from it.

    Raises:
        SourceError: there is no such file, or it is no media file, or a playlist.
    """
    if is_address(path):
        return _open_address(address_of(path), hwaccel)
    file = _source(path, begin)
    beginning = file.read(16)
    file.check()
    file.rewind()
    if not beginning:
        what = "standard input" if is_standard(path) else "the file"
        raise SourceError(f"cannot read {str(path)!r}: {what} is empty")
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
        piped = "; NUT, y4m, Matroska and MPEG-TS can be read from a pipe" if is_standard(path) else ""
        raise SourceError(
            f"cannot read {str(path)!r}: no video format is recognised, or the file is cut off"
            f" ({reason_of(error)}){piped}"
        ) from error


def _open_address(address: str, hwaccel: HWAccel | None) -> InputContainer:
    options = {**_open_options(), "protocol_whitelist": REMOTE_PROTOCOLS}
    try:
        return av.open(
            address, "r", options=options, metadata_errors="replace", hwaccel=hwaccel, timeout=TIMEOUT_S
        )
    except (FFmpegError, ValueError, OSError) as error:
        raise SourceError(f"cannot read {address}: {reason_of(error)}") from error


def _source(path: str | Path, begin: int) -> SourceFile | StandardInput:
    """What is read, at its beginning."""
    if not is_standard(path):
        return SourceFile(Path(path), begin)
    standard_input().rewind()
    return standard_input()


def packets_of(container: InputContainer, *streams: Any) -> Generator[Any, None, None]:
    """Yield the packets of some streams, and for each at its end an empty one.

    PyAV ends with an IndexError where a stream has turned up on the way (broadcasts, FLV);
    those that are read are flushed by then.

    Raises:
        ReadError: the disk or the network behind the file has failed; FFmpeg says so seldom.
    """
    try:
        with suppress(IndexError):
            for packet in container.demux(*streams):
                beat()
                yield packet
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
    local = not (is_standard(path) or is_address(path))
    broadcast = stream.container.format.name == "mpegts" and local
    if named or (broadcast and is_scrambled(Path(path), stream.id)):
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


def probe(path: str | Path, *, network: bool = False) -> StreamInfo:
    """Return the facts of a video file: it is opened, its first picture decoded, and closed again.

    `network`: an address (http, https) may be read.

    Raises:
        ConfigError: it is an address, and none may be read.
        SourceError: the file is missing, no video, or not one picture of it can be decoded.
    """
    check_allowed(path, allowed=network)
    path = address_of(path) if is_address(path) else path
    with open_container(path) as container:
        stream = best_stream(container, path)
        _check_clear_stream(stream, path)
        picture = _first_picture(container, stream, path)
        format, notes = picture_format(picture, stream)
        packets = iter(()) if is_standard(path) else packets_of(container, stream)  # no minute is waited for
        largest, coded_aspect = at_most(packets, stream, format, coded_aspect_of(stream))
        if largest != format:
            was, is_now = (f"{each.width}x{each.height}" for each in (format, largest))
            notes.append(f"the pictures change their size: {was} at first, {is_now} in the first minute")
        beside, lines = facts_beside(container, stream, picture)
        return StreamInfo(
            path=str(path),
            kind="video",
            container=container.format.name,
            codec=codec_of(stream),
            pixel_format=picture.format.name,
            format=largest,
            rotation=round(picture.rotation / 90) * 90 % 360,
            interlaced=picture.interlaced_frame or stream.codec_context.field_order > 1,
            coded_aspect=coded_aspect,
            stream_index=stream.index,
            others=tuple(_others(container, stream, path)),
            num_chapters=len(container.chapters()),
            metadata=dict(container.metadata),
            notes=tuple(dict.fromkeys([*notes, *lines])),
            **_times_of(container, stream),
            **beside,
        )


def _times_of(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    """How long the stream is and how fast it runs, as far as its container says."""
    duration = _duration_s(container, stream)
    rate = stream.average_rate or stream.guessed_rate or None
    return {
        "time_base": _time_base(stream),
        "start_pts": stream.start_time,
        "duration_s": duration,
        "num_frames": stream.frames or (round(duration * rate) if duration and rate else None),
        "average_rate": Fraction(rate) if rate else None,
        "bit_rate": stream.bit_rate or (container.bit_rate if len(container.streams) == 1 else None) or None,
    }


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base
    return Fraction(stream.time_base)


def _first_picture(container: InputContainer, stream: VideoStream, path: str | Path) -> av.VideoFrame:
    stream.thread_type = "SLICE"  # frame threads would read further ahead for the same first picture
    stream.thread_count = 1
    stream.codec_context.options = {
        "export_side_data": "film_grain"
    }  # decoders apply it else, and tell nothing
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


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    return container.duration / 1_000_000 if container.duration else None


def _others(
    container: InputContainer, stream: VideoStream, path: str | Path
) -> Generator[OtherStream, None, None]:
    in_mov = "mov" in container.format.name.split(",") and container.streams.data
    tags = track_tags(Path(path)) if in_mov else {}
    for other in container.streams:
        if other.index != stream.index:
            metadata = other.metadata
            codec = codec_of(other) or tags.get(other.id, "")
            yield OtherStream(other.index, other.type, codec, metadata.get("language"), metadata.get("title"))
