"""What the device itself can do, measured: the yardsticks that a network's speed is held against."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from vsr.engine import Placement, move_network
from vsr.models import Network, conv_relu, in_bytes
from vsr.prefetch import parallel_map

Operation = Callable[[], torch.Tensor]

_EDGE = {"cpu": 1536, "cuda": 8192}
"""Of the square matrices: large enough that a larger one is no faster per operation."""

_ENOUGH_S = 0.4
"""How long each yardstick is run at least."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Speed of the two operations that networks are made of, in the network's precision, threads and size."""

    matmul_gflop_per_s: float
    """A large matrix product."""
    conv_gflop_per_s: float | None
    """A 3×3 convolution, and ReLU, from the hidden width to itself; None for a model without one."""
    conv_channels: int | None
    """The hidden width."""


def hidden_width(network: Network) -> int | None:
    """Channels of the 3×3 convolutions that most of a network's layers are; None where it has none."""
    layers = network.modules() if isinstance(network, nn.Module) else ()
    widths = [
        layer.out_channels
        for layer in layers
        if isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (3, 3)
        and layer.in_channels == layer.out_channels
    ]
    return max(widths, key=widths.count) if widths else None


@torch.inference_mode()
def measure_peak(
    network: Network, placement: Placement, size: tuple[int, int], *, workers: int = 1, threads_each: int = 1
) -> Peak:
    """Measure both yardsticks on idle hardware; each is the best of some rounds.

    Args:
        network: says how wide the convolution is.
        placement: device and precision.
        size: height, width of the convolution's picture: the network's input.
        workers: CPU threads that calculate at once, as the engine has them.
        threads_each: threads of each of them.
    """
    run = partial(_best_rate, placement=placement, workers=workers, threads_each=threads_each)
    edge = _EDGE[placement.device.type]
    matmul = run(_matrix_product(placement, edge), gflop=2 * edge**3 / 1e9)
    width = hidden_width(network)
    if width is None:
        return Peak(matmul, None, None)
    gflop = 2 * 9 * width**2 * size[0] * size[1] / 1e9
    return Peak(matmul, run(_convolution(placement, width, size), gflop=gflop), width)


def _matrix_product(placement: Placement, edge: int) -> Operation:
    if placement.precision == "int8":
        a, b = (torch.randint(-128, 128, (edge, edge), dtype=torch.int8) for _ in range(2))
        return lambda: torch._int_mm(a, b)  # pyright: ignore[reportPrivateImportUsage] — all there is
    a, b = (torch.randn(edge, edge, device=placement.device, dtype=placement.dtype) for _ in range(2))
    return lambda: a @ b


def _convolution(placement: Placement, width: int, size: tuple[int, int]) -> Operation:
    """With its ReLU, as the networks have it."""
    layer = nn.Conv2d(width, width, 3, padding=1)
    if placement.precision == "int8":
        pixels = torch.randint(0, 256, (1, width, *size), dtype=torch.uint8)
        integers, convolve = pixels.contiguous(memory_format=torch.channels_last), in_bytes(layer)
        return lambda: convolve(integers)
    moved = move_network(layer, placement)
    picture = torch.randn(1, width, *size, device=placement.device, dtype=placement.dtype)
    picture = picture.contiguous(memory_format=torch.channels_last)
    return lambda: conv_relu(moved, picture)


def _best_rate(
    operation: Operation, *, gflop: float, placement: Placement, workers: int, threads_each: int
) -> float:
    """GFLOP/s of the fastest round: a round is as long as it must be for the
    clock, and there are at least three."""
    rounds, rates = 0, list[float]()
    repeats = 1
    began = time.perf_counter()
    while rounds < 3 or time.perf_counter() - began < _ENOUGH_S:
        seconds = _seconds(operation, repeats * workers, placement, workers, threads_each)
        if seconds < _ENOUGH_S / 20:
            repeats *= 4
            continue
        rates.append(gflop * repeats * workers / seconds)
        rounds += 1
    return max(rates)


def _seconds(
    operation: Operation, repeats: int, placement: Placement, workers: int, threads_each: int
) -> float:
    if placement.device.type == "cuda":
        with torch.cuda.device(placement.device):  # whose stream the events are recorded on
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(repeats):
                operation()
            end.record()
            end.synchronize()
        return start.elapsed_time(end) / 1000

    def one(_: int) -> None:
        with torch.inference_mode():  # of each thread by itself
            operation()

    set_threads = partial(torch.set_num_threads, threads_each)
    began = time.perf_counter()
    for _ in parallel_map(one, range(repeats), workers=workers, initializer=set_threads, name="vsr-peak"):
        pass
    return time.perf_counter() - began
