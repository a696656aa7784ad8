"""Moving planes to a device and back. On CUDA uploads, computation and downloads overlap on three streams.

Pinned memory comes from PyTorch's caching host allocator, which hands a buffer out again only when the copy
that used it has ended; that is the ring of pinned buffers. Events order the streams; the only thing that this
thread waits for is a download whose planes are wanted.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vsr.frames import Plane

Pending = Callable[[], tuple[Plane, ...]]
"""A download under way; calling it waits for the end and gives the planes."""


class Transfer(Protocol):
    """Way to a device and back. Used by one thread."""

    depth: int
    """Downloads that should be under way before the first is waited for."""

    def working(self) -> AbstractContextManager[Any]:
        """Within this, and only within, the other two are called and what lies between them is computed."""
        ...

    def upload(self, planes: tuple[Plane, ...]) -> list[Tensor]:
        """Planes of code values as tensors on the device, ready for the current stream."""
        ...

    def download(self, planes: list[Tensor]) -> Pending:
        """Begin to copy tensors of code values back."""
        ...


def pack(planes: tuple[Plane, ...], into: np.ndarray) -> None:
    """Copy planes one after the other into bytes that they fill; a frame then is one transfer."""
    start = 0
    for plane in planes:
        part = into[start : start + plane.nbytes].view(plane.dtype)
        np.copyto(part.reshape(plane.shape), plane)
        start += plane.nbytes


def unpack(packed: Tensor, planes: tuple[Plane, ...]) -> list[Tensor]:
    """Views of packed bytes, shaped and typed as these planes."""
    parts = packed.split([plane.nbytes for plane in planes])
    types = {1: torch.uint8, 2: torch.uint16}
    return [part.view(types[p.itemsize]).view(p.shape) for part, p in zip(parts, planes, strict=True)]


def _tensor(plane: Plane) -> Tensor:
    # torch takes neither read-only memory nor negative strides.
    usable = plane.flags.writeable and all(step > 0 for step in plane.strides)
    return torch.from_numpy(plane if usable else np.array(plane, order="C"))


class CpuTransfer:
    """No way to go: planes are used where they lie."""

    depth = 0

    def working(self) -> AbstractContextManager[Any]:
        """Nothing to arrange."""
        return nullcontext()

    def upload(self, planes: tuple[Plane, ...]) -> list[Tensor]:
        """Wrap the planes without copying."""
        return [_tensor(plane) for plane in planes]

    def download(self, planes: list[Tensor]) -> Pending:
        """Wrap the tensors without copying."""
        arrays = tuple(plane.numpy() for plane in planes)
        return lambda: arrays


class CudaTransfer:
    """A stream each for uploads, computation and downloads; events order them."""

    def __init__(self, device: torch.device, *, depth: int):
        self.depth = depth
        self._device = device
        self._up, self._compute, self._down = (torch.cuda.Stream(device) for _ in range(3))
        # Weights were brought there on the stream that is current outside.
        self._compute.wait_stream(torch.cuda.current_stream(device))

    def working(self) -> AbstractContextManager[Any]:
        """Computation goes to a stream of its own: the default stream belongs to whoever uses the library."""
        return torch.cuda.stream(self._compute)

    def upload(self, planes: tuple[Plane, ...]) -> list[Tensor]:
        """Copy through pinned memory; the computation waits for the copy, this thread does not."""
        pinned = torch.empty(sum(plane.nbytes for plane in planes), dtype=torch.uint8, pin_memory=True)
        pack(planes, pinned.numpy())
        with torch.cuda.stream(self._up):
            packed = pinned.to(self._device, non_blocking=True)
        self._compute.wait_event(self._up.record_event())
        packed.record_stream(self._compute)
        return unpack(packed, planes)

    def download(self, planes: list[Tensor]) -> Pending:
        """Copy into pinned memory once the computation has made the planes."""
        self._down.wait_event(self._compute.record_event())
        with torch.cuda.stream(self._down):
            pinned = [
                torch.empty(p.shape, dtype=p.dtype, pin_memory=True).copy_(p, non_blocking=True)
                for p in planes
            ]
            # One that spins while it is waited for would take a core from the decoder.
            done = self._down.record_event(torch.cuda.Event(blocking=True))
        for plane in planes:
            plane.record_stream(self._down)

        def wait() -> tuple[Plane, ...]:
            with torch.cuda.device(
                self._device
            ):  # in any thread, or the first GPU would get a context for nothing
                done.synchronize()
            return tuple(plane.numpy() for plane in pinned)

        return wait


def transfer_for(device: torch.device, *, at_once: int) -> Transfer:
    """The way to `device`, for results that leave in groups of up to `at_once` frames.

    The first download of a group is waited for when the next group has been handed to the device, never
    sooner, or the device would run dry between them.
    """
    return CudaTransfer(device, depth=at_once + 1) if device.type == "cuda" else CpuTransfer()
