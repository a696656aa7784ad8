"""Muxing packets that came through the pipe into one target. Runs in an output's process; never encodes."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av

from vsr.live.wire import NO_DTS, VIDEO, Message, open_description

_MOST_REORDERED = 16
"""Pictures that H.264 and HEVC may hold back."""


class Muxer:
    """One open target. Times begin at 0; packets that would go backwards are left out.

    Args:
        target: URL or path.
        format: FFmpeg's name of the muxer.
        streams: descriptions, video first.
        options: of the muxer and its protocol.
        audio: codecs that the target takes; None for all that the muxer lists.

    Raises:
        FFmpegError: the target cannot be opened.
    """

    def __init__(
        self, target: str, *, format: str, streams: Sequence[Message], options: Mapping[str, str] = {},
        audio: frozenset[str] | None = None,
    ):  # fmt: skip
        self.notes: list[str] = []
        """What could not go along."""
        self.empty = True
        """Nothing has been muxed."""
        self._origin: Fraction | None = None
        self._last: dict[int, int] = {}
        self._undated: list[Message] = []
        self._streams: dict[int, Any] = {}
        # Without this a second stream that has fallen silent would hold the first one back for ten seconds.
        self._container = av.open(target, "w", format=format, options={"max_interleave_delta": "1", **options})
        try:
            for message in streams:
                self._add(message, audio)
            self._container.start_encoding()
        except BaseException:
            self._abandon()
            raise

    def _add(self, message: Message, audio: frozenset[str] | None) -> None:
        with open_description(message) as described:
            template = described.streams[0]
            codec = template.codec_context.name
            if message.stream != VIDEO and audio is not None and codec not in audio:
                self.notes.append(f"audio {codec} does not fit into {self._container.format.name}; it is left out")
                return
            try:
                stream = self._container.add_stream_from_template(template)
            except ValueError:
                if message.stream == VIDEO:
                    raise
                self.notes.append(f"audio {codec} does not fit into {self._container.format.name}; it is left out")
                return
            stream.time_base = template.time_base
            self._streams[message.stream] = stream

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
        if self._origin is None:
            if not message.keyframe:  # sound from before the first picture
                return
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
        self._container.mux(packet)
        self.empty = False

    def close(self) -> None:
        """Write what belongs to the end."""
        try:
            for held in self._undated:
                self._mux(replace(held, dts=held.pts))
        finally:
            self._container.close()

    def _abandon(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()
