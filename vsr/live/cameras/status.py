"""What a camera is doing, written by its thread and read by any other."""

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vsr.live.cameras.picture_watch import PictureState
from vsr.models import Verdict

CameraState = Literal["connecting", "playing", "stalled", "away", "refused", "stopped"]


@dataclass(frozen=True)
class CameraStatus:
    """A camera at one moment."""

    state: CameraState = "connecting"
    since: float = field(default_factory=time.monotonic)
    """When the state began, by `time.monotonic()`."""
    reconnects: int = 0
    """Sessions that played, after the first."""
    decoded: int = 0
    """Pictures delivered, for the camera's whole life."""
    corrupt: int = 0
    """Packets and pictures that were damaged."""
    lost: int = 0
    """Frames that never came, as gaps in the camera's own times tell; what follows
    may be smeared up to a key frame."""
    last_error: str = ""
    """Why the last session or attempt ended; without secrets."""
    height: int = 0
    width: int = 0
    rate: float = 0.0
    """Frames a second by the camera's own times; 0 while unknown."""
    verdict: Verdict | None = None
    """What its pictures look like; None before the first look."""
    picture: PictureState = "good"
    """What it shows."""
    next_s: float = float("inf")
    """When the next picture is overdue, by `time.monotonic()`."""


class SharedStatus:
    """Holds the status; each change puts a new value in its place."""

    def __init__(self) -> None:
        self._status = CameraStatus()

    @property
    def status(self) -> CameraStatus:
        """The status now: a camera has stalled when a picture is overdue, while its thread may still wait for it."""
        status = self._status
        if status.state == "playing" and time.monotonic() > status.next_s:
            return replace(status, state="stalled", since=status.next_s)
        return status

    def change(self, **changes: Any) -> None:
        """Change fields of the status; a new state also begins now."""
        status = self.status
        if changes.get("state", status.state) != status.state:
            changes["since"] = time.monotonic()
        self._status = replace(status, **changes)
