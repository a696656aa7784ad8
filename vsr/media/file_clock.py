"""Packets of a file on one clock, wherever its own begins again or leaps.

Which piece of the file's clock a packet belongs to follows from its place in the file alone, wherever reading begins;
pictures and all other streams are moved by the same rule. `clock_scan` finds the clock.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError

from vsr.frames import StreamInfo
from vsr.media.clock_pieces import Place, shown_at
from vsr.media.ffmpeg import local
from vsr.media.probe_video import codec_of, open_container, packets_of

_BY_BYTES = frozenset({"mpegts", "mpeg", "flv", "ogg"})
"""Formats that can be entered at any byte."""


@dataclass(frozen=True)
class Moves:
    """By how much the packets of a stream are moved."""

    places: tuple[Place, ...]
    """Ascending; what lies before the first one counts as it."""
    seconds: tuple[Fraction, ...]
    """From each place on."""

    def at(self, place: Place) -> Fraction:
        """Seconds by which the packet of a place is moved."""
        return self.seconds[max(0, bisect_right(self.places, place) - 1)]


@dataclass(frozen=True)
class Section:
    """A part of a file that is opened by itself, because streams go on in it under other numbers."""

    opened_at: int = 0
    """Position from which on it is read; what says which streams there are may lie before the first of them."""
    begin: int = 0
    """Position from which on it is what the file holds."""


@dataclass(frozen=True)
class FileClock:
    """What puts the packets of a file on one clock. That of most files changes nothing."""

    main: int = 0
    """Index of the stream that is enhanced."""
    moves: Mapping[int, Moves] = field(default_factory=dict[int, Moves])
    """Of sound and pictures, by index; other streams go with the enhanced one."""
    jumps: tuple[Fraction, ...] = ()
    """Seconds at which pieces but the first begin, on the one clock."""
    keys: tuple[tuple[Fraction, int], ...] = ()
    """Seconds and positions of the enhanced stream's key frames, ascending."""
    sections: tuple[Section, ...] = (Section(),)
    """Of most files one."""
    continuing: frozenset[int] = frozenset()
    """Streams that are no more than what an earlier one goes on as."""
    renewed: frozenset[int] = frozenset()
    """Streams whose decoder is told something new on the way."""
    duration_s: float | None = None
    """Of the pictures."""
    num_pictures: int = 0
    notes: tuple[str, ...] = ()
    """Lines for the user."""

    @classmethod
    def moved_by(cls, seconds: int) -> "FileClock":
        """The clock of a file whose first stream is to be moved."""
        return cls(moves={0: Moves(((0, 0),), (Fraction(seconds),))}) if seconds else cls()

    @property
    def is_steady(self) -> bool:
        """Whether packets are right as they are."""
        return not self.moves

    def entry_before(self, seconds: Fraction) -> int:
        """Position of a key frame from which on all pictures shown from a time on can be decoded.

        One more than seems needed: pictures may be shown before a key frame and depend on what was before it.
        """
        return self.keys[max(0, bisect_right(self.keys, (seconds, 1 << 62)) - 2)][1] if self.keys else 0

    def correct(self, info: StreamInfo) -> StreamInfo:
        """What is known of the file, put right."""
        info = replace(info, notes=(*info.notes, *self.notes))
        if self.is_steady:
            return info
        return replace(
            info,
            duration_s=self.duration_s,
            num_frames=self.num_pictures,
            others=tuple(other for other in info.others if other.index not in self.continuing),
        )


