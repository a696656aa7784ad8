"""A watched folder: files that grow, fail, are put back; ends and restarts."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.archives import FLAGS, num_frames, picture, wait_until
from support.clips import ClipOptions, write_clip

from vsr.archive.archive import Archive, ArchiveOptions
from vsr.archive.file_worker import Begun
from vsr.archive.sources import Naming, find_archive
from vsr.archive.state import read_entries
from vsr.archive.watch import FolderWatch, Settling, WatchOptions
from vsr.cli.main import run
from vsr.jobs.inputs import find_jobs
from vsr.options import EncodeOptions, EnhanceOptions, ModelOptions


@pytest.fixture
def inbox(tmp_path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def watched(folder: Path, out: Path, told: list[str], *, done: str = "stay") -> tuple[Archive, FolderWatch]:
    options = EnhanceOptions(models=ModelOptions(model=("nano",)), encode=EncodeOptions(preset="ultrafast"))
    archive = Archive(out, options, ArchiveOptions(parallel=1))
    settings = WatchOptions(settle=0.4, every=0.1, done=done)
    return archive, FolderWatch(folder, archive, Naming(out), settings, told.append)


def watch_until(folder: Path, out: Path, true: Callable[[], object], *, done: str = "stay") -> list[str]:
    """Watch until something has become true; returns what was said."""
    told: list[str] = []
    archive, watch = watched(folder, out, told, done=done)
    end = time.monotonic() + 60
    with closing(archive), closing(watch.run()) as messages:
        for _ in messages:
            assert time.monotonic() < end, told
            if true():
                return told
    raise AssertionError("the watch has ended by itself")


def statuses(out: Path) -> dict[str, str]:
    return {key: entry.status for key, entry in read_entries(out).items()}


def test_a_file_counts_when_it_has_not_changed_for_a_while(tmp_path):
    settling = Settling(tmp_path, [tmp_path / "failed"], 5.0)
    (tmp_path / "failed").mkdir()
    for path in (tmp_path / "a.mp4", tmp_path / "failed" / "b.mp4", tmp_path / ".c.mp4"):
        path.write_bytes(b"1")
    assert settling.look(0.0) == settling.look(4.9) == []
    (tmp_path / "a.mp4").write_bytes(b"12")
    assert settling.look(5.1) == settling.look(10.0) == []
    assert settling.look(10.1) == [tmp_path / "a.mp4"]
    assert settling.look(20.0) == []  # once
    (tmp_path / "a.mp4").write_bytes(b"123")
    assert settling.look(21.0) == []
    assert settling.look(26.0) == [tmp_path / "a.mp4"]


@pytest.mark.parametrize("way", ["..", "link", "plain"])
def test_results_are_no_sources_by_whatever_path_or_link(inbox, tmp_path, way, monkeypatch):
    made = inbox / "out" / "deep"
    made.mkdir(parents=True)
    picture(inbox / "a.png")
    picture(made / "b.png")
    (inbox / "again.png").symlink_to(made / "b.png")
    (inbox / "twice").symlink_to(made)
    (tmp_path / "elsewhere").symlink_to(inbox)
    monkeypatch.chdir(tmp_path)
    out = {
        "..": inbox / ".." / inbox.name / "out",
        "link": tmp_path / "elsewhere" / "out",
        "plain": Path("inbox/out"),
    }[way]
    settling = Settling(inbox, [out], 0.0)
    assert settling.look(0.0) == [inbox / "a.png"]
    for source in (str(inbox), str(tmp_path / "elsewhere" / "**" / "*.png")):
        assert [job.path.name for job in find_archive(source, Naming(out))] == ["a.png"]
    assert [job.path.name for job in find_jobs([str(inbox)], out=str(out))] == ["a.png"]


def test_results_do_not_go_into_the_folder_of_the_sources(inbox, tmp_path, capfd):
    picture(inbox / "a.png")
    (tmp_path / "elsewhere").symlink_to(inbox)
    for command, source, out in (
        ("batch", inbox, inbox / "." / ".." / "inbox"),
        ("watch", tmp_path / "elsewhere", inbox),
    ):
        assert run([command, str(source), "-o", str(out), "--name", "{stem}_big{ext}", *FLAGS]) == 2
        assert "folder of the sources" in capfd.readouterr().err
    (tmp_path / "out").mkdir()
    picture(inbox / "b.png")
    (tmp_path / "out" / "a.png").symlink_to(inbox / "b.png")
    jobs = find_archive(str(inbox), Naming(tmp_path / "out"))
    assert ["an input itself" in job.clash for job in jobs] == [True, False]


def test_what_is_put_aside_takes_no_name_of_others(inbox, tmp_path):
    told: list[str] = []
    archive, watch = watched(inbox, tmp_path / "out", told)
    (inbox / "failed").mkdir()
    (inbox / "failed" / "a.png").symlink_to(tmp_path / "nothing")
    (inbox / "failed" / "a (2).png.txt").write_text("a note of mine")
    long = "x" * 251 + ".png"
    for name in ("a.png", long):
        watch._put_aside(watch._naming.job(picture(inbox / name), inbox), "reason")
    archive.close()
    found = {path.name: path.read_text() for path in (inbox / "failed").glob("*.txt")}
    assert found["a (2).png.txt"] == "a note of mine"
    assert list(found.values()).count("reason\n") == 2
    assert (inbox / "failed" / long).exists()
    assert (inbox / "failed" / "a.png").is_symlink()


def test_a_file_that_grows_slowly_is_not_touched_until_it_stops(inbox, tmp_path):
    out, whole = tmp_path / "out", picture(tmp_path / "whole.png").read_bytes()
    told: list[str] = []
    archive, watch = watched(inbox, out, told)
    parts = [whole[n : n + 300] for n in range(0, len(whole), 300)]
    begun = []
    with (
        closing(archive),
        closing(watch.run()) as messages,
        (inbox / "grows.png").open("wb", buffering=0) as file,
    ):
        for message in messages:
            if isinstance(message, Begun):
                begun.append(len(parts))
            if parts:
                file.write(parts.pop(0))
                assert statuses(out) == {}
            elif statuses(out) == {"grows.png": "done"}:
                break
    assert begun == [0]
    assert told == []
    assert (inbox / "grows.png").exists()


def test_what_fails_is_put_aside_with_its_reason_and_can_be_put_back(inbox, tmp_path):
    out = tmp_path / "out"
    (inbox / "sub").mkdir()
    (inbox / "sub" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    picture(inbox / "good.png")
    failed = inbox / "failed" / "sub" / "bad.png"
    told = watch_until(inbox, out, lambda: failed.exists() and statuses(out)["good.png"] == "done")
    assert failed.read_bytes().startswith(b"\x89PNG")
    reason = (failed.parent / "bad.png.txt").read_text()
    assert "bad.png" in reason
    assert reason.strip() == read_entries(out)["sub/bad.png"].error
    assert [line for line in told if "was moved to" in line]
    assert (inbox / "good.png").exists()
    failed.unlink()
    picture(inbox / "sub" / "bad.png")
    watch_until(inbox, out, lambda: statuses(out)["sub/bad.png"] == "done")
    assert (out / "sub" / "bad.png").exists()


def test_sources_that_are_done_are_moved_where_told_also_after_a_restart(inbox, tmp_path):
    out = tmp_path / "out"
    picture(inbox / "a.png")
    assert run(["batch", str(inbox), "-o", str(out), *FLAGS]) == 0
    made = (out / "a.png").stat().st_ino
    write_clip(inbox / "b.mp4", ClipOptions(num_frames=3, size=(32, 48)))
    (inbox / "done").mkdir()
    picture(inbox / "done" / "a.png")
    watch_until(inbox, out, lambda: (inbox / "done" / "b.mp4").exists(), done="move")
    assert {path.name for path in (inbox / "done").iterdir()} == {"a.png", "a (2).png", "b.mp4"}
    assert [path.name for path in inbox.iterdir()] == ["done"]
    assert (out / "a.png").stat().st_ino == made  # it was done, and has been left alone


def test_two_sources_of_one_result_do_not_end_the_watch(inbox, tmp_path):
    write_clip(inbox / "a.avi", ClipOptions(num_frames=2, size=(32, 48), codec="mpeg4"))
    write_clip(inbox / "a.mkv", ClipOptions(num_frames=3, size=(32, 48)))
    told = watch_until(inbox, tmp_path / "out", lambda: statuses(tmp_path / "out").get("a.mkv") == "done")
    assert "would both become" in told[0]
    assert (inbox / "failed" / "a.mkv").exists()
    assert num_frames(tmp_path / "out" / "a.mkv") == 2


def test_what_cannot_be_watched_is_said(inbox, tmp_path, capfd):
    assert run(["watch", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 1
    assert run(["watch", str(inbox)]) == 2
    assert run(["watch", str(inbox), "-o", str(tmp_path / "out"), "--every", "0"]) == 2
    said = capfd.readouterr().err
    assert "is no folder" in said
    assert "more than 0" in said


@pytest.mark.slow
def test_sigterm_ends_a_watch_and_the_next_one_goes_on_with_the_file_in_work(inbox, tmp_path):
    out = tmp_path / "out"
    write_clip(inbox / "long.mp4", ClipOptions(num_frames=400, size=(32, 48)))
    words = [sys.executable, "-m", "vsr", "watch", str(inbox), "-o", str(out), *FLAGS]
    words += ["--settle", "0.2", "--every", "0.1", "--segment", "0.5"]
    ended = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(list(out.glob(".long.mp4.vsr/*.segment"))) > 2)
    ended.send_signal(signal.SIGTERM)
    said = ended.communicate(timeout=60)[1]
    assert ended.returncode == 0, said
    assert statuses(out) == {"long.mp4": "waiting"}
    again = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: statuses(out) == {"long.mp4": "done"})
    again.terminate()
    again.communicate(timeout=60)
    record = read_entries(out)["long.mp4"].record
    assert record is not None
    assert record["result"]["frames"] == 400 > record["measured"]["frames"]
