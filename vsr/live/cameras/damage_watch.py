"""How damaged a camera's pictures are: looked at once a minute, and told so that the enhanced picture does not flicker.

Runs in the camera's thread.
"""

from statistics import mean

import av

from vsr.frames import Frame, Plane
from vsr.media import quantiser_of
from vsr.models import Damage
from vsr.quality import Coding, compression_of, look_at_pictures, luma_codes, told_damage

_RUN = 3
"""Consecutive pictures of a look."""

_PAUSES_S = (5.0, 20.0, 60.0)
"""Before the second look, the third, each that follows: exposure is found in seconds, night falls slowly."""

_SHARE = 0.4
"""Of what is remembered, what a new look replaces."""

_NOISE_STEP, _COMPRESSION_STEP = 1.0, 0.06
"""What has been told stays for less; noise for less than a sixth of it, too."""


class DamageWatch:
    """Looks at one camera's pictures.

    Args:
        codec: FFmpeg's name of what the camera sends.
        told: what was told of the camera before.
    """

    def __init__(self, codec: str, told: Damage | None = None):
        self.told = told
        """What networks are told; None before the first look."""
        self._codec = codec
        self._remembered = told
        self._lumas: list[Plane] = []
        self._quantisers: list[float] = []
        self._num_looks, self._due_s = 0, 0.0

    def see(self, frame: Frame, picture: av.VideoFrame, *, key_bits: int | None, now: float) -> None:
        """Take the next frame.

        Args:
            frame: what is looked at.
            picture: the same as it was decoded; tells its quantiser where the decoder was opened with `EXPORT`.
            key_bits: of the camera's last key frame, where one was met.
            now: `time.monotonic()`.
        """
        if now < self._due_s:
            return
        if frame.reset:
            self._lumas, self._quantisers = [], []
        self._lumas.append(luma_codes(frame))
        if (quantiser := quantiser_of(picture, frame.format.bit_depth)) is not None:
            self._quantisers.append(quantiser)
        if len(self._lumas) == _RUN:
            pixels = frame.format.height * frame.format.width
            self._remember(self._measured(key_bits / pixels if key_bits else None))
            self._lumas, self._quantisers = [], []
            self._due_s = now + _PAUSES_S[min(self._num_looks, len(_PAUSES_S) - 1)]
            self._num_looks += 1

    def _measured(self, key_bits: float | None) -> Damage:
        quantiser = mean(self._quantisers) if self._quantisers else None
        look = look_at_pictures([self._lumas])
        return told_damage(look, compression_of(Coding(self._codec, quantiser, key_bits), look))

    def _remember(self, now: Damage) -> None:
        """Come nearer to what is there now, and tell of it once it is far enough from what has been told."""
        before = self._remembered or now
        self._remembered = Damage(
            before.noise + _SHARE * (now.noise - before.noise),
            before.compression + _SHARE * (now.compression - before.compression),
        )
        told, found = self.told, self._remembered
        if (
            told is None
            or abs(found.noise - told.noise) > max(_NOISE_STEP, told.noise / 6)
            or abs(found.compression - told.compression) > _COMPRESSION_STEP
        ):
            self.told = Damage(round(found.noise, 1), round(found.compression, 2))
