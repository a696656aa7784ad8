"""The second step of writing: encoded video and the original's other streams
become one file, nothing re-encoded.

Times are the original's own: video and audio keep their offset to the tick. With `trim`, everything is
shifted by the time of the first written frame. Memory does not grow with the length of the other streams.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from vsr.errors import SinkError, reason_of
from vsr.frames import Immersive, PictureFormat, StreamInfo
from vsr.media.clock_scan import clock_of
from vsr.media.ffmpeg import local
from vsr.media.file_clock import FileClock, MendedReader
from vsr.media.network import is_address
from vsr.media.pixels import MATRICES, PRIMARIES, RANGES, TRANSFERS
from vsr.media.probe_video import open_container
from vsr.media.writing.cut_beginning import template_of
from vsr.media.writing.encode import Encoded, constant_rate
from vsr.media.writing.kept_metadata import (
    Move,
    fresh,
    fresh_of_stream,
    keys_of,
    stream_keys_of,
    write_timecode,
)
from vsr.media.writing.matroska_aspect import write_aspect
from vsr.media.writing.muxers import MUXERS, muxer_options
from vsr.media.writing.other_streams import Carriage, Carried, attach_cover, codec_name, plan_carriage
from vsr.media.writing.packet_times import TimeSpan, cut_chapters, interleave, video_packets
from vsr.media.writing.tracks import Contained, Track, read_tracks
from vsr.media.writing.views import add_video, keep_google_box, mirroring
from vsr.pulse import beat

_Readers = list[Iterator["Packet[Any]"]]
_PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE


@dataclass(frozen=True)
class JoinedStream:
    """A stream beside the enhanced one as it was written, for the verification."""

    kind: str
    name: str
    """For messages."""
    holds: Contained
    """Of what was written; empty for a cover picture."""
    tick: Fraction = Fraction(0)
    """Seconds in a tick of the file it came from."""
    language: str | None = None
    keys: frozenset[str] = frozenset()
    """Of its metadata, as `stream_keys_of` gives them."""


@dataclass(frozen=True)
class Joined:
    """What the join wrote."""

    shift: Fraction
    """Seconds subtracted from every time."""
    copied: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    streams: tuple[JoinedStream, ...] = ()
    num_chapters: int = 0
    immersive: Immersive | None = None
    """What the video was to say of itself."""
    mirrored: bool = False
    """Whether players are to mirror the video."""
    keys: frozenset[str] = frozenset()
    """Of the file's metadata."""
    video_keys: frozenset[str] = frozenset()
    """Of the enhanced stream's."""


def join(
    parts: Sequence[Encoded],
    source: StreamInfo,
    target: Path,
    *,
    container: str,
    format: PictureFormat,
    trim: bool = False,
) -> Joined:
    """Mux the intermediates `parts`, in order, with everything else of `source` that `container` can hold.

    `format` is what the video holds; its tags are written to the container too.
    Temporary files lie beside `target`.

    Raises:
        SinkError: an intermediate does not hold the frames that it should, or the file cannot be written.
    """
    try:
        with ExitStack() as stack:
            reader, carriage = _others(source, target, container, stack)
            inputs = [stack.enter_context(av.open(local(part.path), format="nut")) for part in parts]
            options = muxer_options(container, parts[0].time_base, reader.container if reader else None)
            if source.immersive:
                options["strict"] = "unofficial"  # what FFmpeg calls Google's boxes
            out = stack.enter_context(
                av.open(local(target), "w", format=MUXERS[container], container_options=options)
            )
            joined = _Join(out, TimeSpan.of(parts, trim=trim), container, stack).run(
                parts, inputs, reader, source, carriage, format
            )
            codec = codec_name(inputs[0].streams.video[parts[0].stream])
        if source.immersive and container == "mp4":
            keep_google_box(target)
        if container in ("mkv", "webm") and format.sample_aspect != 1 and codec not in ("h264", "hevc"):
            write_aspect(target, format)
        return joined
    except (FFmpegError, OSError) as error:
        raise SinkError(f"{target.parent}: the output cannot be written: {reason_of(error)}") from error


def _others(
    source: StreamInfo, target: Path, container: str, stack: ExitStack
) -> tuple[MendedReader | None, Carriage]:
    """The original, where there is one, and what becomes of its other streams."""
    if source.kind != "video" or not (Path(source.path).is_file() or is_address(source.path)):
        return None, Carriage()
    opened = stack.enter_context(open_container(source.path))
    clock = clock_of(source.path, source.stream_index)
    reader = stack.enter_context(closing(MendedReader(opened, clock, source.path)))
    carriage = plan_carriage(reader, source, container, target.with_name(f"carry-{target.stem}"))
    for carried in carriage.carried:
        if carried.how == "converted":
            stack.callback(carried.path.unlink, missing_ok=True)
    return reader, carriage


