"""The picture that stands in while a camera is away: its last one, dimmed, with the time since."""

import time

from vsr.frames import Frame, PictureFormat
from vsr.quality import Label, black_frame, dim, draw_label

_STALE_S = 10.0
"""A picture that came so long before the camera went is not shown as its last: nobody has watched meanwhile."""


class StandIn:
    """What stands in for one camera.

    Args:
        name: the camera's.
        format: what is shown in black before the first picture; None shows nothing until then.
    """

    def __init__(self, name: str, format: PictureFormat | None):
        self._name = name
        self._last = black_frame(format) if format is not None else None
        self._dimmed: Frame | None = None

    def see(self, frame: Frame) -> None:
        """Take the camera's next picture."""
        self._last, self._dimmed = frame, None

    def picture(self, since_s: float) -> Frame | None:
        """Draw what is shown so many seconds after the camera went; None where there is nothing."""
        if self._last is None:
            return None
        if self._last.arrived_s and time.monotonic() - self._last.arrived_s > since_s + _STALE_S:
            self.see(black_frame(self._last.format))
        self._dimmed = self._dimmed or dim(self._last)
        return draw_label(self._dimmed, Label(f"{self._name}  no signal {_ago(since_s)}"))


def _ago(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
