"""One model on one device: a ring of recent pictures, windows, batches, and the step itself."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.config import EngineOptions
from vsr.engine.device import CPU_THREADS, Placement, move, place
from vsr.engine.tiles import is_out_of_memory, padded, tiled
from vsr.errors import ModelError
from vsr.models.spec import Model
from vsr.pictures import Picture, as_rgb, as_ycc, enlarge_chroma
from vsr.prefetch import parallel_map
from vsr.resample import enlarge
from vsr.windows import Window, cut_windows

MOST_WORKERS = 8
"""Frames under way at once on a CPU; each needs the memory of a whole step."""

SMALLEST_TILE = 64
"""Input pixels; below this halos dominate and memory is not what is missing."""


@dataclass(frozen=True, slots=True)
class Input:
    """A picture and what the network sees of it, made once however many windows it is part of."""

    picture: Picture
    tensor: Tensor
    """(C, H, W) float32, nominal."""
    starts_scene: bool
    """A reset, or a picture of another size than the one before it."""


class Stage:
    """Enhances a stream of pictures with one model. Used by one thread."""

    def __init__(self, model: Model, options: EngineOptions):
        self.spec = model.spec
        self.placement: Placement = place(options, model.spec.dtypes)
        self.notes: list[str] = []
        """What the user should know of, such as a batch that had to shrink."""
        self._network = model.network
        if isinstance(model.network, nn.Module):
            self._network = move(model.network, self.placement)
        self._batch = self._first_batch(options)
        self._threads = options.threads or CPU_THREADS
        # One thread a frame, not all threads on one frame: OpenMP's threads wait for each other after every layer, and
        # where decoder and encoder want the same cores that costs more than half the speed (measured: 20 → 35 fps).
        on_cpu = self.placement.device.type == "cpu"
        self._workers = min(self._threads, MOST_WORKERS) if on_cpu and not self.spec.context.stateful else 1
        self._tile = options.tile if isinstance(options.tile, int) else None
        self._may_tile = options.tile != "off" and not self.spec.context.stateful
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

    def run(self, pictures: Iterable[Picture]) -> Generator[Picture, None, None]:
        """Enhance a stream: as many pictures come out as went in, in order."""
        self._state, self._state_size = None, ()
        batches = self._batches(pictures)
        # The first batch runs alone on all threads: it finds out what fits into memory, and a photo has no other.
        for batch in islice(batches, 1):
            yield from self._enhance(batch)
        if self._workers == 1:
            for batch in batches:
                yield from self._enhance(batch)
            return
        few_threads = partial(torch.set_num_threads, max(1, self._threads // self._workers))
        few_threads()
        enhanced = parallel_map(
            self._enhance, batches, workers=self._workers, initializer=few_threads, name="vsr-network"
        )
        with closing(enhanced):
            for pictures_out in enhanced:
                yield from pictures_out

    def _batches(self, pictures: Iterable[Picture]) -> Iterator[list[Window[Input]]]:
        context = self.spec.context
        windows = cut_windows(
            self._inputs(pictures),
            before=context.before,
            emit=context.emit,
            after=context.after,
            starts_scene=lambda item: item.starts_scene,
        )
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
        size = None
        for picture in pictures:
            yield Input(picture, self._see(picture), picture.frame.reset or picture.size != size)
            size = picture.size

    def _see(self, picture: Picture) -> Tensor:
        return as_ycc(picture)[0][0] if self.spec.in_channels == 1 else as_rgb(picture)[0]

    def _enhance(self, windows: list[Window[Input]]) -> list[Picture]:
        frames = _stack([_stack([item.tensor for item in window.items]) for window in windows])
        reset = torch.tensor([window.reset for window in windows], device=frames.device)
        outputs = self._fitted(frames, reset)
        return [
            self._merge(item, enhanced[None])
            for window, output in zip(windows, outputs, strict=True)
            for item, enhanced in zip(window.emitted, output, strict=False)  # a short last window emits fewer
        ]

    def _merge(self, item: Input, enhanced: Tensor) -> Picture:
        """Put what the network gave, (1, C, sH, sW), into the picture it belongs to."""
        scale, picture = self.spec.scale, item.picture
        if self.spec.residual != "none":
            enhanced = _base(item.tensor[None], scale, self.spec.residual).add_(enhanced)
        alpha = None if picture.alpha is None else enlarge(picture.alpha, scale)
        if self.spec.in_channels == 3:
            return replace(picture, rgb=enhanced.float(), luma=None, chroma=None, alpha=alpha)
        return replace(picture, luma=enhanced.float(), chroma=enlarge_chroma(picture, scale), rgb=None, alpha=alpha)

    def _fitted(self, frames: Tensor, reset: Tensor) -> Tensor:
        """Step, with a smaller batch and then smaller tiles for as long as memory does not suffice.

        Raises:
            ModelError: not even the smallest tile fits.
        """
        if len(frames) > self._batch:  # an earlier batch of this call had to shrink
            parts = zip(frames.split(self._batch), reset.split(self._batch), strict=True)
            return torch.cat([self._fitted(*part) for part in parts])
        try:
            return self._step(frames, reset)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        if frames.device.type == "cuda":
            torch.cuda.empty_cache()
        self._shrink(frames)
        return self._fitted(frames, reset)

    def _shrink(self, frames: Tensor) -> None:
        height, width = frames.shape[-2:]
        if len(frames) > 1:
            self._batch = len(frames) // 2
            self.notes.append(f"{self.spec.name}: out of memory, batch reduced to {self._batch}")
            return
        largest = max(height, width)
        smaller = min(self._tile or largest, largest) // 2
        if not self._may_tile or smaller < SMALLEST_TILE:
            raise ModelError(
                f"{self.spec.name} does not fit into the memory of {frames.device} at {width}x{height}"
                + ("" if self._may_tile else " and tiles are off")
                + "; use a smaller model, --tile auto or --device cpu"
            )
        self._tile = smaller
        self.notes.append(f"{self.spec.name}: out of memory, tiles of {smaller} pixels from here on")

    @torch.inference_mode()
    def _step(self, frames: Tensor, reset: Tensor) -> Tensor:
        step = partial(padded, self._call(reset), scale=self.spec.scale, multiple=self.spec.size_multiple)
        if self._tile is None or max(frames.shape[-2:]) <= self._tile or not self._may_tile:
            return step(frames)
        spec = self.spec
        return tiled(step, frames, tile=self._tile, halo=spec.halo, scale=spec.scale, multiple=spec.size_multiple)

    def _call(self, reset: Tensor):
        peak = self.spec.value_range

        def call(frames: Tensor) -> Tensor:
            b, _, _, height, width = frames.shape
            if self.spec.context.stateful and self._state_size != (b, height, width):
                self._state = self._network.init_state(b, height, width)
                self._state_size = (b, height, width)
            scaled = frames if peak == 1 else frames * peak
            out, state = self._network.step(scaled.to(self.placement.dtype), self._state, reset)
            self._state = state
            return out if peak == 1 else out / peak

        return call


def _stack(tensors: list[Tensor]) -> Tensor:
    """Stack; a single tensor is only viewed."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)


def _base(x: Tensor, scale: int, kind: Literal["nearest", "bicubic"]) -> Tensor:
    """A fresh tensor, to be added to."""
    if scale == 1:
        return x.clone()
    return F.interpolate(x, scale_factor=scale, mode="nearest") if kind == "nearest" else enlarge(x, scale)
