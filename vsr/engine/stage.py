"""One model on one device: a ring of recent pictures, windows, batches, and the step itself."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial

import torch
from torch import Tensor

from vsr.config import EngineOptions
from vsr.engine.changes import Patchwork
from vsr.engine.device import CPU_THREADS, Placement, place
from vsr.engine.memory import step_bytes, tile_that_fits, workers_that_fit
from vsr.engine.merge import merge, surroundings
from vsr.engine.prepare import prepare, release
from vsr.engine.tiles import is_out_of_memory, padded, tiled
from vsr.engine.turns import Area, Enhanced, Input, Result, in_turn
from vsr.errors import ModelError
from vsr.models.spec import Model
from vsr.pictures import Picture, in_rgb, in_ycc
from vsr.prefetch import parallel_map
from vsr.trace import span
from vsr.windows import Window, compare_windows, cut_windows

MOST_WORKERS = 8
"""Batches under way at once on a CPU."""

SMALLEST_TILE = 64
"""Input pixels; below this halos dominate and memory is not what is missing."""


class Stage:
    """Enhances a stream of pictures with one model. `run` may be used by one thread at a time."""

    def __init__(self, model: Model, options: EngineOptions):
        self.spec = model.spec
        self.placement: Placement = place(options, model.spec.dtypes)
        self.notes: list[str] = []
        """What the user should know of, such as a batch that had to shrink."""
        self._model = model
        self._network = prepare(model, self.placement, options, note=self.notes.append)
        self._skips = options.skip_static == "on" and self._can_skip()
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
        self._patchwork: Patchwork | None = None
        self.area = Area()
        """Of the last run."""

    def _can_skip(self) -> bool:
        spec = self.spec
        if spec.halo is not None and not spec.context.stateful:
            return True
        why = "carries a state from frame to frame" if spec.context.stateful else "looks at the whole picture"
        self.notes.append(f"{spec.name} {why}: parts that did not change cannot be skipped")
        return False

    def _first_batch(self, options: EngineOptions) -> int:
        """Batches pay on a GPU alone (measured: nothing per frame on a CPU).

        A state allows one window at a time; so do changes, which are in another place in each.
        """
        if self.spec.context.stateful or self._skips:
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
        self.area = Area()
        with closing(self._results(pictures)) as results:
            yield from in_turn(results, self.area)

    def _results(self, pictures: Iterable[Picture]) -> Generator[Result, None, None]:
        self._state, self._state_size = None, ()
        if self._skips:
            step = partial(self._step, resets=[False])  # a network without a state has nothing to clear
            self._patchwork = Patchwork(self.spec, step, note=self.notes.append)
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
            windows = compare_windows(windows, content=lambda item: item.picture.content)
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

    def _result(self, windows: list[Window[Input]]) -> Result:
        new = [window for window in windows if not window.repeats]
        return windows, self._enhance(new) if new else []

    def _enhance(self, windows: list[Window[Input]]) -> list[Enhanced]:
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

    def _forward(self, windows: list[Window[Input]]) -> list[Enhanced]:
        frames = _stack([_stack([item.tensor for item in window.items]) for window in windows])
        if self._patchwork is not None:
            return [self._renew(self._patchwork, frames, windows[0])]
        with span("model"):
            outputs = self._step(frames, [window.reset for window in windows])
        with span("convert out"):
            made = [
                [
                    self._merge(item, enhanced[None])
                    for item, enhanced in zip(window.emitted, output, strict=False)  # a short last window emits fewer
                ]
                for window, output in zip(windows, outputs, strict=True)
            ]
        return [Enhanced(partial(list, pictures)) for pictures in made]

    def _merge(self, item: Input, enhanced: Tensor) -> Picture:
        """Put what the network gave, (1, C, sH, sW), into the picture it belongs to."""
        return merge(self.spec, surroundings(self.spec, item.picture, item.tensor[None]), enhanced)

    def _renew(self, patchwork: Patchwork, frames: Tensor, window: Window[Input]) -> Enhanced:
        """Run the network on what changed since the window before; `finish` puts it into the output of that."""
        before = [item.tensor for item in window.before]
        with span("model"):
            parts = patchwork.changed_parts([item.tensor for item in window.items], before)
            renewed = self._step(frames, [window.reset])[0] if parts is None else patchwork.run(frames, parts)
        with span("convert out"):
            around = [surroundings(self.spec, item.picture, item.tensor[None]) for item in window.emitted]

        def finish() -> list[Picture]:
            output = patchwork.join(renewed)
            if self.spec.residual == "none":
                output = output.clone()  # the picture would be the output itself, which is written to
            return [merge(self.spec, each, part[None]) for each, part in zip(around, output, strict=False)]

        return Enhanced(finish, 1.0 if parts is None else patchwork.share(frames, parts))

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
