"""Muxing packets that came through the pipe into one target. Runs in an
output's process; encodes no pictures."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Self

import av
from av.error import FFmpegError

from vsr.live.packets import NO_DTS, VIDEO, Message, open_description
from vsr.live.push.audio import AudioConversion

_MOST_REORDERED = 16
"""Pictures that H.264 and HEVC may hold back."""


class Muxer:
    """One open target. Times begin at 0, or as told; packets that would go backwards are left out.

    Args:
        target: URL, path, or a file to write to.
        format: FFmpeg's name of the muxer.
        streams: descriptions, video first.
        options: of the muxer and its protocol.
        audio: codecs that the target takes; None for all that the muxer lists.
        spare: what other sound is converted to.
        begins: the time that is 0 for the target, in seconds; None for that of the first keyframe.

    Raises:
        FFmpegError: the target cannot be opened.
    """

    def __init__(
        self,
        target: Any,
        *,
        format: str,
        streams: Sequence[Message],
        options: Mapping[str, str] = {},
        audio: frozenset[str] | None = None,
        spare: str = "aac",
        begins: Fraction | None = None,
    ):
        self.notes: list[str] = []
        """What could not go along as it is."""
        self.empty = True
        """Nothing has been muxed."""
        self._origin = begins
        self._last: dict[int, int] = {}
        self._undated: list[Message] = []
        self._streams: dict[int, Any] = {}
        self._sound: AudioConversion | None = None
        self._last_sound = -1
        # Without this a second stream that has fallen silent would hold the first one back for ten seconds.
        self._container = av.open(
            target, "w", format=format, options={"max_interleave_delta": "1", **options}
        )
        try:
            for message in streams:
                self._add(message, audio, spare)
            self._container.start_encoding()
        except BaseException:
            self._abandon()
            raise

    def _add(self, message: Message, audio: frozenset[str] | None, spare: str) -> None:
        with open_description(message) as described:
            template = described.streams[0]
            codec = template.codec_context.name
            if message.stream == VIDEO or audio is None or codec in audio:
                try:
                    stream = self._container.add_stream_from_template(template)
                    stream.time_base = template.time_base
                    self._streams[message.stream] = stream
                    return
                except ValueError:
                    if message.stream == VIDEO:
                        raise
        self._convert(message, codec, spare)

    def _convert(self, message: Message, codec: str, spare: str) -> None:
        note = f"audio {codec} does not fit into {self._container.format.name}"
        try:
            self._sound = AudioConversion(message, self._container, spare)
        except (FFmpegError, ValueError):
            self.notes.append(f"{note} and cannot be decoded; it is left out")
            return
        self._streams[message.stream] = self._sound.stream
        self.notes.append(f"{note}; it is sent as {spare}")

    def mux(self, message: Message) -> None:
        """Hand over one packet; blocks as long as the target does."""
        if message.stream not in self._streams:
            return
        if message.dts == NO_DTS and message.stream == VIDEO:
            self._undated.append(message)
            if len(self._undated) <= _MOST_REORDERED:
                return
            for held in self._undated:  # a stream that never says: there is nothing to reorder
                self._mux(replace(held, dts=held.pts))
        elif message.stream != VIDEO:
            self._mux(message)
            return
        else:
            # FFmpeg's demuxers know decoding times only after the first pictures of a stream with B-frames.
            for index, held in enumerate(self._undated):
                self._mux(replace(held, dts=min(held.pts, message.dts - len(self._undated) + index)))
            self._mux(message)
        self._undated.clear()

    def _mux(self, message: Message) -> None:
        if self.empty and not message.keyframe:  # sound from before the first picture
            return
        if self._origin is None:
            self._origin = message.pts * message.time_base
        origin = round(self._origin / message.time_base)
        pts, dts = message.pts - origin, message.dts - origin
        last = self._last.get(message.stream)
        if pts < 0 or (last is not None and dts <= last):
            return
        self._last[message.stream] = dts
        packet = av.Packet(message.data)
        packet.stream, packet.time_base = self._streams[message.stream], message.time_base
        packet.pts, packet.dts, packet.duration = pts, dts, message.duration
        packet.is_keyframe = message.stream != VIDEO or message.keyframe
        self.empty = False
        if message.stream == VIDEO or self._sound is None:
            self._container.mux(packet)
            return
        for made in self._sound.packets(packet):
            if made.dts >= 0 and made.dts > self._last_sound:  # AAC begins before what it was given
                self._last_sound = made.dts
                self._container.mux(made)

    def close(self) -> None:
        """Write what belongs to the end."""
        try:
            for held in self._undated:
                self._mux(replace(held, dts=held.pts))
        finally:
            self._end()

    def _abandon(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._end()

    def _end(self) -> None:
        self._container.close()
        if self._sound is not None:
            self._sound.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()
