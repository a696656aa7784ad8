"""From an open container to frames, until the camera goes: packets, pictures, the watchdog, times, formats.

Runs in the camera's thread. Never opens or closes the container.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeAlias, cast

import av
from av.error import ExitError
from av.stream import Stream

from vsr.errors import SourceError
from vsr.frames import Frame
from vsr.live.cameras.connection import CameraConnection, GoneError, RefusedError
from vsr.live.cameras.damage_watch import DamageWatch
from vsr.live.cameras.packet_clock import PictureClock, SoundClock
from vsr.live.cameras.picture_watch import PictureWatch
from vsr.live.cameras.status import SharedStatus
from vsr.live.cameras.timestamps import TICKS, CameraTimeline
from vsr.live.cameras.transports import AnyPacket
from vsr.media import (
    EXPORT,
    PlanarConverter,
    ReadCounts,
    best_stream,
    decode_packet,
    make_frame,
    picture_format,
)

Tap: TypeAlias = Callable[[AnyPacket, int, Sequence[Stream]], None]
"""Takes a packet of the pictures or of the sound, the ticks of 1/90000 s that bring its times onto the frames'
timeline when added, and the streams that packets come from in this session."""

_STALLED_S = 1.0
"""A camera counts as stalled after this long without a picture, or after `_STALLED_STEPS` usual steps."""
_STALLED_STEPS = 3
_FIRST_S = 30.0
"""How long packets may come without a first picture: some cameras send a key frame every 20 s only."""
_CONCEAL_S = 1.0
"""Damaged pictures are left out this long; after that one of them says more than none."""
_LATE_S = 2.0
"""Pictures that are to be shown in turn may be this late before they are given new turns."""
_MAX_HELD = 500
"""Packets kept back for the tap until the first picture says what their times mean."""


class CameraSession:
    """One connection of a camera.

    Args:
        connection: open, and this thread's own.
        shown: the address, for errors.
        shared: where the camera's status is kept.
        timeline: the camera's, for its whole life.
        stall_s: time without a picture after which the session ends.
        frozen_s: time of the very same picture after which it counts as frozen; 0 for never.
        tap: gets every packet of the pictures and of the first sound that FFmpeg knows.
    """

    def __init__(
        self,
        connection: CameraConnection,
        shown: str,
        *,
        shared: SharedStatus,
        timeline: CameraTimeline,
        stall_s: float,
        frozen_s: float = 0.0,
        tap: Tap | None = None,
    ):
        self._connection, self._container = connection, connection.container
        self._shown, self._shared, self._timeline = shown, shared, timeline
        self._stall_s, self._tap = stall_s, tap
        try:
            self._stream = best_stream(self._container, shown)
        except SourceError as error:
            raise RefusedError(str(error)) from None
        self._stream.thread_type = "SLICE"  # frame threads hold back a frame each: 121 ms to 41 ms at 25 fps
        if self._stream.codec_context.is_hwaccel:
            self._stream.thread_count = 1  # each thread would hold surfaces of the GPU
        else:
            self._stream.codec_context.options = EXPORT
        self._damage = DamageWatch(self._stream.codec_context.codec.canonical_name, shared.status.verdict)
        self._picture = PictureWatch(frozen_s, shared.status.picture)
        self._key_bits: int | None = None
        self._counts = ReadCounts()
        self._corrupt_before = shared.status.corrupt
        self._began = self._last_picture = self._last_packet = time.monotonic()
        self._num_pictures = 0
        self._held: list[tuple[AnyPacket, float]] = []
        self._sound_clock = SoundClock(timeline, muxed=not connection.reports)
        self._picture_clock = PictureClock(timeline)
        self._converter: PlanarConverter | None = None
        self._kind: tuple[object, ...] = ()
        self._due: tuple[float, float] | None = None

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Yield frames until `stop` is set.

        Raises:
            GoneError: the stream ended or stalled.
            FFmpegError: it broke.
            SourceError: its pictures cannot be read.
        """
        self._connect_times()
        with closing(self._packets(stop)) as packets:
            for packet in packets:
                if packet is not None:
                    self._pass_on(packet, time.monotonic())
                    for picture in self._pictures(packet):
                        if self._connection.paced:
                            self._pace(picture, stop)
                        yield self._frame(picture)
                        self._release()
                self._watch()

    def _connect_times(self) -> None:
        rate = self._stream.average_rate or self._stream.guessed_rate
        # An RTSP camera that states no rate gets FFmpeg's guess, the ticks of its clock.
        step = round(TICKS / rate) if rate and 0 < rate <= 240 else 0
        self._timeline.connect(Fraction(self._stream.time_base or Fraction(1, TICKS)), step)

    def _packets(self, stop: threading.Event) -> "Generator[AnyPacket | None, None, None]":
        """Yield packets of all there is, or what is not wanted would keep us from looking up; None where none came
        for a while."""
        container = self._container
        if self._connection.first is not None:
            yield self._connection.first
        while not stop.is_set():
            try:
                for packet in cast(Any, container.demux()):
                    yield packet
                    if stop.is_set():
                        return
                if not stop.is_set():
                    self._rewind()
            except ExitError:  # the read took too long; nothing is lost
                if not self._connection.resumes:
                    raise self._gone() from None
                yield None
            except IndexError:
                continue  # PyAV's way to say that a stream has turned up on the way

    def _rewind(self) -> None:
        """Begin again at the end of a file; anything else has gone."""
        if not self._connection.loops or not self._num_pictures:
            raise GoneError(f"{self._shown}: {self._connection.why_over}")
        self._container.seek(0)
        self._connect_times()
        self._due = None

    def _pictures(self, packet: AnyPacket) -> Generator[av.VideoFrame, None, None]:
        """Decode; yield what is fit to be shown, and count what was damaged."""
        if packet.stream.index != self._stream.index:
            return
        self._last_packet = time.monotonic()
        if packet.is_keyframe:
            self._key_bits = packet.size * 8
        counts, damaged = self._counts, self._counts.corrupt_packets + self._counts.concealed
        for picture in decode_packet(cast(Any, packet), counts):
            counts.concealed += picture.is_corrupt
            if not picture.is_corrupt or time.monotonic() - self._last_picture > _CONCEAL_S:
                yield picture
        if counts.corrupt_packets + counts.concealed > damaged:
            self._shared.change(corrupt=self._corrupt_before + counts.corrupt_packets + counts.concealed)

    def _pace(self, picture: av.VideoFrame, stop: threading.Event) -> None:
        """Wait until it is a picture's turn, where they come faster than they are to be shown."""
        if picture.pts is None:
            return
        time_s, now = float(picture.pts * Fraction(self._stream.time_base or 0)), time.monotonic()
        due = now if self._due is None else self._due[0] + time_s - self._due[1]
        if self._due is None and self._num_pictures:
            due = self._last_picture + self._timeline.step / TICKS  # a file begins again
        if not now - _LATE_S < due < now + _LATE_S + self._stall_s:
            self._due, due = None, now
        self._due = self._due or (due, time_s)
        stop.wait(max(0.0, due - time.monotonic()))

    def _frame(self, picture: av.VideoFrame) -> Frame:
        """Make a frame of a picture, with its place on the timeline, in its own size and colours."""
        arrived_s = time.monotonic()
        pts, reset = self._timeline.place(picture.pts, arrived_s)
        duration = round((picture.duration or 0) * Fraction(self._stream.time_base or 0) * TICKS)
        kind = (
            picture.format.name,
            picture.height,
            picture.width,
            picture.colorspace,
            picture.color_range,
            picture.color_primaries,
            picture.color_trc,
        )
        converter = self._converter
        if converter is None or kind != self._kind:
            converter = self._converter = PlanarConverter(picture_format(picture, self._stream)[0])
            self._kind, reset = kind, True
        planar = converter.convert(picture)
        planar.pts, planar.time_base, planar.duration = pts, Fraction(1, TICKS), duration
        self._note(picture, arrived_s)
        frame = replace(make_frame(planar, converter.format), reset=reset, arrived_s=arrived_s)
        self._damage.see(frame, picture, key_bits=self._key_bits, now=arrived_s)
        self._picture.see(frame, arrived_s)
        return frame

    def _note(self, picture: av.VideoFrame, arrived_s: float) -> None:
        status, step = self._shared.status, self._timeline.step
        self._shared.change(
            state="playing",
            decoded=status.decoded + 1,
            reconnects=status.reconnects + (self._num_pictures == 0 and status.decoded > 0),
            lost=self._timeline.lost,
            height=picture.height,
            width=picture.width,
            rate=TICKS / step if step else 0.0,
            verdict=self._damage.told,
            picture=self._picture.told,
            next_s=arrived_s + max(_STALLED_S, _STALLED_STEPS * step / TICKS),
        )
        self._last_picture = arrived_s
        self._num_pictures += 1

    def _watch(self) -> None:
        """Judge by pictures, not by packets, whether the camera still plays.

        Raises:
            GoneError: it does not.
        """
        now = time.monotonic()
        silent = now - self._last_picture
        waits = self._num_pictures or now - self._last_packet > self._stall_s
        if silent > max(self._stall_s, 0 if waits else _FIRST_S):
            raise self._gone()

    def _gone(self) -> GoneError:
        return GoneError(f"{self._shown}: no picture for {time.monotonic() - self._last_picture:.1f} s")

    def _passed_on(self) -> list[Stream]:
        """The streams that the tap hears of: the pictures that are enhanced, and the first sound."""
        # FFmpeg does not know every codec there is.
        sound = [one for one in self._container.streams.audio if cast(Any, one.codec_context) is not None]
        return [self._stream, *sound[:1]]

    def _pass_on(self, packet: AnyPacket, arrived_s: float) -> None:
        """Hand a packet to the tap, or keep it until its time is known."""
        streams = self._passed_on()
        if self._tap is None or not packet.size or packet.stream not in streams:
            return
        shift = self._timeline.shift
        if shift is None:
            self._held.append((packet, arrived_s))
            del self._held[:-_MAX_HELD]
            return
        pts, base = packet.pts if packet.pts is not None else packet.dts, packet.time_base
        source = 0 if pts is None or not base else round(pts * base * TICKS)
        if pts is None:
            pass  # the tap knows best
        elif packet.stream.index == self._stream.index:
            shift = self._picture_clock.shift(source, shift=shift, arrived_s=arrived_s)
        else:
            # FFmpeg's word for when the camera says that it made this.
            reported = packet.has_sidedata("prft")
            shift = self._sound_clock.shift(source, reported=reported, shift=shift, arrived_s=arrived_s)
        self._tap(packet, shift, streams)

    def _release(self) -> None:
        """Hand over what was kept."""
        if self._held and self._timeline.shift is not None:
            held, self._held = self._held, []
            for packet, arrived_s in held:
                self._pass_on(packet, arrived_s)
