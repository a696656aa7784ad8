"""One model on one device: batches of windows, of one stream or of many, memory, and the step itself."""

import threading
from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial

import torch
from torch import Tensor

from vsr.engine.cuda_graphs import Recorded
from vsr.engine.device import CPU_THREADS, Placement, cpu_threads
from vsr.engine.executor import prepare, release
from vsr.engine.memory import step_bytes, tile_that_fits, workers_that_fit
from vsr.engine.precision import place
from vsr.engine.residual import merge, surroundings
from vsr.engine.step import Stepper
from vsr.engine.tiles import is_out_of_memory
from vsr.engine.unchanged import Patchwork
from vsr.engine.window_batches import Batches
from vsr.engine.windowed_stream import (
    Area,
    BatchResult,
    Enhanced,
    Input,
    Piece,
    WindowedStream,
    in_turn,
)
from vsr.errors import ModelError
from vsr.models import Model
from vsr.options import EngineOptions
from vsr.picture import Picture
from vsr.prefetch import parallel_map
from vsr.trace import span
from vsr.windows import Window

MOST_WORKERS = 8
"""Batches under way at once on a CPU."""

LEAST_SKIPPED = 1.0
"""KFLOP a pixel of a network that is worth looking for changes for: `nano-x2` has 4, bicubic 0.2."""

CHECKED = 4.0
"""Whole pictures that the check of a size costs, about: three of these and nine parts."""

SMALLEST_TILE = 64
"""Input pixels; below this halos dominate and memory is not what is missing."""


