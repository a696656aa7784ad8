"""Whether a camera shows anything: frozen, grey, black, covered or dark pictures, told by cheap statistics of their
luma, twice a second. Runs in the camera's thread.
"""

from typing import Literal

import numpy as np

from vsr.frames import Frame, Plane
from vsr.quality import luma_codes

PictureState = Literal["good", "frozen", "grey", "black", "covered", "dark"]

_LOOK_S = 0.5
_HOLD_S = 2.0
"""What is seen must last so long before it is told, and before it is over."""
_FLAT, _BARE = 3.0, 10.0
"""Standard deviations of luma, of 255: nothing but noise, and no more than the shades of what lies on the lens."""
_BLACK, _DARK = 12.0, 20.0
"""Mean lumas below which a flat picture is black, and any other far too dark."""
_GREY = (115.0, 145.0)
"""Mean lumas of what decoders put where nothing has come."""


class PictureWatch:
    """Judges one camera's pictures.

    Args:
        frozen_s: how long the very same picture may stay; 0 for ever.
        told: what was told of the camera before.
    """

    def __init__(self, frozen_s: float, told: PictureState = "good"):
        self.told: PictureState = told
        """What the camera shows."""
        self._frozen_s = frozen_s
        self._due_s = self._changed_s = self._since_s = 0.0
        self._last: Plane | None = None
        self._seen: PictureState = told

    def see(self, frame: Frame, now: float) -> None:
        """Take the next frame; `now` is `time.monotonic()`."""
        if now < self._due_s:
            return
        self._due_s = now + _LOOK_S
        luma = luma_codes(frame)
        if self._last is None or not np.array_equal(self._last, luma):
            self._last, self._changed_s = luma, now
        seen = what_shows(luma)
        if seen == "good" and self._frozen_s and now - self._changed_s >= self._frozen_s:
            seen = "frozen"
        if seen != self._seen:
            self._seen, self._since_s = seen, now
        if now - self._since_s >= _HOLD_S:
            self.told = seen


def what_shows(luma: Plane) -> PictureState:
    """Say what one picture shows by its luma, 0 to 255; `good` for everything that looks like one."""
    mean, spread = float(luma.mean()), float(luma.std())
    if spread < _FLAT and mean < _BLACK:
        return "black"
    if spread < _FLAT and _GREY[0] < mean < _GREY[1]:
        return "grey"
    if mean < _DARK:
        return "dark"
    return "covered" if spread < _BARE else "good"
