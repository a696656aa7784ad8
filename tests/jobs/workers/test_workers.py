"""Long jobs that several processes share: whatever befalls them, the result is the same."""

import importlib.util
import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from support.long_jobs import begin, contents, enhance, made_by, records_of, wait_for_segments
from support.networks import tiny
from support.processes import at_work_on, family, lives, wait_for_the_end_of

from vsr.durable import work_folder
from vsr.engine.device import all_devices
from vsr.errors import ConfigError, SourceError, VsrError
from vsr.jobs.identity import describe_source
from vsr.jobs.inputs import Job
from vsr.jobs.plan import Plan, make_plan
from vsr.jobs.segments.journal import Gap, Journal
from vsr.jobs.workers import ray_task
from vsr.jobs.workers.dispatcher import Dispatcher, gaps_of
from vsr.jobs.workers.local_pool import LocalPool
from vsr.jobs.workers.pool import Died, Failed, Finished, News, SegmentProgress
from vsr.jobs.workers.worker import StretchReader, Worker, attempt
from vsr.jobs.workers.worker import packed as pack
from vsr.models.networks.plain import PlainNet
from vsr.models.spec import Model, ModelSpec
from vsr.options import EncodeOptions, EngineOptions, EnhanceOptions, JobOptions, ModelOptions
from vsr.pipeline import Clock


def plan_of(clip: Path, network: PlainNet | None = None, *, segment: float = 0.8) -> Plan:
    """Segments of 20 frames; numbered pictures change by more than a scene does, so some begin sooner."""
    options = EnhanceOptions(
        models=ModelOptions(scale=1),
        engine=EngineOptions(device="cpu", threads=1),
        encode=EncodeOptions("x264", preset="ultrafast"),
        job=JobOptions(segment=segment),
    )
    plan = make_plan(Job(clip, clip.with_name("out.mkv"), is_image=False), options)
    return replace(plan, models=(Model(ModelSpec("tiny", 1), network or tiny(1)),))


@pytest.fixture(autouse=True)
def workers(monkeypatch, tmp_path) -> set[int]:
    """The workers that a test starts; neither they nor their encoders may outlive it."""
    started, start = set(), LocalPool._start

    def starting(self):
        worker = start(self)
        started.add(worker.process.pid)
        return worker

    monkeypatch.setattr(LocalPool, "_start", starting)
    yield started
    wait_for_the_end_of(started | at_work_on(tmp_path))


def test_two_workers_make_the_segments_of_one(clip, tmp_path, monkeypatch, workers):
    made = made_by(monkeypatch)
    assert enhance(clip, tmp_path / "one.mkv") == 0
    alone = dict(made)
    made.clear()
    assert enhance(clip, tmp_path / "two.mkv", "--workers", "2") == 0
    assert made == alone
    assert len(made) == 6
    assert contents(tmp_path / "two.mkv") == contents(tmp_path / "one.mkv")
    assert len(workers) == 2
    assert not any(map(lives, workers))


class AtOnce:
    """A pool without processes, whose segments are finished in the order that is asked for: the last first."""

    width = 4

    def __init__(self, plan: Plan, folder: Path):
        self._worker, self._folder, self._waiting = Worker(plan), folder, []

    def submit(self, gap: Gap) -> None:
        self._waiting.append(gap)

    def news(self, timeout_s: float) -> Sequence[News]:
        if len(self._waiting) < self.width and not timeout_s:
            return []
        return [attempt(self._worker, self._waiting.pop(), self._folder, lambda _: None)]


class StoppedError(Exception):
    pass


@pytest.fixture
def journal_in():
    """Opens journals, and closes them in the end."""
    with ExitStack() as stack:

        def opened(folder: Path) -> Journal:
            journal = Journal(folder, {}, {})
            stack.callback(journal.close)
            return journal

        yield opened


def share(plan: Plan, journal: Journal, pool: AtOnce, *, stop_after: int = 1000) -> Clock:
    clock, said = Clock(), []

    def wait_for_disk(num_writers: int, missed: int) -> None:
        if len(journal.segments) >= stop_after:
            raise StoppedError

    Dispatcher(pool, journal, clock, said.append, wait_for_disk=wait_for_disk).run(
        gaps_of(journal, StretchReader(plan))
    )
    return clock


