"""Frames into standard output: raw, or encoded by FFmpeg, which then writes there itself.

Nothing can be read back or taken back, so nothing is verified, and a reader that goes away ends the run.
"""

import errno
import os
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from av.error import FFmpegError

from vsr.errors import ConfigError, SinkError, VerifyError, reason_of
from vsr.frames import Frame, PictureFormat, Plane, StreamInfo
from vsr.media.pixels import pixel_format
from vsr.media.standard_streams import STANDARD, check_standard_output
from vsr.media.writing.encode import VideoEncoder
from vsr.media.writing.encoders import EncoderChoice
from vsr.media.writing.muxers import PIPED
from vsr.media.writing.raw_pipe import RawPipe
from vsr.media.writing.report import WriteReport, names_of
from vsr.media.writing.verify import Verification

RAW = "rawvideo"
"""The encoder that leaves pictures as they are."""


def raw_choice(format: PictureFormat, container: str) -> EncoderChoice:
    """Pictures as they are.

    Raises:
        ConfigError: the container has no such.
    """
    name = pixel_format(format)
    if container == "y4m" and (format.layout == "rgb" or format.alpha):
        raise ConfigError(f"y4m does not hold {name}; nut does")
    return EncoderChoice(RAW, RAW, name, format, (), (), f"raw {name}")


@dataclass(frozen=True)
class PipeOutput:
    """Standard output as a result. It holds the pictures alone."""

    source: StreamInfo
    container: str
    """`nut`, `y4m`, `ts` or `mkv`."""
    choice: EncoderChoice

    def check(self) -> None:
        """Raise ConfigError where somebody would look at bytes."""
        check_standard_output()


class _Raw(Protocol):
    def write(self, planes: tuple[Plane, ...], pts: int) -> None: ...

    def close(self) -> None: ...


class _Y4m:
    """YUV4MPEG2 (mjpegtools' yuv4mpeg(5), with FFmpeg's names of deeper pictures), written to a descriptor."""

    def __init__(self, descriptor: int, choice: EncoderChoice, rate: Fraction):
        format = choice.format
        aspect = format.sample_aspect
        deep = f"p{format.bit_depth}" if format.bit_depth > 8 else ""
        colour = "mono" + deep[1:] if format.layout == "gray" else format.layout.removeprefix("yuv") + deep
        if colour == "420":
            colour = {"left": "420mpeg2", "center": "420jpeg", "topleft": "420paldv"}.get(
                format.siting, "420mpeg2"
            )
        self._descriptor = descriptor
        self._send(
            f"YUV4MPEG2 W{format.width} H{format.height} F{rate.numerator}:{rate.denominator} Ip"
            f" A{aspect.numerator}:{aspect.denominator} C{colour} XCOLORRANGE={format.range.upper()}\n".encode()
        )

    def _send(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def write(self, planes: tuple[Plane, ...], pts: int) -> None:
        """Write one picture; its time is its place."""
        self._send(b"FRAME\n")
        for plane in planes:
            self._send(np.ascontiguousarray(plane).data.cast("B"))

    def close(self) -> None:
        os.close(self._descriptor)


class PipeSink:
    """Writes frames to standard output; what else the process prints goes to standard error meanwhile.

    A context manager; `report` is there once the block has ended well.
    """

    report: WriteReport

    def __init__(self, output: PipeOutput, format: PictureFormat, doubt: Callable[[], str] = lambda: ""):
        """Begin nothing yet.

        Args:
            output: what is written.
            format: of the frames to come.
            doubt: asked at the end what is wrong with all that came; empty where nothing is.
        """
        self._output, self._format, self._doubt = output, format, doubt
        self._time_base = output.source.time_base
        self._pts, self._ended = array("q"), False
        self._out = -1
        self._raw: _Raw | None = None
        self._encoder: VideoEncoder | None = None

    def __enter__(self) -> Self:
        """Take standard output over.

        Raises:
            ConfigError: it is a terminal.
            SinkError: FFmpeg cannot be started.
        """
        self._output.check()
        sys.stdout.flush()
        self._out = os.dup(1)
        os.dup2(2, 1)
        try:
            self._begin()
        except BaseException:
            self._clean()
            raise
        return self

    def _begin(self) -> None:
        choice, container = self._output.choice, self._output.container
        rate = self._output.source.average_rate
        if choice.encoder != RAW:
            self._encoder = VideoEncoder(
                Path(STANDARD),
                choices=[choice],
                format=self._format,
                time_base=self._time_base,
                into=(PIPED[container], self._out),
                rate=rate,
            )
        elif container == "y4m":
            self._raw = _Y4m(os.dup(self._out), choice, rate or Fraction(25))
        else:
            self._raw = RawPipe(os.dup(self._out), format=self._format, time_base=self._time_base, rate=rate)

    def write(self, frame: Frame) -> None:
        """Hand on one frame; blocks while the reader is busy.

        Raises:
            SinkError: nobody reads any more.
        """
        try:
            if self._encoder is not None:
                self._encoder.write(frame)
            else:
                assert self._raw is not None
                pts = int(frame.pts * frame.time_base / self._time_base)
                self._raw.write(frame.planes, pts - (self._pts[0] if self._pts else pts))
                self._pts.append(pts)
        except (OSError, FFmpegError, SinkError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> SinkError:
        log = error.log if isinstance(error, SinkError) else ""
        gone = getattr(error, "errno", None) == errno.EPIPE or "Broken pipe" in log
        gone = gone or (isinstance(error, SinkError) and error.exit_code == -13)  # SIGPIPE
        if gone:
            return SinkError(f"who reads standard output has gone after {self._num_frames} frames")
        return (
            error
            if isinstance(error, SinkError)
            else SinkError(f"standard output cannot be written to: {reason_of(error)}")
        )

    @property
    def _num_frames(self) -> int:
        return self._encoder.num_frames if self._encoder is not None else len(self._pts)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the stream.

        Raises:
            VerifyError: there is a doubt.
            SinkError: nobody reads any more, or there was no frame.
        """
        try:
            if kind is None:
                self._finish()
        finally:
            self._clean()

    def _finish(self) -> None:
        if not self._num_frames:
            raise SinkError("no frame was written into standard output")
        if self._encoder is not None:
            try:
                self._pts = self._encoder.finish().pts
            except SinkError as error:
                raise self._explained(error) from error
        if doubt := self._doubt():
            raise VerifyError(f"what went into standard output is not all of the source: {doubt}")
        output, notes = self._output, list(self._output.choice.notes)
        left_out = names_of(output.source, "standard output holds the pictures alone")
        uneven = len({b - a for a, b in pairwise(self._pts)}) > 1
        if uneven and output.container == "y4m":
            notes.append("left out: times: frames are shown for longer and shorter, and y4m has one rate")
        notes += [f"left out: {line}" for line in left_out]
        self.report = WriteReport(
            path=Path(STANDARD),
            container=output.container,
            encoder=output.choice.encoder,
            why=output.choice.why,
            num_frames=len(self._pts),
            num_bytes=0,
            copied=(),
            converted=(),
            left_out=left_out,
            notes=tuple(notes),
            verification=Verification(len(self._pts), Fraction(0), ()),
        )

    def _clean(self) -> None:
        if self._encoder is not None:
            self._encoder.abort()
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        if self._out >= 0:
            sys.stdout.flush()
            os.dup2(self._out, 1)
            os.close(self._out)
            self._out = -1
