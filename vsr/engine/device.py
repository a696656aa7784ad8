"""Which device runs the networks, and in which precision."""

import copy
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, cast

import torch
from torch import nn

from vsr.errors import ConfigError
from vsr.models import conv_relu, has_int8, in_int8
from vsr.options import EngineOptions

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


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware; without that bf16 is 4–17 times slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


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
        name = "cuda" if num_gpus else "cpu"
    devices = [torch.device(one) for one in _each(name)]
    for device in devices:
        if device.type == "cuda" and (device.index or 0) >= num_gpus:
            there = f"cpu, {', '.join(f'cuda:{i}' for i in range(num_gpus))}" if num_gpus else "cpu only"
            raise ConfigError(f"device {str(device)!r} is not on this machine; there is {there}")
    return devices[0]


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


def place(options: EngineOptions, supported: tuple[str, ...]) -> Placement:
    """Choose device and precision for a network that keeps its quality in the `supported` precisions.

    Raises:
        ConfigError: the device is not there, or the network does not run in the precision asked for.
    """
    device = pick_device(options.device)
    if options.precision != "auto":
        if options.precision == "int8" and "int8" not in supported:
            raise ConfigError(
                "precision int8 is for calibrated networks of our own (vsr calibrate); fp32 suits every model"
            )
        if options.precision not in supported:
            raise ConfigError(
                f"precision {options.precision} does not suit this model; {', '.join(supported)} do"
            )
        if options.precision == "int8" and not (device.type == "cpu" and has_int8()):
            others = ", ".join(name for name in supported if name != "int8")
            raise ConfigError(
                f"precision int8 needs an x86 processor with VNNI and device cpu; {others} go here"
            )
        if options.precision == "bf16" and device.type == "cpu" and not can_bf16():
            raise ConfigError("precision bf16 does not run on this processor; auto and fp32 do")
        return Placement(device, options.precision, "as asked")
    if device.type == "cuda" and "fp16" in supported:
        return Placement(device, "fp16", "fastest on this GPU")
    if device.type == "cpu" and "bf16" in supported and has_fast_bf16():
        return Placement(device, "bf16", "this processor multiplies bf16 in hardware")
    return Placement(device, "fp32", "no faster precision here keeps the quality")
