"""Streams, events, memory and graphs of a GPU as bookkeeping, without a GPU: who may meet whom over a block of memory.

Each stream, and the host, has a vector clock: how far it knows every other to be. What a kernel, a copy or the host
does to a block is held against what was done to it before; where neither is known to come first, that is a race, and
is written down. The rules are those of CUDA and of PyTorch's allocator: a kernel comes after all that the host did
before it was started; an event carries the clock of the stream it was recorded on; freed memory is handed out again at
once to its own stream, and to nobody before the streams that `record_stream` named have come to an end.

All host threads count as one, since queues order what they hand to each other.
"""

import itertools
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

HOST = "host"

Clock = dict[str, int]
"""How far each stream, and the host, is known to be."""


def join(clock: Clock, other: Clock) -> None:
    """Know from here on what another clock knows, too."""
    for name, tick in other.items():
        clock[name] = max(clock.get(name, 0), tick)


class Stream:
    """One line of work on a device; or the host's own."""

    _numbers = itertools.count()

    def __init__(self, name: str = "", device: int = 0):
        self.name, self.device = name or f"stream {next(self._numbers)}", device
        self.clock: Clock = {}

    def tick(self) -> None:
        self.clock[self.name] = self.clock.get(self.name, 0) + 1


@dataclass(eq=False)
class Block:
    """A piece of memory, whoever holds it at the moment."""

    size: int
    reads: Clock = field(default_factory=dict)
    """When each stream last read it."""
    writes: Clock = field(default_factory=dict)

    def unordered(self, actor: Stream, *, writes: bool) -> list[str]:
        """Who may still be at this block while another uses it."""
        before = [("is written", self.writes)] + ([("is read", self.reads)] if writes else [])
        return [
            f"{how} by {name}"
            for how, ticks in before
            for name, tick in ticks.items()
            if name != actor.name and actor.clock.get(name, 0) < tick
        ]

    def use(self, actor: Stream, *, writes: bool) -> None:
        (self.writes if writes else self.reads)[actor.name] = actor.clock[actor.name]


@dataclass(frozen=True, eq=False)
class Access:
    """What one operation does to one block."""

    block: Block
    writes: bool


@dataclass(eq=False)
class Operation:
    """Something that a stream does."""

    name: str
    accesses: list[Access]
    run: Callable[[], None]
    """Does it again, to the same memory: what replaying a graph does."""
    spoil: Callable[[], None] = lambda: None
    """Leaves in its results what is there when it was only recorded."""


class Buffer:
    """A block while tensors hold it; freed with the last of them."""

    def __init__(self, memory: "Memory", block: Block, stream: Stream | None, pool: object):
        self.memory, self.block, self.stream, self.pool = memory, block, stream, pool
        self.recorded: set[Stream] = set()
        """Streams that PyTorch was told of."""

    def __del__(self) -> None:
        self.memory.free(self)


class Memory:
    """The caching allocator of one device, at its most daring: what is freed is the next to be handed out."""

    def __init__(self, most_bytes: int | None, host: Stream, complain: Callable[[str], None]):
        self._most, self._host, self._complain = most_bytes, host, complain
        self._free: dict[tuple[object, int], list[Block]] = defaultdict(list)
        self._waiting: list[tuple[Clock, tuple[object, int], Block]] = []
        self.used_bytes = 0
        self.peak_bytes = 0
        self.num_reused = 0

    def allocate(self, size: int, stream: Stream | None, pool: object = None) -> Buffer | None:
        """Memory for a stream, or pinned memory of the host (no stream); None where there is no more."""
        if stream is not None:
            if self._most is not None and self.used_bytes + size > self._most:
                return None
            self.used_bytes += size
            self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        self._take_back()
        there = self._free[pool or stream, size] if stream is not None else []
        self.num_reused += bool(there)
        return Buffer(self, there.pop() if there else Block(size), stream, pool)

    def free(self, buffer: Buffer) -> None:
        """Take memory back; a race where others than its own stream may still be at it and nobody said so."""
        block, stream = buffer.block, buffer.stream
        if stream is None:  # pinned: handed out again when the copies that used it have ended
            return
        self.used_bytes -= block.size
        key = (buffer.pool or stream, block.size)
        if buffer.recorded:
            clock: Clock = {}
            for other in buffer.recorded:
                join(clock, {other.name: other.clock.get(other.name, 0)})
            self._waiting.append((clock, key, block))
            return
        if buffer.pool is None:  # of a graph's own memory, what matters is in which order graphs are replayed
            knows = Stream(stream.name)
            join(knows.clock, stream.clock)
            join(knows.clock, self._host.clock)
            for problem in block.unordered(knows, writes=True):
                self._complain(f"memory of {stream.name} is freed while it {problem}")
        self._free[key].append(block)

    def _take_back(self) -> None:
        """What streams have been seen to be done with."""
        waiting, self._waiting = self._waiting, []
        for clock, key, block in waiting:
            if all(self._host.clock.get(name, 0) >= tick for name, tick in clock.items()):
                self._free[key].append(block)
            else:
                self._waiting.append((clock, key, block))


class Clocks:
    """The whole: the host, the streams of all devices, their memory, and what went wrong."""

    def __init__(self, num_devices: int = 1, most_bytes: int | None = None):
        self.host = Stream(HOST)
        self.host.tick()
        self.faults: list[str] = []
        self.defaults = [Stream(f"default stream of device {index}", index) for index in range(num_devices)]
        self.memory = [Memory(most_bytes, self.host, self.complain) for _ in range(num_devices)]
        self._streams = weakref.WeakSet[Stream](self.defaults)
        self.pinned = Memory(None, self.host, self.complain)

    def stream(self, device: int) -> Stream:
        """A new one."""
        stream = Stream(device=device)
        self._streams.add(stream)
        return stream

    def of_all_streams(self) -> Clock:
        """What whoever waits for everything knows."""
        clock: Clock = {}
        for stream in self._streams:
            join(clock, stream.clock)
        return clock

    def complain(self, fault: str) -> None:
        if fault not in self.faults:
            self.faults.append(fault)

    def start(self, stream: Stream, operation: str, accesses: Iterable[Access]) -> None:
        """A kernel or a copy begins on a stream, after all that the host has done."""
        join(stream.clock, self.host.clock)
        stream.tick()
        self._check(stream, operation, accesses)

    def touch(self, block: Block, what: str, *, writes: bool) -> None:
        """The host itself reads or writes memory."""
        self.host.tick()
        self._check(self.host, what, [Access(block, writes)])

    def wait(self, clock: Clock) -> None:
        """The host waits for what an event or a stream stands for."""
        join(self.host.clock, clock)

    def _check(self, actor: Stream, operation: str, accesses: Iterable[Access]) -> None:
        for access in accesses:
            for problem in access.block.unordered(actor, writes=access.writes):
                verb = "writes" if access.writes else "reads"
                self.complain(f"{actor.name} {verb} ({operation}) what {problem} with nothing to order them")
            access.block.use(actor, writes=access.writes)


@dataclass(eq=False)
class Capture:
    """A recording under way, in one thread."""

    stream: Stream
    pool: object
    operations: list[Operation] = field(default_factory=list)
    broken: str = ""
    """What must not be recorded and was tried."""
