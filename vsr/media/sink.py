"""Where frames go: `Sink`, its plain implementation in memory, and `FileSink`, which makes a finished video file.

`FileSink` ties the three steps together (encode, join, verify) and owns the temporary files between them: whatever
happens, only the finished file, or `NAME.unverified.EXT` of a file that failed its check, is left.
"""

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from vsr.config import EncodeOptions
from vsr.errors import ConfigError, SinkError, VerifyError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.encode import Encoded, VideoEncoder
from vsr.media.encoders import EncoderChoice, choose_encoder
from vsr.media.join import Joined, join
from vsr.media.verify import Verification, verify


class Sink(Protocol):
    """Takes frames in presentation order, between `__enter__` and `__exit__`, in one thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def write(self, frame: Frame) -> None:
        """Take one frame; may block."""
        ...


class MemorySink:
    """Keeps the frames it is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)


@dataclass(frozen=True)
class WriteReport:
    """What a `FileSink` made."""

    path: Path
    container: str
    """`mp4`, `mkv`, `mov` or `webm`."""
    encoder: str
    """FFmpeg's name."""
    why: str
    """Why this encoder, one line."""
    num_frames: int
    num_bytes: int
    copied: tuple[str, ...]
    """Streams that went along as they were."""
    converted: tuple[str, ...]
    """Streams that the container could not hold as they were, `NAME: FROM to TO`."""
    left_out: tuple[str, ...]
    """Streams that could not go along, `NAME: REASON`."""
    notes: tuple[str, ...]
    """Lines that the user should read once."""
    verification: Verification


CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".qt": "mov", ".mkv": "mkv", ".webm": "webm"}
_BY_DEMUXER = {"matroska,webm": "mkv", "mov,mp4,m4a,3gp,3g2,mj2": "mp4"}


def output_container(source: StreamInfo, options: EncodeOptions, path: str | Path | None = None) -> str:
    """Return the container to write: as asked, else by the output's name, else the input's own.

    Inputs in other containers (avi, flv, MPEG-TS, 3gp, ...) become mkv, which holds whatever they held.

    Raises:
        ConfigError: the output's name has an ending of no container that is written, or of another than the option.
    """
    if path is not None:
        named = CONTAINERS.get(Path(path).suffix.lower())
        if named is None and options.container == "auto":
            raise ConfigError(f"output name {str(path)!r} does not end in {', '.join(CONTAINERS)}; or give container")
        if named is not None and options.container not in ("auto", named):
            raise ConfigError(f"output name {str(path)!r} and container {options.container} do not go together")
        return named or options.container
    if options.container != "auto":
        return options.container
    own = CONTAINERS.get(Path(source.path).suffix.lower())
    by_content = _BY_DEMUXER.get(source.container)
    if own is None or by_content is None:
        return "mkv"
    same_family = {own, by_content} <= {"mp4", "mov"} or {own, by_content} <= {"mkv", "webm"}
    return own if same_family else by_content


@dataclass(frozen=True)
class Output:
    """A video file to be made of encoded parts and everything else that its source holds."""

    path: Path
    source: StreamInfo
    container: str
    """`mp4`, `mkv`, `mov` or `webm`."""
    choice: EncoderChoice
    trim: bool = False
    """The output begins at the first written frame, and the other streams are cut to the written span."""

    def check(self) -> None:
        """Raise SinkError where the output's folder is missing or has no UTF-8 name, or the output is the input."""
        folder = self.path.parent
        if not folder.is_dir():
            raise SinkError(f"folder {str(folder)!r} does not exist; create it, or name another output")
        if any("\udc80" <= letter <= "\udcff" for letter in os.path.abspath(folder)):
            raise SinkError(f"folder {str(folder)!r} has a name that is not UTF-8; name an output in another folder")
        if self.path.is_dir():
            raise SinkError(f"output {str(self.path)!r} is a folder; name a file in it")
        source = Path(self.source.path)
        if self.path.exists() and source.exists() and self.path.samefile(source):
            raise SinkError(f"output {str(self.path)!r} is the input itself; name another file")

    def complete(
        self, parts: Sequence[Encoded], folder: Path, *, before_rename: Callable[[Path], None] = lambda _: None
    ) -> WriteReport:
        """Join the parts in `folder`, on the output's own file system, verify the result and give it its name.

        Raises:
            VerifyError: the file differs from what was written; it stays as `NAME.unverified.EXT`.
            SinkError: joining failed.
        """
        finished, kept = folder / f"joined.{self.container}", self.choice.format
        joined = join(parts, self.source, finished, container=self.container, format=kept, trim=self.trim)
        checked = verify(finished, parts, joined, format=kept, rotation=self.source.rotation)
        if checked.differences:
            aside = self.path.with_name(f"{self.path.stem}.unverified{self.path.suffix}")
            _publish(finished, aside)
            raise VerifyError(f"{aside} differs from what was written: {'; '.join(checked.differences)}")
        num_bytes = finished.stat().st_size
        before_rename(finished)
        _publish(finished, self.path)
        return self._describe(joined, checked, num_bytes)

    def _describe(self, joined: Joined, checked: Verification, num_bytes: int) -> WriteReport:
        notes = [*self.choice.notes, *joined.notes]
        notes += [f"converted: {name}" for name in joined.converted] + [f"left out: {name}" for name in joined.left_out]
        later = checked.shift + max(Fraction(0), -joined.shift)
        if later and not self.trim:
            notes.append(f"all streams lie {float(later):.6f} s later: {self.container} has no negative times")
        return WriteReport(
            path=self.path, container=self.container, encoder=self.choice.encoder, why=self.choice.why,
            num_frames=checked.num_frames, num_bytes=num_bytes, copied=joined.copied, converted=joined.converted,
            left_out=joined.left_out, notes=tuple(notes), verification=checked,
        )  # fmt: skip


