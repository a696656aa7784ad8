"""The first step of writing: frames go through a pipe to an FFmpeg child,
which writes video into an intermediate.

What goes through the pipe (`RawPipe`) has no negative times, so times are sent relative to the first frame;
`Encoded` keeps the true ones, and the join puts them back. The intermediate is NUT too: unlike Matroska it does
not round, unlike mp4 it holds every codec.
"""

import errno
import os
import subprocess
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vsr.errors import SinkError
from vsr.frames import Frame, PictureFormat
from vsr.media.ffmpeg import QUIET, Child, command_line, first_error_line, frozen_line, local
from vsr.media.writing.encoders import EncoderChoice
from vsr.media.writing.raw_pipe import RawPipe
from vsr.pulse import beat

_DEATH_S = 5.0
"""How long a child that has closed its end of the pipe may take to end before it is killed."""


@dataclass(frozen=True)
class Encoded:
    """A finished intermediate and the true times of its frames."""

    path: Path
    pts: "array[int]"
    """Presentation time of every frame, in order, in `time_base`."""
    durations: "array[int]"
    """Ticks that every frame is shown for, at least 1."""
    time_base: Fraction
    stream: int = 0
    """Which of the video streams in the file is meant."""


def constant_rate(parts: Sequence[Encoded]) -> Fraction:
    """Return the frame rate where every frame is shown equally long, else 0: players must not assume one."""
    lengths = {duration for part in parts for duration in part.durations[:-1]} or set(parts[0].durations)
    return 1 / (lengths.pop() * parts[0].time_base) if len(lengths) == 1 else Fraction(0)


class VideoEncoder:
    """Feeds frames to an FFmpeg child that encodes them into `path`: a stream for each choice.

    Use it from one thread; end it with `finish` or `abort`. `abort` is harmless at any time.
    """

    def __init__(
        self,
        path: Path,
        *,
        choices: Sequence[EncoderChoice],
        format: PictureFormat,
        time_base: Fraction,
        into: tuple[str, int] | None = None,
        rate: Fraction | None = None,
    ):
        """Start the child.

        Args:
            path: the intermediate file.
            choices: an encoder for each stream.
            format: of the frames to come.
            time_base: of their times.
            into: a muxer of FFmpeg's and the descriptor that it writes to, instead of the file.
            rate: frames a second that FFmpeg is told.
        """
        self._path, self._choices, self._format, self._time_base = path, choices, format, time_base
        self._pts, self._durations = array("q"), array("q")
        read_end, write_end = os.pipe()
        try:
            self._child = Child(
                _command(path, choices, time_base, into[0] if into else None),
                stdin=read_end,
                stdout=into[1] if into else subprocess.DEVNULL,
            )
        except BaseException:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
        try:
            self._pipe = RawPipe(write_end, format=format, time_base=time_base, rate=rate)
        except BaseException:
            self._child.kill()
            raise

    @property
    def pid(self) -> int:
        """Process number of the FFmpeg child."""
        return self._child.pid

    @property
    def num_frames(self) -> int:
        return len(self._pts)

    def write(self, frame: Frame) -> None:
        """Hand over one frame; blocks while FFmpeg is busy.

        Raises:
            SinkError: FFmpeg has ended, the frame has another format, or it is not later than the one before.
        """
        self._check(frame)
        pts = int(frame.pts * frame.time_base / self._time_base)
        try:
            with self._child.waited_for():
                self._pipe.write(frame.planes, pts - (self._pts[0] if self._pts else pts))
        except OSError as error:
            raise self._death() from error
        beat()
        self._pts.append(pts)
        self._durations.append(int(frame.duration * frame.time_base / self._time_base))

    def _check(self, frame: Frame) -> None:
        expected, given = self._format, frame.format
        same = ("height", "width", "bit_depth", "layout", "alpha")
        wrong = [name for name in same if getattr(expected, name) != getattr(given, name)]
        if wrong:
            differences = ", ".join(
                f"{name} {getattr(given, name)} instead of {getattr(expected, name)}" for name in wrong
            )
            raise SinkError(f"frame at pts {frame.pts} does not fit the output: {differences}")
        ticks = frame.pts * frame.time_base / self._time_base
        if ticks.denominator != 1:
            raise SinkError(
                f"pts {frame.pts} in {frame.time_base} s has no exact time in ticks of {self._time_base} s"
            )
        if self._pts and ticks <= self._pts[-1]:
            raise SinkError(f"frame at pts {ticks} does not come after the one before it at {self._pts[-1]}")

    def close(self) -> None:
        """Say that no more frames come; FFmpeg flushes on its own, and `finish` must still be called."""
        self._pipe.close()

    @property
    def has_ended(self) -> bool:
        """Whether FFmpeg has ended, so that `finish` does not wait."""
        return self._child.has_ended

    def finish(self) -> Encoded:
        """Flush FFmpeg, wait for its end and check its exit code.

        Raises:
            SinkError: it failed, or there was no frame.
        """
        if not self._pts:
            self.abort()
            raise SinkError("no frame was written, so there is nothing to encode")
        self.close()
        try:
            code = self._child.wait()
        except BaseException:
            self._child.kill()
            raise
        # FFmpeg ends with 0 where only the trailer did not fit on the disk.
        if code != 0 or _DISK_FULL in self._child.log:
            raise self._error(code)
        _fill_durations(self._pts, self._durations)
        return Encoded(self._path, self._pts, self._durations, self._time_base)

    def abort(self) -> None:
        """End the child at once. Its intermediate is left to whoever named it."""
        self._child.kill()
        self._pipe.close()

    def _death(self) -> SinkError:
        """Explain why the pipe broke, once the child's exit code and last words are known."""
        try:
            code = self._child.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            code = self._child.kill()
        self._pipe.close()
        return self._error(code)

    def _error(self, code: int) -> SinkError:
        log = self._child.log
        reason = first_error_line(log) if log else "it said nothing"  # what follows is the consequence
        after = f"after {self.num_frames} frames"
        encoders = " and ".join(choice.encoder for choice in self._choices)
        if _DISK_FULL in log:
            message = f"the disk is full: {self._path.parent} has no space left ({after})"
        elif self._child.was_frozen:
            message = f"{frozen_line()} ({encoders}, {after})"
        elif code < 0:
            message = f"FFmpeg ({encoders}) was killed by signal {-code} {after}"
        else:
            message = f"FFmpeg ({encoders}) ended with exit code {code} {after}: {reason}"
        return SinkError(message, exit_code=code, log=log)


