"""How much memory a step takes and how much there is. On a CPU this must be
known before: nobody says "out of memory".

Linux promises memory that it does not have and ends the process when it is used, so the exception that a
GPU's allocator raises never comes.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from vsr.limits import check_memory
from vsr.models import Model, ModelSpec, Network
from vsr.options import EngineOptions

_UNKNOWN = 4 << 30
"""Bytes assumed where the system does not tell."""

_SHARE = 0.5
"""Part of the free memory that steps may take; the rest is for queues, the encoder and everybody else."""


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Memory that can be had without swapping."""
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass  # not Linux
    return _UNKNOWN


def step_bytes(spec: ModelSpec, network: Network, dtype: torch.dtype, height: int, width: int) -> int:
    """Estimate the memory of one step on one window: two of the widest layers,
    the output and what is made of it."""
    convolutions = network.modules() if isinstance(network, nn.Module) else ()
    widest = max(
        (layer.out_channels for layer in convolutions if isinstance(layer, nn.Conv2d)),
        default=spec.in_channels,
    )
    frames = spec.context.before + spec.context.emit + spec.context.after
    layers = max(2 * widest, spec.bytes_per_pixel // 4) * dtype.itemsize + 4 * 3 * frames
    outputs = spec.scale**2 * spec.context.emit * 3 * 12
    return height * width * layers // spec.packs**2 + height * width * outputs


def check_tiles(
    models: Sequence[Model], options: EngineOptions, height: int, width: int, most_gb: float
) -> None:
    """Raise SourceError where steps on tiles as the user wants them take more than so many gigabytes of a CPU's
    memory; what is left to us is made to fit, and a GPU says itself that it has no more.

    Args:
        models: one after another.
        options: `tile`, `batch`.
        height, width: of the first one's input.
        most_gb: allowed.
    """
    tile = options.tile
    if tile == "auto":
        return
    for model in models:
        spec = model.spec
        edge = max(height, width) if tile == "off" else tile + 2 * (spec.halo or 0)
        size = min(height, edge), min(width, edge)
        batch = 1 if options.batch == "auto" else options.batch
        need = step_bytes(spec, model.network, torch.float32, *size) * batch
        tiles = f"tiles of {size[1]}x{size[0]}" if max(size) < max(height, width) else "whole pictures"
        check_memory(f"steps of {spec.name} on {tiles}", need, most_gb, "--tile auto or a smaller one")
        height, width = height * spec.scale, width * spec.scale


def workers_that_fit(need: int, wanted: int) -> int:
    """How many steps of `need` bytes may run at once, at least one and at most `wanted`."""
    return max(1, min(wanted, int(available_bytes() * _SHARE) // max(1, need)))


def steps_on_gpu(need: int, wanted: int, device: torch.device) -> int:
    """The same on a GPU: how many windows of `need` bytes may go through a network together."""
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, min(wanted, int(free * _SHARE) // max(1, need)))


def tile_that_fits(need: int, height: int, width: int, smallest: int) -> int | None:
    """Edge of a tile whose step fits where a step of `need` bytes on the whole
    picture does not; None where it does."""
    budget = int(available_bytes() * _SHARE)
    if need <= budget:
        return None
    return max(smallest, int((height * width * budget / need) ** 0.5))
