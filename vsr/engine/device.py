"""Which device runs the networks, what it is good at, and how networks get there."""

import copy
import os
import platform
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import nn

from vsr.errors import ConfigError
from vsr.models import conv_relu, in_int8

CPU_THREADS = torch.get_num_threads()
"""Cores that PyTorch found when it was loaded; later it answers for the thread that asks."""


@contextmanager
def cpu_threads(number: int) -> Generator[None, None, None]:
    """Let this thread calculate on so many CPU threads while the block lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


NetworkT = TypeVar("NetworkT", bound=nn.Module)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.float32}
"""What a network is given; in int8 it takes and gives fp32 and counts in integers between."""


def num_cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError):  # macOS, Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_amx() -> bool:
    """Whether the processor has a matrix unit, which is several times as fast in bf16 as fp32 is anywhere."""
    return torch.cpu._is_amx_tile_supported() and _onednn_may("AMX")


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware; without that bf16 is 4–17 times slower than fp32."""
    return has_amx() or (
        torch.cpu._is_avx512_bf16_supported() and _onednn_may("BF16", "FP16", "AMX", "AVX10")
    )


def _onednn_may(*marks: str) -> bool:
    """Whether oneDNN, which convolves, is not kept from instructions whose sets bear one of these marks."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return limit in ("", "ALL", "DEFAULT") or any(mark in limit for mark in marks)


@cache
def processor_name() -> str:
    """What the processor calls itself."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
@torch.inference_mode()
def can_bf16() -> bool:
    """Whether the networks' convolutions run in bf16 on this processor at all; found out by one, in 10 ms.

    oneDNN's needs AVX-512 or AVX-NE-CONVERT and raises without them; other builds and processors have others.
    """
    try:
        conv_relu(nn.Conv2d(1, 1, 3, dtype=torch.bfloat16), torch.zeros(1, 1, 3, 3, dtype=torch.bfloat16))
    except RuntimeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and in which precision a network runs."""

    device: torch.device
    precision: str
    """`fp32`, `bf16`, `fp16` or `int8`."""
    why: str
    """One line for the user."""

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]


def move_network(network: NetworkT, placement: Placement) -> NetworkT:
    """Copy a network to where it runs, in evaluation mode; channels_last is the
    faster order on every device measured.

    A copy, because the caller's network may serve another engine on another device.
    """
    moved = copy.deepcopy(network).to(device=placement.device, dtype=placement.dtype)
    moved.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] — missing in torch's stubs
    moved.eval()
    return cast(NetworkT, in_int8(moved)) if placement.precision == "int8" else moved


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device that is there; of several the first.

    Raises:
        ConfigError: one of the devices does not exist on this machine.
    """
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if num_gpus and not why_unusable(0) else "cpu"
    devices = [torch.device(one) for one in _each(name)]
    for device in devices:
        if device.type == "cuda" and (device.index or 0) >= num_gpus:
            there = f"cpu, {', '.join(f'cuda:{i}' for i in range(num_gpus))}" if num_gpus else "cpu only"
            raise ConfigError(f"device {str(device)!r} is not on this machine; there is {there}")
        if device.type == "cuda" and (reason := why_unusable(device.index or 0)):
            raise ConfigError(f"device {str(device)!r} {reason}; cpu is accepted here")
    return devices[0]


def gpu_number(name: str) -> int | None:
    """Number of the GPU that `pick_device` takes; None for a CPU.

    Raises:
        ConfigError: as `pick_device`.
    """
    device = pick_device(name)
    return device.index or 0 if device.type == "cuda" else None


def why_unusable(index: int) -> str:
    """What keeps this PyTorch from running anything on a GPU: it may have been built without code for so old, or so
    new, a one. Empty where nothing does.

    Compiled code (`sm_XY`) runs on GPUs of the same major version and the same or a later minor one, code yet to
    be compiled (`compute_XY`) on all later ones (CUDA C++ Programming Guide, compute capabilities).
    """
    major, minor = torch.cuda.get_device_capability(index)
    built = torch.cuda.get_arch_list()
    for kind, _, digits in (name.partition("_") for name in built):
        number = digits.rstrip("af")  # of code that keeps to one GPU, or to its family
        its_major, its_minor = int(number[:-1]), int(number[-1])
        if kind == "sm" and its_major == major and its_minor <= minor:
            return ""
        if kind == "compute" and (its_major, its_minor) <= (major, minor):
            return ""
    name = torch.cuda.get_device_name(index)
    return (
        f"({name}) has compute capability {major}.{minor}, and this PyTorch was built for {' '.join(built)}"
    )


def _each(name: str) -> list[str]:
    """`cuda:0,1` as `cuda:0` and `cuda:1`."""
    kind, _, numbers = name.partition(":")
    return [f"{kind}:{number}" for number in numbers.split(",")] if numbers else [kind]


def all_devices(name: str) -> list[str]:
    """Every device that a name means: those of `cuda:0,1`, all GPUs for
    `cuda` (and `auto` where there are any).

    Raises:
        ConfigError: as `pick_device`.
    """
    first = pick_device(name)
    if first.type != "cuda":
        return ["cpu"]
    every = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return every if name in ("auto", "cuda") else list(dict.fromkeys(_each(name)))
