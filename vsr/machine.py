"""What works on this machine, found out by trying it, and what to do about each gap."""

import platform
import time
from collections.abc import Iterator
from functools import cache
from typing import Literal

import av
import numpy as np
import torch

import vsr
from vsr.engine import WAYS, WORTH_IT, Engine, has_fast_bf16, pick_device
from vsr.errors import VsrError
from vsr.frames import Frame, PictureFormat
from vsr.media import (
    ENCODERS,
    choose_encoder,
    ffmpeg_version,
    find_ffmpeg,
    is_bundled,
    list_encoders,
    try_encoder,
    why_no_nvdec,
)
from vsr.models import has_int8, load
from vsr.options import EncodeOptions, EngineOptions

_CONTAINER_FOR = {"vp9": "webm", "ffv1": "mkv", "prores": "mov"}
"""A container that holds what the encoder makes, where mp4 does not."""

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]

_MEASURED_S = 0.5
"""For so long at least a network runs that is measured."""

_LIVE_RATE = 25
_LIVE_SIZES = ((180, 320), (270, 480), (360, 640), (540, 960), (720, 1280), (1080, 1920), (2160, 3840))
"""Frames a second and sizes (height, width) that cameras have, ascending."""

_SHARE_OF_LIVE = 0.8
"""Of the network's speed alone: the rest goes to decoding, encoding and pictures that take longer."""


def what_works() -> Iterator[str]:
    """Yield lines for a reader, as each is found out; takes some seconds."""
    for section in (_software, _devices, _encoders, _advice):
        try:
            yield from section()
        except (VsrError, RuntimeError) as error:  # RuntimeError: a GPU that is there and does not work
            yield f"no: {' '.join(str(error).split())}"


def _software() -> Iterator[str]:
    libraries = f"PyTorch {torch.__version__}, PyAV {av.__version__}"
    yield f"vsr {vsr.__version__}, Python {platform.python_version()}, {libraries}"
    binary = find_ffmpeg()
    yield f"FFmpeg {ffmpeg_version(binary)}: {binary}"
    if is_bundled(binary):
        yield "this FFmpeg comes with imageio-ffmpeg and is under the GPL, version 3: it matters where you pass it on"


def _devices() -> Iterator[str]:
    yield f"cpu: {torch.get_num_threads()} threads, {_bf16()}"
    yield f"     auto runs {_speed('cpu')}"
    yield f"     executors: {_executors(torch.device('cpu'))}"
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None  # pyright: ignore[reportAttributeAccessIssue]
        yield "cuda: none — " + (
            "no NVIDIA GPU or driver was found"
            if built
            else "this PyTorch was built without CUDA; a GPU needs the CUDA build"
        )
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}: {properties.name}, {properties.total_memory >> 30} GiB"
        yield f"     auto runs {_speed(f'cuda:{index}')}"
        yield f"     executors: {_executors(torch.device('cuda', index))}"
    reason = why_no_nvdec()
    yield f"nvdec: {f'no ({reason}) — clips are decoded in software' if reason else 'opens'}"


def _executors(device: torch.device) -> str:
    """What `--executor` takes on a device, and what the others want."""
    missing = {name: way.missing(device) for name, way in WAYS.items()}
    return "; ".join(["eager", *(f"{name} {reason}" if reason else name for name, reason in missing.items())])


def _bf16() -> str:
    if has_fast_bf16():
        return "multiplies bf16 in hardware"
    return (
        "no bf16 in hardware, so networks that are prepared run in int8 where VNNI is there, others in fp32"
    )


@cache
def _measured(device: str, precision: Precision, size: tuple[int, int] = (360, 640)) -> tuple[str, float]:
    """The precision that the default network runs in, and frames a second, transfers included.

    Args:
        device: as PyTorch names it.
        precision: that is asked for.
        size: height, width of the frames that go in.
    """
    format = PictureFormat(*size, matrix="bt709")
    # No frame is like the one before: it would only be repeated.
    frames = [
        Frame(tuple(np.full(format.plane_size(i), grey, np.uint8) for i in range(format.num_planes)), format)
        for grey in (60, 180)
    ]
    engine = Engine([load("fast-x2")], EngineOptions(device=device, precision=precision))
    list(engine.run(frames))
    num_frames, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < _MEASURED_S:
        num_frames += len(list(engine.run(frames)))
    return engine.stages[0].placement.precision, num_frames / seconds


def _speed(device: str) -> str:
    precision, speed = _measured(device, "auto")
    return f"fast-x2 in {precision}: {speed:.0f} frames of 640x360 a second"


def _advice() -> Iterator[str]:
    """What the machine is good for, from what has been measured."""
    device = str(pick_device("auto"))
    wish: Precision = "auto"
    if device == "cpu" and has_int8():
        usual, quick = (_measured(device, each)[1] for each in ("auto", "int8"))
        wish = "int8" if quick > WORTH_IT * usual else "auto"
    precision, speed = _measured(device, wish)
    most = speed * 640 * 360 * _SHARE_OF_LIVE / _LIVE_RATE
    live = [f"{width}x{height}" for height, width in _LIVE_SIZES if height * width <= most]
    _, large = _measured(device, wish, (1080, 1920))
    how = f"`fast` in {precision}" + (f" (--precision {wish})" if wish != "auto" else "")
    yield f"this machine, with {how}:"
    yield f"     live at {_LIVE_RATE} frames a second: " + (
        f"cameras of up to {live[-1]}" if live else "none; `nano` or fewer frames a second are for it"
    )
    yield f"     files: 1920x1080 to twice that at {large:.1f} frames a second"


def _encoders() -> Iterator[str]:
    yield "encoders (tried with a few frames of 1280x720):"
    known = list_encoders(find_ffmpeg())
    for name, encoder in ENCODERS.items():
        if encoder.name not in known:
            yield f"  {name:<11} no (this FFmpeg was built without {encoder.name}) — VSR_FFMPEG names another"
            continue
        eight, ten = _trial(name, 8), _trial(name, 10)
        both = f"{eight}; 10 bit: {'the same' if ten == eight != 'works' else ten}"
        yield f"  {name:<11} {both}"


def _trial(name: str, bit_depth: int) -> str:
    format = PictureFormat(
        720, 1280, bit_depth=bit_depth, matrix="bt709", primaries="bt709", transfer="bt709"
    )
    try:
        choice = choose_encoder(EncodeOptions(encoder=name), format, _CONTAINER_FOR.get(name, "mp4"))
        reason = try_encoder(choice)
    except VsrError as error:
        return f"no ({error})"
    if reason is None:
        return "works"
    if "nvenc" in name:
        return f"no ({reason}) — needs an NVIDIA GPU with NVENC and its driver; software encoders are used instead"
    return f"no ({reason}) — install an FFmpeg with it, or set VSR_FFMPEG"
