from collections.abc import Iterator
from itertools import product

import pytest

from vsr.windows import Ring, Window


def cut_windows(items, *, starts_scene, **context) -> Iterator[Window[int]]:
    ring: Ring[int] = Ring(**context)
    for item in items:
        yield from ring.push(item, starts_scene=starts_scene(item))
    yield from ring.flush()


def cut(n: int, *, scenes: tuple[int, ...] = (), **context: int) -> list[Window[int]]:
    context = {"before": 0, "emit": 1, "after": 0} | context
    return list(cut_windows(range(n), starts_scene=lambda i: i in scenes, **context))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("scenes", [(), (3,), (1, 2), (0, 4)])
def test_every_item_is_emitted_once_with_its_clamped_neighbours(n, scenes):
    bounds = sorted({0, *(s for s in scenes if s < n), n})
    for before, emit, after in product([0, 1, 2, 3], [1, 2, 3], [0, 1, 2, 4]):
        seen = []
        for window in cut(n, before=before, emit=emit, after=after, scenes=scenes):
            first = window.emitted[0]
            low = max(b for b in bounds if b <= first)
            high = min(b for b in bounds if b > first) - 1
            wanted = range(first - before, first + emit + after)
            assert window.items == tuple(min(max(i, low), high) for i in wanted), (before, emit, after)
            assert window.reset == (first in bounds), (before, emit, after)
            seen += window.emitted
        assert seen == list(range(n)), (before, emit, after)


def test_single_frame_context_passes_each_item_at_once():
    arrived = []

    def items():
        for i in range(3):
            arrived.append(i)
            yield i

    for window in cut_windows(items(), before=0, emit=1, after=0, starts_scene=lambda _: False):
        assert arrived[-1] == window.emitted[0]


def test_latency_is_after_plus_emit_minus_one():
    arrived = []

    def items():
        for i in range(10):
            arrived.append(i)
            yield i

    windows = cut_windows(items(), before=2, emit=2, after=3, starts_scene=lambda _: False)
    assert next(windows).emitted == (0, 1)
    assert arrived[-1] == 4


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("scenes", [(), (3,), (1, 2), (0, 4)])
def test_windows_that_shorten_hold_no_item_twice_and_end_with_the_scene(n, scenes):
    bounds = sorted({0, *(s for s in scenes if s < n), n})
    for emit, after in product([1, 3], [0, 1, 4]):
        seen = []
        for window in cut(n, emit=emit, after=after, scenes=scenes, shortens=True):
            first = window.emitted[0]
            end = min(b for b in bounds if b > first)
            assert window.items == tuple(range(first, min(first + emit + after, end))), (emit, after)
            assert window.emitted == window.items[:emit], (emit, after)
            assert window.reset == (first in bounds), (emit, after)
            seen += window.emitted
        assert seen == list(range(n)), (emit, after)
