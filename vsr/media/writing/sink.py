"""Where frames go: `Sink`, its plain implementation in memory, and
`FileSink`, which makes a finished video file.

`FileSink` ties the three steps together (encode, join, verify) and owns the temporary files between them:
whatever happens, only the finished file, or `NAME.unverified.EXT` of a file that failed its check, is left.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from vsr.durable import WorkFolder, work_folder
from vsr.errors import SinkError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.writing.encode import VideoEncoder
from vsr.media.writing.encoders import EncoderChoice
from vsr.media.writing.output import Outputs, complete
from vsr.media.writing.plan_outputs import output_of
from vsr.media.writing.report import WriteReport
from vsr.options import EncodeOptions


class Sink(AbstractContextManager["Sink", None], Protocol):
    """Takes frames in presentation order, between `__enter__` and `__exit__`, in one thread."""

    def write(self, frame: Frame) -> None:
        """Take one frame; may block."""
        ...


class MemorySink:
    """Keeps the frames it is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)


class FileSink:
    """Writes frames to a video file, together with everything else that `source` holds.

    `format` is that of the frames to come. With `trim`, the output begins at the first written frame and the
    other streams are cut to the written span. Without `replace` the name must still be free in the end. After a
    good end, `report` says what was made; before, it is None. Leaving the `with` block waits for the encoder;
    leaving it with an exception removes everything.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source: StreamInfo,
        format: PictureFormat,
        options: EncodeOptions,
        trim: bool = False,
        choice: EncoderChoice | None = None,
        replace: bool = True,
    ):
        output = output_of(Path(path), source, format, options, trim=trim, choice=choice)
        self._begin(Outputs(format, (output,)), replace=replace)

    @classmethod
    def planned(
        cls, outputs: Outputs, doubt: Callable[[], str] = lambda: "", *, replace: bool = True
    ) -> Self:
        """A sink into all the files of a plan: all get their names, or none does.

        `doubt` is asked at the end what is wrong with all that came; empty where nothing is.
        """
        sink = cls.__new__(cls)
        sink._begin(outputs, replace=replace)
        sink._doubt = doubt
        return sink

    def _begin(self, outputs: Outputs, *, replace: bool) -> None:
        self.outputs, self._replace = outputs, replace
        self._doubt: Callable[[], str] = lambda: ""
        self.reports: list[WriteReport] = []
        self._work: WorkFolder | None = None
        self._encoder: VideoEncoder | None = None

    def __enter__(self) -> Self:
        """Start the encoder.

        Raises:
            SinkError: the output's folder is missing or cannot be written to, or the output is the input.
        """
        outputs = self.outputs
        outputs.check()
        self._work = WorkFolder(work_folder(outputs.first.path))
        try:
            self._encoder = VideoEncoder(
                self._work.fresh("video", ".nut"),
                choices=outputs.choices,
                format=outputs.format,
                time_base=outputs.time_base,
            )
        except BaseException:
            self._clean()
            raise
        return self

    @property
    def report(self) -> WriteReport | None:
        """What became of the file; None before it has its name."""
        return self.reports[0] if self.reports else None

    def write(self, frame: Frame) -> None:
        """Hand one frame to the encoder; blocks while it is busy.

        Raises:
            SinkError: the encoder has ended, or the frame does not fit.
        """
        if self._encoder is None:
            raise SinkError(f"{self.outputs.first.path}: a frame was written outside of the `with` block")
        self._encoder.write(frame)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the file, or remove what there is of it after an exception.

        Raises:
            VerifyError: the file differs from what was written; it stays as `NAME.unverified.EXT`.
            SinkError: encoding or joining failed.
        """
        try:
            if kind is None:
                assert self._encoder is not None
                assert self._work is not None
                encoded, doubt = [self._encoder.finish()], self._doubt()
                self.reports = complete(self.outputs, encoded, self._work, replace=self._replace, doubt=doubt)
        finally:
            self._clean()

    def _clean(self) -> None:
        if self._encoder is not None:
            self._encoder.abort()
            self._encoder = None
        if self._work is not None:
            self._work.close()
            self._work = None
            self._folder = None
