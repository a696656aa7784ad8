"""What goes through the pipe to an output's process: descriptions of streams, then packets, then a good-bye.

Both ends import it, so it stays light: PyAV and the standard library alone.

    {"kind": "rtsp", "target": "rtsp://…", …}   one line of JSON: all that is secret comes this way
    head, data                                  repeated: a message; a head is 36 bytes

A stream is described by a NUT file that holds it and one empty packet: FFmpeg's own way to write down a
codec, its extradata, size and time base. G.726, whose bits per sample NUT does not hold, is described in
words. What comes back on the child's standard output are lines: an empty one for every packet that has been
muxed, one with text for news.
"""

import contextlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any, cast

import av
from av.error import FFmpegError

TICKS = 90_000
"""Ticks a second of every live time."""

_G726 = ("g726", "g726le")
"""Its two orders of bits: names of decoders and of demuxers."""

VIDEO, AUDIO, END = 0, 1, 2
NO_DTS = -(1 << 63)
_HEAD = struct.Struct("!BBHqqqII")
_DESCRIPTION = 2
_KEYFRAME = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A packet, the description of a stream, or the end, ready to be sent."""

    stream: int
    """VIDEO, AUDIO, or END: what has been written is to be finished for good."""
    data: bytes
    flags: int = 0
    pts: int = 0
    dts: int = 0
    """`NO_DTS` where the camera does not say, as at the start of a stream with B-frames."""
    duration: int = 0
    time_base: Fraction = Fraction(1, TICKS)

    @property
    def describes(self) -> bool:
        return self.flags == _DESCRIPTION

    @property
    def keyframe(self) -> bool:
        """Whether a stream may begin here."""
        return self.stream == VIDEO and self.flags == _KEYFRAME

    def pack(self) -> bytes:
        base = self.time_base
        assert base.numerator == 1, "live time bases are whole ticks a second"
        head = _HEAD.pack(
            self.stream, self.flags, 0, self.pts, self.dts, self.duration, base.denominator, len(self.data)
        )
        return head + self.data


def read_messages(source: IO[bytes]) -> Iterator[Message]:
    """Read messages until the pipe is closed."""
    while len(head := source.read(_HEAD.size)) == _HEAD.size:
        stream, flags, _, pts, dts, duration, ticks, size = _HEAD.unpack(head)
        data = source.read(size)
        if len(data) < size:
            return
        yield Message(stream, data, flags, pts, dts, duration, Fraction(1, ticks))


def packet_message(packet: "av.Packet[Any]", *, shift: int = 0) -> Message | None:
    """Make a message of a compressed packet; None for one without time or content.

    Args:
        packet: audio or video.
        shift: ticks of 1/90000 s added to its times.
    """
    stream = {"video": VIDEO, "audio": AUDIO}.get(packet.stream.type)
    pts = packet.pts if packet.pts is not None else packet.dts
    base = packet.time_base
    if stream is None or pts is None or not packet.size or not base:
        return None
    ticks = base.denominator if base.numerator == 1 else TICKS
    scale, moved = base * ticks, round(Fraction(shift * ticks, TICKS))
    return Message(
        stream,
        bytes(cast(Any, packet)),
        _KEYFRAME if packet.is_keyframe else 0,
        round(pts * scale) + moved,
        NO_DTS if packet.dts is None else round(packet.dts * scale) + moved,
        round((packet.duration or 0) * scale),
        Fraction(1, ticks),
    )


def describe_stream(stream: av.VideoStream | av.AudioStream) -> Message:
    """Write down what a stream is. To be called in the thread that reads it; equal streams give equal bytes.

    Raises:
        ValueError: a kind that cannot be passed on, or too little is known of it.
    """
    context: Any = stream.codec_context
    if context.name == "rawvideo":
        raise ValueError("no recording holds pictures that are not coded")
    if context.name in _G726:
        bits = (context.bit_rate or 0) // context.sample_rate
        return Message(AUDIO, f"{context.name} {bits} {context.sample_rate}".encode(), _DESCRIPTION)
    return _described(stream, stream.time_base)


def describe_keyframe(stream: av.VideoStream, keyframe: bytes) -> Message | None:
    """Write down what a stream is by the parameters that a keyframe of it holds; None where it holds none.

    What was known when the container was opened may be old by now, or nothing at all.
    """
    name = stream.codec_context.name
    if not keyframe.startswith((b"\0\0\1", b"\0\0\0\1")) or name not in ("h264", "hevc"):
        return None
    with contextlib.suppress(FFmpegError), av.open(io.BytesIO(keyframe), format=name) as opened:
        found = opened.streams.video[0]
        if found.codec_context.extradata and found.codec_context.width:
            return _described(found, stream.time_base)
    return None


def _described(stream: av.VideoStream | av.AudioStream, time_base: Fraction | None) -> Message:
    written = io.BytesIO()
    with av.open(written, "w", format="nut", options={"fflags": "bitexact"}) as container:
        copy = container.add_stream_from_template(stream)
        copy.time_base = time_base or Fraction(1, TICKS)
        packet = av.Packet(bytes(8))
        packet.stream, packet.pts, packet.dts, packet.time_base = copy, 0, 0, Fraction(1, 1000)
        packet.is_keyframe = True
        container.mux(packet)
    return Message(VIDEO if stream.type == "video" else AUDIO, written.getvalue(), _DESCRIPTION)


def open_description(message: Message) -> Any:
    """Open what `describe` wrote: an input container whose one stream serves
    as a template while it stays open."""
    quick = {"probesize": "32", "analyzeduration": "0"}
    if message.data.startswith(b"g726"):
        name, bits, rate = message.data.decode().split()
        return av.open(io.BytesIO(), format=name, options={"code_size": bits, "sample_rate": rate})
    return av.open(io.BytesIO(message.data), format="nut", options=quick)
