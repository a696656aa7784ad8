"""Where frames come from: `Source`, and its two plain implementations for memory and for video files.

A file is opened, read and closed by `VideoSource.frames()` in the one thread that runs it.
Times are the stream's own, never rebased and never made from a frame rate. What went wrong on
the way is counted, never hidden.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vsr.errors import SourceError
from vsr.frames import Frame, StreamInfo
from vsr.media.clock_scan import clock_of
from vsr.media.file_clock import MendedReader
from vsr.media.pixels import PlanarConverter, make_frame, pixel_format
from vsr.media.probe_video import best_stream, open_container, probe
from vsr.media.reading.conform import Conformer
from vsr.media.reading.decode import (
    COUNTED,
    ReadCounts,
    Timestamps,
    decode_packet,
    drained_at_changes,
    read_packets,
)
from vsr.media.reading.fields import as_read, make_fields
from vsr.media.reading.nvdec import SEMIPLANAR, came_from_gpu, is_wanted, open_on_gpu
from vsr.media.reading.packed_bitstream import by_place, is_packed
from vsr.media.reading.seeking import decode_after, enter, origin_of
from vsr.media.reading.tally import Tally
from vsr.media.side_data import each_side_data, lines_of
from vsr.media.standard_streams import is_standard
from vsr.options import ReadOptions

_LEAD_S = Fraction(1, 2)
"""How far before the first frame wanted reading begins: filters want pictures before it, up to five."""


class Source(Protocol):
    """Frames of one stream, in presentation order."""

    @property
    def info(self) -> StreamInfo: ...

    def frames(self) -> Iterator[Frame]:
        """Yield the frames. What is opened is closed by the thread that runs or closes this generator."""
        ...


class ListSource:
    """Frames that are already in memory.

    Raises:
        SourceError: there are no frames, and no `info` says what they would have been.
    """

    def __init__(self, frames: Sequence[Frame], info: StreamInfo | None = None):
        if info is None and not frames:
            raise SourceError("an empty list of frames has no format; give info, or at least one frame")
        self._frames = tuple(frames)
        self.info = info or _describe(self._frames)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames as they were given."""
        yield from self._frames


def _describe(frames: Sequence[Frame]) -> StreamInfo:
    first = frames[0]
    return StreamInfo(
        path="memory",
        kind="video",
        container="memory",
        codec="rawvideo",
        pixel_format=pixel_format(first.format),
        format=first.format,
        time_base=first.time_base,
        start_pts=first.pts,
        duration_s=float((frames[-1].pts + frames[-1].duration - first.pts) * first.time_base),
        num_frames=len(frames),
    )


class _RefusedByGpuError(Exception):
    """The GPU does not know the profile or size of a stream, and FFmpeg decodes it in software."""


