"""A few runs of a video's pictures, and with each what its file says of its coding: quantiser, bits.

For looking at a file before anything is decided; times are not mended and fields not woven here.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from math import floor
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from vsr.errors import SourceError
from vsr.frames import Frame, StreamInfo
from vsr.media.file_clock import FileClock, MendedReader
from vsr.media.jpeg_tables import jpeg_quality
from vsr.media.pixels import PlanarConverter, make_frame
from vsr.media.probe_video import best_stream, open_container
from vsr.media.reading.decode import ReadCounts, decode_packet, read_packets
from vsr.media.reading.seeking import origin_of

EXPORT = {"export_side_data": "venc_params"}
"""A decoder's option: H.264, VP9 and the MPEGs then tell their quantisers with each picture."""

_MOST, _AT_LEAST = 300, 48
"""Pictures that are decoded one after the other to come to those wanted, at 640x360, and of the largest; in longer
videos key frames are sought."""

_BLOCK = np.dtype([("place", "<i4", 4), ("delta", "<i4")])
_H264, _MPEG2 = 1, 2
"""`AVVideoEncParamsType`; VP9 is 0."""


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """A decoded picture, and what its coding was like."""

    frame: Frame
    quantiser: float | None
    """Mean over its blocks, as the codec counts: 0-51 of H.264, 1-31 of the MPEGs and Motion JPEG, 0-255 of VP9.
    None where the decoder does not tell."""
    bits: int | None
    """Of its packet; None where the container does not tell which that is."""
    is_key: bool


def read_runs(
    info: StreamInfo, times: Sequence[float], *, length: int
) -> Generator[list[CodedPicture], None, None]:
    """Yield runs of consecutive pictures: in a short video from these times on, else from the key frames before them.

    Where several times have the same key frame they have one run. What cannot be decoded is left out.

    Args:
        info: the file.
        times: in seconds from the file's start, ascending.
        length: pictures of a run, at most.

    Raises:
        SourceError: the file cannot be opened.
    """
    pixels = info.format.height * info.format.width
    most = min(_MOST, max(_AT_LEAST, _MOST * 640 * 360 // pixels))
    if (info.num_frames or most + 1) > most:
        with closing(open_container(info.path)) as container:
            origin = origin_of(container)
            keys = [origin + Fraction(time) for time in times]
            runs = _from_keys(container, _opened(container, info), info, keys, length)
            first = list(islice(runs, 2))
            if len(first) == 2:
                yield from chain(first, runs)
                return
    with closing(open_container(info.path)) as container:  # anew: some formats cannot seek, not even to 0
        origin = origin_of(container)
        pictures = islice(_pictures(container, _opened(container, info), info), most)
        yield from _in_passing(pictures, [float(origin) + time for time in times], length)


def _opened(container: InputContainer, info: StreamInfo) -> VideoStream:
    """The enhanced stream, ready to be decoded with what it tells of its coding."""
    stream = next((s for s in container.streams.video if s.index == info.stream_index), None)
    stream = stream or best_stream(container, info.path)
    stream.codec_context.options = EXPORT
    stream.thread_type = "SLICE"  # frame threads would decode more than is looked at
    return stream


def _from_keys(
    container: InputContainer,
    stream: VideoStream,
    info: StreamInfo,
    times: Sequence[Fraction],
    length: int,
) -> Iterator[list[CodedPicture]]:
    begun: set[int] = set()
    for time in times:
        try:
            container.seek(floor(time / (stream.time_base or 1)), stream=stream)
        except FFmpegError:
            continue
        run = list(islice(_pictures(container, stream, info), length))
        if run and run[0].frame.pts not in begun:
            begun.add(run[0].frame.pts)
            yield run


def _in_passing(
    pictures: Iterator[CodedPicture], times: Sequence[float], length: int
) -> Iterator[list[CodedPicture]]:
    due, run = list(times), list[CodedPicture]()
    for picture in pictures:
        now = float(picture.frame.pts * picture.frame.time_base)
        if run or (due and now >= due[0]):
            run.append(picture)
        if len(run) == length:
            yield run
            due, run = [time for time in due if time > now], []
    if run:
        yield run


def _pictures(container: InputContainer, stream: VideoStream, info: StreamInfo) -> Iterator[CodedPicture]:
    converter, counts, tables = PlanarConverter(info.format), ReadCounts(), None
    bits: dict[int | None, int] = {}
    with closing(read_packets(MendedReader(container, FileClock(), info.path), stream, counts)) as packets:
        for number, packet in enumerate(packets):
            bits[packet.pts] = packet.size * 8
            if info.codec == "mjpeg" and packet.size:
                tables = _of_quality(jpeg_quality(bytes(packet)))
            for picture in decode_packet(packet, counts):
                own = bits.pop(picture.pts, None)
                if picture.pts is None:
                    picture.pts, own = number, None
                picture.time_base = picture.time_base or info.time_base
                try:
                    frame = make_frame(converter.convert(picture), info.format)
                except SourceError:
                    continue
                quantiser = tables or quantiser_of(picture, info.format.bit_depth)
                yield CodedPicture(frame, quantiser, own, picture.key_frame)


def _of_quality(quality: int) -> float:
    """The quantiser at which FFmpeg's Motion JPEG has steps of that sum."""
    return 704 / quality if quality < 50 else 0.2815 * (100 - quality)


def quantiser_of(picture: av.VideoFrame, bit_depth: int = 8) -> float | None:
    """Tell the mean quantiser of a picture that was decoded with `EXPORT`; None where the decoder told none.

    The layout is FFmpeg's `AVVideoEncParams`: the number of blocks, where they are and how large each is, kind,
    quantiser of the picture, those of its planes; for each block its place and what it adds.
    """
    data: Any = cast(Any, picture.side_data).get(Type.VIDEO_ENC_PARAMS)
    if data is None:
        return None
    raw = bytes(data)
    number, (offset, size) = int(np.frombuffer(raw, "<u4", 1)[0]), np.frombuffer(raw, "<u8", 2, 8)
    kind, base = (int(value) for value in np.frombuffer(raw, "<i4", 2, 24))
    if number and size == _BLOCK.itemsize:
        base += float(np.frombuffer(raw, _BLOCK, number, int(offset))["delta"].mean())
    if kind == _MPEG2:
        return base / 2
    return base - 6 * (bit_depth - 8) if kind == _H264 else float(base)
