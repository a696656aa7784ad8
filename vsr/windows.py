"""Window arithmetic: which neighbours belong to which frames. Pure; knows no tensors, devices or files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window(Generic[T]):
    """A run of frames for one step of a network."""

    items: tuple[T, ...]
    """`before + emit + after` items; the first or last one is repeated where the scene has no more."""
    emitted: tuple[T, ...]
    """The items whose enhanced version this step gives: the middle, without repetitions."""
    reset: bool
    """The first window of a scene: a state must be cleared before it."""


def cut_windows(
    items: Iterable[T], *, before: int, emit: int, after: int, starts_scene: Callable[[T], bool]
) -> Iterator[Window[T]]:
    """Cut a stream into windows that never cross the beginning of a scene.

    Each item is emitted exactly once, in order. A window leaves as soon as its last neighbour has arrived,
    so at most `before + emit + after` items are held; the latency is `after + emit - 1` items.

    Args:
        items: the stream.
        before: earlier neighbours.
        emit: items enhanced together.
        after: later neighbours.
        starts_scene: whether an item does not continue the one before it.
    """
    ring: list[T] = []  # the neighbours before, then what is not yet emitted
    past = 0  # how many of the ring have been emitted already
    fresh = True

    def leave(num_emitted: int) -> Window[T]:
        nonlocal ring, past, fresh
        head = [ring[0]] * (before - past)
        tail = [ring[-1]] * (before + emit + after - len(head) - len(ring))
        window = Window(
            items=tuple((head + ring + tail)[: before + emit + after]),
            emitted=tuple(ring[past : past + num_emitted]),
            reset=fresh,
        )
        fresh = False
        keep_from = max(0, past + num_emitted - before)
        past = past + num_emitted - keep_from
        ring = ring[keep_from:]
        return window

    def flush() -> Iterator[Window[T]]:
        while len(ring) > past:
            yield leave(min(emit, len(ring) - past))

    for item in items:
        if starts_scene(item):
            yield from flush()
            ring, past, fresh = [], 0, True
        ring.append(item)
        if len(ring) - past == emit + after:
            yield leave(emit)
    yield from flush()
