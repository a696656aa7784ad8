"""The engine's work cut into its parts, each of which can be run alone, to be
measured. The pipeline does not use this.

Every part does what the engine does, with the engine's own code, threads and streams, on frames that lie
ready where the part before would have left them, and returns when the device has finished.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from vsr.engine import (
    CPU_THREADS,
    Input,
    Pending,
    Stage,
    WindowedStream,
    cpu_threads,
    rounding_on,
    transfer_for,
)
from vsr.frames import Frame
from vsr.models import Model
from vsr.options import EngineOptions
from vsr.picture import Picture, from_planes, to_planes

T = TypeVar("T")


def to_and_fro(items: Sequence[T], count: int) -> Iterator[T]:
    """Yield `count` items: the first to the last, back again, and so on, so that what moves never jumps."""
    there_and_back = [*items, *items[-2:0:-1]]
    for index in range(count):
        yield there_and_back[index % len(there_and_back)]


class _Bare(Stage):
    """A stage that leaves out what follows the network: its pictures hold what the network itself gave."""

    def _merge(self, item: Input, enhanced: Tensor) -> Picture:
        return Picture(item.picture.frame, rgb=enhanced)

    def merge_alone(self, item: Input, enhanced: Tensor) -> Picture:
        return super()._merge(item, enhanced)


class Parts:
    """One model's work on a stream of frames. Each part takes the number of frames it is to work on."""

    def __init__(self, model: Model, options: EngineOptions, frames: Sequence[Frame]):
        """Bring every part's material into place.

        Args:
            model: the network.
            options: as for the engine; parts that did not change are never skipped here.
            frames: two or more frames of one format, played to and fro by every part.

        Raises:
            ConfigError: the device or precision is not to be had.
            ModelError: a frame does not fit into the device's memory.
        """
        self._stage = _Bare(model, replace(options, skip_static="off"))
        self.placement = self._stage.placement
        self._transfer = transfer_for(self.placement.device, at_once=self._stage.at_once)
        self._rounding = rounding_on(self.placement.device, note=self._stage.notes.append)
        self._frames = list(frames)
        with self._working(options.threads or CPU_THREADS):
            self._planes = [self._transfer.upload(frame.planes) for frame in self._frames]
            self._inputs = list(self._seen(len(self._frames)))
            fit = self._stage.plan_memory(*self._inputs[0].picture.size)
            self.workers = 1 if model.spec.context.stateful else fit
            """Batches that the engine runs at once."""
            self._raw = list(self._stage.run(item.picture for item in self._inputs))
        self.threads_each = max(1, (options.threads or CPU_THREADS) // self.workers)
        """CPU threads of each of them, and of the thread that converts."""
        with self._working(self.threads_each):
            self._out = [self._finished(item, raw) for item, raw in zip(self._inputs, self._raw, strict=True)]

    @property
    def seen(self) -> list[Tensor]:
        """What the network sees of each frame, (1, C, H, W) float32, nominal."""
        return [item.tensor[None].cpu().contiguous() for item in self._inputs]

    @property
    def given(self) -> list[Tensor]:
        """What it gives of each, (1, C, scale*H, scale*W) float32, nominal."""
        return [picture.rgb.float().cpu() for picture in self._raw if picture.rgb is not None]

    def each(self) -> dict[str, Callable[[int], None]]:
        """The parts in the order of the stream. Only a GPU has uploads and downloads."""
        parts = {"convert in": self.convert_in, "model": self.model, "convert out": self.convert_out}
        if self.placement.device.type == "cpu":
            return parts
        return {"upload": self.upload, **parts, "download": self.download}

    def upload(self, count: int) -> None:
        """Planes in memory → planes on the device."""
        with self._working():
            for frame in to_and_fro(self._frames, count):
                self._transfer.upload(frame.planes)

    def convert_in(self, count: int) -> None:
        """Planes on the device → what the network sees."""
        with self._working(self.threads_each):
            for _ in self._seen(count):
                pass

    def model(self, count: int) -> None:
        """What the network sees → what it gives, in the engine's own batches, tiles and threads."""
        with self._working(self.threads_each * self.workers):
            inputs = enumerate(to_and_fro(self._inputs, count))
            for _ in self._stage.run(replace(item.picture, content=number) for number, item in inputs):
                pass

    def convert_out(self, count: int) -> None:
        """What the network gives → planes: the enlargement it is added to, chroma, rounding."""
        with self._working(self.threads_each):
            for item, raw in to_and_fro(list(zip(self._inputs, self._raw, strict=True)), count):
                self._finished(item, raw)

    def download(self, count: int) -> None:
        """Planes on the device → planes in memory."""
        waiting: deque[Pending] = deque()
        with self._working():
            for planes in to_and_fro(self._out, count):
                waiting.append(self._transfer.download(planes))
                if len(waiting) > self._transfer.depth:
                    waiting.popleft()()
            while waiting:
                waiting.popleft()()

    def _pictures(self, count: int) -> Iterator[Picture]:
        ready = list(zip(self._frames, self._planes, strict=True))
        for number, (frame, planes) in enumerate(to_and_fro(ready, count)):  # a number each: none is a repeat
            yield from_planes(replace(frame, reset=False), list(planes), number)

    def _seen(self, count: int) -> Iterator[Input]:
        yield from map(WindowedStream(self._stage.spec).input, self._pictures(count))

    def _finished(self, item: Input, raw: Picture) -> list[Tensor]:
        assert raw.rgb is not None
        picture = self._stage.merge_alone(item, raw.rgb)
        height, width = picture.size
        format = replace(item.picture.frame.format, height=height, width=width)
        return to_planes(picture, format, self._rounding)

    @contextmanager
    def _working(self, threads: int = 1) -> Generator[None, None, None]:
        """Compute on so many threads, or on the engine's own stream; at the end the device has finished."""
        with cpu_threads(threads), self._transfer.working():
            yield
            if self.placement.device.type == "cuda":
                torch.cuda.synchronize(self.placement.device)