def test_a_journal_with_holes_is_gone_on_with_by_one_process_or_many(clip, tmp_path, journal_in):
    plan = plan_of(clip)
    alone = journal_in(tmp_path / "alone")
    Worker(plan).run(Gap(None, None), alone.folder, alone.keep)
    for name in ("many", "one"):
        holes = journal_in(tmp_path / name)
        with pytest.raises(StoppedError):
            share(plan, holes, AtOnce(plan, holes.folder), stop_after=2)
        assert sorted(holes.segments) == [3, 4]
        holes.close()
        again = journal_in(tmp_path / name)
        if name == "many":
            clock = share(plan, again, AtOnce(plan, again.folder))
            assert clock.frames == 100 - 40
        else:
            worker = Worker(plan)
            while (gap := again.missing()) is not None:
                worker.run(gap, again.folder, again.keep)
        assert again.find_damaged() == set()
        assert {n: s.sha256 for n, s in again.segments.items()} == {
            n: s.sha256 for n, s in alone.segments.items()
        }
        assert {n: s.next for n, s in again.segments.items()} == {
            n: s.next for n, s in alone.segments.items()
        }


def test_a_damaged_segment_alone_is_shared_out_again(clip, tmp_path, journal_in):
    plan = plan_of(clip)
    journal = journal_in(tmp_path / "job")
    share(plan, journal, AtOnce(plan, journal.folder))
    expected = {n: s.sha256 for n, s in journal.segments.items()}
    for number in (1, 4):
        (journal.folder / f"{number:06}.segment").write_bytes(b"")
    assert journal.find_damaged() == {1, 4}
    assert [gap.number for gap in gaps_of(journal, StretchReader(plan))] == [1, 4]
    share(plan, journal, AtOnce(plan, journal.folder))
    assert journal.find_damaged() == set()
    assert {n: s.sha256 for n, s in journal.segments.items()} == expected


def hear(pool: LocalPool, *kinds: type) -> News:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for news in pool.news(0.5):
            if isinstance(news, kinds):
                return news
    raise TimeoutError


def test_a_worker_that_is_killed_is_replaced_and_its_segment_done_once_more(make_clip, tmp_path, journal_in):
    clip = make_clip("in.mkv", num_frames=60, size=(64, 64))
    plan = plan_of(clip, PlainNet(channels=64, depth=8, scale=1))
    said, killed = [], []
    journal = journal_in(tmp_path / "job")

    with LocalPool(plan, journal.folder, devices=["cpu"], num=1) as pool:
        hand_out = pool.submit

        def submit(gap: Gap) -> None:
            hand_out(gap)
            if gap.number == 0 and len(killed) < limit:
                hear(pool, SegmentProgress)
                killed.append(pool._workers[0].process.pid)
                os.kill(killed[-1], signal.SIGKILL)

        pool.submit = submit
        dispatcher = Dispatcher(pool, journal, Clock(), said.append, wait_for_disk=lambda *_: None)
        limit = 1
        dispatcher.run(gaps_of(journal, StretchReader(plan)))
        assert said == ["a worker was killed by signal 9; segment 0 is done again"]
        assert sorted(journal.segments) == [0, 1, 2]
        journal.damaged = {0}
        limit = 3
        with pytest.raises(VsrError, match="killed by signal 9, the second time over segment 0"):
            dispatcher.run(gaps_of(journal, StretchReader(plan)))
    assert not any(map(lives, killed))


def test_what_a_worker_meets_is_raised_as_it_was(clip, tmp_path):
    plan = plan_of(clip)
    (folder := tmp_path / "job").mkdir()
    clip.unlink()
    with LocalPool(plan, folder, devices=["cpu"], num=2) as pool:
        pool.submit(Gap(None, None))
        news = hear(pool, Failed, Finished, Died)
    assert isinstance(news, Failed)
    assert isinstance(news.error, SourceError)
    with pytest.raises(SourceError) as here:
        Worker(plan).run(Gap(None, None), folder, lambda *_: None)
    assert str(news.error) == str(here.value)
    assert "in a worker:" in "".join(news.error.__notes__)
    assert list(folder.iterdir()) == []


def test_a_killed_driver_takes_its_workers_along_and_is_gone_on_with(clip, undisturbed, tmp_path):
    out = tmp_path / "out.mkv"
    driver = begin(clip, out, "--workers", "2")
    wait_for_segments(driver, out, 1)
    others = family(driver.pid)
    assert len(others) >= 2
    driver.kill()
    driver.join()
    wait_for_the_end_of(others)
    assert enhance(clip, out, "--workers", "2") == 0
    assert contents(out) == undisturbed
    assert not work_folder(out).exists()


