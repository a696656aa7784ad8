"""The sound of a view in the codecs that browsers take: AAC for HLS, without holes, and Opus for WebRTC."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import AccessUnit, AudioParameters
from vsr.live.sound_resampler import SoundResampler
from vsr.live.viewing.fragments import SOUND_RATE, Sample

_FRAME = 1024
"""Samples in a packet of AAC (ISO/IEC 14496-3)."""
_LATE = SOUND_RATE // 4
"""How far sound may be behind the pictures before silence takes its place."""
_LAYOUT, _KBPS = "stereo", 128
"""Whatever the camera has: what players are told of the sound never changes."""


class SoundEncoder:
    """A camera's sound in another codec. A gap stays a gap.

    Args:
        parameters: what comes.
        codec: `aac` or `libopus`.

    Raises:
        FFmpegError, ValueError: this FFmpeg cannot decode it.
    """

    def __init__(self, parameters: AudioParameters, codec: str):
        self._decoder: Any = av.CodecContext.create(parameters.codec, "r")
        self._decoder.sample_rate = parameters.sample_rate
        if parameters.channels in (1, 2):
            self._decoder.layout = "mono" if parameters.channels == 1 else "stereo"
        if parameters.config:
            self._decoder.extradata = parameters.config
        self._decoder.open()
        self.encoder = _encoder(codec)
        self._resampler = SoundResampler(self.encoder)

    def packets(self, unit: AccessUnit) -> Iterator[tuple[bytes, int]]:
        """Yield packets of the new codec with their times in samples; nothing for a unit that is damaged."""
        packet = av.Packet(unit.data)
        packet.pts, packet.dts, packet.time_base = unit.pts_90k, unit.pts_90k, Fraction(1, TICKS)
        try:
            frames = self._decoder.decode(packet)
        except FFmpegError:
            return
        for frame in frames:
            for part in self._resampler.parts(frame):
                yield from ((bytes(made), made.pts) for made in self.encoder.encode(part))


def _encoder(codec: str) -> Any:
    made: Any = av.CodecContext.create(codec, "w")
    made.sample_rate, made.layout, made.format = SOUND_RATE, _LAYOUT, made.codec.audio_formats[0]
    made.bit_rate = 1000 * _KBPS
    made.open()
    return made


def _silence() -> bytes:
    """A packet of AAC in which nothing is heard."""
    encoder = _encoder("aac")
    frame = av.AudioFrame.from_ndarray(np.zeros((encoder.channels, _FRAME), np.float32), "fltp", _LAYOUT)
    frame.sample_rate = SOUND_RATE
    return [bytes(packet) for _ in range(4) for packet in encoder.encode(frame)][-1]


class SoundTrack:
    """The sound beside the pictures of HLS. Once there it has no holes, for players wait where a track has some:
    silence fills them."""

    def __init__(self) -> None:
        self._parameters: AudioParameters | None = None
        self._encoder: SoundEncoder | None = None
        self._silence = b""
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._end = self._left_out = 0

    @property
    def is_there(self) -> bool:
        return self._encoder is not None

    def put(self, unit: AccessUnit) -> None:
        """Take a packet of the camera's."""
        if isinstance(unit.parameters, AudioParameters) and unit.parameters != self._parameters:
            self._parameters, self._encoder = unit.parameters, None
            with suppress(FFmpegError, ValueError):  # or pictures go on without it
                self._encoder = SoundEncoder(unit.parameters, "aac")
                self._silence = _silence()
        if self._encoder is not None:
            self._waiting.extend(
                (data, start - self._left_out) for data, start in self._encoder.packets(unit)
            )

    def leave_out(self, start: int, length: int) -> None:
        """Leave out what is heard for `length` from `start` on, in ticks of 1/90000 s; what follows comes earlier."""
        begin, num_samples = start * SOUND_RATE // TICKS, length * SOUND_RATE // TICKS
        self._left_out += num_samples
        self._waiting = deque(
            (data, time if time < begin else time - num_samples)
            for data, time in self._waiting
            if not begin <= time < begin + num_samples
        )

    def begin(self, start: int) -> None:
        """Begin anew with the pictures, in ticks of 1/90000 s."""
        self._end = start * SOUND_RATE // TICKS

    def take(self, end: int) -> Sequence[Sample]:
        """Return what goes with the pictures before `end`, in ticks of 1/90000 s."""
        until, taken = end * SOUND_RATE // TICKS, list[Sample]()
        while self._waiting and self._waiting[0][1] < until:
            data, start = self._waiting.popleft()
            if start < self._end - _FRAME // 2:
                continue  # its time has been filled
            self._fill(taken, start - _FRAME)
            self._add(taken, data)
        self._fill(taken, until - _LATE)
        return taken

    def _fill(self, taken: list[Sample], until: int) -> None:
        while self._end < until:
            self._add(taken, self._silence)

    def _add(self, taken: list[Sample], data: bytes) -> None:
        taken.append(Sample(data, self._end, _FRAME))
        self._end += _FRAME
