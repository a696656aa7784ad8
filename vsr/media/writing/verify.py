"""The third step of writing: the finished file is read back and compared with what went into the encoder.

Reads packets of the whole file and decodes one picture. Changes nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from vsr.errors import ReadError, SinkError, SourceError, reason_of
from vsr.frames import PictureFormat
from vsr.media.pixels import MATRICES, PRIMARIES, TRANSFERS, name_of, range_of, read_planes, reading
from vsr.media.probe_video import open_container, packets_of
from vsr.media.side_data import immersive_of, mirrors, side_data_of
from vsr.media.writing.encode import Encoded
from vsr.media.writing.join import Joined, JoinedStream
from vsr.media.writing.kept_metadata import keys_of
from vsr.media.writing.other_streams import COVER
from vsr.media.writing.tracks import Contained
from vsr.media.writing.views import missing_views

_MAX_DIFFERENCES = 8
"""Sentences are for people; a file that is wrong throughout need not say so a thousand times."""

_COMPARED = ("video", "audio", "subtitle")
"""Kinds of streams that nobody writes but we."""
_RECUT = ("pcm_", "adpcm_", "gsm")
"""Beginnings of codecs whose samples containers cut into packets as they like."""
_REPARSED = ("mp1", "mp2", "mp3", "eac3")
"""Codecs whose packets are found anew when a file is read, or put together when it is written."""


@dataclass(frozen=True)
class Verification:
    """What reading the finished file back gave."""

    num_frames: int
    shift: Fraction
    """Seconds by which all streams lie later than asked, because the container has no negative times."""
    differences: tuple[str, ...]
    """Sentences; empty where everything is as it should be."""
    lost: tuple[str, ...] = ()
    """What the container did not take: `metadata KEY, KEY of NAME`, `spherical projection`."""


@dataclass
class _Contents:
    """What demuxing the file found."""

    pts: list[int] = field(default_factory=list[int])
    contained: dict[int, Contained] = field(default_factory=dict[int, Contained])
    """What every stream holds, by index."""


def verify(
    path: Path, parts: Sequence[Encoded], joined: Joined, *, format: PictureFormat, rotation: int = 0
) -> Verification:
    """Compare the file at `path` with the frames in `parts` and the streams in `joined`.

    `format` is what the encoder was to write. Times may differ by half a tick of the container.

    Raises:
        SinkError: the disk or the network behind the file has failed.
    """
    differences: list[str] = []
    lost: list[str] = []
    shift = Fraction(0)
    num_frames = 0
    try:
        with open_container(path) as opened:
            videos = [stream for stream in opened.streams.video if not stream.disposition & COVER]
            if not videos:
                return Verification(0, shift, ("the file holds no video stream",))
            video = videos[0]
            contents = _demux(opened, video)
            num_frames = len(contents.pts)
            shift, sentences = _compare_times(contents.pts, Fraction(video.time_base or 1), parts, joined)
            differences += sentences
            differences += _compare_streams(opened, video, contents, joined, shift)
            lost += _compare_metadata(opened, video, joined)
            opened.seek(0)
            lost += _compare_views(opened, video, joined)
            differences += _compare_picture(opened, video, format, (rotation, joined.mirrored))
    except (FFmpegError, SourceError) as error:
        if (failure := _of_the_system(error)) is not None:
            raise SinkError(f"{path} cannot be read back: {reason_of(failure)}") from error
        differences.append(f"the file cannot be read back: {error}")
    return Verification(num_frames, shift, tuple(differences[:_MAX_DIFFERENCES]), tuple(lost))


def _of_the_system(error: Exception) -> Exception | None:
    """The failure of a disk or a network that an error tells of; None where it may be the file's. FFmpeg's own errors
    are not asked: a file that ends too early is an I/O error there, or not permitted."""
    for each in (error, error.__cause__):
        if isinstance(each, ReadError) or (isinstance(each, OSError) and not isinstance(each, FFmpegError)):
            return each
    return None


def _demux(opened: Any, video: Any) -> _Contents:
    contents = _Contents()
    for packet in packets_of(opened):
        if not packet.size or packet.pts is None:
            continue
        holds = contents.contained.setdefault(packet.stream_index, Contained())
        holds.add(packet.pts * Fraction(packet.time_base), packet.size)
        if packet.stream_index == video.index:
            contents.pts.append(packet.pts)
    contents.pts.sort()
    return contents


def _compare_times(
    found: list[int], tick: Fraction, parts: Sequence[Encoded], joined: Joined
) -> tuple[Fraction, list[str]]:
    """Return the common shift of the file, and what is wrong with its times."""
    base = parts[0].time_base
    expected = [pts for part in parts for pts in part.pts]
    if len(found) != len(expected):
        return Fraction(0), [f"the file holds {len(found)} frames, and {len(expected)} went into the encoder"]
    starts = [
        expected[0] * base - joined.shift,
        *(s.holds.first for s in joined.streams if s.holds.num_packets),
    ]
    # Matroska has no negative times: its muxer moves all streams alike, by a
    # whole number of its ticks or less.
    negative = min(starts) < 0
    shift = found[0] * tick - starts[0] if negative else Fraction(0)
    if negative and not (-tick <= shift <= -min(starts) + tick):
        begins = f"the video begins at {float(found[0] * tick):.6f} s instead of {float(starts[0]):.6f} s"
        return Fraction(0), [begins]
    scale = math.lcm(base.denominator, tick.denominator, (joined.shift - shift).denominator)
    unit, ours = int(tick * scale), int(base * scale)
    offset = int((joined.shift - shift) * scale)
    limit = unit if negative else unit / 2
    times = enumerate(zip(found, expected, strict=True))
    wrong = [n for n, (is_at, should_be) in times if abs(is_at * unit - should_be * ours + offset) > limit]
    if not wrong:
        return shift, []
    n = wrong[0]
    wanted = expected[n] * base - joined.shift + shift
    return shift, [
        f"{len(wrong)} frames have another time than they should; the first is frame {n}, "
        f"at {float(found[n] * tick):.6f} s instead of {float(wanted):.6f} s"
    ]


def _by_kind(opened: Any, video: Any, joined: Joined) -> Iterator[tuple[str, list[JoinedStream], list[Any]]]:
    """Yield the streams beside the video that were written and those that are there.

    Muxers add data streams of their own (chapter text, time code), and Matroska shows attached covers as video.
    """
    for kind in ("video", "audio", "subtitle", "data"):
        expected = [s for s in joined.streams if s.kind == kind]
        present = [s for s in opened.streams if s.index != video.index and s.type == kind]
        if len(present) < len(expected):
            expected = [s for s in expected if s.holds.num_packets]  # mp4 has no tracks without packets
        yield kind, expected, present


def _compare_metadata(opened: Any, video: Any, joined: Joined) -> Iterator[str]:
    """Yield what the container did not take."""
    # A time code of the file is one of the video's to mp4.
    told = [
        ("the file", joined.keys - keys_of(video.metadata), opened),
        ("the video", joined.video_keys, video),
    ]
    for _, expected, present in _by_kind(opened, video, joined):
        told += [
            (wanted.name, wanted.keys, stream) for wanted, stream in zip(expected, present, strict=False)
        ]
    for name, keys, holder in told:
        if lost := sorted(keys - keys_of(holder.metadata)):
            yield f"metadata {', '.join(lost)} of {name}"


def _compare_views(opened: Any, video: Any, joined: Joined) -> list[str]:
    """Name what the container did not take of spherical and stereo facts."""
    if joined.immersive is None:
        return []
    picture = next(iter(opened.decode(video)), None)
    opened.seek(0)
    return missing_views(joined.immersive, immersive_of(side_data_of(picture))[0] if picture else None)


def _compare_streams(
    opened: Any, video: Any, contents: _Contents, joined: Joined, shift: Fraction
) -> list[str]:
    differences: list[str] = []
    for kind, expected, present in _by_kind(opened, video, joined):
        if len(present) < len(expected) or (kind in ("audio", "subtitle") and len(present) > len(expected)):
            differences.append(
                f"the file holds {len(present)} {kind} streams beside the video instead of {len(expected)}"
            )
        for wanted, stream in zip(expected, present, strict=False):
            holds = contents.contained.get(stream.index)
            if kind in _COMPARED and holds is not None and wanted.holds.num_packets:
                limit = max(Fraction(stream.time_base), wanted.tick, Fraction(video.time_base))
                differences += _compare_stream(wanted, stream, holds, shift, limit)
    if len(opened.chapters()) != joined.num_chapters:
        differences.append(
            f"the file holds {len(opened.chapters())} chapters instead of {joined.num_chapters}"
        )
    return differences


def _compare_stream(
    wanted: JoinedStream, stream: Any, found: Contained, shift: Fraction, limit: Fraction
) -> list[str]:
    """Compare first and last packet, and how much there is: of sound in samples."""
    context, given = stream.codec_context, wanted.holds
    codec = context.name if context is not None else ""
    differences: list[str] = []
    if wanted.kind == "subtitle" and "matroska" not in stream.container.format.name:
        return differences  # those of mp4 are put together anew, with empty ones between them
    if abs(found.first - shift - given.first) > limit:
        differences.append(
            f"{wanted.name} begins at {float(found.first - shift):.6f} s instead of {float(given.first):.6f} s"
        )
    if codec.startswith(_RECUT):
        if found.num_bytes != given.num_bytes:
            differences.append(f"{wanted.name} holds {found.num_bytes} bytes instead of {given.num_bytes}")
        return differences
    if abs(found.last - shift - given.last) > limit:
        differences.append(
            f"the last packet of {wanted.name} is at {float(found.last - shift):.6f} s "
            f"instead of {float(given.last):.6f} s"
        )
    samples = getattr(context, "frame_size", 0) or 1
    if found.num_packets != given.num_packets and not codec.startswith(_REPARSED):
        unit = "samples" if samples > 1 else "packets"
        differences.append(
            f"{wanted.name} holds {found.num_packets * samples} {unit} instead of {given.num_packets * samples}"
        )
    return differences


def _layout(picture: Any, wanted: PictureFormat) -> str:
    """Return the picture's layout. FFmpeg's H.264 decoder gives grey as 4:2:0 with neutral chroma."""
    how = reading(picture.format.name)
    if wanted.layout != "gray" or not how.layout.startswith("yuv"):
        return how.layout
    read_as = PictureFormat(picture.height, picture.width, how.bit_depth, how.layout)
    chroma = read_planes(picture, read_as)[1:]
    return "gray" if all((plane == 1 << (how.bit_depth - 1)).all() for plane in chroma) else how.layout


def _compare_picture(opened: Any, video: Any, format: PictureFormat, shown: tuple[int, bool]) -> list[str]:
    picture = next(iter(opened.decode(video)), None)
    if picture is None:
        return ["no picture of the file can be decoded"]
    how = reading(picture.format.name)
    aspect = Fraction(video.sample_aspect_ratio or 1)
    # Matroska keeps the aspect as a display size in whole pixels.
    if abs(aspect - format.sample_aspect) * picture.width <= 1:
        aspect = format.sample_aspect
    found: dict[str, object] = {
        "size": f"{picture.width}x{picture.height}",
        "layout": _layout(picture, format),
        "bit depth": how.bit_depth,
        "range": range_of(picture, how),
        "sample aspect": aspect,
        "rotation": round(picture.rotation) % 360,
        "mirroring": mirrors(side_data_of(picture)),
    }
    wanted: dict[str, object] = {
        "size": f"{format.width}x{format.height}",
        "layout": format.layout,
        "bit depth": format.bit_depth,
        "range": "full" if format.layout == "rgb" else format.range,
        "sample aspect": format.sample_aspect,
        "rotation": shown[0],
        "mirroring": shown[1],
    }
    for name, (is_tagged, should_be) in _tags(picture, format).items():
        found[name], wanted[name] = is_tagged, should_be
    return [
        f"{name} is {found[name]} instead of {wanted[name]}" for name in wanted if found[name] != wanted[name]
    ]


def _tags(picture: Any, format: PictureFormat) -> dict[str, tuple[str, str]]:
    """The colour tags that must be there, each as it is and as it should be."""
    tags = {
        "matrix": (MATRICES, picture.colorspace, format.matrix),
        "primaries": (PRIMARIES, picture.color_primaries, format.primaries),
        "transfer": (TRANSFERS, picture.color_trc, format.transfer),
    }
    if format.layout in ("rgb", "gray"):
        del tags["matrix"]  # such a picture has none
    return {
        name: (name_of(table, code), value)
        for name, (table, code, value) in tags.items()
        if value in table and value != "unknown"  # what is unknown need not be said
    }