class VideoSource:
    """A video file. `frames()` may be called again: each call reads the file anew and resets `counts`.

    `info` is what `probe` says of the file; the attribute of that name tells of the frames that
    come (`as_read`). `threads` is the decoder's, 0 for all cores. `from_pts` leaves out the frames
    before a time of the stream, in ticks, and reads from a little before it; what a file that is
    cut off lacks is then not counted. `gpu` is the number of the GPU that enhances the frames, on which
    they are decoded, too; None where a CPU does, and then only what asks for NVDEC gets it.

    Raises:
        SourceError: the file cannot be probed.
        ConfigError: NVDEC is asked for and cannot be had.
    """

    def __init__(
        self,
        path: str | Path,
        options: ReadOptions = ReadOptions(),
        *,
        info: StreamInfo | None = None,
        threads: int = 0,
        from_pts: int | None = None,
        gpu: int | None = 0,
    ):
        self._file = info or probe(path, network=options.allow_network)
        self.info = as_read(self._file, options)
        self.counts = ReadCounts()
        self._path = path
        self._options = options
        self._threads = threads
        self._from_pts = from_pts
        self._jumps: set[int] = set()
        self._beside: dict[str, None] = {}
        self._has_begun = self._is_packed = False
        self._gpu = gpu or 0
        self._on_gpu = is_wanted(options.decoder, self.info, on_gpu=gpu is not None)
        self._names = {self.info.pixel_format}
        """Of the pixel formats that count as the first picture's."""
        if self._on_gpu:
            self._names.add(SEMIPLANAR[self.info.format.bit_depth])

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in presentation order; planes are views of the decoder's own memory.

        Raises:
            SourceError: nothing can be decoded, or the wanted span holds no frame.
        """
        if self._on_gpu and self._options.decoder == "auto":
            try:
                yield from self._frames()
                return
            except _RefusedByGpuError:  # before its first frame
                self._on_gpu = False
        yield from self._frames()

    def _frames(self) -> Generator[Frame, None, None]:
        counts = self.counts = ReadCounts()
        self._beside.clear()
        wanted, end = self._options.span
        converter = PlanarConverter(self.info.format)
        reader, origin = self._open_at(wanted)
        counts.notes += reader.clock.notes
        start = origin + wanted if wanted else None
        if self._from_pts is not None:
            start = self._from_pts * self.info.time_base
        try:
            with closing(self._pictures(reader)) as pictures:
                for picture in pictures:
                    assert picture.pts is not None
                    time, jumped = picture.pts * self.info.time_base, self._has_jumped(picture)
                    if start is not None and time < start:
                        continue
                    if end is not None and time >= origin + end:
                        break
                    counts.frames += 1
                    frame = make_frame(converter.convert(picture), self.info.format)
                    yield replace(frame, reset=jumped)
                    if counts.frames == self._options.frames:
                        break
        finally:
            reader.close()
            reader.container.close()
            self._summarise()
        if not counts.frames:
            raise SourceError(self._nothing())

    def _open_at(self, wanted: Fraction) -> tuple[MendedReader, Fraction]:
        """Return what reads the file, from where the frame at `wanted` can be decoded, and the file's start."""
        clock = clock_of(self._path, self._file.stream_index)
        self._is_packed = is_packed(self._file)
        reader = MendedReader(self._open(), clock, self._path)
        origin = origin_of(reader.container)
        if self._is_packed:
            origin = min(origin, Fraction(0))  # FFmpeg's times of the pictures are a frame late
        if self._from_pts is not None:
            wanted = self._from_pts * self.info.time_base - origin
        wanted = max(Fraction(0), wanted - _LEAD_S)
        if wanted and not enter(reader, self._stream(reader.container), origin + wanted):
            reader.container.close()
            reader = MendedReader(self._open(), clock, self._path)
        return reader, origin

    def _open(self) -> InputContainer:
        container = (self._open_on_gpu() if self._on_gpu else None) or open_container(self._path)
        stream = self._stream(container)
        stream.thread_type = "AUTO"
        # Each thread would hold surfaces of the GPU.
        stream.thread_count = 1 if self._on_gpu else self._threads
        return container

    def _open_on_gpu(self) -> InputContainer | None:
        try:
            return open_on_gpu(self._path, self._gpu)
        except SourceError as error:
            if self._options.decoder == "nvdec":
                raise
            self._on_gpu = False
            self.counts.notes.append(f"decoded in software: {error}")
            return None

    def _stream(self, container: InputContainer) -> VideoStream:
        for stream in container.streams.video:
            if stream.index == self.info.stream_index:
                return stream
        return best_stream(container, self._path)

    def _pictures(self, reader: MendedReader) -> Generator[av.VideoFrame, None, None]:
        """Decode, give every picture its time, deinterlace."""
        counts, info, container = self.counts, self._file, reader.container
        in_order = container.format.name == "avi" and info.codec in ("h264", "hevc")
        clock = Timestamps(counts, info.time_base, sort=in_order or self._is_packed)
        clock.jumps |= {round(time / info.time_base) for time in reader.clock.jumps}
        self._jumps, self._has_begun = clock.jumps, False
        fields = make_fields(info, self._options)
        stream = self._stream(container)
        tally = Tally(self._path, info, stream, counts)
        with closing(self._decoded(reader, clock, tally)) as decoded:
            for picture in decoded:
                for timed in clock.push(picture):
                    yield from fields.push(timed)
                counts.deinterlaced = fields.num_deinterlaced
        for timed in clock.flush():
            yield from fields.push(timed)
        yield from fields.flush()
        counts.deinterlaced = fields.num_deinterlaced
        if not stream.frames and reader.clock.is_steady:
            tally.check_length(clock.end)

    def _has_jumped(self, picture: av.VideoFrame) -> bool:
        """Whether the clock jumped between the picture before and this one."""
        now = Fraction(picture.pts or 0) * self.info.time_base
        passed = {time for time in self._jumps if time * self._file.time_base <= now}
        self._jumps -= passed
        began, self._has_begun = not self._has_begun, True
        return bool(passed) and not began

    def _decoded(
        self, reader: MendedReader, clock: Timestamps, tally: Tally
    ) -> Generator[av.VideoFrame, None, None]:
        """Yield pictures as they leave the decoder, and count."""
        counts, conformer = self.counts, Conformer(self.info, self._names, self.counts)
        stream = self._stream(reader.container)
        with closing(read_packets(reader, stream, counts)) as packets:
            prepared = by_place if self._is_packed else drained_at_changes
            for packet in prepared(packets, stream):
                tally.add_packet(packet)
                clock.expect(packet)
                for picture in decode_packet(packet, counts):
                    if not tally.num_pictures:
                        self._check_decoder(picture, stream)
                    tally.add_picture(picture)
                    counts.concealed += picture.is_corrupt
                    if picture.is_corrupt and picture.pts is not None:
                        counts.concealed_at.add(picture.pts * self._file.time_base)
                    if picture.side_data:
                        self._beside |= dict.fromkeys(lines_of(each_side_data(picture)))
                    yield conformer.conform(picture, stream.codec_context)
        once = reader.container.format.name == "avi" or is_standard(self._path)
        if tally.lacks_pictures and tally.last is not None and not once:
            again = MendedReader(open_container(self._path), reader.clock, self._path)
            with closing(again.container), closing(again):
                rest = self._stream(again.container)
                for picture in decode_after(again, rest, tally.last):
                    yield conformer.conform(picture, rest.codec_context)
        whole = not self._options.start and self._from_pts is None
        tally.check_number(whole=whole, on_one_clock=reader.clock.is_steady)

    def _check_decoder(self, first: av.VideoFrame, stream: VideoStream) -> None:
        if not self._on_gpu or came_from_gpu(first, stream):
            return
        if self._options.decoder == "auto":
            raise _RefusedByGpuError  # software on the one thread that a GPU wants would be slow
        raise SourceError(f"NVDEC does not decode the {self.info.codec} of {str(self._path)!r}; use auto")

    def _summarise(self) -> None:
        """Put the counts of what was wrong into notes."""
        for name, line in COUNTED.items():
            if number := getattr(self.counts, name):
                self.counts.notes.append(f"{number} {line}")
        self.counts.notes += self._beside

    def _nothing(self) -> str:
        """Say why no frame came."""
        path, counts, options = str(self._path), self.counts, self._options
        lasts = f"; it lasts {self.info.duration_s:.3f} s" if self.info.duration_s is not None else ""
        if options.start or options.end:
            span = f"from {options.start or '0'}" + (f" to {options.end}" if options.end else "")
            return f"{path!r} has no frame {span}{lasts}"
        return f"cannot decode {path!r}: no picture came out ({counts.corrupt_packets} packets are damaged)"
