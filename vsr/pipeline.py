"""The file to read first: source → engine → sink, as one stream.

Three threads overlap: one reads and decodes, one runs the networks, and the caller's own feeds the encoder,
which is a process of its own. Queues between them are bounded in items and in bytes, so memory does not grow
with the clip.
"""

import time
from collections.abc import Generator, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from vsr.autocrop import Rectangle, crop
from vsr.color_correct import Adaptation, correct_colors
from vsr.engine import Engine
from vsr.frames import Frame
from vsr.limits import BUDGET_BYTES, READ_AHEAD, WRITE_AHEAD
from vsr.media import Sink, Source
from vsr.prefetch import closed_after, prefetch
from vsr.quality import Label, draw_label
from vsr.scenes import Scene, mark_scene_cuts
from vsr.trace import span

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What is put right on the way to the engine, and how far the stages may run ahead of each other."""

    read_ahead: int = READ_AHEAD
    """Decoded frames that may wait for the engine."""
    write_ahead: int = WRITE_AHEAD
    """Enhanced frames that may wait for the encoder."""
    budget_bytes: int = BUDGET_BYTES
    """Bytes that may wait in each of the two queues."""
    crop: Rectangle | None = None
    """The part of each picture that is enhanced; None for all of it."""
    color_correct: bool = False
    """Correct white balance and levels."""
    prepared: bool = False
    """The source gives frames that have been through `prepared` already."""
    label: Label | None = None
    """Written on each enhanced picture."""


@dataclass(slots=True)
class Memory:
    """What is remembered of each stream from frame to frame on the way to the engine."""

    scenes: dict[int, Scene] = field(default_factory=dict[int, Scene])
    colors: dict[int, Adaptation] = field(default_factory=dict[int, Adaptation])


@dataclass
class Clock:
    """Seconds each stage has been busy so far; others may read it while a stream runs."""

    decode_s: float = 0.0
    engine_s: float = 0.0
    encode_s: float = 0.0
    frames: int = 0
    """Frames that the sink has taken."""
    done: int = 0
    """Frames that an earlier run has finished."""
    to_check: int = 0
    """Segments of an earlier run whose bytes are looked at before anything else."""
    checked: int = 0
    """How many of them have been."""
    finishing: bool = False
    """All frames have been taken; the sink flushes, joins and verifies."""
    started: float = field(default_factory=time.monotonic)

    @property
    def is_checking(self) -> bool:
        """What an earlier run has left is looked at."""
        return self.checked < self.to_check

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def slowest(self) -> str:
        """Name of the stage that has been busy longest: `decode`, `model` or `encode`."""
        busy = {"decode": self.decode_s, "model": self.engine_s, "encode": self.encode_s}
        return max(busy, key=lambda name: busy[name])


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to one stream."""

    num_frames: int
    seconds: float
    decode_s: float
    engine_s: float
    encode_s: float
    slowest: str
    num_reused: int = 0
    """Frames that left as the frame before them, because nothing the networks look at had changed."""
    share_skipped: float = 0.0
    """Part of the pictures' area that no network had to run on, from 0 to 1; reused frames are part of it."""
    notes: tuple[str, ...] = ()
    """Lines from the engine that the user should read."""

    @classmethod
    def of(cls, clock: Clock, num_reused: int, share_skipped: float, notes: Iterable[str]) -> "Report":
        """What a clock shows at the end, and what engines say."""
        times = (clock.elapsed_s, clock.decode_s, clock.engine_s, clock.encode_s)
        return cls(clock.frames, *times, clock.slowest, num_reused, share_skipped, tuple(notes))


def enhance(
    source: Source,
    engine: Engine,
    sink: Sink,
    options: PipelineOptions = PipelineOptions(),
    *,
    clock: Clock | None = None,
) -> Report:
    """Read, enhance and write one stream until it ends.

    If any stage fails, its own error is raised here, within a second or two, with nothing left running.
    """
    clock = clock or Clock()
    frames = source.frames()  # all up to the queue runs in the decode thread, which has time to spare
    if not options.prepared:
        frames = prepared(frames, options, scenes=engine.looks_around)
    frames = _busy(frames, clock, "decode_s", traced="decode")
    frames = _ahead(frames, options.read_ahead, options, "vsr-decode")
    frames = _busy(frames, clock, "engine_s", sign=-1)  # waiting for a frame is not the engine's work
    enhanced = _busy(engine.run(frames), clock, "engine_s")
    enhanced = _ahead(enhanced, options.write_ahead, options, "vsr-engine")
    with sink, closing(enhanced):
        for frame in enhanced:
            began = time.monotonic()
            with span("encode"):
                sink.write(draw_label(frame, options.label) if options.label else frame)
            clock.encode_s += time.monotonic() - began
            clock.frames += 1
        clock.finishing = True
    return Report.of(clock, engine.num_reused, engine.share_skipped, engine.notes)


def prepared(
    frames: Iterable[Frame], options: PipelineOptions, *, scenes: bool, memory: Memory | None = None
) -> Iterable[Frame]:
    """Crop, mark scene cuts (where `scenes` wants them, or colours need them)
    and correct colours, frame by frame."""
    memory = memory or Memory()
    if options.crop is not None:
        frames = crop(frames, options.crop)
    if scenes or options.color_correct:
        frames = mark_scene_cuts(frames, memory.scenes)  # sets Frame.reset
    if options.color_correct:
        frames = correct_colors(frames, memory.colors)
    return frames


def _ahead(
    frames: Iterable[Frame], depth: int, options: PipelineOptions, name: str
) -> Generator[Frame, None, None]:
    return prefetch(frames, depth=depth, num_bytes=_size, budget_bytes=options.budget_bytes, name=name)


def _size(frame: Frame) -> int:
    return sum(plane.nbytes for plane in frame.planes)


def _busy(
    items: Iterable[T], clock: Clock, name: str, *, sign: int = 1, traced: str = ""
) -> Generator[T, None, None]:
    """Pass items on, adding the time that each took to a field of the clock (and, named, to a trace)."""
    iterator = iter(items)
    with closed_after(items):
        while True:
            began = time.monotonic()
            try:
                with span(traced) if traced else nullcontext():
                    item = next(iterator)
            except StopIteration:
                return
            finally:
                setattr(clock, name, getattr(clock, name) + sign * (time.monotonic() - began))
            yield item
            del item
