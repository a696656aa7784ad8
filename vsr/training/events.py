"""TensorBoard's event files, by tensorboardX where that is installed.

Not by PyTorch's own writer, which wants the whole viewer with gRPC (50 MB) beside it, and not by tensorboardX's
`SummaryWriter`, which keeps a thread and a queue: records are written when they are made.
"""

import importlib
import importlib.util
import os
import time
from pathlib import Path
from typing import Any


def why_no_events() -> str:
    """A line for the user, how TensorBoard's events are had; empty where they are written."""
    if importlib.util.find_spec("tensorboardX"):
        return ""
    return "TensorBoard's events are not written, for want of tensorboardX (pip install 'vsr[train]')"


class EventFile:
    """One event file; TensorBoard reads all those of a folder together. Nothing where tensorboardX is missing."""

    def __init__(self, folder: Path, *, first: int):
        """Begin a file of a run that goes on with step `first`; what earlier files
        say of later steps is forgotten."""
        self._writer: Any = None
        if why_no_events():
            return
        self._messages: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self._summaries: Any = importlib.import_module("tensorboardX.proto.summary_pb2")
        writers: Any = importlib.import_module("tensorboardX.event_file_writer")
        # The name has whole seconds alone, and a run that is taken up within one must not write over it.
        suffix = f".{time.time_ns()}.{os.getpid()}"
        self._writer = writers.EventsWriter(str(folder / "events"), suffix)
        starts = self._messages.SessionLog(status=self._messages.SessionLog.START)
        self._write(first + 1, session_log=starts)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Write numbers by name."""
        self._summarise(step, *({"tag": name, "simple_value": value} for name, value in values.items()))

    def picture(self, step: int, name: str, png: bytes, size: tuple[int, int]) -> None:
        """Write a PNG file's content of height and width `size`."""
        image = {"height": size[0], "width": size[1], "colorspace": 3, "encoded_image_string": png}
        self._summarise(step, {"tag": name, "image": image})

    def _summarise(self, step: int, *values: dict[str, Any]) -> None:
        if self._writer is not None:
            self._write(step, summary=self._summaries.Summary(value=values))

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(self._messages.Event(wall_time=time.time(), step=step, **content))
        self._writer.flush()
