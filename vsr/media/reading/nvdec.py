"""Decoding by NVDEC, the decoder on NVIDIA GPUs, through PyAV: when to try it,
and what to say where it cannot be had.

Pictures come down as NV12 or P010, which `PlanarConverter` brings to the planes of software decoding bit for
bit. FFmpeg itself goes on in software where the GPU does not know a profile or size.
"""

from pathlib import Path
from typing import Literal

import av
import torch
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from vsr.errors import ConfigError, SourceError, reason_of
from vsr.frames import StreamInfo
from vsr.media.probe_video import open_container

SEMIPLANAR = {8: "nv12", 10: "p010le"}
"""What comes down for 4:2:0, by bit depth: chroma samples alternate, 10 bits lie at the upper end of 16."""

EXACT = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})
"""Codecs whose pictures the standard defines to the bit: whoever decodes. `auto` keeps to them."""


def is_wanted(
    decoder: Literal["auto", "software", "nvdec"], info: StreamInfo, *, on_gpu: bool = True
) -> bool:
    """Whether to try NVDEC for a stream.

    `auto` leaves to software what goes to an engine on a CPU (`on_gpu` says where it goes), and H.264 of 10 bits,
    which hardly any NVDEC decodes.

    Raises:
        ConfigError: it is asked for, and cannot be had for this stream or on this machine.
    """
    if decoder == "software":
        return False
    reason = _obstacle(info)
    if reason and decoder == "nvdec":
        raise ConfigError(f"decoder nvdec {reason}; auto and software are accepted here")
    deep_h264 = info.codec == "h264" and info.format.bit_depth > 8
    return not reason and (decoder == "nvdec" or (on_gpu and info.codec in EXACT and not deep_h264))


def _obstacle(info: StreamInfo) -> str:
    if not torch.cuda.is_available():
        return "needs a CUDA device"
    if info.format.layout != "yuv420" or info.format.bit_depth not in SEMIPLANAR:
        return f"takes 4:2:0 of 8 or 10 bits, and {info.path!r} is {info.pixel_format}"
    return ""


def open_on_gpu(path: str | Path, gpu: int = 0) -> InputContainer:
    """Open a file whose video is decoded by the NVDEC of a GPU where its codec allows.

    Raises:
        SourceError: there is no driver, or the GPU has no such decoder.
    """
    try:
        return open_container(path, hwaccel=HWAccel("cuda", gpu, allow_software_fallback=True))
    except SourceError as error:
        reason = reason_of(error.__cause__ or error)
        raise SourceError(
            f"NVDEC cannot be opened for {str(path)!r} ({reason}); use --decoder software"
        ) from error


def why_no_nvdec() -> str:
    """What keeps FFmpeg from opening NVDEC on this machine; empty where it opens."""
    try:
        HWAccel("cuda").create(av.Codec("h264", "r"))
    except (FFmpegError, NotImplementedError) as error:
        return reason_of(error)
    return ""


def came_from_gpu(picture: av.VideoFrame, stream: VideoStream) -> bool:
    """Whether a picture of a stream opened on the GPU has really been decoded there."""
    return stream.codec_context.is_hwaccel and picture.format.name in SEMIPLANAR.values()