def _publish(finished: Path, target: Path) -> None:
    try:
        os.replace(finished, target)
    except OSError as error:
        raise SinkError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error


class FileSink:
    """Writes frames to a video file, together with everything else that `source` holds.

    `format` is that of the frames to come. With `trim`, the output begins at the first written frame and the other
    streams are cut to the written span. After a good end, `report` says what was made; before, it is None.
    Leaving the `with` block waits for the encoder; leaving it with an exception removes everything.
    """

    def __init__(
        self, path: str | Path, *, source: StreamInfo, format: PictureFormat, options: EncodeOptions,
        trim: bool = False, choice: EncoderChoice | None = None,
    ):  # fmt: skip
        self.path = Path(path)
        self.container = output_container(source, options, path)
        self.choice = choice or choose_encoder(options, format, self.container, source.mastering)
        self.report: WriteReport | None = None
        self._format = format
        self.output = Output(self.path, source, self.container, self.choice, trim)
        self._folder: Path | None = None
        self._encoder: VideoEncoder | None = None

    def __enter__(self) -> Self:
        """Start the encoder.

        Raises:
            SinkError: the output's folder is missing or cannot be written to, or the output is the input.
        """
        self.output.check()
        self._sweep()
        try:
            prefix = f"{self._part_prefix()}{os.getpid()}-"
            self._folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=self.path.parent))
        except OSError as error:
            reason = error.strerror or error
            raise SinkError(f"folder {str(self.path.parent)!r} cannot be written to: {reason}") from error
        try:
            self._encoder = VideoEncoder(
                self._folder / "video.nut",
                choice=self.choice,
                format=self._format,
                time_base=self.output.source.time_base,
            )
        except BaseException:
            self._clean()
            raise
        return self

    def _part_prefix(self) -> str:
        # Short and plain: FFmpeg's functions take no other bytes than UTF-8, and a name has at most 255 of them.
        return "." + re.sub(r"[^\w.-]", "_", self.path.name[:40], flags=re.ASCII) + "."

    def _sweep(self) -> None:
        """Remove what runs that were killed outright have left of this output."""
        prefix = self._part_prefix()
        for left in self.path.parent.glob(f"{glob.escape(prefix)}*-*.part"):
            pid = left.name.removeprefix(prefix).partition("-")[0]
            if pid.isdigit() and not _runs(int(pid)):
                shutil.rmtree(left, ignore_errors=True)

    def write(self, frame: Frame) -> None:
        """Hand one frame to the encoder; blocks while it is busy.

        Raises:
            SinkError: the encoder has ended, or the frame does not fit.
        """
        if self._encoder is None:
            raise SinkError(f"{self.path}: a frame was written outside of the `with` block")
        self._encoder.write(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish the file, or remove what there is of it after an exception.

        Raises:
            VerifyError: the file differs from what was written; it stays as `NAME.unverified.EXT`.
            SinkError: encoding or joining failed.
        """
        try:
            if kind is None:
                assert self._encoder is not None
                assert self._folder is not None
                self.report = self.output.complete([self._encoder.finish()], self._folder)
        finally:
            self._clean()

    def _clean(self) -> None:
        if self._encoder is not None:
            self._encoder.abort()
            self._encoder = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
