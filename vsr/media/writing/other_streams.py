"""What of the original goes along with the enhanced video: which streams a
container can hold, and conversions.

A stream is copied where the container takes it, converted by an FFmpeg child where a faithful conversion
exists, and otherwise named as left out. Nothing here is fatal, and nothing here writes the output.
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition

from vsr.frames import StreamInfo
from vsr.media.ffmpeg import PROTOCOLS, QUIET, command_line, first_error_line, local, run_ffmpeg
from vsr.media.file_clock import FileClock, MendedReader, write_mended
from vsr.media.network import is_address
from vsr.media.probe_video import codec_of, open_container
from vsr.media.track_tags import DATA_TRACKS, track_tags
from vsr.media.writing.muxers import MUXERS

COVER = Disposition.attached_pic | Disposition.timed_thumbnails

_TEXT_SUBTITLES = {"mp4": "mov_text", "mov": "mov_text", "mkv": "srt", "webm": "webvtt"}
_TEXT_CODECS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
_AUDIO = {"mp4": ("aac", 96_000), "mov": ("aac", 96_000), "mkv": ("flac", 0), "webm": ("libopus", 80_000)}
"""Encoder and bits a second for each channel: transparent to nearly everybody."""
_CONVERTED_SUFFIX = {"mp4": ".mp4", "mov": ".mp4", "mkv": ".mkv", "webm": ".webm"}
_COPIES = {"audio": ("nut", "nut"), "subtitle": ("matroska", "matroska")}
"""Muxer and demuxer of a copy of a stream; MP4's own subtitles lie in MP4 alone."""
_COVER_TYPES = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png"), "webp": ("image/webp", "webp")}
_CONVERSION_LIMIT_S = 3600.0


@dataclass(frozen=True)
class Carried:
    """A stream that goes along, and where its packets are."""

    index: int
    """Its index in the original."""
    name: str
    """For the report, e.g. `audio 1 (aac, eng)`."""
    how: Literal["copied", "converted", "attached"]
    """`attached`: a cover picture that Matroska keeps as an attachment."""
    path: Path
    """The original, or a temporary file that holds nothing but the converted stream."""
    stream: int
    """Index in `path`."""
    detail: str = ""
    later: int = 0
    """Seconds by which a converted stream lies later in `path` than in the original."""


@dataclass(frozen=True)
class Carriage:
    """All that goes along, and what does not."""

    carried: tuple[Carried, ...] = ()
    left_out: tuple[str, ...] = ()
    """`NAME: REASON`."""


def stream_name(stream: Any, tag: str = "") -> str:
    """Name a stream for a report; `tag` is what its container calls data of no codec."""
    said = stream.metadata
    maker = said.get("handler_name") if stream.type == "data" else ""  # GoPro MET, Core Media Metadata, ...
    what = DATA_TRACKS.get(tag, "") if stream.type == "data" else ""
    facts = [
        codec_name(stream) or tag,
        what,
        maker or "",
        said.get("language") or "",
        said.get("title") or "",
    ]
    kind = "cover picture" if stream.type == "video" and stream.disposition & COVER else stream.type
    return f"{kind} {stream.index} ({', '.join(fact for fact in facts if fact)})"


def codec_name(stream: Any) -> str:
    """Return the name of a stream's codec, for an attachment its file name, for data FFmpeg's name."""
    return codec_of(stream) or str(getattr(stream, "name", "") or "")


def plan_carriage(reader: MendedReader, info: StreamInfo, container: str, temporary: Path) -> Carriage:
    """Decide about every stream of a file but the enhanced one; run the conversions that are needed.

    Converted streams are written to files whose names begin with `temporary`; the caller removes them.
    """
    carried: list[Carried] = []
    left_out: list[str] = []
    in_mov = "mov" in info.container.split(",") and reader.container.streams.data
    tags = track_tags(Path(info.path)) if in_mov else {}
    for stream in reader.container.streams:
        if stream.index == info.stream_index or stream.index in reader.clock.continuing:
            continue
        tag = tags.get(stream.id, "")
        result = _carry(stream, tag, reader.clock, info, container, temporary)
        if isinstance(result, Carried):
            carried.append(result)
        elif result:
            left_out.append(f"{stream_name(stream, tag)}: {result}")
    return Carriage(tuple(carried), tuple(left_out))


