"""Sound that an edit list cuts in the middle of a packet, into Matroska: its header says how much is not to be heard.

mp4 says so by an edit list of its own, which FFmpeg makes of times before 0. PyAV has no way to set Matroska's
CodecDelay (RFC 9559, 5.1.4.1.25), but copies it from a stream that has it.
"""

import io
import re
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from vsr.media.probe_video import open_container, packets_of
from vsr.media.writing.other_streams import Carried
from vsr.media.writing.packet_times import TimeSpan
from vsr.media.writing.tracks import longest_run_up_s

_UID = re.compile(rb"\x73\xc5\x88.{8}", re.DOTALL)
"""A track's number in a header of FFmpeg's: ID, length, eight bytes."""
_DELAY = b"\x56\xaa\x88"
"""CodecDelay with as many bytes, in nanoseconds."""


def template_of(stream: Any, carried: Carried, container: str, window: TimeSpan, stack: ExitStack) -> Any:
    """Return what a stream of the output is made of: the one that is copied, or one like it with a codec delay.

    What must stay open as long as it is needed goes onto the stack.
    """
    copied = carried.how == "copied" and "mp4" in stream.container.format.name
    if container != "mkv" or stream.type != "audio" or not copied:
        return stream
    seconds = _hidden_s(carried.path, stream, window)
    return stack.enter_context(_delayed(stream, seconds)).streams[0] if seconds else stream


def _hidden_s(path: Path, stream: Any, window: TimeSpan) -> Fraction:
    """How many seconds of the first packet that is heard are not; 0 where nothing was cut away before it, or the
    window begins behind it."""
    hidden, heard = Fraction(0), Fraction(0)
    with closing(open_container(path)) as container:
        for packet in packets_of(container, container.streams[stream.index]):
            if packet.pts is None:
                break
            begin = packet.pts * Fraction(packet.time_base)
            if packet.has_sidedata("skip_samples"):
                samples = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
                heard = begin + Fraction(samples, stream.codec_context.sample_rate)
            length = (packet.duration or 0) * Fraction(packet.time_base)
            if not packet.is_discard:
                is_first = window.start is None or window.start < begin + length
                return (
                    max(Fraction(0), heard - begin)
                    if hidden > longest_run_up_s(stream) and is_first
                    else Fraction(0)
                )
            hidden += length
    return Fraction(0)


def _delayed(stream: Any, seconds: Fraction) -> InputContainer:
    """A container whose one stream is like another and has this codec delay."""
    header = io.BytesIO()
    with av.open(header, "w", format="matroska") as muxer:
        out = muxer.add_stream_from_template(stream, opaque=True)
        packet = av.Packet(bytes(16))
        packet.stream, packet.pts, packet.dts = out, 0, 0
        muxer.mux(packet)  # without one it is no file
    delay = _DELAY + round(seconds * 1_000_000_000).to_bytes(8, "big")
    return av.open(io.BytesIO(_UID.sub(lambda _: delay, header.getvalue(), count=1)), "r", format="matroska")
