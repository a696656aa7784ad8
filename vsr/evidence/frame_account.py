"""An account of a camera's frames: which became pictures of the enhanced stream, and what stood in."""

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from vsr.live import FrameNote

_TICK = Fraction(1, 90_000)
"""Seconds; of cameras' times."""


class FrameAccount:
    """Accounts for frames that were decoded, in order. Pure.

    A frame is accounted for when it, or one after it, is shown; until then it is under way.
    """

    def __init__(self) -> None:
        self._under_way: deque[FrameNote] = deque()
        self._last = -1
        self._begin()

    def _begin(self) -> None:
        self._first = -1
        self._shown = 0
        self._left_out: list[list[Any]] = []
        self._stood_in: list[list[int]] = []

    def add(self, notes: Iterable[FrameNote]) -> None:
        """Take in what was noted, in order."""
        for note in notes:
            if note.what == "decoded":
                self._under_way.append(note)
            elif note.what == "shown":
                self._show(note.pts)
            else:
                self._stand_in()

    def _show(self, pts: int) -> None:
        while self._under_way and self._under_way[0].pts <= pts:
            note = self._under_way.popleft()
            if note.pts == pts:
                self._shown += 1
            else:
                self._leave_out(note)
            self._first = note.number if self._first < 0 else self._first
            self._last = note.number

    def _leave_out(self, note: FrameNote) -> None:
        if self._left_out and self._left_out[-1][1] == note.number - 1:
            self._left_out[-1][1] = note.number
        else:
            self._left_out.append([note.number, note.number, f"{float(note.pts * _TICK):.3f}"])

    def _stand_in(self) -> None:
        if self._stood_in and self._stood_in[-1][0] == self._last:
            self._stood_in[-1][1] += 1
        else:
            self._stood_in.append([self._last, 1])

    def close(self) -> None:
        """Count what is under way as left out: nothing is shown any more."""
        for note in self._under_way:
            self._leave_out(note)
            self._first = note.number if self._first < 0 else self._first
            self._last = note.number
        self._under_way.clear()

    def told(self) -> dict[str, Any]:
        """Return what is accounted for since the last call, and begin anew; empty where nothing is.

        Returns:
            `frames`, the first and the last one; how many were `shown`; those `left_out`, as first, last, and time of
            the first by the camera in seconds; what `stood_in`, as the frame that was shown once more, and how often.
            Frames are counted from 0 since the camera was begun.
        """
        if self._first < 0 and not self._stood_in:
            return {}
        told: dict[str, Any] = {
            "frames": [self._first, self._last] if self._first >= 0 else [],
            "shown": self._shown,
        }
        told |= {"left_out": self._left_out, "stood_in": self._stood_in}
        self._begin()
        return told
