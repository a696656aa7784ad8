"""Pictures through a lossy codec and back, in memory: what compression leaves
of them. For training and measuring."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np
import numpy.typing as npt

Codec = Literal["h264", "hevc", "mpeg4", "mpeg2"]

_ENCODERS: dict[Codec, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "h264": ("libx264", ("crf",), {"preset": "veryfast"}),
    "hevc": ("libx265", ("crf",), {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "mpeg4": ("mpeg4", ("qmin", "qmax"), {"bf": "2"}),
    "mpeg2": ("mpeg2video", ("qmin", "qmax"), {"bf": "2"}),
}
"""FFmpeg's name, the options that the quality is given by, and others."""

_LEAST = 80
"""Pixels; in pictures smaller than its blocks of 64, x265 writes past its buffers (48x48 crashes)."""


def through_codec(
    pictures: Sequence[npt.NDArray[np.uint8]], codec: Codec, quality: int
) -> list[npt.NDArray[np.uint8]]:
    """Encode pictures as one short clip with I, P and B frames in 4:2:0 and decode it again.

    Args:
        pictures: each (H, W, 3) RGB, of one size.
        codec: what encodes.
        quality: crf of H.264 and HEVC (0–51), quantiser of the others (1–31); more is worse.

    Returns:
        As many pictures of the same size.
    """
    height, width = pictures[0].shape[:2]
    size = (max(_LEAST, height + height % 2), max(_LEAST, width + width % 2))
    grown = [
        cv2.copyMakeBorder(p, 0, size[0] - height, 0, size[1] - width, cv2.BORDER_REPLICATE) for p in pictures
    ]
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        stream = _stream(container, codec, quality, size)
        for index, picture in enumerate(grown):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r", format="nut") as container:
        decoded = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)
        ]
    assert len(decoded) == len(pictures)
    return [np.ascontiguousarray(picture[:height, :width]) for picture in decoded]


def _stream(container: Any, codec: Codec, quality: int, size: tuple[int, int]) -> Any:
    name, scales, others = _ENCODERS[codec]
    options = others | dict.fromkeys(scales, str(quality))
    stream = container.add_stream(name, rate=25, options=options)
    stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
    stream.codec_context.thread_count = 1  # deterministic, and training has other uses for the cores
    stream.codec_context.time_base = Fraction(1, 25)
    return stream