_DISK_FULL = "No space left on device"


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room to write, whoever met it: FFmpeg, a muxer, or we ourselves."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if isinstance(error, SinkError) and (_DISK_FULL in error.log or _DISK_FULL in str(error)):
        return True
    return error.__cause__ is not None and is_disk_full(error.__cause__)


def _fill_durations(pts: "array[int]", durations: "array[int]") -> None:
    """Replace unknown durations: until the next frame, and for the last one as long as the one before it."""
    for i in range(len(pts) - 1):
        durations[i] = pts[i + 1] - pts[i]
    if durations[-1] <= 0:
        durations[-1] = durations[-2] if len(durations) > 1 else 1


def _command(
    path: Path, choices: Sequence[EncoderChoice], time_base: Fraction, muxer: str | None
) -> list[str]:
    options: dict[str, str | int | None] = {
        "f": muxer or "nut",
        "fps_mode": "passthrough",
        # Written out, because `-1` (5.1) and `demux` (since 6.1) are each refused by the other.
        "enc_time_base": f"{time_base.numerator}/{time_base.denominator}",
        # Streams come out of their encoders at different times, and NUT wants them in order.
        "max_interleave_delta": 0,
    }
    for index, choice in enumerate(choices):
        own = {"filter": ",".join(choice.filters), **dict(choice.arguments)}
        options |= {f"{name.removesuffix(':v')}:v:{index}": value for name, value in own.items()}
    target = "pipe:1" if muxer else local(path)
    # copyts: a gap of hours between two frames is data, not a discontinuity to repair.
    return command_line(
        ("pipe:0", {"f": "nut"}),
        (target, options),
        maps=["0:v"] * len(choices),
        flags=(*QUIET, "-copyts"),
    )
