"""What a camera sends itself, on its way to the outputs: its sound, and for
those that keep the original its video."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av

from vsr.live.outputs.live_output import LiveOutput
from vsr.live.packets import AUDIO, TICKS, describe_stream, packet_message

log = logging.getLogger("vsr.live")


class Passthrough:
    """Passes packets on. Used by the camera's thread.

    Args:
        name: the camera's.
        outputs: get the sound.
        originals: get sound and video, at the camera's own times.
    """

    def __init__(self, name: str, outputs: Sequence[LiveOutput], originals: Sequence[LiveOutput]):
        self._name, self._outputs, self._originals = name, outputs, originals
        self._source: tuple[object, ...] = ()
        self._left_out: set[str] = set()

    def packet(self, packet: "av.Packet[Any]", *, shift: int, ahead: int) -> None:
        """Pass on one packet, of the first video or audio stream.

        Args:
            packet: as demuxed; copied.
            shift: what makes its times those of the frames, in ticks of 1/90000 s.
            ahead: how far the pictures that go out are ahead of the frames' times, in the same ticks.
        """
        container = packet.stream.container
        firsts: list[Any] = [*container.streams.video[:1], *container.streams.audio[:1]]
        first = [
            one for one in firsts if one.codec_context is not None
        ]  # FFmpeg does not know every codec there is
        if packet.stream not in first or not (packet.stream.type == "audio" or self._originals):
            return
        message = packet_message(packet, shift=shift)
        if message is None:
            return
        # Other streams after a reconnect, or another picture size within one, are written down again.
        source = (id(container), *(one.codec_context.name for one in first))
        if source != self._source or message.keyframe:
            self._source = source
            for one in first:
                self._describe(one)
        for original in self._originals:
            original.put(message)
        if message.stream == AUDIO and self._outputs:
            moved = round(Fraction(ahead, TICKS) / message.time_base)
            for output in self._outputs:
                output.put(replace(message, pts=message.pts + moved, dts=message.dts + moved))

    def _describe(self, stream: av.AudioStream | av.VideoStream) -> None:
        try:
            described = describe_stream(stream)
        except ValueError:
            codec = stream.codec_context.name
            if codec not in self._left_out:
                self._left_out.add(codec)
                text = f"{stream.type} {codec} cannot be passed on and is left out"
                log.warning("%s", text, extra={"event": "note", "camera": self._name})
            return
        for original in self._originals:
            original.put(described)
        if described.stream == AUDIO:
            for output in self._outputs:
                output.put(described)
