"""Window arithmetic: which neighbours belong to which frames. Pure; knows no tensors, devices or files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window(Generic[T]):
    """A run of frames for one step of a network."""

    items: tuple[T, ...]
    """`before + emit + after` items; where the scene has no more the first or
    last is repeated, or there are fewer."""
    emitted: tuple[T, ...]
    """The items whose enhanced version this step gives: the middle, without repetitions."""
    reset: bool
    """The first window of a scene: a state must be cleared before it."""
    before: tuple[T, ...] = ()
    """The items of the window before it, of whatever scene; empty where nobody compares."""
    repeats: bool = False
    """The window before it shows the same: without a state, its result is this one's too."""


class Ring(Generic[T]):
    """Cuts a stream into windows that never cross the beginning of a scene;
    holds the items still needed for that.

    Each item is emitted exactly once, in order. A window leaves as soon as its last neighbour has arrived,
    so at most `before + emit + after` items are held; the latency is `after + emit - 1` items.
    """

    def __init__(self, *, before: int, emit: int, after: int, shortens: bool = False):
        """Begin a stream whose windows have so many earlier neighbours, items
        enhanced together, later neighbours.

        Nothing is repeated in windows that may shorten.
        """
        self._before, self._emit, self._after, self._shortens = before, emit, after, shortens
        self._items: list[T] = []  # the neighbours before, then what is not yet emitted
        self._past = 0  # how many of the items have been emitted already
        self._fresh = True

    def push(self, item: T, *, starts_scene: bool) -> Iterator[Window[T]]:
        """Take the next item; yield what is left of the scene before it, if it
        begins one, and what is complete now."""
        if starts_scene:
            yield from self.flush()
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
        head = [] if self._shortens else [self._items[0]] * (self._before - self._past)
        tail = [] if self._shortens else [self._items[-1]] * (size - len(head) - len(self._items))
        emitted = self._items[self._past : self._past + num_emitted]
        window = Window(tuple((head + self._items + tail)[:size]), tuple(emitted), self._fresh)
        keep_from = max(0, self._past + num_emitted - self._before)
        self._past, self._fresh = self._past + num_emitted - keep_from, False
        self._items = self._items[keep_from:]
        return window


class RepeatFinder(Generic[T]):
    """Gives each window the items of the one before, and marks it where they
    have the same contents, place by place.

    A scene may begin in between: what is repeated at its borders is part of the items, and a network without
    a state knows of nothing else. A window that emits more than the one before is never a repeat: there is no
    result to take.
    """

    def __init__(self, content: Callable[[T], int]):
        self._content = content
        self._items: tuple[T, ...] = ()
        self._num_emitted = 0

    def compare(self, window: Window[T]) -> Window[T]:
        """The next window of the stream, beside the one before it."""
        before, num_emitted = self._items, self._num_emitted
        same = list(map(self._content, window.items)) == list(map(self._content, before))
        self._items, self._num_emitted = window.items, len(window.emitted)
        return replace(window, before=before, repeats=same and len(window.emitted) <= num_emitted)
