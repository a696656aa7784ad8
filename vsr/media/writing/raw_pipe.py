"""Raw pictures through a pipe: a NUT stream, so that every frame has its own time and nothing is derived from a
frame rate."""

import contextlib
import os
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.error import FFmpegError

from vsr.frames import PictureFormat, Plane
from vsr.media.pixels import pixel_format

_PIPE_BYTES = 1 << 20
"""Linux's largest pipe for a user without privileges; the default of 64 KiB costs 20 times the switches."""

_RGB_TO_GBR = (1, 2, 0)


class RawPipe:
    """Raw pictures as a NUT stream into a pipe, each with its own time. Takes `write_end` over.

    Raises:
        SourceError: FFmpeg has no pixel format for `format`.
    """

    def __init__(
        self,
        write_end: int,
        *,
        format: PictureFormat,
        time_base: Fraction,
        rate: Fraction | None = None,
    ):
        """`rate`: frames a second that the header names, for readers that look there."""
        self._write_end, self._layout, self._closed = write_end, format.layout, False
        sizes = [format.plane_size(i) for i in range(format.num_planes)]
        self._sample = np.dtype(np.uint8 if format.bit_depth == 8 else np.uint16)
        self._num_bytes = sum(height * width for height, width in sizes) * self._sample.itemsize
        try:
            _enlarge_pipe(write_end)
            # Written through a file descriptor and not a Python file: the GIL is
            # free while FFmpeg is the slower one.
            self._muxer = av.open(f"pipe:{write_end}", "w", format="nut")
            self._stream = self._muxer.add_stream("rawvideo", rate, time_base=time_base)
            self._stream.width, self._stream.height = format.width, format.height
            self._stream.pix_fmt = pixel_format(format)
        except BaseException:
            os.close(write_end)
            raise
        self._time_base = time_base

    def write(self, planes: tuple[Plane, ...], pts: int) -> None:
        """Hand over one picture; blocks while the pipe is full. NUT has no negative times.

        Raises:
            OSError, FFmpegError: nobody reads any more.
        """
        packet = av.Packet(self._num_bytes)
        self._pack(planes, np.frombuffer(cast(Any, packet), np.uint8))
        packet.stream, packet.time_base = self._stream, self._time_base
        packet.pts = packet.dts = pts
        packet.is_keyframe = True
        self._muxer.mux(packet)

    def _pack(self, planes: tuple[Plane, ...], buffer: Plane) -> None:
        if self._layout == "rgb":
            planes = (*(planes[i] for i in _RGB_TO_GBR), *planes[3:])
        offset = 0
        for plane in planes:
            end = offset + plane.size * self._sample.itemsize
            buffer[offset:end].view(self._sample).reshape(plane.shape)[...] = plane
            offset = end

    def close(self) -> None:
        """Close the pipe. Harmless twice."""
        if self._closed:
            return
        self._closed = True
        # Before the descriptor: PyAV's destructor would write to whatever has taken its number.
        with contextlib.suppress(OSError, FFmpegError):
            self._muxer.close()
        os.close(self._write_end)


def _enlarge_pipe(descriptor: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
