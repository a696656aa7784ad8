"""Access units, the values that viewers get, made of the packets that go through live streams."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import av
from av.bitstream import BitStreamFilterContext

from vsr.live.packets import AUDIO, NO_DTS, TICKS, VIDEO, Message, open_description

Codec: TypeAlias = Literal["h264", "h265"]

_CODECS: dict[str, Codec] = {"h264": "h264", "hevc": "h265"}
"""Of the video that is served, by FFmpeg's names."""

_START_CODE = b"\0\0\1"
"""Before it more zeros may stand (H.264, annex B)."""

_MPEG4_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sampling frequencies by their index in ADTS (ISO/IEC 14496-3, table 1.18)."""
_LC = 2
"""The usual kind of AAC."""


@dataclass(frozen=True, slots=True)
class VideoParameters:
    """What a decoder must know of pictures."""

    codec: Codec
    height: int
    width: int
    parameter_sets: tuple[bytes, ...]
    """NAL units without start codes: (VPS,) SPS and PPS, in this order."""


@dataclass(frozen=True, slots=True)
class AudioParameters:
    """What a decoder must know of sound."""

    codec: str
    """FFmpeg's name: `aac`, `opus`, `pcm_alaw`, `pcm_mulaw`, …"""
    sample_rate: int
    channels: int
    config: bytes = b""
    """AudioSpecificConfig of AAC (ISO/IEC 14496-3), OpusHead of Opus (RFC 7845); empty where a codec needs none."""


@dataclass(frozen=True, slots=True, eq=False)
class AccessUnit:
    """One coded picture, or one packet of sound."""

    parameters: VideoParameters | AudioParameters
    """The same object for all units that share them."""
    data: bytes
    """Video: Annex B, a keyframe with its parameter sets. Sound: as the codec's frames are, AAC without ADTS."""
    pts_90k: int
    """When it is to be shown, in ticks of 1/90000 s on the hub's clock, the same for picture and sound."""
    dts_90k: int
    """When it is to be decoded; the order of units."""
    keyframe: bool
    """Decoding may begin here; always true of sound."""
    wall_s: float
    """The time of day of `pts_90k`, in seconds since 1970."""

    @property
    def kind(self) -> Literal["video", "audio"]:
        return "video" if isinstance(self.parameters, VideoParameters) else "audio"

    @property
    def codec(self) -> str:
        return self.parameters.codec


