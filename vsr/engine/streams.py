"""Many streams through one engine: what `Engine.run` does for one, a round of frames at a time.

On a GPU frames of equal size go through the networks in one batch. On a CPU a batch gains nothing per frame, so the
streams of a round are spread over threads instead, each with its share of the cores: no stream waits for another
between two layers, and conversions run beside networks. Of a single stream several frames are. A lone frame gets half
of the cores: its threads would wait, after every layer, for the one whose core a decoder or an encoder has just taken
(measured with two other programs on two cores, fast-x2, 640x360: 229 ms on both, 84 ms on one).
"""

from collections.abc import Collection, Sequence
from functools import partial

import torch

from vsr.engine.engine import Ends, Engine, arrived
from vsr.engine.lane import Lane
from vsr.engine.transfer import Pending
from vsr.errors import ModelError
from vsr.frames import Frame
from vsr.pictures import Picture
from vsr.prefetch import Workers

Left = list[tuple[Frame, Pending]]
"""Frames whose planes are on their way back."""


class _Stream:
    """What an engine remembers of one stream."""

    def __init__(self, engine: Engine):
        self.ends = Ends(engine)
        self.lanes = [Lane(stage.spec) for stage in engine.stages]


class Streams:
    """The streams under way in an engine. Used by one thread at a time, and not while the engine runs otherwise.

    What comes out for a stream is what `Engine.run` gives for it alone; on a CPU bit for bit.
    """

    def __init__(self, engine: Engine):
        self._engine = engine
        self._streams: dict[int, _Stream] = {}
        self._fit: dict[tuple[int, int], int] = {}
        self._workers: dict[int, Workers] = {}

    def push(self, frames: Sequence[Frame]) -> list[Frame]:
        """Enhance a round of frames, usually one of each of several streams.

        Args:
            frames: each belongs to the stream that `Frame.stream` names; those of one stream in its order.

        Returns:
            What is ready: later frames than those that came in where a network looks ahead. In order within a stream.

        Raises:
            ModelError: a frame does not fit into the device's memory. Streams that were part of the round have lost
                their place: drop them, or set `Frame.reset` on what comes next.
        """
        return self._round(frames, ending=())

    def flush(self, stream: int) -> list[Frame]:
        """End a stream: enhance the frames that still wait for neighbours, and forget it."""
        if stream not in self._streams:
            return []
        left = self._round((), ending=(stream,))
        self.drop(stream)
        return left

    def drop(self, stream: int) -> None:
        """Forget a stream, with the frames that wait in it."""
        self._streams.pop(stream, None)

    def close(self) -> None:
        """Forget all streams and end the threads; may be called twice."""
        self._streams.clear()
        while self._workers:
            self._workers.popitem()[1].close()

    def _round(self, frames: Sequence[Frame], *, ending: Collection[int]) -> list[Frame]:
        for frame in frames:
            if frame.stream not in self._streams:
                self._streams[frame.stream] = _Stream(self._engine)
        threads_before = torch.get_num_threads()
        torch.set_num_threads(self._engine.threads)
        try:
            with self._engine.transfer.working():
                left = self._enhance(frames, ending=ending)
            return [arrived(frame, pending) for frame, pending in left]
        except torch.OutOfMemoryError as error:
            raise ModelError(f"no memory left on {self._engine.device} for what follows the model ({error})") from error
        finally:
            torch.set_num_threads(threads_before)

    def _enhance(self, frames: Sequence[Frame], *, ending: Collection[int]) -> Left:
        by_stream: dict[int, list[Frame]] = {}
        for frame in frames:
            by_stream.setdefault(frame.stream, []).append(frame)
        threads = self._engine.threads
        most = min([threads, *(self._steps_that_fit(frame) for frame in frames)])
        if self._engine.device.type != "cpu" or any(stage.in_batches for stage in self._engine.stages):
            return self._through(frames, ending=ending)
        workers = min(most, len(by_stream))
        if workers <= 1:
            torch.set_num_threads(max(1, threads // 2))
            return self._through(frames, ending=ending, workers=min(most, len(frames)))
        each = partial(torch.set_num_threads, max(1, threads // workers))
        if workers not in self._workers:
            self._workers[workers] = Workers(workers, initializer=each, name="vsr-network")
        return [item for left in self._workers[workers].map(self._through, by_stream.values()) for item in left]

    def _through(self, frames: Sequence[Frame], *, ending: Collection[int] = (), workers: int = 1) -> Left:
        """Bring frames through all stages, and what waits of the streams that end after them."""
        pictures: list[Picture] = [self._streams[frame.stream].ends.enter(frame) for frame in frames]
        for number, stage in enumerate(self._engine.stages):
            lanes = [self._lane(picture.frame.stream, number) for picture in pictures]
            pieces = [piece for lane, picture in zip(lanes, pictures, strict=True) for piece in lane.take(picture)]
            pieces += [piece for stream in ending for piece in self._lane(stream, number).flush()]
            pictures = stage.together(pieces, workers=workers)
        return [self._streams[picture.frame.stream].ends.leave(picture) for picture in pictures]

    def _lane(self, stream: int, stage: int) -> Lane:
        return self._streams[stream].lanes[stage]

    def _steps_that_fit(self, frame: Frame) -> int:
        """How many streams with frames of this size memory allows at once; tells each stage of the size once."""
        height, width = size = (frame.format.height, frame.format.width)
        if size not in self._fit:
            fit = [self._engine.threads]
            for stage in self._engine.stages:
                fit.append(stage.plan_memory(height, width))
                height, width = height * stage.spec.scale, width * stage.spec.scale
            self._fit[size] = min(fit)
        return self._fit[size]
