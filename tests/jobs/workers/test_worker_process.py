"""Worker processes: heard to their last word, ended in time, and never left behind."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection

import pytest

from vsr.jobs.workers.worker_process import WorkerProcess, become_worker, stop_all, wait_for_news


def echo(pipe: Connection, word: str) -> None:
    become_worker(SystemExit(7))
    pipe.send(word)
    pipe.send(pipe.recv())


def fall(pipe: Connection) -> None:
    pipe.send("last word")
    os.kill(os.getpid(), signal.SIGKILL)


def idle(pipe: Connection) -> None:
    become_worker(SystemExit(7))
    pipe.send("ready")
    time.sleep(60)


def deaf(pipe: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe.send("ready")
    time.sleep(60)


def own(pipe: Connection) -> None:
    """Start another worker, tell its number and wait."""
    worker = WorkerProcess(idle, name="below")
    worker.start()
    assert worker.pipe.recv() == "ready"
    pipe.send(worker.pid)
    time.sleep(60)


@pytest.fixture
def begin():
    started: list[WorkerProcess] = []

    def start(work, *arguments) -> WorkerProcess:
        worker = WorkerProcess(work, *arguments, name="test")
        worker.start()
        started.append(worker)
        return worker

    yield start
    stop_all([each for each in started if not each.pipe.closed], within_s=5)
    assert not multiprocessing.active_children()


def heard(worker: WorkerProcess, num: int | None = None) -> list[object]:
    """So many messages, or all up to its end."""
    found: list[object] = []
    while worker.exit_code is None if num is None else len(found) < num:
        wait_for_news([worker], 30)
        found += worker.receive()
    return found


def test_all_that_was_said_is_heard_before_the_end(begin):
    worker = begin(echo, "one")
    worker.send("two")
    assert heard(worker) == ["one", "two"]
    assert worker.exit_code == 0


def test_a_death_is_heard_of_and_a_message_to_the_dead_is_no_error(begin):
    worker = begin(fall)
    wait_for_news([worker], 30)
    assert heard(worker, 1) == ["last word"]
    worker.send("too late")
    assert heard(worker) == []
    assert worker.exit_code == -signal.SIGKILL


def test_workers_end_when_told_to_and_are_killed_where_they_do_not(begin):
    tame, wild = begin(idle), begin(deaf)
    assert heard(tame, 1) == heard(wild, 1) == ["ready"]
    stop_all([tame, wild, WorkerProcess(idle, name="never started")], within_s=5)
    assert not multiprocessing.active_children()
    assert (tame._process.exitcode, wild._process.exitcode) == (7, -signal.SIGKILL)


def test_a_worker_does_not_outlive_who_has_started_it(begin):
    above = begin(own)
    [below] = heard(above, 1)
    os.kill(above.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(below, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"process {below} still runs")