class MendedReader:
    """Reads the packets of an open file on one clock.

    The container is the caller's; what is opened beside it is closed by `close`.
    """

    def __init__(self, container: InputContainer, clock: FileClock, path: str | Path):
        self.container, self.clock, self.opened = container, clock, container
        """`opened` is what is read at present: the container, or a later section of the file."""
        self._path, self._section, self._from = path, 0, 0
        self._last: dict[int, Place] = {}

    def packets(self, *streams: Any) -> Generator[Any, None, None]:
        """Yield the packets of some of the container's streams, and at the end for each an empty one.

        After an error of the container it may be called again, and goes on.
        """
        if self.clock.is_steady:
            yield from packets_of(self.container, *streams)
            return
        for place, packet in self.placed(*streams):
            if packet.size:
                self._move(packet, place)
            yield packet

    def placed(self, *streams: Any) -> Generator[tuple[Place, Any], None, None]:
        """Yield the same with their own times, each with its place."""
        while True:
            yield from self._of_section(streams)
            if self._section + 1 == len(self.clock.sections):
                return
            self._open(self._section + 1)

    def _of_section(self, streams: Sequence[Any]) -> Generator[tuple[Place, Any], None, None]:
        section, following = (*self.clock.sections, None)[self._section : self._section + 2]
        assert section is not None
        homes = twins(self.container, self.opened) if self._section else {s.index: s for s in streams}
        homes = {index: home for index, home in homes.items() if home in streams}
        packets = packets_of(self.opened, *(self.opened.streams[index] for index in homes))
        for packet in packets if following is None else _until_error(packets):
            packet.stream = home = homes[packet.stream.index]  # the number is missing in an empty one
            if not packet.size and packet.dts is None:
                if following is None:
                    yield (0, 0), packet
                continue
            pos, number = self._last.get(home.index, (section.begin, 0))
            own = pos if packet.pos is None else section.opened_at + packet.pos
            place = self._last[home.index] = (own, number + 1 if own == pos else 0)
            if own >= self._from and (following is None or own < following.begin):
                yield place, packet

    def _move(self, packet: Any, place: Place) -> None:
        moves = self.clock.moves.get(packet.stream_index) or self.clock.moves[self.clock.main]
        seconds, pts = moves.at(place), shown_at(packet)
        if seconds or pts != packet.pts:
            ticks = round(seconds / Fraction(packet.time_base))
            packet.pts = None if pts is None else pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def enter(self, seconds: Fraction) -> None:
        """Go to where all pictures shown from a time on can be decoded; for clocks that are not steady."""
        self._from = self.clock.entry_before(seconds)
        begins = [section.begin for section in self.clock.sections]
        self._open(bisect_right(begins, self._from) - 1)
        if self.container.format.name not in _BY_BYTES:
            return  # what lies before is read and passed over
        with suppress(FFmpegError):
            at = self._from - self.clock.sections[self._section].opened_at
            self.opened.seek(at, unsupported_byte_offset=True)

    def _open(self, number: int) -> None:
        if number == self._section:
            return
        self.close()
        self._section = number
        if number:
            self.opened = open_container(self._path, begin=self.clock.sections[number].opened_at)

    def close(self) -> None:
        """Close what was opened beside the container."""
        if self.opened is not self.container:
            self.opened.close()
        self.opened = self.container


def _until_error(packets: Iterable[Any]) -> Generator[Any, None, None]:
    """Yield packets to the end of what a demuxer can read; what follows is opened by itself."""
    with suppress(FFmpegError):
        yield from packets


def twins(container: InputContainer, other: InputContainer) -> dict[int, Any]:
    """Which streams of one container go on as those of another, by the other's index: those of the same kind,
    codec and place among their kind."""
    found: dict[int, Any] = {}
    for kind in {stream.type for stream in other.streams}:
        ours = [stream for stream in container.streams if stream.type == kind]
        theirs = [stream for stream in other.streams if stream.type == kind]
        pairs = zip(ours, theirs, strict=False)
        found |= {new.index: old for old, new in pairs if codec_of(old) == codec_of(new)}
    return found


def write_mended(
    path: str | Path, clock: FileClock, index: int, target: Path, *, muxer: str = "nut", later: int = 0
) -> None:
    """Copy a stream of a file into one of its own, on one clock, for programs that read it by themselves; sound whose
    decoder is told something new on the way, and sound that the copy cannot hold, is written decoded. All of it is
    moved by `later` seconds."""
    with closing(open_container(path)) as container, closing(MendedReader(container, clock, path)) as reader:
        stream = container.streams[index]
        packets = reader.packets(stream)
        with av.open(local(target), "w", format=muxer, options={"output_ts_offset": str(later)}) as copy:
            decodes = stream.type == "audio" and index in clock.renewed
            out = None if decodes else _stream_like(stream, copy)
            if out is None:
                _write_decoded(packets, cast(Any, stream).codec_context, copy)
            else:
                _write_packets(packets, out, copy)


def _stream_like(stream: Any, copy: Any) -> Any | None:
    """A stream of the copy for packets as they are; None where it can hold none of that codec."""
    try:
        return copy.add_stream_from_template(stream, opaque=True)
    except ValueError:
        return None


def _write_packets(packets: Iterable[Any], out: Any, copy: Any) -> None:
    copy.start_encoding()  # from here on the stream has the muxer's ticks, in which no two packets may fall together
    last: int | None = None
    for packet in packets:
        time = packet.dts if packet.dts is not None else packet.pts
        if packet.size and time is not None:
            ticks = Fraction(packet.time_base) / Fraction(out.time_base)
            time, shown = (round(each * ticks) for each in (time, time if packet.pts is None else packet.pts))
            last = time if last is None else max(time, last + 1)
            packet.time_base = out.time_base
            packet.pts, packet.dts = max(last, shown), last
            packet.stream = out
            copy.mux(packet)


def _write_decoded(packets: Iterable[Any], context: Any, copy: Any) -> None:
    rate, layout = context.sample_rate, context.layout
    out = copy.add_stream("pcm_f32le", rate=rate, layout=layout)
    resamplers: dict[tuple[str, str, int], AudioResampler] = {}
    for packet in packets:
        with suppress(FFmpegError):  # damage
            for frame in packet.decode():
                own = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler = resamplers.setdefault(own, AudioResampler("flt", layout, rate))
                for sound in resampler.resample(frame):
                    copy.mux(out.encode(sound))
    copy.mux(out.encode(None))
