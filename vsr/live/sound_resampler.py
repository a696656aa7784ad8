"""Decoded sound as an encoder takes it: its format, its rate, packets of its length."""

from collections.abc import Iterator
from typing import Any

import av


class SoundResampler:
    """Sound of one camera, for one encoder; a camera may change what it sends in mid-stream.

    Args:
        encoder: a codec context that is open.
    """

    def __init__(self, encoder: Any):
        self._wanted = encoder.format, encoder.layout, encoder.sample_rate, encoder.frame_size or None
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[object, ...] = ()

    def parts(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """Yield what can be encoded by now."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or kind != self._kind:
            self._kind, self._resampler = kind, av.AudioResampler(*self._wanted)
        yield from self._resampler.resample(frame)
