"""One model on one device: a ring of recent pictures, windows, batches, and the step itself."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.config import EngineOptions
from vsr.engine.device import CPU_THREADS, Placement, place
from vsr.engine.memory import step_bytes, tile_that_fits, workers_that_fit
from vsr.engine.prepare import prepare, release
from vsr.engine.tiles import is_out_of_memory, padded, tiled
from vsr.errors import ModelError
from vsr.models.spec import Model
from vsr.pictures import Picture, enlarge_chroma, in_rgb, in_ycc
from vsr.prefetch import parallel_map
from vsr.resample import enlarge
from vsr.trace import span
from vsr.windows import Window, cut_windows, mark_repeats

MOST_WORKERS = 8
"""Batches under way at once on a CPU."""

SMALLEST_TILE = 64
"""Input pixels; below this halos dominate and memory is not what is missing."""


@dataclass(frozen=True, slots=True)
class Input:
    """A picture in the colours its network wants, made once however many windows it is part of."""

    picture: Picture
    tensor: Tensor
    """(C, H, W) float32, nominal: what the network sees of the picture."""
    starts_scene: bool
    """A reset, or a picture of another size than the one before it."""


class Stage:
    """Enhances a stream of pictures with one model. `run` may be used by one thread at a time."""

    def __init__(self, model: Model, options: EngineOptions):
        self.spec = model.spec
        self.placement: Placement = place(options, model.spec.dtypes)
        self.notes: list[str] = []
        """What the user should know of, such as a batch that had to shrink."""
        self._model = model
        self._network = prepare(model, self.placement, options, note=self.notes.append)
        self._batch = self._first_batch(options)
        self._threads = options.threads or CPU_THREADS
        self._tile = options.tile if isinstance(options.tile, int) else None
        self._may_tile = options.tile != "off" and not self.spec.context.stateful
        if self._tile and not self._may_tile:
            self.notes.append(f"{self.spec.name} carries a state from frame to frame and is not cut into tiles")
        self._crowded = threading.Lock()
        self._state: object = None
        self._state_size: tuple[int, ...] = ()
        """Batch, height, width that the state was made for; empty before the first step of a stream."""

    def _first_batch(self, options: EngineOptions) -> int:
        """Batches pay on a GPU alone (measured: nothing per frame on a CPU); a state allows one window at a time."""
        if self.spec.context.stateful:
            return 1
        if isinstance(options.batch, int):
            return options.batch
        return 4 if self.placement.device.type == "cuda" else 1

    @property
    def at_once(self) -> int:
        """Most pictures that come out of one step."""
        return self._batch * self.spec.context.emit

    def run(self, pictures: Iterable[Picture]) -> Generator[Picture, None, None]:
        """Enhance a stream: as many pictures come out as went in, in order."""
        with closing(self._results(pictures)) as results:
            yield from _in_turn(results)

    def _results(self, pictures: Iterable[Picture]) -> "Generator[Result, None, None]":
        self._state, self._state_size = None, ()
        batches = self._batches(pictures)
        first = next(batches, None)
        if first is None:
            return
        workers = self._plan_memory(first[0].items[0].tensor)
        yield self._result(first)  # alone, on all threads: a photo has no other batch
        if workers == 1:
            yield from map(self._result, batches)
            return
        threads_before = torch.get_num_threads()
        few_threads = partial(torch.set_num_threads, max(1, self._threads // workers))
        few_threads()
        results = parallel_map(self._result, batches, workers=workers, initializer=few_threads, name="vsr-network")
        try:
            with closing(results):
                yield from results
        finally:
            torch.set_num_threads(threads_before)

    def _plan_memory(self, tensor: Tensor) -> int:
        """Cut pictures into tiles that fit, if need be; returns how many batches to run at once.

        One thread a frame, not all threads on one frame: OpenMP's threads wait for each other after every layer, and
        where decoder and encoder want the same cores that costs more than half the speed (measured: 20 → 33 fps).
        """
        if self.placement.device.type != "cpu":
            return 1
        height, width = tensor.shape[-2:]
        need = step_bytes(self.spec, self._model.network, self.placement.dtype, height, width) * self._batch
        if self._tile is None and self._may_tile:
            self._tile = tile_that_fits(need, height, width, SMALLEST_TILE)
            if self._tile is not None:
                self.notes.append(f"{self.spec.name}: tiles of {self._tile} pixels, to fit into memory")
                return 1
        return 1 if self.spec.context.stateful else workers_that_fit(need, min(self._threads, MOST_WORKERS))

    def _batches(self, pictures: Iterable[Picture]) -> Iterator[list[Window[Input]]]:
        context = self.spec.context
        windows = cut_windows(
            self._inputs(pictures),
            before=context.before,
            emit=context.emit,
            after=context.after,
            starts_scene=lambda item: item.starts_scene,
        )
        if not context.stateful:
            windows = mark_repeats(windows, content=lambda item: item.picture.content)
        batch: list[Window[Input]] = []
        for window in windows:
            if batch and window.items[0].tensor.shape != batch[0].items[0].tensor.shape:
                yield batch
                batch = []
            batch.append(window)
            if len(batch) >= self._batch:
                yield batch
                batch = []
        if batch:
            yield batch

    def _inputs(self, pictures: Iterable[Picture]) -> Iterator[Input]:
        before: Picture | None = None
        for picture in pictures:
            starts_scene = picture.frame.reset or before is None or picture.size != before.size
            if before is not None and picture.content == before.content:
                picture = before.again(picture.frame)
            else:
                with span("convert in"):
                    picture = in_ycc(picture) if self.spec.in_channels == 1 else in_rgb(picture)
            before = picture
            tensor = picture.luma if self.spec.in_channels == 1 else picture.rgb
            assert tensor is not None
            yield Input(picture, tensor[0], starts_scene)

    def _result(self, windows: list[Window[Input]]) -> "Result":
        new = [window for window in windows if not window.repeats]
        return windows, self._enhance(new) if new else []

    def _enhance(self, windows: list[Window[Input]]) -> list[list[Picture]]:
        """Enhance a batch; where memory does not suffice alone, then in smaller batches, then in smaller tiles.

        Raises:
            ModelError: not even the smallest tile fits.
        """
        try:
            return self._forward(windows)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        with self._crowded:
            while True:
                release(self._network)
                try:
                    parts = [windows[i : i + self._batch] for i in range(0, len(windows), self._batch)]
                    return [result for part in parts for result in self._forward(part)]
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                if self.placement.device.type == "cuda":
                    torch.cuda.empty_cache()
                self._shrink(min(self._batch, len(windows)), windows[0].items[0].tensor)

    def _shrink(self, batch: int, tensor: Tensor) -> None:
        height, width = tensor.shape[-2:]
        if batch > 1:
            self._batch = batch // 2
            self.notes.append(f"{self.spec.name}: out of memory, batch reduced to {self._batch}")
            return
        largest = max(height, width)
        smaller = min(self._tile or largest, largest) // 2
        if not self._may_tile or smaller < SMALLEST_TILE:
            raise ModelError(
                f"{self.spec.name} does not fit into the memory of {tensor.device} at {width}x{height}"
                + ("" if self._may_tile else " and tiles are off")
                + "; use a smaller model, --tile auto or --device cpu"
            )
        self._tile = smaller
        self.notes.append(f"{self.spec.name}: out of memory, tiles of {smaller} pixels from here on")

    def _forward(self, windows: list[Window[Input]]) -> list[list[Picture]]:
        frames = _stack([_stack([item.tensor for item in window.items]) for window in windows])
        with span("model"):
            outputs = self._step(frames, [window.reset for window in windows])
        with span("convert out"):
            return [
                # A short last window emits fewer.
                [self._merge(item, enhanced[None]) for item, enhanced in zip(window.emitted, output, strict=False)]
                for window, output in zip(windows, outputs, strict=True)
            ]

    def _merge(self, item: Input, enhanced: Tensor) -> Picture:
        """Put what the network gave, (1, C, sH, sW), into the picture it belongs to."""
        scale, picture = self.spec.scale, item.picture
        if self.spec.residual != "none":
            enhanced = _base(item.tensor[None], scale, self.spec.residual).add_(enhanced)
        alpha = None if picture.alpha is None else enlarge(picture.alpha, scale)
        if self.spec.in_channels == 3:
            return replace(picture, rgb=enhanced.float(), alpha=alpha)
        return replace(picture, luma=enhanced.float(), chroma=enlarge_chroma(picture, scale), alpha=alpha)

    @torch.inference_mode()
    def _step(self, frames: Tensor, resets: list[bool]) -> Tensor:
        spec = self.spec
        step = partial(padded, self._call(resets), scale=spec.scale, multiple=spec.size_multiple)
        if self._tile is None or max(frames.shape[-2:]) <= self._tile or not self._may_tile:
            return step(frames)
        return tiled(step, frames, tile=self._tile, halo=spec.halo, scale=spec.scale, multiple=spec.size_multiple)

    def _call(self, resets: list[bool]) -> Callable[[Tensor], Tensor]:
        peak = self.spec.value_range

        def call(frames: Tensor) -> Tensor:
            b, _, _, height, width = frames.shape
            if self.spec.context.stateful and self._state_size != (b, height, width):
                self._state = self._network.init_state(b, height, width)
                self._state_size = (b, height, width)
            reset = _flags(resets, frames.device)
            scaled = frames if peak == 1 else frames * peak
            out, state = self._network.step(scaled.to(self.placement.dtype), self._state, reset)
            if self.spec.context.stateful:
                self._state = state
            return out if peak == 1 else out / peak

        return call


Result = tuple[list[Window[Input]], list[list[Picture]]]
"""A batch, and the pictures of each of its windows that is not a repeat."""


def _in_turn(results: Iterable[Result]) -> Iterator[Picture]:
    """Put the batches' pictures in a row, repeats filled in, with content numbers of their own.

    In the order of the stream, and so not where the batches are computed: the window that is repeated may then still
    be under way in another thread.
    """
    numbers = count()
    last: list[Picture] = []
    for windows, new in results:
        enhanced = iter(new)
        for window in windows:
            if window.repeats:
                last = [picture.again(item.picture.frame) for picture, item in zip(last, window.emitted, strict=False)]
            else:
                last = [replace(picture, content=next(numbers)) for picture in next(enhanced)]
            yield from last


def _flags(resets: list[bool], device: torch.device) -> Tensor:
    """The flags on the device, without a copy that would wait for all work before it."""
    flags = torch.zeros(len(resets), dtype=torch.bool, device=device)
    for index, reset in enumerate(resets):
        if reset:
            flags[index].fill_(True)
    return flags


def _stack(tensors: list[Tensor]) -> Tensor:
    """Stack; a single tensor is only viewed."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)


def _base(x: Tensor, scale: int, kind: Literal["nearest", "bicubic"]) -> Tensor:
    """A fresh tensor, to be added to."""
    if scale == 1:
        return x.clone()
    return F.interpolate(x, scale_factor=scale, mode="nearest") if kind == "nearest" else enlarge(x, scale)
