"""Jobs under way: paused, canceled, deleted, stopped with the server; what is finished of them stays or goes."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.archives import wait_until
from support.clips import ClipOptions, write_clip

from vsr.errors import SinkError
from vsr.web.data_folder import DataFolder
from vsr.web.problems import ProblemError
from vsr.web.runner import finished_file
from vsr.web.store import Store
from vsr.web.web_options import WebOptions
from vsr.web.workshop import Workshop

OPTIONS = {"model": ["bicubic-x2"], "preset": "ultrafast", "segment": 0.4, "threads": 1}


class Shop:
    """A workshop without a server, and a clip that has been brought."""

    def __init__(self, folder: Path, **options):
        self.folder, self.options = folder, options
        self.clip = write_clip(folder / "clip.mp4", ClipOptions(num_frames=500))
        self.begin()
        self.upload = self.work.uploads.create("clip.mp4", self.clip.stat().st_size)
        self.work.uploads.path(self.upload).write_bytes(self.clip.read_bytes())

    def begin(self) -> None:
        self.data = DataFolder(self.folder / "data")
        self.store = Store(self.data.database)
        self.work = Workshop(self.data, self.store, WebOptions(**self.options))
        self.work.runner.start()

    def end(self) -> None:
        self.work.runner.stop()
        self.store.close()
        self.data.close()

    def state(self, job: str) -> str:
        return self.work.job(job).state

    def wait_for(self, job: str, frames: int = 1) -> None:
        wait_until(
            lambda: (there := self.work.runner.progress.get(job)) is not None and there.frames >= frames
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.end()


def test_what_is_finished_of_a_paused_job_stays_and_of_a_canceled_one_goes(shop):
    first, second, third = (shop.work.order(shop.upload, OPTIONS).id for _ in range(3))
    shop.wait_for(first, 30)
    assert shop.work.act(third, "pause").state == "paused"
    shop.work.act(first, "pause")
    shop.wait_for(second)  # the next one's turn
    assert list(shop.data.job(first).glob(".result.mp4.vsr/*"))
    shop.work.delete(second)
    wait_until(lambda: not shop.data.job(second).exists())
    with pytest.raises(ProblemError, match="no such job"):
        shop.work.job(second)
    shop.work.act(third, "cancel")
    shop.work.act(first, "resume")
    shop.wait_for(first)
    assert shop.work.runner.progress[first].frames >= 10, "it goes on after its last segment"
    wait_until(lambda: shop.state(first) == "succeeded")
    assert finished_file(shop.work.job(first), shop.data).is_file()
    assert not shop.data.job(third).exists()
    assert finished_file(shop.work.job(third), shop.data) is None
    with pytest.raises(ProblemError, match="a job that is canceled cannot be told to pause"):
        shop.work.act(third, "pause")
    states = [event.data["state"] for event in shop.store.events(0, first)]
    assert states == ["queued", "running", "paused", "queued", "running", "succeeded"]


def test_what_ran_when_the_server_ended_goes_on_and_what_was_finished_is_not_done_again(shop):
    job = shop.work.order(shop.upload, OPTIONS).id
    shop.wait_for(job, 30)
    shop.end()
    shop.begin()
    assert shop.state(job) in ("queued", "running")
    wait_until(lambda: shop.state(job) == "succeeded")
    made = finished_file(shop.work.job(job), shop.data)
    stamp = made.stat()
    # Killed between the archive's last word and our own: the file is there, and we still say that it runs.
    with shop.store._writing():
        shop.store._set(job, "running", report=None)
    shop.end()
    shop.begin()
    wait_until(lambda: shop.state(job) == "succeeded")
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)
    assert shop.work.job(job).report["verification"]["passed"]


def test_a_job_that_takes_too_long_fails(tmp_path):
    shop = Shop(tmp_path, max_hours=0.1 / 3600)
    job = shop.work.order(shop.upload, OPTIONS).id
    wait_until(lambda: shop.state(job) == "failed")
    assert shop.work.job(job).error.endswith("that a job may run here")
    shop.end()


def test_a_key_that_comes_many_times_at_once_is_one_job(tmp_path):
    data = DataFolder(tmp_path)
    store = Store(data.database)
    work = Workshop(data, store, WebOptions())
    upload = work.uploads.create("a.mp4", 0)
    made, gate = list[str](), threading.Barrier(8)

    def order() -> None:
        gate.wait()
        made.append(work.order(upload, {}, "key").id)

    threads = [threading.Thread(target=order) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(set(made)), len(store.jobs())) == (8, 1, 1)
    store.close()
    data.close()


def test_jobs_that_wait_are_moved_and_all_that_are_over_cleared(tmp_path):
    with closing(DataFolder(tmp_path)) as data, closing(Store(data.database)) as store:
        work = Workshop(data, store, WebOptions())  # whose runner does not run
        upload = work.uploads.create("a.mp4", 0)
        a, b, c, d = (work.order(upload, {}).id for _ in range(4))
        assert store.take("videos").id == a

        def waiting() -> list[str]:
            return [job.id for job in store.jobs() if job.state == "queued"]

        for id, where, order in [
            (d, "first", [d, b, c]),
            (d, "up", [d, b, c]),
            (c, "up", [d, c, b]),
            (d, "down", [c, d, b]),
            (c, "last", [d, b, c]),
            (c, "down", [d, b, c]),
        ]:
            work.reorder(id, where)
            assert waiting() == order, (id, where)
        with pytest.raises(ProblemError, match="running cannot be moved"):
            work.reorder(a, "first")
        assert [event.kind for event in store.events(0, c)] == ["state", *["moved"] * 3]
        assert store.take("videos").id == d
        work.act(b, "cancel")
        store.finish(d, "failed", "", None)
        assert work.clear("succeeded") == 0
        assert work.clear("failed") == 1
        assert work.clear("ended") == 1
        assert [job.id for job in store.jobs()] == [a, c]


def test_a_folder_of_an_earlier_version_is_gone_on_with(tmp_path):
    path = tmp_path / "db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(FIRST_TABLES)
        for id in "ab":
            values = (id, "u", "a.mp4", ".mp4", "videos", "{}", "queued")
            columns = "id, upload, name, ending, lane, options, state"
            db.execute(f"insert into jobs ({columns}) values (?, ?, ?, ?, ?, ?, ?)", values)
        db.execute("pragma user_version=1")
    for _ in range(2):
        with closing(Store(path)) as store:
            assert [job.id for job in store.jobs()] == ["a", "b"]
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version=99")
    with pytest.raises(SinkError, match="version 99"):
        Store(path)


FIRST_TABLES = """
create table uploads (id text primary key, name text, ending text, length integer, touched_s real);
create table jobs (
    id text primary key, upload text, name text, ending text, lane text, options text, state text,
    error text default '', created_s real, began_s real, ended_s real, result text default '', report text,
    key text unique, asked text, deleted integer default 0);
create index by_state on jobs (state, created_s);
create table events (id integer primary key autoincrement, job text, kind text, data text, at_s real);
create index by_job on events (job, id);
create table sessions (hash text primary key, until_s real);
"""
