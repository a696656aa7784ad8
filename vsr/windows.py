"""Window arithmetic: which neighbours belong to which frames. Pure; knows no tensors, devices or files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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
    before: tuple[T, ...] = ()
    """The items of the window before it, of whatever scene; empty where nobody compares."""
    repeats: bool = False
    """The window before it shows the same: without a state, its result is this one's too."""


class _Ring(Generic[T]):
    """The items of one scene that are still needed."""

    def __init__(self, *, before: int, emit: int, after: int):
        self._before, self._emit, self._after = before, emit, after
        self._items: list[T] = []  # the neighbours before, then what is not yet emitted
        self._past = 0  # how many of the items have been emitted already
        self._fresh = True

    def push(self, item: T) -> Iterator[Window[T]]:
        self._items.append(item)
        if len(self._items) - self._past == self._emit + self._after:
            yield self._leave(self._emit)

    def flush(self) -> Iterator[Window[T]]:
        """Emit what is left of the scene and begin another."""
        while len(self._items) > self._past:
            yield self._leave(min(self._emit, len(self._items) - self._past))
        self._items, self._past, self._fresh = [], 0, True

    def _leave(self, num_emitted: int) -> Window[T]:
        size = self._before + self._emit + self._after
        head = [self._items[0]] * (self._before - self._past)
        tail = [self._items[-1]] * (size - len(head) - len(self._items))
        emitted = self._items[self._past : self._past + num_emitted]
        window = Window(tuple((head + self._items + tail)[:size]), tuple(emitted), self._fresh)
        keep_from = max(0, self._past + num_emitted - self._before)
        self._past, self._fresh = self._past + num_emitted - keep_from, False
        self._items = self._items[keep_from:]
        return window


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
    ring: _Ring[T] = _Ring(before=before, emit=emit, after=after)
    for item in items:
        if starts_scene(item):
            yield from ring.flush()
        yield from ring.push(item)
    yield from ring.flush()


def compare_windows(windows: Iterable[Window[T]], *, content: Callable[[T], int]) -> Iterator[Window[T]]:
    """Give each window the items of the one before, and mark it where they have the same contents, place by place.

    A scene may begin in between: what is repeated at its borders is part of the items, and a network without a state
    knows of nothing else. A window that emits more than the one before is never a repeat: there is no result to take.
    """
    items: tuple[T, ...] = ()
    num_emitted = 0
    for window in windows:
        same = list(map(content, window.items)) == list(map(content, items))
        yield replace(window, before=items, repeats=same and len(window.emitted) <= num_emitted)
        items, num_emitted = window.items, len(window.emitted)
