"""Copied streams on their way from file to file: what of them goes along, and when.

What an edit list hides stays out, what the container's muxer refuses is left out and counted, and times are the
original's. Reads packets and tries them out; writes nothing.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.error import ArgumentError, InvalidDataError, PatchWelcomeError
from av.packet import Packet
from av.stream import Discard

from vsr.media.clock_scan import is_same_coding
from vsr.media.ffmpeg import local
from vsr.media.file_clock import MendedReader
from vsr.media.writing.muxers import MUXERS
from vsr.media.writing.other_streams import COVER
from vsr.media.writing.packet_times import TimeSpan, readable

_REFUSALS = (InvalidDataError, ArgumentError, PatchWelcomeError)
"""What a muxer says of a packet it cannot read; a full disk is another matter."""
_PRIMING_S, _PRIMING_SAMPLES = Fraction(1, 8), 2112
"""What is hidden before sound begins is up to this long, whichever is longer, the encoder's run-up, which decoders
want; what is longer has been cut away. Apple's AAC takes so many samples, a quarter of a second at 8 kHz."""
_NOT_LATE = Fraction(0)
_NEWS = "new_extradata"
"""FFmpeg's name of headers that a decoder is given on the way."""
_SEEK_BACK_S = 30
"""How far before a trimmed beginning reading starts: a subtitle may be shown for that long."""
_MOST_TICKS = 2**31 - 1
"""Longest time of a packet in the mp4 family."""


@dataclass(slots=True)
class Contained:
    """How much of a stream there is, and from when to when."""

    first: Fraction = Fraction(0)
    """Seconds of the first packet."""
    last: Fraction = Fraction(0)
    """Seconds of the packet that is shown last."""
    num_packets: int = 0
    num_bytes: int = 0

    def add(self, time: Fraction, num_bytes: int) -> None:
        """Count a packet."""
        self.first, self.last = (self.first, max(self.last, time)) if self.num_packets else (time, time)
        self.num_packets += 1
        self.num_bytes += num_bytes


class Track:
    """One copied stream: gives every packet the times that the output wants. For one thread.

    Args:
        name: for messages.
        stream: where packets come from.
        out: the output's.
        window: what of the original goes along.
        container: `mp4`, `mkv`, `mov` or `webm`.
    """

    def __init__(self, name: str, stream: Any, out: Any, window: TimeSpan, container: str):
        self.name, self.out = name, out
        self.time_base = Fraction(stream.time_base)
        self.holds = Contained()
        """What was written of it."""
        self._stream, self._window, self._container = stream, window, container
        self._span = stream.type == "subtitle"
        """Packets are shown for a time of their own and are shortened to the window."""
        self._shift = round(window.shift / self.time_base)
        self._next: int | None = None
        """When a packet without a time comes, in the original's ticks."""
        self._written: int | None = None
        """Time of decoding of the packet that was written last, in the output's ticks."""
        self._num_refused = self._num_endless = self._num_other = 0
        self._late_s = _NOT_LATE
        self._tick: Fraction | None = None
        """Of the output, which is known when its header has been written; `_scale` is how many of them a tick of the
        original is."""
        self._scale = Fraction(1)
        self._trial: OutputContainer | None = None

    @property
    def is_cover(self) -> bool:
        """A picture that is shown beside the film."""
        return bool(self.out.disposition & COVER)

    @property
    def notes(self) -> Iterator[str]:
        """Lines on what could not go along as it was."""
        if self._num_refused:
            yield f"{self.name}: {self._num_refused} packets that {self._container} refuses are left out"
        if self._num_other:
            yield f"{self.name}: its last {self._num_other} packets are coded in another way and are left out"
        if self._num_endless:
            shown = "lines without an end are shown until the next one or the film's end"
            yield f"{self.name}: {self._num_endless} {shown}"
        if self._late_s > self.time_base:
            late = f"{float(self._late_s):.3f} s late"
            yield f"{self.name}: what {self._container} cannot show at once follows each other, up to {late}"

    def admit(self, packet: "Packet[Any]") -> bool:
        """Settle the packet's times; False where it lies outside of the window. Payload stays as it is."""
        packet.stream = self.out
        if self.is_cover:
            packet.pts = packet.dts = 0
            return True
        if self._is_other_coding(packet):
            self._num_other += 1
            return False
        pts = packet.pts if packet.pts is not None else packet.dts
        pts = pts if pts is not None else (self._next or 0) + self._shift
        duration = packet.duration or 0
        if self._window.start is not None:
            kept = self._window.cut(pts * self.time_base, (pts + max(duration, 1)) * self.time_base)
            if kept is None:
                return False
            if self._span and duration:
                pts = round(kept[0] / self.time_base) + self._shift
                packet.duration = max(1, round((kept[1] - kept[0]) / self.time_base))
        dts = packet.dts if packet.dts is not None and not self._span else pts
        packet.pts, packet.dts = pts - self._shift, dts - self._shift
        self._next = packet.dts + max(1, duration)
        return True

    def _is_other_coding(self, packet: "Packet[Any]") -> bool:
        """Whether from a packet on the decoder needs other headers than those that the output has."""
        if not self._num_other and packet.has_sidedata(_NEWS):
            begun = bytes(self._stream.codec_context.extradata or b"")
            return bool(begun) and not is_same_coding(bytes(packet.get_sidedata(_NEWS)), begun)
        return bool(self._num_other)

    def fit(self, packet: "Packet[Any]") -> bool:
        """Put an admitted packet's times into the muxer's ticks and order; False where it is refused.

        Muxers refuse a time of decoding that goes back, and those of mp4 one that stands still, too. Each packet is
        moved no further than that takes and the next one keeps its own time, so that nothing adds up.
        """
        assert packet.pts is not None
        assert packet.dts is not None
        if self._tick is None:
            self._tick = Fraction(self.out.time_base)
            self._scale = Fraction(packet.time_base) / self._tick
        tick, scale = self._tick, self._scale
        shown, dts = _scaled(packet.pts, scale), _scaled(packet.dts, scale)
        packet.duration = _scaled(packet.duration or 0, scale)
        in_mp4 = self._container in ("mp4", "mov")
        if self._written is not None:
            dts = max(dts, self._written + in_mp4)
            if in_mp4 and not packet.duration:  # the last one would not be shown at all
                packet.duration = dts - self._written
        packet.pts, packet.dts, packet.time_base = max(shown, dts), dts, tick
        late_s = (packet.pts - shown) * tick if packet.pts > shown else _NOT_LATE
        endless = in_mp4 and packet.duration > _MOST_TICKS
        if endless:
            packet.duration = max(1, round(self._window.film_end / tick) - packet.pts)
        if not self.is_cover and self._is_refused(packet):
            self._num_refused += 1
            return False
        self._num_endless += endless
        self._late_s = max(self._late_s, late_s)
        self.holds.add(packet.pts * tick, packet.size)
        self._written = dts
        return True

    def _is_refused(self, packet: "Packet[Any]") -> bool:
        """Try a packet out on a muxer of its own: the output's holds packets back, and would blame another one."""
        if self._trial is None:
            self._trial = av.open(local(os.devnull), "w", format=MUXERS[self._container])
            self._trial_stream = self._trial.add_stream_from_template(self._stream, opaque=True)
        times = packet.pts, packet.dts, packet.duration, packet.time_base
        packet.stream = self._trial_stream
        try:
            self._trial.mux(packet)
        except _REFUSALS:
            return True
        finally:
            packet.stream = self.out
            packet.pts, packet.dts, packet.duration, packet.time_base = times
        return False

    def close(self) -> None:
        """No more packets come."""
        if self._trial is not None:
            self._trial.close()


