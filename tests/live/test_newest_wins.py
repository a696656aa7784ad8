"""The newest wins: threads of streams that nobody may hold up."""

import threading
import time

import pytest

from vsr.live.newest_wins import DroppingWorker, NewestWins


def threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("newest")}


def test_newest_drops_the_oldest_and_counts_without_ever_waiting():
    done = threading.Event()

    def stream():
        yield from range(10)
        done.set()

    with NewestWins(stream(), depth=2, name="newest-test") as newest:
        assert done.wait(5)
        newest.close()
        assert (len(newest), newest.dropped, newest.ended) == (2, 8, False)
        assert [newest.take(), newest.take(), newest.take()] == [8, 9, None]
        assert newest.ended
    assert not threads()


def test_newest_tells_what_came_in_a_burst_from_what_nobody_took_in_time():
    done, usual = threading.Event(), iter([0.0, 0.0, float("inf"), float("inf"), float("inf")])

    def stream():
        yield from range(6)
        done.set()

    with NewestWins(stream(), name="newest-test", usual_s=lambda: next(usual)) as newest:
        assert done.wait(5)
        assert (newest.dropped, newest.in_bursts) == (5, 3)


def test_newest_rings_for_each_item_and_closes_the_stream_in_its_thread():
    notified, told, closed_in = threading.Semaphore(0), threading.Event(), []

    def stream():
        try:
            number = 0
            while not told.is_set():
                yield (number := number + 1)
                time.sleep(0.01)
        finally:
            closed_in.append(threading.current_thread().name)

    with NewestWins(stream(), name="newest-test", notify=notified.release) as newest:
        taken = []
        while len(taken) < 3:
            assert notified.acquire(timeout=60)
            taken += [item] if (item := newest.take()) is not None else []
        told.set()
    assert taken == sorted(set(taken))
    assert closed_in == ["newest-test"]
    assert not threads()


def test_newest_raises_what_ended_the_stream_after_its_items():
    def failing():
        yield 1
        raise ValueError("broken at 2")

    with NewestWins(failing(), depth=5, name="newest-test") as newest:
        newest.close()
        assert newest.take() == 1
        with pytest.raises(ValueError, match="broken at 2"):
            newest.take()
        assert newest.take() is None


def test_courier_brings_the_newest_and_counts_what_it_dropped():
    brought, busy, go = [], threading.Event(), threading.Event()

    def function(item: int) -> None:
        brought.append(item)
        busy.set()
        go.wait(5)

    worker = DroppingWorker(function, depth=2, name="newest-courier")
    worker.put(0)
    assert busy.wait(5)
    for item in range(1, 6):
        worker.put(item)
    go.set()
    worker.close()
    assert brought == [0, 4, 5]
    assert worker.dropped == 3
    assert not threads()


def test_courier_tells_whoever_hands_over_that_its_function_failed():
    def failing(item: int) -> None:
        raise ValueError(f"no {item}")

    worker = DroppingWorker(failing, name="newest-courier")
    worker.put(1)
    with pytest.raises(ValueError, match="no 1"):
        worker.close()
    with pytest.raises(ValueError, match="no 1"):
        worker.put(2)
    assert not threads()
