"""What a camera sends itself, on its way to the outputs: its sound, and for
those that keep the original its video."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol

import av
from av.stream import Stream

from vsr.live.packets import AUDIO, TICKS, VIDEO, Message, describe_keyframe, describe_stream, packet_message

log = logging.getLogger("vsr.live")


class PacketTaker(Protocol):
    """What packets are passed on to: an output, or what is served."""

    @property
    def wanted(self) -> bool:
        """Whether packets are wanted now; descriptions always are."""
        ...

    def put(self, message: Message) -> None:
        """Take a description or a packet, without waiting."""
        ...


class Passthrough:
    """Passes packets on. Used by the camera's thread.

    Args:
        name: the camera's.
        outputs: get the sound.
        originals: get sound and video, at the camera's own times.
    """

    def __init__(self, name: str, outputs: Sequence[PacketTaker], originals: Sequence[PacketTaker]):
        self._name, self._outputs, self._originals = name, outputs, originals
        self._source: tuple[object, ...] = ()
        self._known: set[int] = set()
        self._left_out: set[str] = set()
        self._passing = False

    def packet(self, packet: "av.Packet[Any]", *, shift: int, streams: Sequence[Stream], ahead: int) -> None:
        """Pass on one packet.

        Args:
            packet: as demuxed; copied.
            shift: what makes its times those of the frames, in ticks of 1/90000 s.
            streams: all that packets come from, of one container.
            ahead: how far the pictures that go out are ahead of the frames' times, in the same ticks.
        """
        passing = any(original.wanted for original in self._originals)
        if passing != self._passing:  # what pictures are like may have changed meanwhile
            self._passing = passing
            self._known.discard(VIDEO)
        if packet.stream.type != "audio" and not passing:
            return
        message = packet_message(packet, shift=shift)
        if message is None:
            return
        # Other streams after a reconnect, or other parameters within one, are written down again.
        source = (id(packet.stream.container), *(one.codec_context.name for one in streams))
        if source != self._source:
            self._source, self._known = source, set()
        for one in streams:
            if one.type == "audio" and AUDIO not in self._known:
                self._describe(one, AUDIO)
        if message.keyframe:
            self._describe(packet.stream, VIDEO, message.data)
        for original in self._originals:
            original.put(message)
        if message.stream == AUDIO and self._outputs:
            moved = round(Fraction(ahead, TICKS) / message.time_base)
            for output in self._outputs:
                output.put(replace(message, pts=message.pts + moved, dts=message.dts + moved))

    def _describe(self, stream: Any, kind: int, keyframe: bytes = b"") -> None:
        """Say what a stream is: once a session, and pictures again with each keyframe that holds parameters."""
        described = describe_keyframe(stream, keyframe) if keyframe else None
        if described is None and kind in self._known:
            return
        self._known.add(kind)
        try:
            described = described or describe_stream(stream)
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