def test_an_interrupted_job_keeps_what_workers_have_finished(clip, tmp_path, monkeypatch, capfd, workers):
    out, add = tmp_path / "out.mkv", Journal.add

    def interrupt_all(self, segment):
        add(self, segment)
        if len(self.segments) == 2:
            for pid in workers:  # as a terminal does
                os.kill(pid, signal.SIGINT)
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", interrupt_all)
        assert enhance(clip, out, "--workers", "2") == 130
    assert "Traceback" not in capfd.readouterr().err
    assert not any(map(lives, workers))
    assert len(records_of(out).segments) >= 2
    assert not list(work_folder(out).glob("*.part"))
    assert enhance(clip, out) == 0
    assert len(contents(out)[0]) == 100


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", ["cpu"]),
        ("auto", ["cuda:0", "cuda:1"]),
        ("cuda", ["cuda:0", "cuda:1"]),
        ("cuda:1,0", ["cuda:1", "cuda:0"]),
    ],
)
def test_a_device_may_mean_several(monkeypatch, device, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_90"])
    assert all_devices(EngineOptions(device=device).device) == expected


def test_devices_and_numbers_that_do_not_exist_are_refused(clip, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_90"])
    with pytest.raises(ConfigError, match="cuda:2"):
        all_devices("cuda:0,2")
    with pytest.raises(ConfigError, match="cuda:N,M"):
        EngineOptions(device="cuda:0;1")
    with pytest.raises(ConfigError, match="workers 0 is too small"):
        JobOptions(workers=0)


def test_a_network_that_cannot_be_sent_is_refused_by_name(clip, tmp_path):
    network = tiny(1)
    network.hook = lambda x: x
    with pytest.raises(ConfigError, match="tiny cannot be sent to other workers"):
        LocalPool(plan_of(clip, network), tmp_path, devices=["cpu"], num=2)


def order_for(plan: Plan, folder: Path, **changes: object) -> ray_task.RayTask:
    (folder / "seen").touch()
    order = ray_task.RayTask(
        folder.name,
        Gap(None, None),
        folder,
        "seen",
        describe_source(plan.job.path),
        ray_task.result_of(plan),
        "cpu",
        1,
    )
    return replace(order, **changes)


def test_a_node_gives_back_what_it_cannot_put_where_it_belongs(clip, tmp_path):
    (folder := tmp_path / "job").mkdir()
    seen, told = plan_of(clip, segment=60), []
    packed = pack(seen)
    here = ray_task.enhance_segment(packed, order_for(seen, folder), bytes, told.append)
    assert isinstance(here, Finished)
    assert here.part.parent == folder
    assert {progress.number for progress in told} == {0}
    away = replace(order_for(seen, folder, token="other"), job=f"elsewhere-{os.getpid()}")
    given = ray_task.enhance_segment(packed, away, bytes, told.append)
    assert isinstance(given, ray_task.Delivered)
    assert given.contents == here.part.read_bytes()
    assert given.segment == here.segment


def test_a_node_that_does_not_see_the_source_asks_for_it(clip, tmp_path):
    (folder := tmp_path / "job").mkdir()
    plan, data, job = plan_of(clip, segment=60), clip.read_bytes(), f"blind-{os.getpid()}"
    packed, order = pack(plan), order_for(plan, folder, job=job)
    clip.write_bytes(data[:-1])
    assert ray_task.enhance_segment(packed, order, bytes, lambda _: None) is None
    asked = []

    def fetch(block: int) -> bytes:
        asked.append(block)
        return data[block * 1000 : (block + 1) * 1000]

    shipped = replace(order, blocks=list(range(-(-len(data) // 1000))))
    try:
        for _ in range(2):
            assert isinstance(ray_task.enhance_segment(packed, shipped, fetch, lambda _: None), Finished)
        assert asked == list(shipped.blocks)
        assert ray_task._own_folder(job).exists()
    finally:
        ray_task.forget(job)
    assert not ray_task._own_folder(job).exists()


def test_a_node_with_other_software_is_named(clip, tmp_path):
    (folder := tmp_path / "job").mkdir()
    plan = plan_of(clip)
    order = order_for(plan, folder, software={"software": "vsr 0.1.0"}, job=f"old-{os.getpid()}")
    failed = ray_task.enhance_segment(pack(plan), order, bytes, lambda _: None)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ConfigError)
    assert "would make another result: software vsr" in str(failed.error)


def test_without_ray_a_cluster_is_refused_in_a_line(clip, tmp_path, monkeypatch, capfd):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more)
    )
    assert enhance(clip, tmp_path / "out.mkv", "--cluster", "local") == 2
    assert "pip install 'vsr[cluster]'" in capfd.readouterr().err
    assert not work_folder(tmp_path / "out.mkv").exists()


def test_workers_and_a_cluster_exclude_each_other():
    with pytest.raises(ConfigError, match="exclude each other"):
        JobOptions(workers=2, cluster="auto")