def nal_units(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units of an Annex B stream, without start codes."""
    *units, last = data.split(_START_CODE)  # an expression takes many times as long, several times a picture
    return (unit for unit in [*(unit.rstrip(b"\0") for unit in units), last] if unit)


def parameter_sets(codec: str, data: bytes) -> tuple[bytes, ...]:
    """Return the parameter sets in a keyframe in Annex B, sorted by kind: (VPS,) SPS, PPS."""
    kinds = (7, 8) if codec == "h264" else (32, 33, 34)
    found = ((unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63, unit) for unit in nal_units(data))
    return tuple(unit for _, unit in sorted(pair for pair in dict.fromkeys(found) if pair[0] in kinds))


class VideoReader:
    """Makes Annex B with parameter sets of what a container holds.

    Args:
        description: of the stream, as `describe_stream` makes it.

    Raises:
        ValueError: a codec that is not served.
    """

    def __init__(self, description: Message):
        with open_description(description) as opened:
            stream = opened.streams[0]
            context = stream.codec_context
            if context.name not in _CODECS:
                raise ValueError(f"video {context.name} is not served; H.264 and H.265 are")
            self._codec: Codec = _CODECS[context.name]
            self._size = context.height, context.width
            head = bytes(context.extradata or b"")
            # As in MP4 and FLV: lengths instead of start codes.
            in_lengths = head[:1] == b"\1"
            name = f"{context.name}_mp4toannexb"
            self._filter = BitStreamFilterContext(name, stream) if in_lengths else None
            self._head = b"" if in_lengths else head
            self._parameters: VideoParameters | None = None

    def read(self, message: Message) -> tuple[VideoParameters, bytes] | None:
        """Return a picture's parameters and data; None before the first keyframe."""
        data = message.data
        if self._filter is not None:
            data = b"".join(bytes(cast(Any, part)) for part in self._filter.filter(av.Packet(data)))
        if message.keyframe:
            data = self._keyframe(data)
        return (self._parameters, data) if self._parameters is not None else None

    def _keyframe(self, data: bytes) -> bytes:
        sets = parameter_sets(self._codec, data)
        if not sets:
            sets, data = parameter_sets(self._codec, self._head), self._head + data
        parameters = VideoParameters(self._codec, *self._size, sets)
        if parameters != self._parameters:
            self._parameters = parameters
        return data


class AudioReader:
    """Makes bare frames of the sound that a container holds.

    Args:
        description: of the stream, as `describe_stream` makes it.
    """

    def __init__(self, description: Message):
        with open_description(description) as opened:
            context: Any = opened.streams[0].codec_context
            config = bytes(context.extradata or b"")
            # As in MPEG-TS: each frame has a header, and the container knows nothing.
            self._is_adts = context.name == "aac" and not config
            self.parameters = AudioParameters(context.name, context.sample_rate, context.channels, config)
        if self._is_adts and context.sample_rate in _MPEG4_RATES:
            self.parameters = _plain_aac(_LC, _MPEG4_RATES.index(context.sample_rate), context.channels)

    def read(self, message: Message) -> tuple[AudioParameters, bytes] | None:
        """Return a packet's parameters and data; None for one that is damaged."""
        data = message.data
        if self._is_adts:
            if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF0 != 0xF0 or data[2] >> 2 & 15 > 12:
                return None
            channels = (data[2] & 1) << 2 | data[3] >> 6
            parameters = _plain_aac((data[2] >> 6) + 1, data[2] >> 2 & 15, channels)
            if parameters != self.parameters:
                self.parameters = parameters
            data = data[7 if data[1] & 1 else 9 :]
        return self.parameters, data


def _plain_aac(kind: int, rate: int, channels: int) -> AudioParameters:
    """Write down what an ADTS header says (ISO/IEC 14496-3, 1.A.2.2) as other containers do."""
    config = (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big")
    return AudioParameters("aac", _MPEG4_RATES[rate], 8 if channels == 7 else channels, config)


class UnitReader:
    """Makes access units of one source's messages, descriptions first."""

    def __init__(self) -> None:
        self._readers: dict[int, VideoReader | AudioReader] = {}
        self._described: dict[int, Message] = {}

    @property
    def sound(self) -> AudioParameters | None:
        """What is known of the sound."""
        reader = self._readers.get(AUDIO)
        return reader.parameters if isinstance(reader, AudioReader) else None

    def describe(self, message: Message) -> None:
        """Take in what a stream is from now on.

        Raises:
            ValueError: it is not served.
        """
        if message == self._described.get(message.stream):
            return
        self._described[message.stream] = message
        self._readers.pop(message.stream, None)
        self._readers[message.stream] = (VideoReader if message.stream == VIDEO else AudioReader)(message)

    def read(self, message: Message, *, shift: int, wall_s: float) -> AccessUnit | None:
        """Make an access unit of a packet; None where nothing can be made of it.

        Args:
            message: the packet.
            shift: what makes its times those of the hub, in ticks of 1/90000 s.
            wall_s: the time of day at 0 on the hub's clock.
        """
        reader = self._readers.get(message.stream)
        read = reader.read(message) if reader is not None else None
        if read is None:
            return None
        parameters, data = read
        pts = round(message.pts * message.time_base * TICKS) + shift
        dts = pts if message.dts == NO_DTS else round(message.dts * message.time_base * TICKS) + shift
        keyframe = message.keyframe or message.stream != VIDEO
        return AccessUnit(parameters, data, pts, min(pts, dts), keyframe, wall_s + pts / TICKS)