class _Join:
    """One join under way."""

    def __init__(self, out: OutputContainer, window: TimeSpan, container: str, stack: ExitStack):
        self._out, self._window, self._container, self._stack = out, window, container, stack
        self._tracks: list[tuple[Carried, Track]] = []
        self._notes: list[str] = []

    def run(
        self,
        parts: Sequence[Encoded],
        inputs: Sequence[InputContainer],
        reader: MendedReader | None,
        source: StreamInfo,
        carriage: Carriage,
        format: PictureFormat,
    ) -> Joined:
        templates = [opened.streams.video[part.stream] for part, opened in zip(parts, inputs, strict=True)]
        _check_same_headers(templates)
        original = reader.container if reader else None
        video = self._add_video(templates[0], parts, format, source, original)
        readers = self._add_others(carriage, reader) if reader else []
        num_chapters = self._add_facts(original, source, parts, video) if original else 0
        self._out.start_encoding()  # from here on streams have the muxer's ticks
        in_mp4 = self._out.format.name in ("mp4", "mov")
        pictures = video_packets(parts, inputs, video, self._window.shift, in_mp4=in_mp4)
        self._mux([pictures, *readers])
        by_way = {
            way: [c for c in carriage.carried if c.how == way] for way in ("copied", "attached", "converted")
        }
        return Joined(
            shift=self._window.shift,
            copied=tuple(c.name for c in by_way["copied"] + by_way["attached"]),
            converted=tuple(f"{c.name}: {c.detail}" for c in by_way["converted"]),
            left_out=carriage.left_out,
            notes=tuple(self._notes),
            streams=tuple(_joined_stream(carried, track) for carried, track in self._tracks),
            num_chapters=num_chapters,
            immersive=source.immersive,
            mirrored=source.mirrored,
            keys=keys_of(self._out.metadata),
            video_keys=stream_keys_of(video.metadata),
        )

    def _add_facts(
        self, original: InputContainer, source: StreamInfo, parts: Sequence[Encoded], video: Any
    ) -> int:
        """Give the file the original's metadata, time code and chapters; return how many chapters it has."""
        self._out.metadata.update(fresh(original.metadata))
        rate = Fraction(cast(Any, original.streams[source.stream_index]).average_rate or 0)
        moves = Move(self._window.start, rate, constant_rate(parts))
        write_timecode(source, moves, self._out.metadata, video.metadata)
        chapters = cut_chapters(original.chapters(), self._window)
        if chapters:
            self._out.set_chapters(chapters)
        return len(chapters)

    def _mux(self, readers: _Readers) -> None:
        tracks = {track.out.index: track for _, track in self._tracks}
        for packet in interleave(readers):
            beat()
            track = tracks.get(packet.stream.index)
            # Damaged sound must not cost the pictures: what the muxer refuses is left out.
            if track is None or track.fit(packet):
                self._out.mux(packet)
        self._notes += [note for track in tracks.values() for note in track.notes]

    def _add_video(
        self,
        template: VideoStream,
        parts: Sequence[Encoded],
        format: PictureFormat,
        source: StreamInfo,
        original: InputContainer | None,
    ) -> Any:
        out = add_video(self._out, template, source.immersive, format)
        out.time_base = parts[0].time_base
        context = out.codec_context
        context.color_range = RANGES[format.range]
        context.colorspace = MATRICES.get(format.matrix, 2)
        context.color_primaries = PRIMARIES.get(format.primaries, 2)
        context.color_trc = TRANSFERS.get(format.transfer, 2)
        cast(Any, context).sample_aspect_ratio = format.sample_aspect
        cast(Any, context).framerate = constant_rate(parts)
        cast(Any, context).field_order = _PROGRESSIVE
        if template.codec_context.name == "prores":
            context.codec_tag = template.codec_context.codec_tag  # 422 HQ or 4444
        if template.codec_context.name == "hevc" and self._out.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players ignore hev1
        if source.mirrored:
            out.set_display_matrix(mirroring(source.rotation))
        elif source.rotation:
            out.set_display_rotation(source.rotation)
        if original is not None and source.stream_index < len(original.streams):
            old = original.streams[source.stream_index]
            out.metadata.update(fresh_of_stream(old.metadata))
            out.disposition = old.disposition
        return out

    def _add_others(self, carriage: Carriage, reader: MendedReader) -> _Readers:
        """Make the output's other streams, in the original's order; return a reader for each file."""
        original = reader.container
        by_file: dict[Path, dict[int, Track]] = {}
        opened: dict[Path, MendedReader] = {}
        for carried in carriage.carried:
            if carried.how == "converted":
                converted = self._stack.enter_context(av.open(local(carried.path)))
                opened[carried.path] = MendedReader(
                    converted, FileClock.moved_by(-carried.later), carried.path
                )
            file = opened.setdefault(carried.path, reader).container
            old, stream = original.streams[carried.index], file.streams[carried.stream]
            if old.type == "attachment":
                data = cast(Any, old)
                self._out.add_attachment(
                    old.name or f"attachment {old.index}", data.mimetype or "", data.data
                )
            elif carried.how == "attached":
                attach_cover(self._out, old, carried)
            else:
                template = template_of(stream, carried, self._container, self._window, self._stack)
                out = self._out.add_stream_from_template(template, opaque=True)
                out.metadata.update(fresh_of_stream(old.metadata))
                out.disposition = old.disposition
                track = Track(carried.name, stream, out, self._window, self._container)
                self._stack.callback(track.close)
                self._tracks.append((carried, track))
                by_file.setdefault(carried.path, {})[carried.stream] = track
        return [
            read_tracks(opened[path], tracks, self._window, self._notes) for path, tracks in by_file.items()
        ]


def _joined_stream(carried: Carried, track: Track) -> JoinedStream:
    holds = Contained() if track.is_cover else track.holds
    metadata = track.out.metadata
    return JoinedStream(
        track.out.type,
        carried.name,
        holds,
        track.time_base,
        metadata.get("language"),
        stream_keys_of(metadata),
    )


def _check_same_headers(streams: Sequence[VideoStream]) -> None:
    headers = {bytes(stream.codec_context.extradata or b"") for stream in streams}
    if len(headers) > 1:
        raise SinkError("the parts of the video were encoded with different settings and cannot be joined")
