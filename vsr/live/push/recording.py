"""Recording in segments by wall clock. Runs in an output's process.

A segment is written as NAME.part and renamed when it is complete. Matroska, because it holds every codec of
pictures that cameras send, and their sound, A-law and the like decoded; and because it stays readable up to
the last second when the machine loses power.
"""

import contextlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
from av.error import FFmpegError

from vsr.live.packets import VIDEO, Message
from vsr.live.push.muxer import Muxer
from vsr.live.push.order import PushOrder

ORIGINAL = "-original"
"""What the names of originals end with, before the extension."""

_LOOK_S = 1.0
"""How often the free space is looked at."""
_REORDER_S = 0.7
"""Steps back beyond this begin a new segment: nothing would be written for as long as times are repeated."""
_CLUSTER_MS = "1000"
"""What a loss of power may cost."""


class Recording:
    """Writes segments of one stream into a folder, and deletes old ones.

    Args:
        order: its folder is made where it is missing. Segments begin at multiples of their length on the
            clock, at the first keyframe, and are called `NAME-20250131-235900SUFFIX.mkv` by local time.
        streams: descriptions, video first.
        say: is told of pauses.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, order: PushOrder, streams: Sequence[Message], *, say: Callable[[str], None]):
        self.notes: list[str] = []
        self._order, self._streams, self._say = order, streams, say
        self._folder = self._path = order.folder
        self._muxer: Muxer | None = None
        self._slot, self._looked_s, self._paused = 0, 0.0, ""
        self._last_s: float | None = None
        self._folder.mkdir(parents=True, exist_ok=True)
        finish_parts(order)
        self._delete_old()

    def mux(self, message: Message) -> None:
        """Write one packet, where there is room."""
        now = time.time()
        try:
            if message.stream == VIDEO:
                self._look(now)
                self._turn(message, now)
            if self._muxer is not None:
                self._muxer.mux(message)
        except OSError as error:
            self._pause(f"{self._folder} cannot be written to: {error.strerror}")

    def _turn(self, message: Message, now: float) -> None:
        """Begin a segment where it is time."""
        # Presentation times go back and forth within a group of pictures, by less than a second.
        pts_s = float(message.pts * message.time_base)
        repeats = self._last_s is not None and pts_s < self._last_s - _REORDER_S
        self._last_s = pts_s
        if repeats:
            self._end()
        slot = int(now // self._order.output.segment_length_s)
        if message.keyframe and not self._paused and (self._muxer is None or slot != self._slot):
            self._end()
            self._begin(now)
            self._slot = slot

    def _begin(self, now: float) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        counts = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
        names = (f"{self._order.name}-{stamp}{count}{self._order.suffix}.mkv" for count in counts)
        path = next(
            p for n in names if not (p := self._folder / n).exists() and not Path(f"{p}.part").exists()
        )
        self._path = Path(f"{path}.part")
        options = {"cluster_time_limit": _CLUSTER_MS, "max_interleave_delta": "500000", "flush_packets": "1"}
        self._muxer = Muxer(
            str(self._path), format="matroska", streams=self._streams, options=options, spare="pcm_s16le"
        )
        if self._muxer.notes and not self.notes:
            self.notes = list(self._muxer.notes)
            for note in self.notes:
                self._say(f"note: {note}")

    def _end(self) -> None:
        """Finish the segment and rename it."""
        muxer, self._muxer = self._muxer, None
        if muxer is None:
            return
        with contextlib.suppress(FFmpegError, OSError):  # a full disk: what is there plays without its index
            muxer.close()
        if muxer.empty:
            self._path.unlink(missing_ok=True)
        else:
            _rename(self._path)
        self._delete_old()

    def _look(self, now: float) -> None:
        """Pause or go on by what the disk has free."""
        if now - self._looked_s < _LOOK_S:
            return
        self._looked_s = now
        self._folder.mkdir(parents=True, exist_ok=True)
        min_free_gb = self._order.output.min_free_gb
        if self._free() < min_free_gb * 1e9:
            self._delete_old()
        free = self._free()
        if free < min_free_gb * 1e9:
            self._pause(
                f"the disk of {self._folder} has {free / 1e9:.2f} GB free, {min_free_gb:.2f} are kept"
            )
        elif self._paused:
            self._paused = ""
            self._say("recording goes on")

    def _free(self) -> int:
        return shutil.disk_usage(self._folder).free

    def _pause(self, reason: str) -> None:
        self._end()
        if not self._paused:
            self._say(f"paused: {reason}")
        self._paused = reason

    def _delete_old(self) -> None:
        """Delete finished segments beyond their age, then the oldest beyond the size."""
        total, now, keep = 0, time.time(), self._order.output
        for path in sorted(_files(self._order, ".mkv"), reverse=True):
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                total += facts.st_size
                too_old = keep.keep_hours and now - facts.st_mtime > keep.keep_hours * 3600
                if too_old or (keep.keep_gb and total > keep.keep_gb * 1e9):
                    path.unlink()

    def close(self) -> None:
        self._end()


def finish_parts(order: PushOrder) -> None:
    """Make segments of what a process has left behind that was killed; what holds no picture is deleted."""
    for left in _files(order, ".mkv.part") if order.folder.is_dir() else []:
        if _plays(left):
            _rename(left)
        else:
            left.unlink(missing_ok=True)


def _files(order: PushOrder, ending: str) -> list[Path]:
    """Files of one recording alone: others may share the folder."""
    name = _name_of(order.name, re.escape(order.suffix + ending))
    return [path for path in order.folder.iterdir() if name.fullmatch(path.name)]


def recorded_names(folder: Path, camera: str) -> set[str]:
    """The names of a camera's recorded files, of originals and of enhanced ones; those being written end in `.part`.

    Raises:
        OSError: the folder cannot be read.
    """
    name = _name_of(camera, rf"({ORIGINAL})?\.mkv(\.part)?")
    return set(filter(name.fullmatch, os.listdir(folder)))


def _name_of(camera: str, ending: str) -> re.Pattern[str]:
    return re.compile(re.escape(camera) + r"-\d{8}-\d{6}(_\d+)?" + ending)


def _rename(path: Path) -> None:
    """Take `.part` off a file's name."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_suffix(""))


def _plays(path: Path) -> bool:
    """Say whether a file that was never finished holds a picture."""
    try:
        with av.open(str(path)) as container:
            return any(True for _ in container.decode(video=0))
    except (FFmpegError, IndexError):
        return False