def _scaled(ticks: int, scale: Fraction) -> int:
    """Round as FFmpeg does, halves away from 0."""
    parts = 2 * abs(ticks) * scale.numerator + scale.denominator
    return (parts // (2 * scale.denominator)) * (1 if ticks >= 0 else -1)


def read_tracks(
    reader: MendedReader, tracks: dict[int, Track], window: TimeSpan, notes: list[str]
) -> Iterator["Packet[Any]"]:
    """Yield the packets of some streams of a file, timed for the output. A
    broken file ends early, with a note."""
    opened, start = reader.container, window.start
    for stream in opened.streams:
        stream.discard = Discard.default if stream.index in tracks else Discard.all
    if start is not None and start > _SEEK_BACK_S:
        if reader.clock.is_steady:
            opened.seek(int((start - _SEEK_BACK_S) * 1_000_000))
        else:
            reader.enter(start - _SEEK_BACK_S)
    broken: list[str] = []
    past: set[int] = set()
    # Subtitles are too rare to wait for.
    waited = {index for index, track in tracks.items() if track.out.type != "subtitle"} or set(tracks)
    found = readable(reader.packets(*(opened.streams[index] for index in tracks)), broken)
    for packet in _without_cuts(found):
        if not packet.size:
            continue  # the end of a stream
        track = tracks[packet.stream_index]
        if not waited - past:
            break  # a short span of a long recording is not paid with reading all of it
        if window.is_past(packet):
            past.add(packet.stream_index)
        if track.admit(packet):
            yield _without_news(packet)
    notes += [
        f"the original's other streams end early, where they are damaged: {reason}" for reason in broken
    ]


def _without_cuts(packets: Iterator["Packet[Any]"]) -> Iterator["Packet[Any]"]:
    """Yield packets but those that an edit list hides: what was cut out of a film must not be found in a copy of it.

    The run-up before the beginning of sound goes along. Pictures after a cut wait for one that
    needs none of those that are missing.
    """
    run_up: dict[int, list[Packet[Any]]] = {}
    begun: set[int] = set()
    incomplete: set[int] = set()
    for packet in packets:
        index = packet.stream_index
        if packet.is_discard:
            hidden = run_up.setdefault(index, [])
            hidden.append(packet)
            if (
                index in begun
                or packet.stream.type != "audio"
                or _length(hidden) > longest_run_up_s(packet.stream)
            ):
                hidden.clear()
                incomplete.add(index)
                begun.add(index)
            continue
        yield from run_up.pop(index, ())
        if packet.size:
            begun.add(index)
        if index in incomplete and packet.stream.type == "video" and not packet.is_keyframe:
            continue
        incomplete.discard(index)
        yield packet


def longest_run_up_s(stream: Any) -> Fraction:
    """Seconds of hidden sound that may be an encoder's run-up."""
    rate = stream.codec_context.sample_rate
    return max(_PRIMING_S, Fraction(_PRIMING_SAMPLES, rate)) if rate else _PRIMING_S


def _without_news(packet: "Packet[Any]") -> "Packet[Any]":
    """The packet without new headers for the decoder: FFmpeg's muxers write them over those of the file."""
    if not packet.has_sidedata(_NEWS):
        return packet
    plain = Packet(bytes(packet))
    plain.stream, plain.time_base = packet.stream, packet.time_base
    plain.pts, plain.dts, plain.duration = packet.pts, packet.dts, packet.duration
    plain.is_keyframe = packet.is_keyframe
    for data in packet.iter_sidedata():
        if data.data_type != _NEWS:
            plain.set_sidedata(data)
    return plain


def _length(packets: Sequence["Packet[Any]"]) -> Fraction:
    return sum(((packet.duration or 0) * Fraction(packet.time_base) for packet in packets), Fraction(0))
