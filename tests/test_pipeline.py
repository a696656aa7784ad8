"""The fault suite: whichever stage fails, its own error arrives in time and nothing is left running."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import torch
from support.clips import draw_number, read_number
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.errors import ModelError, SinkError, SourceError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.reading.source import ListSource
from vsr.media.writing.sink import MemorySink
from vsr.models import load
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions
from vsr.pipeline import Clock, PipelineOptions, enhance

SIZE = PictureFormat(32, 48, layout="gray")
TIME_LIMIT_S = 5


class BrokenError(Exception):
    """Ours alone, so that no other error can pass for it."""


@pytest.fixture(autouse=True)
def nothing_left_and_nothing_hung() -> Iterator[None]:
    """Fail where a thread outlives the test, and end a test that hangs."""

    def give_up(*_: object) -> None:
        raise AssertionError("the pipeline hangs")

    before = set(threading.enumerate())
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(120)
    yield
    if hasattr(signal, "SIGALRM"):
        signal.alarm(0)
    assert not {thread for thread in threading.enumerate() if thread not in before}


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vsr-")]


def frame(n: int, format: PictureFormat = SIZE) -> Frame:
    plane = np.empty((format.height, format.width), np.uint8)
    draw_number(plane, n)
    chroma = [np.full(format.plane_size(i), 100 + n % 50, np.uint8) for i in range(1, format.num_planes)]
    return Frame((plane, *chroma), format, pts=n * 1001 + n % 3, time_base=Fraction(1, 30_000), duration=1001)


def nothing(_: int) -> None:
    return


@dataclass
class Numbered:
    """A source of numbered frames that calls `before` with the number of each, and notes who closed it."""

    count: int
    before: Callable[[int], None] = nothing
    format: PictureFormat = SIZE
    closed_by: list[str] = field(default_factory=list[str])
    num_read: int = 0

    @property
    def info(self) -> StreamInfo:
        return ListSource([frame(0, self.format)]).info

    def frames(self) -> Iterator[Frame]:
        try:
            for n in range(self.count):
                self.before(n)
                self.num_read += 1
                yield frame(n, self.format)
        finally:
            self.closed_by.append(threading.current_thread().name)


@dataclass
class Checking:
    """A sink that keeps the numbers it is given, calls `before` with each, and notes how it was left."""

    before: Callable[[int], None] = nothing
    on_enter: Callable[[int], None] = nothing
    on_exit: Callable[[int], None] = nothing
    numbers: list[int] = field(default_factory=list[int])
    left_with: list[type[BaseException] | None] = field(default_factory=list[type[BaseException] | None])

    def __enter__(self) -> Self:
        self.on_enter(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.left_with.append(kind)
        assert not ours(), "the sink is left last, when nothing runs any more"
        self.on_exit(0)

    def write(self, frame: Frame) -> None:
        n = read_number(frame.planes[0])
        self.before(n)
        self.numbers.append(n)


class Network:
    """Gives back the middle frame; calls `before` with the number of each step."""

    def __init__(self, before: Callable[[int], None], context: Context):
        self.before, self.context, self.steps = before, context, 0

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.before(self.steps)
        self.steps += 1
        first = self.context.before
        return frames[:, first : first + self.context.emit], None


def engine(before: Callable[[int], None] = nothing, context: Context = Context()) -> Engine:
    options = EngineOptions(device="cpu", precision="fp32", threads=1)
    return Engine([Model(ModelSpec("test", scale=1, context=context), Network(before, context))], options)


def fails_at(k: int, error: BaseException) -> Callable[[int], None]:
    def check(n: int) -> None:
        if n == k:
            raise error

    return check


CONTEXTS = [Context(), Context(before=2, after=2), Context(after=1, emit=3)]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 60])
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
@pytest.mark.parametrize("options", [PipelineOptions(), PipelineOptions(1, 1, budget_bytes=1)], ids=str)
def test_every_frame_arrives_once_in_order_with_its_time(count, context, options):
    source, sink = Numbered(count), MemorySink()
    report = enhance(source, engine(context=context), sink, options)
    wanted = [frame(n) for n in range(count)]
    assert [read_number(f.planes[0]) for f in sink.frames] == list(range(count))
    assert [(f.pts, f.time_base, f.duration) for f in sink.frames] == [
        (f.pts, f.time_base, f.duration) for f in wanted
    ]
    assert report.num_frames == count
    assert source.closed_by == ["vsr-decode"]


def test_sink_is_entered_and_left_once():
    sink = Checking()
    enhance(Numbered(5), engine(), sink)
    assert sink.left_with == [None]
    assert sink.numbers == [0, 1, 2, 3, 4]


def test_the_report_and_the_clock_agree():
    clock = Clock()
    report = enhance(Numbered(20, lambda _: time.sleep(0.005)), engine(), MemorySink(), clock=clock)
    assert report.num_frames == clock.frames == 20
    assert report.slowest == clock.slowest == "decode"
    assert report.decode_s == clock.decode_s >= 0.1
    assert report.engine_s == clock.engine_s >= 0
    assert report.seconds <= clock.elapsed_s


@pytest.mark.parametrize(
    "error",
    [
        BrokenError("at k"),
        SourceError("at k"),
        ModelError("at k"),
        KeyboardInterrupt("at k"),
        SystemExit("at k"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("k", [0, 1, 13])
@pytest.mark.parametrize("stage", ["source", "engine", "sink"])
@pytest.mark.parametrize("context", CONTEXTS[:2], ids=str)
def test_a_failing_stage_raises_its_own_error_and_leaves_nothing(stage, k, error, context):
    fails = fails_at(k, error)
    source = Numbered(1_000_000, fails if stage == "source" else nothing)
    sink = Checking(fails if stage == "sink" else nothing)
    began = time.monotonic()
    with pytest.raises(type(error), match="at k") as caught:
        enhance(source, engine(fails if stage == "engine" else nothing, context), sink)
    assert time.monotonic() - began < TIME_LIMIT_S
    assert caught.value is error
    assert any(entry.name == "check" for entry in caught.traceback)
    # The exception is still held here, and with it every frame of its traceback.
    assert not ours()
    assert source.closed_by == ["vsr-decode"]
    assert sink.left_with == [type(error)]
    assert sink.numbers == list(range(len(sink.numbers)))
    # Every frame that could be finished before the failure has been written.
    assert len(sink.numbers) == (max(0, k - context.latency) if stage == "source" else k)
    assert source.num_read < 100


@pytest.mark.parametrize("where", ["on_enter", "on_exit"])
def test_a_sink_that_fails_to_begin_or_to_end_raises_its_own_error(where):
    error = BrokenError(where)
    with pytest.raises(BrokenError) as caught:
        enhance(Numbered(20), engine(), Checking(**{where: fails_at(0, error)}))
    assert caught.value is error
    assert not ours()


def test_a_sink_that_fails_while_another_failure_ends_it_keeps_the_first_as_context():
    first, second = BrokenError("first"), SinkError("second")
    with pytest.raises(SinkError) as caught:
        enhance(Numbered(20, fails_at(7, first)), engine(), Checking(on_exit=fails_at(0, second)))
    assert caught.value.__context__ is first
    assert not ours()


def test_a_failure_does_not_wait_for_a_source_that_is_slow():
    began = time.monotonic()
    with pytest.raises(BrokenError):
        enhance(
            Numbered(1_000, lambda n: time.sleep(0.5 if n > 3 else 0)),
            engine(),
            Checking(fails_at(2, BrokenError("sink"))),
        )
    assert time.monotonic() - began < TIME_LIMIT_S
    assert not ours()


def test_a_failure_reaches_a_source_that_waits_for_room():
    source = Numbered(1_000)
    full = threading.Event()

    def fail_when_full(_: int) -> None:
        while source.num_read < 3:
            time.sleep(0.01)
        full.set()
        raise BrokenError("engine")

    with pytest.raises(BrokenError):
        enhance(source, engine(fail_when_full), MemorySink(), PipelineOptions(1, 1))
    assert full.is_set()
    assert not ours()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to threads are POSIX")
@pytest.mark.parametrize("stage", ["source", "engine"])
def test_an_interrupt_from_the_keyboard_ends_everything(stage):
    def interrupt(n: int) -> None:
        if n == 5:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.002)

    source, sink = Numbered(1_000_000, interrupt if stage == "source" else nothing), Checking()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        enhance(source, engine(interrupt if stage == "engine" else nothing), sink)
    assert time.monotonic() - began < TIME_LIMIT_S
    assert not ours()
    assert source.closed_by == ["vsr-decode"]
    assert sink.left_with == [KeyboardInterrupt]


def test_the_engine_serves_again_after_a_failure():
    machine = engine()
    with pytest.raises(BrokenError):
        enhance(Numbered(20, fails_at(3, BrokenError("once"))), machine, MemorySink())
    sink = Checking()
    enhance(Numbered(8), machine, sink)
    assert sink.numbers == list(range(8))


def test_a_source_never_runs_far_ahead_of_the_sink():
    source = Numbered(400)
    furthest = [0]

    def compare(n: int) -> None:
        furthest[0] = max(furthest[0], source.num_read - n)

    enhance(source, engine(), Checking(compare), PipelineOptions(read_ahead=3, write_ahead=2))
    # Three and two wait, and each of the two threads and the sink holds one or two.
    assert furthest[0] <= 12


def resident_mib() -> float:
    """Memory of this process that is really there (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth_mib(early: int, count: int, format: PictureFormat) -> tuple[float, float]:
    """Resident memory after so many frames, and at the end, of a run through a built-in network."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("resident memory is read from /proc")
    try:
        model = load("nano-x2")
    except ModelError:
        model = load("fast-x2")
    seen: dict[int, float] = {}
    numbers = 1 << 14

    @dataclass
    class Counting:
        taken: int = 0

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def write(self, frame: Frame) -> None:
            assert read_number(frame.planes[0]) == self.taken % numbers
            self.taken += 1
            if self.taken in (early, count):
                seen[self.taken] = resident_mib()

    machine = Engine([model], EngineOptions(device="cpu", threads=1))
    report = enhance(Numbered(count, format=format), machine, Counting())
    assert report.num_frames == count
    assert torch.is_grad_enabled()
    return seen[early], seen[count]


def test_memory_stays_flat_over_a_stream():
    early, late = growth_mib(100, 400, PictureFormat(128, 192))
    # Three hundred enhanced frames kept would be 42 MiB.
    assert late - early < 12


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_frames():
    signal.alarm(1200)  # minutes on a slow machine
    early, late = growth_mib(500, 10_000, PictureFormat(90, 160))
    assert late < early * 1.1
