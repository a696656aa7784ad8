"""Where packets belong on a camera's timeline: sound, which a camera dates by reports that may be mad or missing, and
pictures as they came, each of which may have a mad time. Knows numbers only.
"""

from dataclasses import dataclass

from vsr.live.cameras.timestamps import TICKS, BestLately, CameraTimeline

_REPORTED = 1.0
"""Seconds between the arrival of sound and that of the pictures of its time, at most, where the camera reports it."""
_MUXED = 5.0
"""The same where both come in one container."""
_GUESSED = 0.3
"""The same where nothing is reported and sound belongs to the pictures that it arrives with."""
_MOVED = 0.06
"""A step that is longer than a packet and off the clock's by more seconds begins other times."""
_PACKET = 0.15
"""No packet of sound is longer, in seconds."""
_EARLY, _LATE = 1.5, 10.0
"""Seconds that a picture's packet may come before or after its time."""


@dataclass(frozen=True, slots=True)
class _Dated:
    """A packet of sound, and what was known of its time."""

    source: int
    reported: bool
    arrived_s: float

    def continues(self, last: "_Dated") -> bool:
        """Whether its time means what that of the packet before meant."""
        step, passed = self.source - last.source, (self.arrived_s - last.arrived_s) * TICKS
        leaps = not 0 <= step < _PACKET * TICKS and abs(step - passed) > _MOVED * TICKS
        return not leaps and self.reported == last.reported


class SoundClock:
    """Dates the sound of one session. What a camera says is believed within bounds; beyond, arrival counts.

    FFmpeg gives RTSP sound times from 0 until the camera's reports (RFC 3550, 6.4.1) say what they mean, and moves
    them then.

    Args:
        timeline: of the pictures.
        muxed: sound and pictures come in one container, and so with times that agree.
    """

    def __init__(self, timeline: CameraTimeline, *, muxed: bool):
        self._timeline, self._muxed = timeline, muxed
        self._offset = 0
        self._last: _Dated | None = None
        self._best = BestLately()

    def shift(self, source: int, *, reported: bool, shift: int, arrived_s: float) -> int:
        """Return what must be added to a packet's time, in ticks of 1/90000 s as all others.

        Args:
            source: the packet's own time.
            reported: by what the camera has reported.
            shift: of the pictures, as `CameraTimeline.shift`.
            arrived_s: by `time.monotonic()`.
        """
        now = _Dated(source, reported, arrived_s)
        if self._last is not None and not now.continues(self._last):
            self._best.clear()
        self._last = now
        # The best of both lately: what holds up a link holds up sound and pictures alike.
        late = self._timeline.at(self._best.add(arrived_s - source / TICKS, arrived_s)) - shift
        if abs(late) <= TICKS * (_MUXED if self._muxed else _REPORTED if reported else 0):
            self._offset = 0
        elif abs(late - self._offset) > _GUESSED * TICKS:
            self._offset = late
        return shift + self._offset


class PictureClock:
    """Dates the packets of pictures of one session: one with a mad time follows the one before it.

    Args:
        timeline: of the decoded pictures, which come after their packets.
    """

    def __init__(self, timeline: CameraTimeline):
        self._timeline = timeline
        self._last: int | None = None

    def shift(self, source: int, *, shift: int, arrived_s: float) -> int:
        """Return what must be added to a packet's time; arguments as those of `SoundClock.shift`."""
        early = source + shift - self._timeline.at(arrived_s)
        if self._last is not None and not -_LATE * TICKS < early < _EARLY * TICKS:
            shift = self._last + max(1, self._timeline.step) - source
        self._last = source + shift
        return shift
