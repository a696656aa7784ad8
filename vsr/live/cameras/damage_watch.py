"""How damaged a camera's pictures are, and so which network they want: looked at once a minute, and told so that the
enhanced picture neither flickers nor goes to and fro between two networks.

Runs in the camera's thread.
"""

from statistics import mean

import av

from vsr.frames import Frame, Plane
from vsr.media import quantiser_of
from vsr.models import Damage, Verdict
from vsr.quality import (
    Coding,
    compression_of,
    damage_words,
    look_at_pictures,
    luma_codes,
    realness,
    told_damage,
)

_RUN = 3
"""Consecutive pictures of a look."""

_PAUSES_S = (5.0, 20.0, 60.0)
"""Before the second look, the third, each that follows: exposure is found in seconds, night falls slowly."""

_SHARE = 0.4
"""Of what is remembered, what a new look replaces."""

_NOISE_STEP, _COMPRESSION_STEP = 1.0, 0.06
"""What has been told stays for less; noise for less than a sixth of it, too."""

_CLEAN_AGAIN = 0.8
"""Realness below which a camera that was real counts as clean."""


class DamageWatch:
    """Looks at one camera's pictures.

    Args:
        codec: FFmpeg's name of what the camera sends.
        told: what was told of the camera before.
    """

    def __init__(self, codec: str, told: Verdict | None = None):
        self.told = told
        """What the pictures look like: its words and figures are those of the last look, its damage and whether it is
        real move slowly. None before the first look."""
        self._codec = codec
        self._remembered = told and told.damage
        self._realness: float | None = None
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
            self._look(key_bits / pixels if key_bits else None)
            self._lumas, self._quantisers = [], []
            self._due_s = now + _PAUSES_S[min(self._num_looks, len(_PAUSES_S) - 1)]
            self._num_looks += 1

    def _look(self, key_bits: float | None) -> None:
        """Come nearer to what is there now, and tell of it."""
        coding = Coding(self._codec, mean(self._quantisers) if self._quantisers else None, key_bits)
        look = look_at_pictures([self._lumas])
        compression = compression_of(coding, look)
        self.told = Verdict(
            self._is_real(realness(coding, look, compression)),
            damage_words(coding, look, compression),
            self._damage(told_damage(look, compression)),
        )

    def _is_real(self, now: float) -> bool:
        """What was real stays so until it is clearly clean."""
        self._realness = _nearer(now if self._realness is None else self._realness, now)
        return self._realness > (_CLEAN_AGAIN if self.told is not None and self.told.is_real else 1.0)

    def _damage(self, now: Damage) -> Damage:
        """What was told stays until what is remembered is far enough from it."""
        before = self._remembered or now
        self._remembered = found = Damage(
            _nearer(before.noise, now.noise), _nearer(before.compression, now.compression)
        )
        told = self.told and self.told.damage
        if (
            told is None
            or abs(found.noise - told.noise) > max(_NOISE_STEP, told.noise / 6)
            or abs(found.compression - told.compression) > _COMPRESSION_STEP
        ):
            return Damage(round(found.noise, 1), round(found.compression, 2))
        return told


def _nearer(before: float, now: float) -> float:
    return before + _SHARE * (now - before)