def _carry(
    stream: Any, tag: str, clock: FileClock, info: StreamInfo, container: str, temporary: Path
) -> Carried | str:
    """Return how a stream goes along, or why it does not; an empty reason where the muxer makes it anew."""
    name, path = stream_name(stream), Path(info.path)
    if stream.type == "attachment":
        if container == "mkv":
            return Carried(stream.index, name, "copied", path, stream.index)
        return f"{container} cannot hold attachments"
    if stream.type == "data" and _is_made_anew(stream, tag):
        return ""
    if stream.type == "video" and stream.disposition & COVER:
        if container == "mkv":
            return Carried(stream.index, name, "attached", path, stream.index)
        if container in ("webm", "mov"):
            return f"{container} cannot hold cover pictures"
    refusal = _refusal(stream, container)
    if refusal is None and stream.index in clock.renewed:
        refusal = "its coding changes on the way"
    if refusal is None:
        return Carried(stream.index, name, "copied", path, stream.index)
    return _convert(stream, clock, info, container, temporary) or refusal


def _is_made_anew(stream: Any, tag: str) -> bool:
    """Say whether a data stream is QuickTime's chapter text, which its demuxer leaves unread, or time code; the muxer
    derives both from the metadata."""
    return tag == "tmcd" or (bool(tag) and stream.discard == Discard.all)


def _refusal(stream: Any, container: str) -> str | None:
    """Return why the container does not take the stream as it is, or None: a header is tried out."""
    is_nameless = stream.type == "data" and not codec_name(
        stream
    )  # muxers would write a track that says nothing
    if is_nameless or stream.type not in ("video", "audio", "subtitle", "data"):
        return f"{container} cannot hold it"
    try:
        with av.open(io.BytesIO(), "w", format=MUXERS[container]) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (FFmpegError, ValueError):
        return f"{container} cannot hold it"
    return None


def _convert(
    stream: Any, clock: FileClock, info: StreamInfo, container: str, temporary: Path
) -> Carried | str | None:
    codec = codec_name(stream)
    options: dict[str, Any]
    if stream.type == "subtitle" and codec in _TEXT_CODECS:
        target = _TEXT_SUBTITLES[container]
        options = {"c:s": target}
    elif stream.type == "audio" and stream.codec_context is not None:
        target, rate = _AUDIO[container]
        options = {"c:a": target} | ({"b:a": rate * max(1, stream.codec_context.channels)} if rate else {})
    else:
        return None
    path = temporary.with_name(f"{temporary.name}.{stream.index}{_CONVERTED_SUFFIX[container]}")
    read, demuxer, index = Path(info.path), info.container.split(",")[0], stream.index
    mended = temporary.with_name(f"{temporary.name}.{index}.copy")
    later = _seconds_before_zero(stream.container)
    try:
        # A command line is anybody's to read, and an address may hold a password.
        if not clock.is_steady or index in clock.renewed or is_address(read):
            muxer, demuxer = ("mp4", "mov") if codec == "mov_text" else _COPIES[stream.type]
            write_mended(info.path, clock, index, mended, muxer=muxer, later=later)
            read, index = mended, 0
        else:
            options["output_ts_offset"] = later
        command = command_line(
            (local(read), {"f": demuxer, "protocol_whitelist": PROTOCOLS}),
            (local(path), options),
            maps=[f"0:{index}"],
            flags=(*QUIET, "-copyts"),
        )
        code, log = run_ffmpeg(command, timeout_s=_CONVERSION_LIMIT_S)
    finally:
        mended.unlink(missing_ok=True)
    if code != 0 or not path.exists():
        path.unlink(missing_ok=True)
        return f"{container} cannot hold it, and its conversion failed: {first_error_line(log)}"
    return Carried(stream.index, stream_name(stream), "converted", path, 0, f"{codec} to {target}", later)


def _seconds_before_zero(container: Any) -> int:
    """What a file's times must be moved by, in whole seconds, for none to lie before 0, where most muxers know none
    and would move a stream that lies there alone."""
    return max(0, math.ceil(-(container.start_time or 0) / av.time_base))


def attach_cover(out: OutputContainer, stream: Any, carried: Carried) -> None:
    """Attach a cover picture, as Matroska has it."""
    mime, suffix = _COVER_TYPES.get(codec_name(stream), ("application/octet-stream", "bin"))
    with open_container(carried.path) as again:
        picture = next((p for p in again.demux(again.streams[carried.stream]) if p.size), None)
    if picture is not None:
        name = stream.metadata.get("filename") or f"cover.{suffix}"
        out.add_attachment(name, stream.metadata.get("mimetype") or mime, bytes(picture))
