"""Many streams through one engine: what `Engine.run` does for one, a few frames at a time.

On a GPU frames of equal size go through the networks in one batch, and the next batch begins while the planes
of the one before come back. On a CPU a batch gains nothing per frame, so each stream is a task of its own
instead, on its share of the cores: no stream waits for another, and conversions run beside networks. Of a
single stream several frames are. A lone frame gets half of the cores: its threads would wait, after every
layer, for the one whose core a decoder or an encoder has just taken (measured with two other programs on two
cores, fast-x2, 640x360: 229 ms on both, 84 ms on one).
"""

from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from vsr.engine.engine import Ends, Engine, Leaving
from vsr.engine.windowed_stream import Piece
from vsr.frames import Frame
from vsr.models import Damage
from vsr.picture import Picture
from vsr.prefetch import Workers

_MOST_BATCHES = 2
"""Under way at once on a device: one whose planes come back, one that is computed."""


class _Stream:
    """What an engine remembers of one stream."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.ends = Ends(engine)
        self.stages = [stage.begin_stream() for stage in engine.stages]
        """The stream as each stage keeps it."""

    def tell(self, damage: Damage) -> None:
        """Tell the first network that can be told how damaged the pictures are that come from here on."""
        for stage in self.stages:
            if stage.can_be_told:
                stage.damage = damage
                return


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """Frames under way together."""

    frames: Sequence[Frame]
    done: Future[list[Frame]]


class ManyStreams:
    """The streams under way in an engine. Used by one thread at a time, and
    not while the engine runs otherwise.

    What comes out for a stream is what `Engine.run` gives for it alone; on a CPU bit for bit.

    Args:
        engine: runs the networks.
        ring: called, in any thread, when something that was begun has finished.
        engine_of: which engine runs a stream's networks, by its number, asked when the stream begins; on the device
            of `engine` and with its threads. None: `engine` for all.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        ring: Callable[[], None] = lambda: None,
        engine_of: Callable[[int], Engine] | None = None,
    ):
        self._engine, self._ring = engine, ring
        self._engine_of = engine_of or (lambda _: engine)
        self._spreads = engine.device.type == "cpu" and not any(stage.in_batches for stage in engine.stages)
        self._streams: dict[int, _Stream] = {}
        self._damages: dict[int, Damage] = {}
        self._fit: dict[tuple[int, int, int], int] = {}
        self._tasks: list[_Task] = []
        self._num_workers = engine.threads if self._spreads else 1
        self._workers = Workers(self._num_workers, name="vsr-network")

    @property
    def under_way(self) -> list[Frame]:
        """Frames that have begun and whose results `finished` has not given yet."""
        return [frame for task in self._tasks for frame in task.frames]

    @property
    def has_room(self) -> bool:
        """Whether to begin more now keeps the device busy; otherwise it would only make frames wait here."""
        return len(self._tasks) <= self._num_workers if self._spreads else len(self._tasks) < _MOST_BATCHES

    def is_free(self, stream: int) -> bool:
        """Whether a stream may begin: on a CPU it does one thing at a time."""
        return not self._spreads or all(frame.stream != stream for frame in self.under_way)

    def begin(self, frames: Sequence[Frame]) -> None:
        """Begin to enhance frames, usually one of each of several streams that are free.

        Args:
            frames: each belongs to the stream that `Frame.stream` names, all these streams to one engine; those of
                one stream in its order.

        Raises:
            ModelError: a batch does not fit into the device's memory; as in `finished`.
        """
        if not frames:
            return
        by_stream: dict[int, list[Frame]] = {}
        for frame in frames:
            by_stream.setdefault(frame.stream, []).append(frame)
        for stream in by_stream.keys() - self._streams.keys():
            self._streams[stream] = _Stream(self._engine_of(stream))
            if stream in self._damages:
                self._streams[stream].tell(self._damages[stream])
        if not self._spreads:
            with self._running(self._streams[frames[0].stream].engine, self._engine.threads):
                left = self._through(frames)
            self._submit(frames, lambda: self._arrived(left))
            return
        most = min([self._num_workers, *(self._steps_that_fit(frame) for frame in frames)])
        if most < self._num_workers:  # from here on no more frames at once than the largest of them allow
            self._workers.close()
            self._num_workers, self._workers = most, Workers(most, name="vsr-network")
        at_once = min(most, len(self._tasks) + len(by_stream))
        for group in by_stream.values():
            self._submit(group, lambda group=group: self._enhance(group, share=at_once))

    def tell(self, stream: int, damage: Damage) -> None:
        """Tell networks that can be told how damaged a stream's pictures are from here on."""
        if self._damages.get(stream) == damage:
            return
        self._damages[stream] = damage
        if stream in self._streams:
            self._streams[stream].tell(damage)

    def _submit(self, frames: Sequence[Frame], work: Callable[[], list[Frame]]) -> None:
        done = self._workers.begin(work)
        self._tasks.append(_Task(frames, done))
        done.add_done_callback(lambda _: self._ring())

    def finished(self, *, wait: bool = False) -> list[Frame]:
        """Take what is ready, of all that was begun or, without `wait`, of what has ended by now.

        Returns:
            Later frames than those that were begun where a network looks ahead. In order within a stream.

        Raises:
            ModelError: a frame does not fit into the device's memory. Streams `under_way` have lost their
                place: drop them, or set `Frame.reset` on what comes next.
        """
        ready = [task for task in self._tasks if wait or task.done.done()]
        out = [frame for task in ready for frame in task.done.result()]
        self._tasks = [task for task in self._tasks if task not in ready]
        return out

    def push(self, frames: Sequence[Frame]) -> list[Frame]:
        """Begin frames and wait for all that is under way."""
        self.begin(frames)
        return self.finished(wait=True)

    def flush(self, stream: int) -> list[Frame]:
        """End a stream, none of it under way: enhance what waits for neighbours in it, and forget it."""
        if stream not in self._streams:
            return []
        with self._running(self._streams[stream].engine, self._engine.threads):
            left = [one.arrived() for one in self._through((), ending=(stream,))]
        self.drop(stream)
        return left

    def drop(self, stream: int) -> None:
        """Forget a stream, with the frames that wait in it, once what is under way of it has ended."""
        for task in self._tasks:
            if any(frame.stream == stream for frame in task.frames):
                task.done.exception()  # waits; `finished` tells of it
        self._streams.pop(stream, None)
        self._damages.pop(stream, None)

    def close(self) -> None:
        """Forget all streams and end the threads; may be called twice."""
        self._workers.close()
        self._streams.clear()
        self._tasks.clear()

    def _arrived(self, left: Sequence[Leaving]) -> list[Frame]:
        with self._engine.calculating(self._engine.threads):
            return [one.arrived() for one in left]

    def _enhance(self, frames: Sequence[Frame], *, share: int) -> list[Frame]:
        """A stream's own task, on its share of the cores."""
        threads = self._engine.threads
        workers = min(self._num_workers, len(frames)) if share == 1 else 1
        with self._running(self._streams[frames[0].stream].engine, max(1, threads // max(2, share))):
            return [one.arrived() for one in self._through(frames, workers=workers)]

    @contextmanager
    def _running(self, engine: Engine, threads: int) -> Generator[None, None, None]:
        with engine.calculating(threads), engine.transfer.working():
            yield

    def _through(
        self, frames: Sequence[Frame], *, ending: Collection[int] = (), workers: int = 1
    ) -> list[Leaving]:
        """Bring frames through all stages, and what waits of the streams that end after them."""
        pictures: list[Picture] = [self._streams[frame.stream].ends.enter(frame) for frame in frames]
        streams = [*(frame.stream for frame in frames), *ending]
        stages = self._streams[streams[0]].engine.stages if streams else []
        for number, stage in enumerate(stages):
            pieces: list[Piece] = []
            for picture in pictures:
                pieces += self._streams[picture.frame.stream].stages[number].take(picture)
            for stream in ending:
                pieces += self._streams[stream].stages[number].flush()
            pictures = stage.together(pieces, workers=workers)
        return [self._streams[picture.frame.stream].ends.leave(picture) for picture in pictures]

    def _steps_that_fit(self, frame: Frame) -> int:
        """How many streams with frames of this size memory allows; tells each stage of the size once."""
        engine, height, width = self._streams[frame.stream].engine, frame.format.height, frame.format.width
        size = (id(engine), height, width)
        if size not in self._fit:
            fit = [engine.threads]
            for stage in engine.stages:
                fit.append(stage.plan_memory(height, width))
                height, width = height * stage.spec.scale, width * stage.spec.scale
            self._fit[size] = min(fit)
        return self._fit[size]
