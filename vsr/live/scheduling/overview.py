"""What all cameras and the engine are doing, made by the loop and read by any thread."""

import time
from dataclasses import dataclass, field
from typing import Literal

from vsr.live.cameras.status import CameraStatus
from vsr.live.scheduling.engines import Look


@dataclass(frozen=True)
class ChannelOverview:
    """One camera, from its arrival to its encoder."""

    number: int
    name: str
    camera: CameraStatus
    fps_in: float
    """Frames decoded a second, lately."""
    fps_out: float
    """Enhanced frames handed to the sink a second, lately."""
    latency_p50_s: float
    """From a frame's arrival to the encoder's input, lately."""
    latency_p95_s: float
    arrived: int
    """Frames decoded."""
    delivered: int
    """Enhanced frames handed to the sink."""
    dropped: int
    """Frames that a newer one took the place of, because there was no time."""
    bursts: int
    """Those of them that came at once with newer ones, as after a pause of the network: the engine is not to blame."""
    thinned: int
    """Frames left out because the level enhances only every so many."""
    failed: int
    """Frames lost to errors of the engine or of the sink."""
    away_s: float
    """Seconds since the last frame, once that is long; 0 while frames come."""
    last_error: str
    """Of the camera's thread or of the sink; without secrets."""
    unwatched: int = 0
    """Frames that were not enhanced because nobody watched."""
    idle: bool = False
    """Nobody watches what is served on demand: frames are decoded, and not enhanced."""
    network: str = ""
    """Name of what enhances it."""
    look: Look | Literal[""] = ""
    """What its pictures were found to look like, where that has decided which network it is."""

    @property
    def found(self) -> str:
        """What was found of its pictures, in words with figures; empty before the first look."""
        return self.camera.verdict.why if self.camera.verdict else ""


@dataclass(frozen=True)
class Overview:
    """Everything at one moment."""

    level: str = ""
    reason: str = ""
    """Why this level."""
    num_changes: int = 0
    """Of the level, so far."""
    busy: float = 0.0
    """Part of the time that the engine worked, lately."""
    batch: float = 0.0
    """Frames in a round, lately."""
    channels: tuple[ChannelOverview, ...] = ()
    made_s: float = field(default_factory=time.monotonic)
    """When, by `time.monotonic()`."""


class SharedOverview:
    """Holds the newest overview; each one is put in the place of the one before."""

    def __init__(self) -> None:
        self.overview = Overview()
