"""A region as a camera of its own, that sees a part of another camera's frames: one decode for all.

Never connects or decodes; what the camera does, the region does.
"""

import logging
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from queue import Empty, SimpleQueue

from vsr.autocrop import Rectangle, cut
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.camera import Camera
from vsr.live.cameras.status import CameraStatus
from vsr.live.region_options import RegionOptions

log = logging.getLogger("vsr.live")

_LOOK_S = 0.25
"""How soon `stop` is seen."""


class RegionCamera:
    """A part of a camera's picture.

    Args:
        camera: whose frames it sees; it is played by somebody else.
        region: which part.
        number: its `Frame.stream`.
    """

    def __init__(self, camera: Camera, region: RegionOptions, number: int):
        self._camera, self._region, self.number = camera, region, number
        self._name = f"{camera.options.name}-{region.name}"
        self._format: PictureFormat | None = None
        self._rectangle: Rectangle | None = None
        self._refusal, self._refused_s = "", 0.0
        self._decoded = 0

    @property
    def status(self) -> CameraStatus:
        """What the camera is doing; refused while the region does not lie within its picture. From any thread."""
        status, rectangle = self._camera.status, self._rectangle
        if status.state == "playing" and self._refusal:
            status = replace(status, state="refused", last_error=self._refusal, since=self._refused_s)
        height, width = (rectangle.height, rectangle.width) if rectangle else (0, 0)
        return replace(status, decoded=self._decoded, height=height, width=width)

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Yield the region of each frame of the camera until `stop` is set; ends within a second of that.

        A `reset` is also the first frame, and that of a picture of another format. To be run in one thread.
        """
        whole: SimpleQueue[Frame] = SimpleQueue()
        self._format = None
        self._camera.watchers[self.number] = whole.put
        try:
            while not stop.is_set():
                try:
                    frame = whole.get(timeout=_LOOK_S)
                except Empty:
                    continue
                region = self._seen(frame)
                if region is not None:
                    self._decoded += 1
                    yield region
        finally:
            self._camera.watchers.pop(self.number, None)

    def _seen(self, frame: Frame) -> Frame | None:
        """Cut out the region; None where the picture does not hold it."""
        changed = frame.format != self._format
        if changed:
            self._format, self._rectangle = frame.format, self._find(frame.format)
        if self._rectangle is None:
            return None
        return replace(cut(frame, self._rectangle), stream=self.number, reset=frame.reset or changed)

    def _find(self, format: PictureFormat) -> Rectangle | None:
        """Where the region is in pictures of a format; says what is odd about it."""
        try:
            rectangle = self._region.within(format)
        except ConfigError as error:
            self._refusal, self._refused_s = str(error), time.monotonic()
            return None
        self._refusal = ""
        if not self._region.is_exact(rectangle):
            extra = {"event": "note", "camera": self._name}
            log.info("%s is rounded to even: %s", self._region, rectangle, extra=extra)
        return rectangle
