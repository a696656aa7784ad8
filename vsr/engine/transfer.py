"""Moving planes to a device and back. On CUDA uploads, computation and downloads overlap on three streams.

Pinned memory comes from PyTorch's caching host allocator, which hands a buffer out again only when the copy that
used it has ended; that is the ring of pinned buffers.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vsr.frames import Plane

Pending = Callable[[], tuple[Plane, ...]]
"""A download under way; calling it waits for the end and gives the planes, each time the same ones."""


class Transfer(Protocol):
    """Way to a device and back. Used by one thread."""

    depth: int
    """Downloads that should be under way before the first is waited for."""

    def upload(self, planes: tuple[Plane, ...]) -> list[Tensor]:
        """Planes of code values as tensors on the device, ready for the current stream."""
        ...

    def download(self, planes: list[Tensor]) -> Pending:
        """Begin to copy tensors of code values back."""
        ...


def _pinned(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)


def _tensor(plane: Plane) -> Tensor:
    # torch takes neither read-only memory nor negative strides.
    usable = plane.flags.writeable and all(step > 0 for step in plane.strides)
    return torch.from_numpy(plane if usable else np.array(plane, order="C"))


class CpuTransfer:
    """No way to go: planes are used where they lie."""

    depth = 0

    def upload(self, planes: tuple[Plane, ...]) -> list[Tensor]:
        """Wrap the planes without copying."""
        return [_tensor(plane) for plane in planes]

    def download(self, planes: list[Tensor]) -> Pending:
        """Wrap the tensors without copying."""
        arrays = tuple(plane.numpy() for plane in planes)
        return lambda: arrays


class CudaTransfer:
    """Uploads and downloads on streams of their own; events order them against the computation."""

    depth = 2

    def __init__(self, device: torch.device):
        self._device = device
        self._up = torch.cuda.Stream(device)
        self._down = torch.cuda.Stream(device)

    def upload(self, planes: tuple[Plane, ...]) -> list[Tensor]:
        """Copy through pinned memory; the current stream waits for the copies, this thread does not."""
        current = torch.cuda.current_stream(self._device)
        pinned = [_pinned(_tensor(plane)) for plane in planes]
        with torch.cuda.stream(self._up):
            tensors = [plane.to(self._device, non_blocking=True) for plane in pinned]
        current.wait_event(self._up.record_event())
        for tensor in tensors:
            tensor.record_stream(current)
        return tensors

    def download(self, planes: list[Tensor]) -> Pending:
        """Copy into pinned memory once the current stream has made the planes."""
        self._down.wait_event(torch.cuda.current_stream(self._device).record_event())
        with torch.cuda.stream(self._down):
            pinned = [torch.empty(p.shape, dtype=p.dtype, pin_memory=True).copy_(p, non_blocking=True) for p in planes]
            done = self._down.record_event()
        for plane in planes:
            plane.record_stream(self._down)

        def wait() -> tuple[Plane, ...]:
            done.synchronize()
            return tuple(plane.numpy() for plane in pinned)

        return wait


def transfer_for(device: torch.device) -> Transfer:
    """The way to `device`."""
    return CudaTransfer(device) if device.type == "cuda" else CpuTransfer()
