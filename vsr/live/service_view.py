"""What is to be seen of a service at one moment: of its cameras, their outputs and their viewers."""

import time
from dataclasses import dataclass, field

from vsr.live.outputs.live_sink import SinkStatus
from vsr.live.scheduling.overview import ChannelOverview, Overview

_STALE_S = 10.0
"""The loop shows how it goes twice a second; silent for so long, it hangs."""


@dataclass(frozen=True)
class CameraView:
    """A camera with its outputs."""

    facts: ChannelOverview
    sink: SinkStatus
    viewers: dict[str, int] = field(default_factory=dict[str, int])
    """How many watch it, by view."""

    @property
    def dropped(self) -> int:
        """Frames that there was no time for, before the engine and before the encoder."""
        return self.facts.dropped + self.sink.dropped

    @property
    def bitrate_kbps(self) -> float:
        """Of all its outputs together."""
        return sum(output.bitrate_kbps for output in self.sink.outputs)


@dataclass(frozen=True)
class LiveView:
    """Everything there is to show at one moment."""

    overview: Overview = field(default_factory=Overview)
    cameras: tuple[CameraView, ...] = ()

    @property
    def playing(self) -> int:
        """Cameras that play."""
        return sum(camera.facts.camera.state == "playing" for camera in self.cameras)

    @property
    def hangs(self) -> bool:
        """The loop has not been heard of for long."""
        return time.monotonic() - self.overview.made_s > _STALE_S
