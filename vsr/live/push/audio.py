"""Sound that a target cannot hold, made into sound that it can. Runs in an output's process.

Many cameras send A-law or µ-law, which neither Matroska nor MP4 nor MPEG-TS
as FFmpeg writes them has a place for.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from av.error import FFmpegError

from vsr.live.packets import Message, open_description
from vsr.live.sound_resampler import SoundResampler

_AAC_RATE = 48_000
"""Every player takes it, and a packet of AAC is short: 21 ms, where at the 8 kHz of A-law it would be 128."""
_AAC_KBPS = 64
"""Per channel."""


class AudioConversion:
    """One sound made of another, packet by packet. A gap stays a gap, to a packet of the new sound.

    Args:
        description: what comes.
        container: where it goes; gets a stream.
        codec: `pcm_s16le`, which holds what A-law and G.726 say exactly and at once, or `aac`, 43 ms later.

    Raises:
        ValueError, FFmpegError: this FFmpeg cannot decode it.
    """

    def __init__(self, description: Message, container: Any, codec: str):
        with ExitStack() as opened:
            described = opened.enter_context(open_description(description))
            self._decoder: Any = described.streams[0].codec_context
            self._decoder.open()
            rate = _AAC_RATE if codec == "aac" else self._decoder.sample_rate or _AAC_RATE
            layout = "mono" if self._decoder.channels == 1 else "stereo"
            self.stream: Any = container.add_stream(codec, rate=rate, layout=layout)
            if codec == "aac":
                self.stream.bit_rate = 1000 * _AAC_KBPS * self.stream.channels
            self.stream.codec_context.open()
            self._opened = opened.pop_all()
        self._resampler = SoundResampler(self.stream.codec_context)

    def packets(self, packet: Any) -> Iterator[Any]:
        """Yield what a packet brings; nothing for one that is damaged."""
        try:
            frames = self._decoder.decode(packet)
        except FFmpegError:
            return
        for frame in frames:
            for part in self._resampler.parts(frame):
                yield from self.stream.encode(part)

    def close(self) -> None:
        """Free the decoder. What is left in it, less than two packets, nobody hears any more."""
        self._opened.close()
