"""Frames through a lossy codec and back, in memory: what compression leaves
of them. For training and measuring."""

import io
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np

from vsr.frames import Frame, Plane
from vsr.media.pixels import RANGES, make_av_frame, read_planes

Codec = Literal["h264", "hevc", "mpeg4", "mpeg2", "mjpeg"]

_ENCODERS: dict[Codec, tuple[str, str, tuple[str, ...], dict[str, str]]] = {
    # With its macroblock tree x264's AVX-512 code gives two results for the same small frames, now one, now the other.
    "h264": ("libx264", "yuv420p", ("crf",), {"preset": "veryfast", "x264-params": "mbtree=0"}),
    "hevc": (
        "libx265",
        "yuv420p",
        ("crf",),
        {"preset": "ultrafast", "x265-params": "log-level=none:pools=none"},
    ),
    "mpeg4": ("mpeg4", "yuv420p", ("qmin", "qmax"), {"bf": "2"}),
    "mpeg2": ("mpeg2video", "yuv420p", ("qmin", "qmax"), {"bf": "2"}),
    "mjpeg": ("mjpeg", "yuvj420p", ("qmin", "qmax"), {}),
}
"""FFmpeg's name, its pixel format, the options that the quality is given by, and others."""

_LEAST = 80
"""Pixels; in pictures smaller than its blocks of 64, x265 writes past its buffers (48x48 crashes)."""


def through_codec(
    frames: Sequence[Frame], codec: Codec, quality: int, *, preset: str = "", group: int = 12
) -> list[Frame]:
    """Encode frames as one short clip with I, P and B frames and decode it again.

    Args:
        frames: 8-bit 4:2:0, of one format; full range for Motion JPEG, limited for the others.
        codec: what encodes.
        quality: crf of H.264 and HEVC (0-51), quantiser of the others (1-31); more is worse.
        preset: of H.264; veryfast where it is empty.
        group: frames from one I frame to the next, at most.

    Returns:
        As many frames of the same format.
    """
    format = frames[0].format
    height, width = (max(_LEAST, side + side % 2) for side in (format.height, format.width))
    grown = replace(format, height=height, width=width)
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        options = {"g": str(group)} | ({"preset": preset} if preset else {})
        stream = _stream(container, codec, quality, options)
        stream.height, stream.width = height, width
        stream.codec_context.color_range = RANGES[format.range]
        for index, frame in enumerate(frames):
            planes = tuple(
                _grown(plane, grown.plane_size(number)) for number, plane in enumerate(frame.planes)
            )
            picture = make_av_frame(Frame(planes, grown, pts=index, time_base=Fraction(1, 25)))
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r", format="nut") as container:
        decoded = [_copied(read_planes(picture, format)) for picture in container.decode(video=0)]
    assert len(decoded) == len(frames)
    return [replace(frame, planes=planes) for frame, planes in zip(frames, decoded, strict=True)]


def _grown(plane: Plane, size: tuple[int, int]) -> Plane:
    """The plane with its last row and column repeated."""
    return np.pad(plane, [(0, new - old) for new, old in zip(size, plane.shape, strict=True)], mode="edge")


def _copied(planes: Sequence[Plane]) -> tuple[Plane, ...]:
    return tuple(plane.copy() for plane in planes)  # views keep the decoder's whole pictures alive


def _stream(container: Any, codec: Codec, quality: int, options: dict[str, str]) -> Any:
    name, pixels, scales, others = _ENCODERS[codec]
    stream = container.add_stream(
        name, rate=25, options=others | dict.fromkeys(scales, str(quality)) | options
    )
    stream.pix_fmt = pixels
    stream.codec_context.thread_count = 1  # deterministic, and training has other uses for the cores
    stream.codec_context.time_base = Fraction(1, 25)
    return stream
