"""An archive through the real command: mixed and broken files, runs again, several processes, kills."""

import csv
import hashlib
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import pytest
from support.archives import FLAGS, num_frames, picture, wait_until
from support.clips import ClipOptions, run_ffmpeg, write_clip

from vsr.archive import archive as archive_module
from vsr.archive import supervisor as supervisor_module
from vsr.archive.archive import Archive, ArchiveOptions
from vsr.archive.entry import Entry
from vsr.archive.file_worker import ArchiveWork, Begun
from vsr.archive.sources import Naming, find_archive
from vsr.archive.state import State, read_entries
from vsr.archive.todo import Again
from vsr.cli.main import run
from vsr.jobs.identity import wishes_of
from vsr.jobs.inputs import find_jobs
from vsr.options import EnhanceOptions, ModelOptions


def break_five(folder: Path) -> set[str]:
    """Put five files into a folder that are broken in five ways."""
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is not a video.")
    whole = write_clip(folder / "whole.mp4", ClipOptions())
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", folder / "sound.mp4")
    whole.unlink()
    whole = picture(folder / "whole.png")
    (folder / "cut.png").write_bytes(whole.read_bytes()[:300])
    whole.unlink()
    return {"empty.mp4", "text.mp4", "cut.mp4", "sound.mp4", "cut.png"}


@pytest.fixture
def tapes(tmp_path) -> Path:
    """Two clips and two pictures in a tree."""
    folder = tmp_path / "tapes"
    (folder / "1987").mkdir(parents=True)
    write_clip(folder / "a.mp4", ClipOptions(num_frames=4, size=(32, 48)))
    write_clip(folder / "1987" / "b.mkv", ClipOptions(num_frames=6, size=(32, 48)))
    picture(folder / "photo.png")
    picture(folder / "1987" / "photo.png", seed=1)
    return folder


def batch(source: Path | str, out: Path, *flags: str) -> int:
    return run(["batch", str(source), "-o", str(out), *FLAGS, *flags])


