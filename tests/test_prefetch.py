import threading
import time
from collections.abc import Iterator

import pytest

from vsr.prefetch import Workers, parallel_map, prefetch, still_wanted


def threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("prefetch")}


def test_items_keep_their_order():
    assert list(prefetch(range(100), depth=3)) == list(range(100))
    assert not threads()


def test_worker_error_arrives_after_the_items_before_it_with_its_traceback():
    def failing():
        yield 1
        yield 2
        raise ValueError("broken at 3")

    got = []
    with pytest.raises(ValueError, match="broken at 3") as caught:
        got.extend(prefetch(failing(), depth=5))
    assert got == [1, 2]
    assert any(entry.name == "failing" for entry in caught.traceback)
    assert not threads()


def test_early_stop_closes_the_source_in_its_own_thread():
    closed_in = []

    def endless():
        try:
            while True:
                yield threading.current_thread().name
        finally:
            closed_in.append(threading.current_thread().name)

    stream = prefetch(endless(), depth=2, name="prefetch-test")
    assert next(stream) == "prefetch-test"
    stream.close()
    assert closed_in == ["prefetch-test"]
    assert not threads()


def test_nested_borders_shut_down_together():
    closed = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.append("inner")

    outer = prefetch(
        (x for x in prefetch(endless(), depth=1, name="prefetch-inner")), depth=1, name="prefetch-outer"
    )
    next(outer)
    started = time.monotonic()
    outer.close()
    assert time.monotonic() - started < 2
    assert closed == ["inner"]
    assert not threads()


def test_byte_budget_holds_the_worker_back():
    made = []

    def source():
        for i in range(20):
            made.append(i)
            yield i

    stream = prefetch(source(), depth=100, num_bytes=lambda _: 10, budget_bytes=25)
    next(stream)
    time.sleep(0.3)
    assert len(made) <= 5
    assert list(stream) == list(range(1, 20))


def test_an_item_larger_than_the_budget_still_passes():
    assert list(prefetch(range(5), depth=3, num_bytes=lambda _: 100, budget_bytes=1)) == list(range(5))


def test_unstarted_stream_leaves_no_thread():
    prefetch(range(3), depth=1).close()
    assert not threads()


def test_parallel_map_keeps_order_and_overlaps():
    together = threading.Barrier(2, timeout=60)  # breaks unless two items are under way at once

    def work(i: int) -> int:
        together.wait()
        time.sleep(0.01 * (3 - i % 4))
        return i * i

    assert list(parallel_map(work, range(8), workers=2)) == [i * i for i in range(8)]


def test_parallel_map_holds_few_items_and_draws_them_in_the_consumers_thread():
    drawn = []

    def items():
        for i in range(50):
            drawn.append(threading.current_thread())
            yield i

    stream = parallel_map(lambda i: i, items(), workers=2)
    assert next(stream) == 0
    assert len(drawn) <= 4
    assert set(drawn) == {threading.current_thread()}
    stream.close()


def test_parallel_map_raises_in_turn_and_leaves_no_thread():
    def work(i: int) -> int:
        if i == 3:
            raise ValueError("broken at 3")
        return i

    got = []
    with pytest.raises(ValueError, match="broken at 3"):
        got.extend(parallel_map(work, range(9), workers=3, name="prefetch-map"))
    assert not threads()


def test_workers_keep_their_threads_and_end_with_their_last_piece():
    workers = Workers(2, name="vsr-kept")
    begun: list[int] = []
    pieces = [
        workers.begin(lambda n=n: (begun.append(n), 1 // n, threading.get_ident())) for n in (1, 2, 0, 3)
    ]
    workers.close()
    assert sorted(begun) == [0, 1, 2, 3]
    assert isinstance(pieces[2].exception(), ZeroDivisionError)
    assert len({piece.result()[2] for piece in pieces if piece.exception() is None}) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vsr-kept")]


def test_who_waits_for_something_outside_hears_that_nobody_wants_it_any_more():
    waits, ended = threading.Event(), list[str]()

    def outside() -> Iterator[int]:
        yield 1
        waits.set()
        while still_wanted():
            time.sleep(0.01)
        ended.append(threading.current_thread().name)

    first = prefetch(outside(), depth=2, name="first")
    second = prefetch((item for item in first), depth=2, name="second")
    assert next(second) == 1
    waits.wait()
    second.close()
    assert ended == ["first"]
    assert still_wanted()
