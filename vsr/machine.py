"""What works on this machine, found out by trying it, and what to do about each gap."""

import platform
import time
from collections.abc import Iterator

import av
import numpy as np
import torch

import vsr
from vsr.engine import WAYS, Engine, has_fast_bf16
from vsr.errors import VsrError
from vsr.frames import Frame, PictureFormat
from vsr.media import (
    ENCODERS,
    choose_encoder,
    ffmpeg_version,
    find_ffmpeg,
    is_bundled,
    try_encoder,
    why_no_nvdec,
)
from vsr.models import load
from vsr.options import EncodeOptions, EngineOptions

_CONTAINER_FOR = {"vp9": "webm", "ffv1": "mkv", "prores": "mov"}
"""A container that holds what the encoder makes, where mp4 does not."""


def what_works() -> Iterator[str]:
    """Yield lines for a reader, as each is found out; takes some seconds."""
    for section in (_software, _devices, _encoders):
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
    return "no bf16 in hardware, so networks run in fp32, at about half the speed of processors that have it"


def _speed(device: str) -> str:
    """Measure the default network, transfers included, on pictures of 640x360."""
    format = PictureFormat(360, 640, matrix="bt709")
    # No frame is like the one before: it would only be repeated.
    frames = [
        Frame(tuple(np.full(format.plane_size(i), grey, np.uint8) for i in range(format.num_planes)), format)
        for grey in (60, 180)
    ]
    engine = Engine([load("fast-x2")], EngineOptions(device=device))
    list(engine.run(frames * 2))
    began = time.perf_counter()
    list(engine.run(frames * 6))
    speed = 12 / (time.perf_counter() - began)
    return f"fast-x2 in {engine.stages[0].placement.precision}: {speed:.0f} frames of 640x360 a second"


def _encoders() -> Iterator[str]:
    yield "encoders (tried with a few frames of 1280x720):"
    for name in ENCODERS:
        yield f"  {name:<11} {_trial(name, 8)}; 10 bit: {_trial(name, 10)}"


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
