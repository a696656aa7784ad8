"""Outputs that take pictures and not packets: a JPEG that is always the latest, and a function of the user's.

Each works in a thread of its own; of frames that come while it is busy the newest wins.
"""

import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import cv2

from vsr.durable import write_whole
from vsr.errors import redact
from vsr.frames import Frame
from vsr.live.newest_wins import DroppingWorker
from vsr.live.outputs.live_output import OutputState, OutputStatus
from vsr.live.target_options import OutputOptions
from vsr.quality import to_rgb

_QUALITY = 90


class Snapshots:
    """Brings frames to a function. One that raises is called again with the next
    frame; the error shows in `status`.

    Args:
        function: takes a frame; may block.
        kind, target: for the status.
        every_s: seconds between calls, at least.
    """

    def __init__(self, function: Callable[[Frame], None], *, kind: str, target: str, every_s: float = 0.0):
        self._function, self._kind, self._target, self._every_s = function, kind, target, every_s
        self._next_s = 0.0
        self._state: OutputState = "waiting"
        self._errors, self._note = 0, ""
        self._worker: DroppingWorker[Frame] = DroppingWorker(self._call, name=f"vsr-out-{kind}")

    def put(self, frame: Frame) -> None:
        """Hand over a frame; never waits."""
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + self._every_s
            self._worker.put(frame)

    def _call(self, frame: Frame) -> None:
        try:
            self._function(frame)
            self._state = "running"
        except Exception as error:  # whatever the user's function does, the stream goes on
            self._errors += 1
            self._state, self._note = "restarting", redact(f"{type(error).__name__}: {error}")

    @property
    def status(self) -> OutputStatus:
        """How it does; `restarts` counts the calls that failed."""
        return OutputStatus(
            self._kind,
            self._target,
            self._state,
            self._errors,
            dropped=self._worker.dropped,
            note=self._note,
        )

    def close(self, timeout_s: float = 2.0) -> None:
        """Wait for the call under way. One that does not return is left behind."""
        try:
            self._worker.close(timeout_s)
        except FutureTimeout:
            self._note = f"the function did not return within {timeout_s:g} s"
        self._state = "closed"


def snapshot(options: OutputOptions) -> Snapshots:
    """Make a JPEG that is replaced as a whole every `every_s` seconds."""
    path = Path(options.target)

    def write(frame: Frame) -> None:
        done, data = cv2.imencode(".jpg", to_rgb(frame)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert done, "OpenCV writes JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data.tobytes(), synced=False)

    return Snapshots(write, kind="snapshot", target=str(path), every_s=options.every_s)