class Stage:
    """Enhances pictures with one model. What belongs to a stream is kept in its `WindowedStream`."""

    def __init__(self, model: Model, options: EngineOptions):
        self.spec = model.spec
        self.placement: Placement = place(options, model)
        self.notes: list[str] = []
        """What the user should know of, such as a batch that had to shrink."""
        if self.placement.precision == "int8" and options.precision == "auto":  # it costs something
            self.notes.append(f"{self.spec.name} runs in int8: {self.placement.why}")
        self._model = model
        self._network = prepare(model, self.placement, options, note=self.notes.append)
        self._stepper = Stepper(self.spec, self._network, self.placement.dtype, tile=options.tile)
        self._skips = self._decides_to_skip(options)
        self._tells_skips = options.skip_static == "on"
        # Changes are in another place in each picture: where they are looked for, each goes alone.
        batch = 1 if self._skips else options.batch
        self._batches = Batches(model, self._network, self.placement, batch)
        self._threads = options.threads or CPU_THREADS
        if isinstance(options.tile, int) and not self._stepper.may_tile:
            self.notes.append(
                f"{self.spec.name} carries a state from frame to frame and is not cut into tiles"
            )
        self._crowded = threading.Lock()
        # Of batches of 1 to 16 five shapes are enough to be recorded.
        self._rounds_up = isinstance(self._network, Recorded) and not self.spec.context.stateful
        self.area = Area()
        """Of the last run."""

    def _decides_to_skip(self, options: EngineOptions) -> bool:
        """By itself on a CPU, where looking for changes costs next to nothing of what a network does."""
        spec = self.spec
        can = spec.halo is not None and not spec.context.stateful
        if options.skip_static == "auto":
            alone = self.placement.device.type == "cpu" and options.batch in ("auto", 1)
            return can and alone and spec.kflop_per_pixel >= LEAST_SKIPPED
        if options.skip_static == "off" or can:
            return can and options.skip_static == "on"
        why = "carries a state from frame to frame" if spec.context.stateful else "looks at the whole picture"
        self.notes.append(f"{spec.name} {why}: parts that did not change cannot be skipped")
        return False

    @property
    def at_once(self) -> int:
        """Most pictures of one stream that come out of one step; with a state one window at a time."""
        return (1 if self.spec.context.stateful else self._batches.most) * self.spec.context.emit

    @property
    def in_batches(self) -> bool:
        """Whether windows of several streams go through the network together."""
        return self._batches.most > 1

    def begin_stream(self) -> WindowedStream:
        """All that is kept of one stream."""
        if not self._skips:
            return WindowedStream(self.spec)
        # Without a state there is none to clear.
        step = partial(self._stepper.run, streams=[], resets=[False])
        if self._tells_skips:
            return WindowedStream(self.spec, Patchwork(self.spec, step, note=self.notes.append))
        return WindowedStream(self.spec, Patchwork(self.spec, step, waits_for=CHECKED))

    def run(self, pictures: Iterable[Picture]) -> Generator[Picture, None, None]:
        """Enhance one stream: as many pictures come out as went in, in order."""
        stream = self.begin_stream()
        self.area = stream.area
        with closing(self._results(stream, pictures)) as results:
            yield from in_turn(results)

    def together(self, pieces: Iterable[Piece], *, workers: int = 1) -> list[Picture]:
        """Enhance windows of many streams, those of equal size in batches; each
        stream's pictures come in its order.

        May be used by several threads at once, each with streams of its own.

        Args:
            pieces: each stream's in order.
            workers: CPU threads, of their share of the cores each, that may step at once; a state allows one.
        """
        batches = list(self._batches.across(pieces))
        workers = 1 if self.spec.context.stateful else min(workers, len(batches))
        if workers <= 1:
            return list(in_turn(map(self._result, batches)))
        with closing(self._at_once(batches, workers)) as results:
            return list(in_turn(results))

    def _at_once(self, batches: Iterable[list[Piece]], workers: int) -> Generator[BatchResult, None, None]:
        """Several batches under way at once, each on its share of the CPU's threads."""
        few_threads = partial(torch.set_num_threads, max(1, self._threads // workers))
        return parallel_map(
            self._result, batches, workers=workers, initializer=few_threads, name="vsr-network"
        )

    def _results(
        self, stream: WindowedStream, pictures: Iterable[Picture]
    ) -> Generator[BatchResult, None, None]:
        batches = self._batches.of_stream(stream, pictures)
        first = next(batches, None)
        if first is None:
            return
        fit = self.plan_memory(*first[0].window.items[0].picture.size)
        workers = 1 if self.spec.context.stateful else fit
        yield self._result(first)  # alone, on all threads: a photo has no other batch
        if workers == 1:
            yield from map(self._result, batches)
            return
        each = max(1, self._threads // workers)
        with cpu_threads(each), closing(self._at_once(batches, workers)) as results:
            yield from results

    def plan_memory(self, height: int, width: int) -> int:
        """Cut pictures of this size into tiles that fit, if need be; returns how many steps to run at once.

        One thread a frame, not all threads on one frame: OpenMP's threads wait for each other after every
        layer, and where decoder and encoder want the same cores that costs more than half the speed
        (measured: 20 → 33 fps).
        """
        if self.placement.device.type != "cpu":
            return 1
        need = (
            step_bytes(self.spec, self._model.network, self.placement.dtype, height, width)
            * self._batches.most
        )
        if self._stepper.tile is None and self._stepper.may_tile:
            tile = tile_that_fits(need, height, width, SMALLEST_TILE)
            if tile is not None:
                self._stepper.tile = tile // self.spec.packs
                self.notes.append(f"{self.spec.name}: tiles of {tile} pixels, to fit into memory")
                return 1
        return workers_that_fit(need, min(self._threads, MOST_WORKERS))

    def _result(self, pieces: list[Piece]) -> BatchResult:
        new = [piece for piece in pieces if not piece.window.repeats]
        return BatchResult(pieces, self._enhance(new) if new else [])

    def _enhance(self, pieces: list[Piece]) -> list[Enhanced]:
        """Enhance a batch; where memory does not suffice alone, then in
        smaller batches, then in smaller tiles.

        Raises:
            ModelError: not even the smallest tile fits.
        """
        try:
            return self._forward(pieces)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        with self._crowded:
            release(self._network)
            done: list[Enhanced] = []
            while len(done) < len(pieces):  # what is done stays done: a state must not step twice
                part = pieces[len(done) : len(done) + self._batches.most]
                try:
                    done += self._forward(part)
                    continue
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                if self.placement.device.type == "cuda":
                    torch.cuda.empty_cache()
                self._shrink(len(part), part[0].tensors[0])
                release(self._network)
            return done

    def make_room(self) -> None:
        """Hold less of the device's memory from here on: no recordings for now, and one window at a time."""
        release(self._network)
        if self._batches.most > 1:
            self._batches.most = 1
            self.notes.append(f"{self.spec.name}: out of memory behind it, batch reduced to 1")

    def _shrink(self, batch: int, tensor: Tensor) -> None:
        height, width = tensor.shape[-2:]
        packs = self.spec.packs
        if batch > 1:
            self._batches.most = batch // 2
            self.notes.append(f"{self.spec.name}: out of memory, batch reduced to {self._batches.most}")
            return
        largest = max(height, width)
        smaller = min(self._stepper.tile or largest, largest) // 2
        if not self._stepper.may_tile or smaller * packs < SMALLEST_TILE:
            raise ModelError(
                f"{self.spec.name} does not fit into the memory of {tensor.device} at {width * packs}x{height * packs}"
                + ("" if self._stepper.may_tile else " and tiles are off")
                + "; use a smaller model, --tile auto or --device cpu"
            )
        self._stepper.tile = smaller
        self.notes.append(f"{self.spec.name}: out of memory, tiles of {smaller * packs} pixels from here on")

    def _forward(self, pieces: list[Piece]) -> list[Enhanced]:
        streams, windows = [piece.stream for piece in pieces], [piece.window for piece in pieces]
        frames = _stack([_stack(piece.tensors) for piece in pieces])
        if self._rounds_up:
            frames = _filled(frames, min(1 << (len(frames) - 1).bit_length(), self._batches.most))
        if streams[0].patchwork is not None:
            return [self._renew(streams[0].patchwork, frames, windows[0])]
        with span("model"):
            outputs = self._stepper.run(frames, streams=streams, resets=[window.reset for window in windows])
        with span("convert out"):
            made = [self._merged(window, output) for window, output in zip(windows, outputs, strict=False)]
        return [Enhanced(partial(list, pictures)) for pictures in made]

    def _merged(self, window: Window[Input], output: Tensor) -> list[Picture]:
        """The pictures of a window; the last of a stream may emit fewer than the network gives."""
        return [self._merge(item, each[None]) for item, each in zip(window.emitted, output, strict=False)]

    def _merge(self, item: Input, enhanced: Tensor) -> Picture:
        """Put what the network gave, (1, C, sH, sW), into the picture it belongs to."""
        return merge(self.spec, surroundings(self.spec, item.picture, item.tensor[None]), enhanced)

    def _renew(self, patchwork: Patchwork, frames: Tensor, window: Window[Input]) -> Enhanced:
        """Run the network on what changed; `finish` puts it into the output of the window before."""
        before = [item.tensor for item in window.before]
        with span("model"):
            parts = patchwork.changed_parts([item.tensor for item in window.items], before)
            renewed = patchwork.step(frames)[0] if parts is None else patchwork.run(frames, parts)
        with span("convert out"):
            around = [surroundings(self.spec, item.picture, item.tensor[None]) for item in window.emitted]

        def finish() -> list[Picture]:
            output = patchwork.join(renewed)
            if self.spec.residual == "none":
                output = output.clone()  # the picture would be the output itself, which is written to
            return [merge(self.spec, each, part[None]) for each, part in zip(around, output, strict=False)]

        return Enhanced(finish, 1.0 if parts is None else patchwork.share(frames, parts))


def _filled(frames: Tensor, number: int) -> Tensor:
    """So many windows, the last of them repeated."""
    missing = number - len(frames)
    return torch.cat([frames, frames[-1:].expand(missing, *frames.shape[1:])]) if missing > 0 else frames


def _stack(tensors: list[Tensor]) -> Tensor:
    """Stack; a single tensor is only viewed."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)
