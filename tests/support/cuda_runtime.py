"""Streams, events, graphs and the rest of `torch.cuda` that `vsr/engine` uses, as objects over `cuda_clocks`.

With the teeth that hurt: a synchronising call ends a capture and breaks the allocator, as before PyTorch 2.12, and
leaves the graph's stream current.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from support.cuda_clocks import Capture, Clock, Clocks, Operation, Stream, join


class EmulatedStream:
    """As `torch.cuda.Stream`."""

    def __init__(self, cuda: "Runtime", line: Stream):
        self.cuda, self.line = cuda, line
        self.device = torch.device("cuda", line.device)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EmulatedStream) and other.line is self.line

    def __hash__(self) -> int:
        return hash(self.line)

    def wait_stream(self, other: "EmulatedStream") -> None:
        join(self.line.clock, other.line.clock)

    def wait_event(self, event: "EmulatedEvent") -> None:
        join(self.line.clock, event.clock)

    def record_event(self, event: "EmulatedEvent | None" = None) -> "EmulatedEvent":
        event = event or EmulatedEvent(self.cuda)
        event.record(self)
        return event

    def synchronize(self) -> None:
        self.cuda.wait_for(self.line.clock, "stream.synchronize()")


class EmulatedEvent:
    """As `torch.cuda.Event`."""

    def __init__(self, cuda: "Runtime", **options: bool):
        self.cuda, self.options, self.clock = cuda, options, Clock()

    def record(self, stream: EmulatedStream | None = None) -> None:
        line = (stream or self.cuda.current_stream()).line
        join(line.clock, self.cuda.clocks.host.clock)
        line.tick()
        self.clock = dict(line.clock)

    def wait(self, stream: EmulatedStream | None = None) -> None:
        (stream or self.cuda.current_stream()).wait_event(self)

    def synchronize(self) -> None:
        self.cuda.waited_on.append(self.cuda.current_device())
        self.cuda.wait_for(self.clock, "event.synchronize()")

    def query(self) -> bool:
        known = self.cuda.clocks.host.clock
        return all(known.get(name, 0) >= tick for name, tick in self.clock.items())


class EmulatedGraph:
    """As `torch.cuda.CUDAGraph`: replays what was recorded, on the current stream."""

    def __init__(self, cuda: "Runtime"):
        self.cuda, self.operations = cuda, list[Operation]()

    def replay(self) -> None:
        if not self.operations:
            self.cuda.clocks.complain("a graph is replayed in which nothing was recorded")
        for operation in self.operations:
            self.cuda.clocks.start(self.cuda.current_stream().line, operation.name, operation.accesses)
            operation.run()

    def reset(self) -> None:
        self.operations.clear()


class Runtime:
    """What is asked of `torch.cuda`, and the state of the devices."""

    def __init__(self, num_devices: int = 1, most_bytes: int | None = None):
        self.clocks = Clocks(num_devices, most_bytes)
        self.num_devices = num_devices
        self.failed_captures: list[str] = []
        self.sync_mode = "default"
        self.launches: list[tuple[str, str]] = []
        """Name of the stream and of the operation, of all that was started."""
        self.waited_on: list[int] = []
        """The device that was current whenever an event was waited for."""
        self.defaults = [EmulatedStream(self, line) for line in self.clocks.defaults]
        self._here = threading.local()

    @property
    def faults(self) -> list[str]:
        return self.clocks.faults

    def current_device(self) -> int:
        return getattr(self._here, "device", 0)

    def set_device(self, device: Any) -> None:
        self._here.device = device_index(device)

    def current_stream(self, device: Any = None) -> EmulatedStream:
        index = self.current_device() if device is None else device_index(device, self.current_device())
        return getattr(self._here, "streams", {}).get(index, self.defaults[index])

    def set_stream(self, stream: EmulatedStream) -> None:
        self._here.device = stream.line.device
        self._here.streams = {**getattr(self._here, "streams", {}), stream.line.device: stream}

    @contextmanager
    def stream(self, stream: EmulatedStream) -> Iterator[None]:
        device, before = self.current_device(), self.current_stream(stream.device)
        self.set_stream(stream)
        try:
            yield
        finally:
            self.set_stream(before)
            self._here.device = device

    @contextmanager
    def device(self, device: Any) -> Iterator[None]:
        before = self.current_device()
        self.set_device(device)
        try:
            yield
        finally:
            self._here.device = before

    def make_stream(self, device: Any = None, **_: object) -> EmulatedStream:
        return EmulatedStream(self, self.clocks.stream(device_index(device, self.current_device())))

    def synchronize(self, device: Any = None) -> None:
        self.wait_for(self.clocks.of_all_streams(), "synchronize()")

    def empty_cache(self) -> None:
        if self.failed_captures:
            raise RuntimeError(
                "captures_underway.empty() INTERNAL ASSERT FAILED (a capture has failed before)"
            )

    def set_sync_debug_mode(self, mode: Any) -> None:
        self.sync_mode = {0: "default", 1: "warn", 2: "error"}.get(mode, mode)

    def wait_for(self, clock: Clock, what: str) -> None:
        """The host waits, which nobody may while a graph is recorded."""
        capture = self.capture
        if capture is not None:
            capture.broken = what
            raise RuntimeError(f"operation not permitted when stream is capturing ({what})")
        self.clocks.wait(clock)

    @property
    def capture(self) -> Capture | None:
        return getattr(self._here, "capture", None)

    @contextmanager
    def graph(
        self, graph: EmulatedGraph, pool: object = None, stream: EmulatedStream | None = None, **_: object
    ) -> Iterator[None]:
        """As `torch.cuda.graph`, which does not put the stream back where the capture has failed."""
        device, before = self.current_device(), self.current_stream()
        self.synchronize()
        self.empty_cache()
        stream = stream or self.make_stream()
        self.set_stream(stream)
        capture = self._here.capture = Capture(stream.line, pool or object())
        try:
            yield
        finally:
            self._here.capture = None
            if capture.broken:
                self.failed_captures.append(capture.broken)
                raise RuntimeError("operation failed due to a previous error during capture")
            self.set_stream(before)
            self._here.device = device
        for operation in capture.operations:
            operation.spoil()
        graph.operations = capture.operations


def device_index(device: Any, current: int = 0) -> int:
    """The number of a device however it is named; the current one where it is not."""
    if isinstance(device, int):
        return device
    index = None if device is None else torch.device(device).index
    return current if index is None else index