def states(out: Path) -> dict[str, str]:
    return {key: entry.status for key, entry in read_entries(out).items()}


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its inode and time: what was written again shows."""
    paths = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("state.sqlite", "manifest.csv")
    ]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def mixed_folder(folder: Path, count: int) -> set[str]:
    """`count` files, five of them broken; returns the names of these."""
    broken = break_five(folder)
    for n in range(count - len(broken)):
        place = folder / f"tape {n % 4}"
        place.mkdir(exist_ok=True)
        if n % 3:
            picture(place / f"{n}.png", n)
        else:
            write_clip(place / f"{n}.mp4", ClipOptions(num_frames=10 + n % 11, size=(32, 48)))
    return broken


def check_mixed(folder: Path, out: Path, capfd, count: int) -> None:
    broken = mixed_folder(folder, count)
    assert batch(folder, out, "--sidecar") == 1
    said = capfd.readouterr().err.split("failed:")[-1]
    assert {Path(line.split(": ")[0].strip()).name for line in said.splitlines()[1:]} == broken
    assert all(len(line.split(": ", 1)[1]) > 20 for line in said.splitlines()[1:])
    found = states(out)
    assert {key for key, status in found.items() if status == "failed"} == broken
    assert len([status for status in found.values() if status == "done"]) == count - 5
    before = tree(out)
    assert {name for name in before if not name.startswith((".", "manifest"))} == {
        name for key, status in found.items() if status == "done" for name in (key, f"{key}.vsr.json")
    }
    assert batch(folder, out, "--sidecar") == 1
    assert "0 to do" in capfd.readouterr().err
    del before["manifest.json"]
    after = tree(out)
    del after["manifest.json"]
    assert after == before


def test_good_files_are_done_broken_ones_named_and_a_second_run_does_nothing(tmp_path, capfd):
    (tmp_path / "tapes").mkdir()
    check_mixed(tmp_path / "tapes", tmp_path / "out", capfd, 9)


@pytest.mark.slow
def test_forty_five_of_fifty_are_done_and_five_named(tmp_path, capfd):
    (tmp_path / "tapes").mkdir()
    check_mixed(tmp_path / "tapes", tmp_path / "out", capfd, 50)


def test_what_has_changed_is_done_again_and_nothing_else(tapes, tmp_path, capfd):
    out = tmp_path / "out"
    assert batch(tapes, out) == 0
    before = tree(out)
    write_clip(tapes / "a.mp4", ClipOptions(num_frames=5, size=(32, 48)))
    (out / "photo.png").unlink()
    (out / "1987" / "photo.png").write_bytes(b"spoilt")
    os.utime(tapes / "1987" / "b.mkv")  # the same contents at another time
    capfd.readouterr()
    assert batch(tapes, out) == 0
    said = capfd.readouterr().err
    for reason in ("1 source has changed", "1 result is missing", "1 result has been changed", "3 to do"):
        assert reason in said
    after = tree(out)
    assert {name for name in before if before[name] == after[name]} == {"1987/b.mkv"}
    assert num_frames(out / "a.mp4") == 5
    assert batch(tapes, out, "--quality", "50", "--dry-run") == 0
    assert (
        capfd.readouterr().out.count("options have changed: quality 75 (now 50)") == 5
    )  # four files and the sum
    assert tree(out).keys() == after.keys()


def test_a_result_that_rots_is_found_by_its_hash(tapes, tmp_path, capfd):
    out = tmp_path / "out"
    assert batch(tapes, out) == 0
    stat = (out / "photo.png").stat()
    data = bytearray((out / "photo.png").read_bytes())
    data[-20] ^= 1
    (out / "photo.png").write_bytes(data)
    os.utime(out / "photo.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    capfd.readouterr()
    assert batch(tapes, out) == 0
    assert "0 to do" in capfd.readouterr().err
    assert batch(tapes, out, "--verify") == 0
    assert "1 to do: 1 result is damaged on the disk" in capfd.readouterr().err
    assert cv2.imread(str(out / "photo.png")).shape == (40, 60, 3)


def test_results_mirror_the_tree_with_names_as_asked_and_the_manifest_tells_all(tapes, tmp_path):
    out = tmp_path / "out"
    (tapes / "bad.mp4").write_text("no")
    assert batch(tapes, out, "--name", "{stem} new{ext}") == 1
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    results = {"a new.mp4", "1987/b new.mkv", "photo new.png", "1987/photo new.png"}
    assert found == results | {"manifest.csv", "manifest.json", ".vsr/state.sqlite"}
    assert num_frames(out / "1987" / "b new.mkv") == 6
    rows = {
        Path(row["source"]).name: row
        for row in csv.DictReader((out / "manifest.csv").read_text().splitlines())
    }
    clip = rows["b.mkv"]
    assert clip["source_sha256"] == hashlib.sha256((tapes / "1987" / "b.mkv").read_bytes()).hexdigest()
    assert clip["result_sha256"] == hashlib.sha256((out / "1987" / "b new.mkv").read_bytes()).hexdigest()
    assert (clip["status"], clip["frames"], clip["models"], clip["verified"]) == (
        "done",
        "6",
        "nano-x2",
        "True",
    )
    assert float(clip["seconds"]) > 0
    assert "preset=ultrafast" in clip["options"]
    assert (rows["bad.mp4"]["status"], rows["bad.mp4"]["result_sha256"]) == ("failed", "")
    assert "no video format" in rows["bad.mp4"]["error"]
    files = {each["result_path"]: each for each in json.loads((out / "manifest.json").read_text())["files"]}
    assert len(files["1987/b new.mkv"]["models"][0]["sha256"]) == 64
    assert files["bad new.mp4"]["error"] == rows["bad.mp4"]["error"]


def test_second_outputs_belong_to_the_results(tapes, tmp_path, capfd):
    out = tmp_path / "out"
    (tapes / "photo.png").unlink()
    assert batch(tapes, out, "--also", "_view.mp4") == 0
    record = read_entries(out)["1987/b.mkv"].record
    assert record is not None
    view = out / "1987" / "b_view.mp4"
    assert record["also"]["sha256"] == hashlib.sha256(view.read_bytes()).hexdigest()
    view.unlink()
    capfd.readouterr()
    assert batch(tapes, out, "--also", "_view.mp4") == 0
    assert "1 to do: 1 second output is missing or has been changed" in capfd.readouterr().err
    assert num_frames(view) == 6
    assert batch(tapes, out, "--also", "view.mp4") == 2
    write_clip(tapes / "a_view.mp4", ClipOptions(num_frames=2, size=(32, 48)))
    assert batch(tapes, out, "--also", "_view.mp4") == 1
    assert "would both become" in capfd.readouterr().err


def test_a_file_that_is_not_ours_is_left_alone(tapes, tmp_path, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_text("precious")
    for _ in range(2):
        assert batch(tapes, out) == 1
        assert "a.mp4 exists and was not made here; pass --overwrite" in capfd.readouterr().err
        assert (out / "a.mp4").read_text() == "precious"
    assert batch(tapes, out, "--overwrite") == 0
    assert num_frames(out / "a.mp4") == 4
    other = tmp_path / "others"
    other.mkdir()
    write_clip(other / "a.mp4", ClipOptions(num_frames=3, size=(32, 48)))
    assert batch(other, out) == 1
    assert "another file; name another folder" in capfd.readouterr().err
    assert num_frames(out / "a.mp4") == 4


def test_lists_and_patterns_mean_files_too(tapes, tmp_path, capfd):
    listed = tmp_path / "list.txt"
    listed.write_text(f"# two of them\ntapes/1987/b.mkv\n\n{tapes}/photo.png\ntapes/gone.avi\n")
    assert batch(listed, tmp_path / "out") == 1
    assert "gone.avi" in capfd.readouterr().err
    assert states(tmp_path / "out") == {
        "tapes/1987/b.mkv": "done", "tapes/photo.png": "done", "tapes/gone.mkv": "failed",
    }  # fmt: skip
    jobs = find_archive(f"{tapes}/**/*.png", Naming(tmp_path / "out"))
    assert [str(job.target.relative_to(tmp_path / "out")) for job in jobs] == ["1987/photo.png", "photo.png"]
    (tapes / ".hidden").mkdir()
    picture(tapes / ".hidden" / "no.png")
    (tapes / "results").mkdir()
    picture(tapes / "results" / "no.png")
    assert len(find_archive(str(tapes), Naming(tapes / "results"))) == 4


def test_enhance_and_batch_see_the_same_files_of_a_folder(tapes, tmp_path):
    told = list[str]()
    for name in (".hidden/no.png", ".hidden/deep/no.png", "work.vsr/no.png", ".no.png", "no.unverified.png"):
        (tapes / name).parent.mkdir(parents=True, exist_ok=True)
        picture(tapes / name)
    (tapes / "1987" / "text.txt").touch()
    for name in ("text.TXT", "README", "sound.mp3"):
        (tapes / name).touch()
    (tapes / "gone.mp4").symlink_to(tapes / "nowhere")
    expected = ["1987/b.mkv", "1987/photo.png", "a.mp4", "photo.png"]
    naming = Naming(tmp_path / "out")
    found = find_jobs([str(tapes)], tell=told.append), find_archive(str(tapes), naming, tell=told.append)
    for jobs in found:
        assert [str(job.path.relative_to(tapes)) for job in jobs] == expected
    assert told[0] == told[1]
    assert len(told) == 2
    for count in ("2 .txt", "1 without an ending", "1 .mp3", "1 no file"):
        assert count in told[0]


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--name", "{stam}{ext}"], 2, "{stem} or {name}"),
        (["--name", "all.mp4"], 2, "{stem} or {name}"),
        (["--name", "sub/{stem}"], 2, "without folders"),
        (["--parallel", "0"], 2, "1 or more"),
        (["--model", "nosuch"], 1, "nosuch"),
    ],
)
def test_what_cannot_be_is_said(tapes, tmp_path, capfd, flags, code, said):
    assert batch(tapes, tmp_path / "out", *flags) == code
    assert said in capfd.readouterr().err


def test_one_output_folder_and_one_name_for_each_result(tapes, tmp_path, capfd):
    assert run(["batch", str(tapes)]) == 2
    assert "-o" in capfd.readouterr().err
    assert batch(tapes, tapes / "a.mp4") == 2
    assert batch(tmp_path / "none", tmp_path / "out") == 1
    assert "means no video and no picture" in capfd.readouterr().err
    write_clip(tapes / "a.avi", ClipOptions(num_frames=2, size=(32, 48), codec="mpeg4"))
    write_clip(tapes / "a.mkv", ClipOptions(num_frames=2, size=(32, 48)))
    assert batch(tapes, tmp_path / "out", "--dry-run") == 1
    assert "would both become" in capfd.readouterr().out
    assert batch(tapes, tmp_path / "out") == 1
    said = capfd.readouterr().err
    assert "4 of 6 done; failed:" in said
    assert said.count("--name '{name}{ext}'") == 2
    assert batch(tapes, tmp_path / "out", "--name", "{name}{ext}") == 0
    assert num_frames(tmp_path / "out" / "a.avi.mkv") == 2


def test_it_stops_at_the_first_failure_where_told(tapes, tmp_path):
    (tapes / "a.mp4").write_text("no")
    (tapes / "1987" / "b.mkv").rename(tapes / "b.mkv")
    assert batch(tapes, tmp_path / "out", "--stop-at-failure", "--parallel", "1", "--order", "size") == 1
    assert states(tmp_path / "out") == {
        "a.mp4": "failed", "b.mkv": "waiting", "photo.png": "waiting", "1987/photo.png": "waiting",
    }  # fmt: skip


# Several processes


def begin(source: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "vsr", "batch", str(source), "-o", str(out), *FLAGS, *flags]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def made_by(said: str) -> list[str]:
    """Sources that a run says it has done."""
    return [line.split(": ")[0] for line in said.splitlines() if " fps" in line or ".png, " in line]


@pytest.mark.slow
def test_two_commands_share_a_folder_and_do_no_file_twice(tmp_path):
    folder, out = tmp_path / "tapes", tmp_path / "out"
    folder.mkdir()
    for n in range(10):
        write_clip(folder / f"{n}.mp4", ClipOptions(num_frames=8, size=(32, 48)))
    both = [begin(folder, out, "--parallel", "1") for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made = [made_by(text) for text in said]
    assert sorted(made[0] + made[1]) == sorted(str(folder / f"{n}.mp4") for n in range(10)), said
    assert all(status == "done" for status in states(out).values())
    assert all(num_frames(out / f"{n}.mp4") == 8 for n in range(10))
    before = tree(out)
    assert batch(folder, out, "--verify", "--manifest", "") == 0
    assert tree(out) == before
    assert [path.name for path in (out / ".vsr").iterdir()] == ["state.sqlite"]


@pytest.mark.slow
def test_what_a_killed_command_was_at_is_taken_over(tmp_path, capfd):
    folder, out = tmp_path / "tapes", tmp_path / "out"
    folder.mkdir()
    write_clip(folder / "long.mp4", ClipOptions(num_frames=400, size=(32, 48)))
    picture(folder / "photo.png")
    killed = begin(folder, out, "--parallel", "1", "--segment", "0.5")
    work = out / ".long.mp4.vsr"
    wait_until(lambda: len(list(work.glob("*.segment"))) > 2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert batch(folder, out, "--segment", "0.5") == 0
    entries = read_entries(out)
    assert {key: entry.status for key, entry in entries.items()} == {"long.mp4": "done", "photo.png": "done"}
    record = entries["long.mp4"].record
    assert record is not None
    assert record["result"]["frames"] == num_frames(out / "long.mp4") == 400
    assert record["measured"]["frames"] < 400  # it went on after the segments that were there
    assert not work.exists()
    assert [path.name for path in (out / ".vsr").iterdir()] == ["state.sqlite"]


@pytest.mark.slow
def test_sigterm_ends_cleanly_and_other_options_then_begin_anew(tmp_path, capfd):
    folder, out = tmp_path / "tapes", tmp_path / "out"
    folder.mkdir()
    write_clip(folder / "long.mp4", ClipOptions(num_frames=400, size=(32, 48)))
    ended = begin(folder, out, "--segment", "0.5")
    wait_until(lambda: len(list(out.glob(".long.mp4.vsr/*.segment"))) > 2)
    ended.send_signal(signal.SIGTERM)
    said = ended.communicate(timeout=60)[1]
    assert ended.returncode == 130, said
    assert said.splitlines()[-1] == "error: interrupted; the same command goes on"
    entry = read_entries(out)["long.mp4"]
    assert (entry.status, entry.deaths) == ("waiting", 0)
    assert (out / "manifest.csv").exists()
    assert batch(folder, out, "--segment", "0.5", "--quality", "60") == 0
    said = capfd.readouterr().err
    assert "options have changed: quality 75 (now 60)" in said
    assert "long.mp4: begins anew" in said
    assert num_frames(out / "long.mp4") == 400


def test_a_link_that_leads_in_a_circle_is_no_file_however_often_it_is_met(tapes, tmp_path, capfd):
    (tapes / "notes").symlink_to("notes")
    for _ in range(2):
        assert batch(tapes, tmp_path / "out") == 0
    assert "unexpected" not in capfd.readouterr().err
    (tmp_path / "circle").symlink_to("circle")
    for flags in (["-o", "circle/x.png"], ["-o", "y.png", "--report", "circle"]):
        told = [str(tmp_path / each) if "." in each or each == "circle" else each for each in flags]
        assert run(["enhance", str(picture(tmp_path / "one.png")), "--model", "nano", *told]) in (1, 2)
        assert "unexpected" not in capfd.readouterr().err


def test_waiting_for_room_is_told(tmp_path, monkeypatch):
    told: list[str] = []
    free = iter([0, 0, 0, 1 << 30])
    monkeypatch.setattr("vsr.jobs.disk.free_bytes", lambda _: next(free))
    with closing(State(tmp_path / "out", {}, told.append)) as state:
        tries = iter([sqlite3.OperationalError("database or disk is full"), None])

        def fill() -> None:
            if error := next(tries):
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error

        state._write(fill)
    assert [line.partition(":")[0] for line in told] == ["the disk is full", "there is room again, going on"]


def opened(out: Path) -> Archive:
    return Archive(out, EnhanceOptions(models=ModelOptions(model=("nano",))), ArchiveOptions(parallel=1))


def test_two_processes_claim_no_file_twice(tapes, tmp_path):
    for n in range(6):
        picture(tapes / f"{n}.png", n)
    jobs, ended = find_archive(str(tapes), Naming(tmp_path / "out")), []
    with closing(opened(tmp_path / "out")) as one, closing(opened(tmp_path / "out")) as other:
        runs = [archive.enhance(archive.enter(jobs, Again()).jobs) for archive in (one, other)]
        while runs:  # two processes at once, heard in turn
            for messages in list(runs):
                try:
                    message = next(messages)
                except StopIteration:
                    runs.remove(messages)
                    continue
                ended += [message] if isinstance(message, Entry) else []
    assert sorted(entry.result for entry in ended) == sorted(states(tmp_path / "out"))
    assert {entry.status for entry in ended} == {"done"}


def test_a_file_that_ends_its_process_has_failed_and_the_others_go_on(tapes, tmp_path):
    jobs = find_archive(str(tapes), Naming(tmp_path / "out"))
    with closing(opened(tmp_path / "out")) as archive:
        ended = []
        for message in archive.enhance(archive.enter(jobs, Again()).jobs):
            if isinstance(message, Begun) and message.source.name == "a.mp4":
                next(p for p in multiprocessing.active_children() if p.name == "vsr-archive").kill()
            if isinstance(message, Entry):
                ended.append(message)
    assert {entry.result: entry.status for entry in ended} == {
        "a.mp4": "failed", "1987/b.mkv": "done", "photo.png": "done", "1987/photo.png": "done",
    }  # fmt: skip
    assert next(entry for entry in ended if entry.status == "failed").error == (
        "the process that enhanced it was ended by signal 9"
    )


def test_a_result_that_was_just_finished_when_its_process_died_is_not_made_again(tapes, tmp_path):
    out, options = tmp_path / "out", EnhanceOptions(models=ModelOptions(model=("nano",)))
    jobs = find_archive(str(tapes / "a.mp4"), Naming(out))
    with closing(opened(out)) as archive:
        archive.enter(jobs, Again())
    state = State(out, wishes_of(options))
    state.take_on(jobs)
    assert state.claim() is not None
    assert run(["enhance", str(tapes / "a.mp4"), "-o", str(out / "a.mp4"), "--model", "nano"]) == 0
    state._alive.close()  # as a kill does
    before = (out / "a.mp4").stat()
    with closing(opened(out)) as archive:
        todo = archive.enter(jobs, Again()).jobs
        entries = [message for message in archive.enhance(todo) if isinstance(message, Entry)]
    assert [entry.status for entry in entries] == ["done"]
    assert (out / "a.mp4").stat().st_ino == before.st_ino
    assert entries[0].record["result"]["sha256"] == hashlib.sha256((out / "a.mp4").read_bytes()).hexdigest()
    assert entries[0].record["measured"] is None


def test_other_options_must_wait_for_a_process_at_work(tapes, tmp_path, capfd):
    with closing(opened(tmp_path / "out")):
        assert batch(tapes, tmp_path / "out", "--quality", "50") == 2
        assert "is at work in" in capfd.readouterr().err


def test_small_files_go_side_by_side_and_large_ones_alone(tapes, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "num_cores", lambda: 2)
    for clip in (tapes / "a.mp4", tapes / "1987" / "b.mkv"):
        with clip.open("ab") as file:
            file.truncate(archive_module._SMALL_BYTES + 1)
    jobs = find_archive(str(tapes), Naming(tmp_path / "out"))
    with closing(Archive(tmp_path / "out", EnhanceOptions(), ArchiveOptions())) as archive:
        phases = [({job.path.suffix for job in p.jobs}, p.num_workers) for p in archive._phases(jobs)]
    assert phases == [({".png"}, 2), ({".mp4", ".mkv"}, 1)]


@pytest.mark.parametrize(("column", "value"), [("wishes", "{'a"), ("record", "[1"), ("record", b"\xff\x00")])
def test_a_damaged_row_of_the_state_is_one_line(tapes, tmp_path, capfd, column, value):
    out = tmp_path / "out"
    assert batch(tapes / "photo.png", out) == 0
    with closing(sqlite3.connect(out / ".vsr" / "state.sqlite")) as db, db:
        db.execute(f"update files set {column} = ?", (value,))
    assert batch(tapes / "photo.png", out, "--dry-run") == 1
    assert "the state's row of 'photo.png' is damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    "statement",
    [
        "update files set result = cast(x'f3' as text)",
        "pragma writable_schema = on; update sqlite_master set sql = cast(x'f3f3' as text) where name = 'files'",
    ],
)
def test_a_damaged_state_is_one_line(tapes, tmp_path, capfd, statement):
    out = tmp_path / "out"
    assert batch(tapes / "photo.png", out) == 0
    with closing(sqlite3.connect(out / ".vsr" / "state.sqlite")) as db, db:
        db.executescript(statement)
    capfd.readouterr()
    assert batch(tapes / "photo.png", out, "--dry-run") == 1
    said = capfd.readouterr().err
    assert said.startswith(f"error: state of {out} cannot be read: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("begins", [b"SQLite format 3\0", b"no database"])
def test_of_a_state_that_is_damaged_for_good_is_said_what_to_do(tapes, tmp_path, capfd, begins):
    out = tmp_path / "out"
    assert batch(tapes / "photo.png", out) == 0
    state = out / ".vsr" / "state.sqlite"
    state.write_bytes(begins + state.read_bytes()[len(begins) : 500])
    made = (out / "photo.png").read_bytes()
    assert batch(tapes / "photo.png", out) == 1
    said = capfd.readouterr().err
    assert f"put back a copy of {state}, or move it away: the same command then" in said
    state.unlink()
    assert batch(tapes / "photo.png", out) == 1
    assert "exists and was not made here; pass --overwrite" in capfd.readouterr().err
    assert (out / "photo.png").read_bytes() == made
    assert batch(tapes / "photo.png", out, "--overwrite") == 0


def test_links_to_folders_are_told_of_and_not_followed(tapes, tmp_path, capfd):
    (tapes / "circle").symlink_to(tapes, target_is_directory=True)
    assert batch(tapes, tmp_path / "out", "--dry-run") == 0
    assert f"note: folder {tapes / 'circle'} is a link, what is in it is left out" in capfd.readouterr().err


def test_on_gpus_there_is_one_file_at_a_time_for_each(tapes, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "all_devices", lambda _: ["cuda:0", "cuda:1"])
    jobs = find_archive(str(tapes), Naming(tmp_path / "out"))
    with closing(Archive(tmp_path / "out", EnhanceOptions(), ArchiveOptions())) as archive:
        (phase,) = archive._phases(jobs)
        assert (len(phase.jobs), phase.num_workers) == (4, 2)
        work = archive._work(phase)
    monkeypatch.setattr(supervisor_module, "WorkerProcess", lambda _, work, name: Idle(work))
    supervisor = supervisor_module.Supervisor(archive._state, work)
    supervisor.start(3)
    devices = [each.process.work.options.engine.device for each in supervisor._workers]
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]


class Idle:
    """A worker's process that never starts."""

    def __init__(self, work: ArchiveWork):
        self.work = work

    def start(self) -> None:
        """Nothing begins."""


def test_names_that_are_no_text_are_in_the_manifest(tmp_path):
    """As cameras and old archives write them."""
    tapes, out = tmp_path / "tapes", tmp_path / "out"
    tapes.mkdir()
    picture(tapes / "a.png").rename(tapes / os.fsdecode(b"Z\xfcrich.png"))
    write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=3)).rename(tapes / os.fsdecode(b"gro\xdf.mp4"))
    for _ in range(2):
        assert batch(tapes, out) == 0
        told = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        assert {Path(each["source_path"]).name: each["status"] for each in told["files"]} == {
            "Z\\xfcrich.png": "done",
            "gro\\xdf.mp4": "done",
        }
