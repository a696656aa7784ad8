"""A long job on a Ray cluster of several nodes, which all run on this machine."""

import contextlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from support.long_jobs import contents, enhance, made_by, records_of, words
from support.processes import at_work_on, wait_for_the_end_of

from vsr.cli.main import run
from vsr.durable import work_folder
from vsr.jobs.segments.journal import Journal
from vsr.jobs.workers.ray_pool import RayPool

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.fixture(scope="module")
def nodes():
    """A cluster whose head only keeps the books; `add_node(num_cpus=1)` adds who works."""
    pytest.importorskip("ray", reason="needs the extra cluster")
    from ray.cluster_utils import Cluster as Nodes

    before = rays()
    folder = Path(
        tempfile.mkdtemp(prefix="vsr-nodes-", dir="/tmp")
    )  # the path of a socket has at most 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"RAY_TMPDIR": str(folder)}).items():
            patch.setenv(name, value)
        found = Nodes(True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        yield found
        found.shutdown()
    deadline = time.monotonic() + 10
    while rays() - before and time.monotonic() < deadline:
        time.sleep(0.1)
    shutil.rmtree(folder)
    assert not rays() - before


def rays() -> set[str]:
    """All of Ray's processes on this machine, zombies aside."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "ray::" in line or "/ray/core/" in line:
                found.add(f"{folder.name} {line}")
    return found


def copies() -> set[Path]:
    """What tasks have left in the folder for temporary files."""
    return set(Path(tempfile.gettempdir()).glob("vsr-*"))


def test_a_job_whose_node_is_lost_ends_as_one_that_has_one_process(nodes, clip, tmp_path, monkeypatch):
    made, before = made_by(monkeypatch), copies()
    assert enhance(clip, tmp_path / "one.mkv") == 0
    alone = dict(made)
    made.clear()
    working = [nodes.add_node(num_cpus=1) for _ in range(2)]
    add = Journal.add

    def lose_one(self, segment):
        add(self, segment)
        if len(self.segments) == 2:
            nodes.remove_node(working[1], allow_graceful=False)

    monkeypatch.setattr(Journal, "add", lose_one)
    assert run([*words(clip, tmp_path / "ray.mkv"), "--cluster", nodes.address]) == 0
    assert made == alone
    assert contents(tmp_path / "ray.mkv") == contents(tmp_path / "one.mkv")
    assert not work_folder(tmp_path / "ray.mkv").exists()
    assert copies() == before
    wait_for_the_end_of(at_work_on(tmp_path))
    nodes.remove_node(working[0])


@pytest.fixture
def blind(nodes, tmp_path):
    """A node in whose eyes `tmp_path` is empty."""
    hide = f"mount -t tmpfs tmpfs {tmp_path}"
    if subprocess.run(["unshare", "-m", "sh", "-c", hide], capture_output=True).returncode:
        pytest.skip("blind: mounting a tmpfs is not allowed here")
    ray = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        f"--address={nodes.address}",
        "--num-cpus=1",
        "--block",
    ]
    command = ["unshare", "-m", "sh", "-c", f"{hide} && exec {shlex.join(ray)}"]
    node = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield
    node.terminate()
    node.wait(60)


def test_a_node_that_sees_neither_source_nor_result_gets_one_and_gives_the_other(
    blind, nodes, clip, tmp_path, monkeypatch
):
    made, before = made_by(monkeypatch), copies()
    assert enhance(clip, tmp_path / "one.mkv") == 0
    alone = dict(made)
    made.clear()
    given, shipped = [], RayPool._received
    monkeypatch.setattr(
        RayPool, "_received", lambda self, result: (given.append(result), shipped(self, result))[1]
    )
    assert run([*words(clip, tmp_path / "ray.mkv"), "--cluster", nodes.address]) == 0
    assert len(given) == len(alone)
    assert made == alone
    assert contents(tmp_path / "ray.mkv") == contents(tmp_path / "one.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "one.mkv", "ray.mkv"]
    assert copies() == before


def test_an_interrupted_job_leaves_no_task_and_goes_on_without_a_cluster(
    nodes, clip, tmp_path, monkeypatch, capfd
):
    working, out, before, add = nodes.add_node(num_cpus=2), tmp_path / "ray.mkv", copies(), Journal.add

    def stop(self, segment):
        add(self, segment)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", stop)
        assert run([*words(clip, out), "--cluster", nodes.address]) == 130
    assert "the same command goes on after" in capfd.readouterr().err
    assert len(records_of(out).segments) >= 1
    assert sorted(path.name for path in work_folder(out).iterdir()) == [
        *sorted(segment.file for segment in records_of(out).segments.values()), "journal", "made-by-vsr",
    ]  # fmt: skip
    assert copies() == before
    wait_for_the_end_of(at_work_on(tmp_path))
    assert enhance(clip, out) == 0
    assert len(contents(out)[0]) == 100
    nodes.remove_node(working)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere", "127.0.0.1:99999", "ray://127.0.0.1:10001"])
def test_an_address_where_no_cluster_is_is_refused_at_once(clip, tmp_path, capfd, address):
    pytest.importorskip("ray", reason="needs the extra cluster")
    assert run([*words(clip, tmp_path / "out.mkv"), "--cluster", address]) == 2
    assert f"cluster {address}" in capfd.readouterr().err
