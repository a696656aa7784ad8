"""Long jobs through the real command: killed, resumed, damaged, refused; each ends as an undisturbed run does."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.clips import plane_view
from support.long_jobs import begin, contents, enhance, records_of, stopped, wait_for_segments, words
from support.whole import times

from vsr.cli.main import run
from vsr.cli.progress_view import plain_line
from vsr.durable import work_folder
from vsr.errors import SinkError
from vsr.jobs import long_job
from vsr.jobs.inputs import find_jobs
from vsr.jobs.segments import journal
from vsr.jobs.segments.journal import Journal
from vsr.jobs.segments.journal_records import JOURNAL
from vsr.jobs.segments.segment_sink import SegmentSink
from vsr.media.reading.source import VideoSource
from vsr.media.writing.output import Prepared


def kill_again_and_again(clip: Path, expected: tuple, *, kills: int, seed: int) -> None:
    out = clip.with_name("out.mkv")
    assert [pts for pts, _ in expected[0]] == [pts for pts, _ in contents(clip)[0]]
    chance = random.Random(seed)
    for _ in range(kills):
        if out.exists() and not work_folder(out).exists():
            assert contents(out) == expected
            out.unlink()
        process = begin(clip, out)
        process.join(chance.uniform(0.1, 0.8))
        process.kill()
        process.join()
    if not out.exists() or work_folder(out).exists():
        assert enhance(clip, out) == 0
    assert contents(out) == expected
    assert sorted(path.name for path in clip.parent.iterdir()) == ["in.mkv", "out.mkv"]


def test_a_job_that_is_killed_at_random_moments_ends_as_one_that_is_not(clip, undisturbed):
    kill_again_and_again(clip, undisturbed, kills=10, seed=6)


@pytest.mark.slow
def test_kills_of_two_thousand_frames_change_nothing(make_clip, tmp_path_factory):
    clip = make_clip("in.mkv", num_frames=2000, size=(32, 48), gop=25, b_frames=2, audio=True)
    whole = tmp_path_factory.mktemp("whole") / "whole.mkv"
    assert enhance(clip, whole) == 0
    kill_again_and_again(clip, contents(whole), kills=times(100, share=30), seed=60)


@pytest.fixture(scope="session")
def lossless(long_clip) -> Path:
    """What becomes of the clip in segments and without loss."""
    out = long_clip.with_name("lossless.mkv")
    assert enhance(long_clip, out, "--encoder", "ffv1") == 0
    return out


def test_segments_hold_the_frames_of_a_run_in_one_piece(clip, lossless, tmp_path):
    assert enhance(clip, tmp_path / "whole.mkv", "--encoder", "ffv1", "--segment", "off") == 0
    assert contents(lossless) == contents(tmp_path / "whole.mkv")


def write_pan(
    path: Path, *, num_frames: int, interlaced: bool = False, rate: Fraction = Fraction(25)
) -> Path:
    """A reddish texture that moves by a pixel a frame: one scene, in which every frame differs."""
    chance = np.random.default_rng(3)
    wide = cv2.GaussianBlur(chance.integers(16, 235, (40, 64 + num_frames), np.uint8), (5, 5), 0)
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "10"} | ({"x264-params": "tff=1"} if interlaced else {})
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = 40, 64, "yuv420p"
        stream.codec_context.gop_size = 12
        for n in range(num_frames):
            frame = av.VideoFrame(64, 40, "yuv420p")
            plane_view(frame, 0)[...] = cv2.normalize(
                wide[:, n : n + 64], None, 40 + n // 4, 180, cv2.NORM_MINMAX
            )
            plane_view(frame, 1)[...], plane_view(frame, 2)[...] = 118, 134 + n // 8
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


CASES = {
    "single frames": [],
    "colours": ["--color-correct"],
    "window": ["--model", "deblur", "--window", "3"],
    "chain": ["--model", "deblur", "--model", "nano-x2", "--window", "3"],
    "state": ["--model", "video"],
    "deinterlaced": ["--deinterlace", "on"],
    "fields": ["--deinterlace", "fields"],
    "film": ["--deinterlace", "film"],
    "trimmed": ["--start", "0.5", "--frames", "46"],
}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_feeds_what_the_whole_run_feeds(tmp_path, monkeypatch, capfd, case):
    # With a state, too: all of the scene is seen again where it is not longer than the warm-up.
    rate = Fraction(30000, 1001) if case == "film" else Fraction(25)
    interlaced = case in ("deinterlaced", "fields", "film")
    clip = write_pan(
        tmp_path / "pan.mp4", num_frames=75 if case == "film" else 60, interlaced=interlaced, rate=rate
    )
    flags = [*CASES[case], "--encoder", "ffv1"]
    out, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    assert enhance(clip, whole, *flags, "--segment", "off") == 0
    stopped(clip, out, *flags, segments=2)
    assert records_of(out).segments[1].next.entry.scene == 0
    entered = []
    monkeypatch.setattr(VideoSource, "__init__", spy(VideoSource.__init__, entered))
    assert enhance(clip, out, *flags) == 0
    assert [pts is not None for pts in entered] == [True]  # never from the start
    assert contents(out) == contents(whole)


def spy(init, entered: list):
    def noting(self, *positional, from_pts=None, **named):
        entered.append(from_pts)
        init(self, *positional, from_pts=from_pts, **named)

    return noting


def test_an_interrupted_run_says_how_to_go_on(clip, tmp_path, capfd):
    stopped(clip, tmp_path / "out.mkv")
    done = sum(segment.num_frames for segment in records_of(tmp_path / "out.mkv").segments.values())
    assert 45 <= done <= 60
    assert f"the same command goes on after {done} of 10" in capfd.readouterr().err


def test_sigterm_keeps_what_is_finished(clip, tmp_path):
    out = tmp_path / "out.mkv"
    process = begin(clip, out)
    wait_for_segments(process, out, 2)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == 130
    assert list(records_of(out).segments)[:2] == [0, 1]


def test_a_journal_cut_short_costs_its_last_segment(clip, half_done, undisturbed):
    journal = work_folder(half_done) / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-9])
    assert list(records_of(half_done).segments) == [0, 1]
    assert enhance(clip, half_done) == 0
    assert contents(half_done) == undisturbed


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_segment_alone_is_made_again(clip, half_done, undisturbed, monkeypatch, capfd, number):
    out = half_done
    kept = {n: segment.sha256 for n, segment in records_of(out).segments.items()}
    damaged = work_folder(out) / f"{number:06}.segment"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    made = []
    add = Journal.add
    monkeypatch.setattr(Journal, "add", lambda self, segment: (made.append(segment), add(self, segment)))
    assert enhance(clip, out) == 0
    assert f"segment {number} is damaged" in capfd.readouterr().err
    assert [segment.number for segment in made] == [number, 3, 4, 5]
    assert made[0].sha256 == kept[number]
    assert contents(out) == undisturbed


def test_another_source_is_refused(clip, half_done, make_clip, capfd):
    make_clip("in.mkv", num_frames=100, size=(32, 48), gop=24)
    assert enhance(clip, half_done) == 2
    assert "source size" in capfd.readouterr().err
    assert enhance(clip, half_done, "--restart") == 0
    assert not work_folder(half_done).exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--quality", "60"], "quality 75 (now 60)"),
        (["--precision", "fp32"], "precision auto (now fp32)"),
        (["--segment", "0.4"], "segment 0.8 (now 0.4)"),
        (["--model", "fast"], "model nano (now fast)"),
        (["--color-correct"], "color-correct False (now True)"),
        (["--start", "0.2"], "start  (now 0.2)"),
    ],
)
def test_other_options_are_refused_by_name(clip, half_done, capfd, flags, said):
    assert enhance(clip, half_done, *flags) == 2
    assert said in capfd.readouterr().err
    assert list(records_of(half_done).segments) == [0, 1, 2]


def test_options_without_effect_on_pixels_may_change(clip, half_done):
    assert enhance(clip, half_done, "--threads", "2") == 0


def test_a_run_that_is_killed_before_the_work_folder_goes_is_finished_by_the_same_command(
    clip, tmp_path, monkeypatch
):
    out = tmp_path / "out.mkv"
    with monkeypatch.context() as patched:
        patched.setattr(
            Journal, "close", lambda self, remove=False: self.work.release() or self._file.close()
        )
        assert enhance(clip, out) == 0
    assert work_folder(out).exists()
    before = contents(out)
    assert enhance(clip, out) == 0
    assert contents(out) == before
    assert not work_folder(out).exists()
    assert enhance(clip, out) == 1  # it exists, and nothing says that it is ours


def test_a_run_that_is_killed_during_the_join_joins_again(clip, tmp_path, monkeypatch):
    out = tmp_path / "out.mkv"

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Prepared, "publish", stop)
        assert enhance(clip, out) == 130
    assert len(records_of(out).segments) == 6
    assert not out.exists()
    assert enhance(clip, out) == 0
    assert len(contents(out)[0]) == 100


def test_two_processes_do_not_work_on_one_result(clip, half_done, capfd):
    held = Journal(work_folder(half_done), records_of(half_done).identity, {})
    assert enhance(clip, half_done) == 1
    assert "another process" in capfd.readouterr().err
    held.close()
    assert enhance(clip, half_done) == 0


def test_a_clip_within_one_segment_leaves_no_journal(make_clip, tmp_path, monkeypatch):
    clip = make_clip("short.mp4", num_frames=15)
    monkeypatch.setattr(Journal, "__init__", lambda *_: pytest.fail("a journal was begun"))
    assert enhance(clip, tmp_path / "out.mp4") == 0


def test_variable_times_are_kept_over_borders(make_clip, tmp_path):
    chance = random.Random(1)
    pts = [0]
    while len(pts) < 90:
        pts.append(pts[-1] + chance.choice([17, 33, 34, 50, 400]))
    clip = make_clip("vfr.mkv", num_frames=90, pts=pts, time_base=Fraction(1, 1000), start_pts=700)
    assert enhance(clip, tmp_path / "out.mkv") == 0
    assert [pts for pts, _ in contents(tmp_path / "out.mkv")[0]] == [
        Fraction(700 + time, 1000) for time in pts
    ]


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("small_disk: mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("meets", "share"),
    [("before a segment", 0.4), ("in an encoder", 0.4), ("in a worker", 0.4), ("in the join", 1.4)],
)
def test_a_full_disk_pauses_the_job_until_there_is_room(
    clip, lossless, small_disk, monkeypatch, capfd, meets, share
):
    ballast, out, flags = small_disk / "ballast", small_disk / "out.mkv", ["--encoder", "ffv1"]
    needed = round(share * lossless.stat().st_size)
    flags += ["--workers", "2"] if meets == "in a worker" else []
    finish, met = long_job.complete, []
    if meets != "before a segment":
        monkeypatch.setattr(long_job, "_watch", lambda *_, **__: None)
    else:
        needed += long_job.LEAST_FREE
    lost = SegmentSink.__exit__

    def noting(self, kind, error, traceback):
        met.extend(["in an encoder"] if isinstance(error, SinkError) else [])
        lost(self, kind, error, traceback)

    def joining(*positional, **named):
        try:
            return finish(*positional, **named)
        except SinkError:
            met.append("in the join")
            raise

    monkeypatch.setattr(SegmentSink, "__exit__", noting)
    monkeypatch.setattr(long_job, "complete", joining)
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - needed))
    said = []

    def make_room():
        deadline = time.monotonic() + 60
        while "disk is full" not in "".join(said) and time.monotonic() < deadline:
            said.append(capfd.readouterr().err)
            time.sleep(0.05)
        ballast.unlink()

    friend = threading.Thread(target=make_room)
    friend.start()
    assert enhance(clip, out, *flags) == 0
    friend.join()
    assert "paused" in "".join(said)
    assert met == ([meets] if meets in ("in an encoder", "in the join") else [])
    assert contents(out) == contents(lossless)
    assert [path.name for path in small_disk.iterdir()] == ["out.mkv"]


def test_jobs_lists_shows_and_deletes_what_lies_unfinished(clip, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.mkv"
    stopped(clip, out)
    done = records_of(out).num_frames
    assert run(["jobs", "show", str(out)]) == 0
    shown = capsys.readouterr().out
    assert str(clip) in shown
    assert "quality: 75" in shown
    assert "segment   2: " in shown
    monkeypatch.chdir(tmp_path)
    for folder in ([], ["."], [str(tmp_path)]):
        assert run(["jobs", "list", *folder]) == 0
        assert f"{done} of 10" in capsys.readouterr().out
    assert run(["jobs", "clean", str(tmp_path)]) == 0
    assert work_folder(out).exists()
    assert run(["jobs", "clean", str(tmp_path), "--yes"]) == 0
    assert not work_folder(out).exists()
    assert run(["jobs", "list", str(tmp_path)]) == 0
    assert run(["jobs", "show", str(tmp_path / "nothing.mkv")]) == 1


def test_a_running_job_is_not_deleted(half_done, tmp_path, capfd):
    held = Journal(work_folder(half_done), records_of(half_done).identity, {})
    assert run(["jobs", "clean", str(tmp_path), "--yes"]) == 0
    held.close()
    assert "is running and stays" in capfd.readouterr().err
    assert work_folder(half_done).exists()


def test_a_folder_of_videos_does_not_take_segments_for_some(half_done, tmp_path):
    (work_folder(half_done) / "joined-0123456789abcdef.mkv").write_bytes(b"half a film")
    assert [job.path.name for job in find_jobs([str(tmp_path)])] == ["in.mkv"]


def test_a_dry_run_tells_how_much_disk_is_needed(clip, tmp_path, capsys):
    assert enhance(clip, tmp_path / "out.mkv", "--dry-run") == 0
    assert "segments of 0.8 s and the result take about" in capsys.readouterr().out
    assert not work_folder(tmp_path / "out.mkv").exists()


def test_a_file_that_cannot_be_entered_in_the_middle_is_read_from_its_start(make_clip, tmp_path, monkeypatch):
    clip = make_clip("in.mkv", num_frames=60, size=(32, 48), gop=60)
    out, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    assert enhance(clip, whole) == 0
    stopped(clip, out, segments=2)
    init, entered = VideoSource.__init__, []

    def misread(self, *positional, from_pts=None, **named):
        entered.append(from_pts)
        init(self, *positional, from_pts=None if from_pts is None else from_pts + 40, **named)

    monkeypatch.setattr(VideoSource, "__init__", misread)
    assert enhance(clip, out) == 0
    assert [pts is None for pts in entered] == [False, True]
    assert contents(out) == contents(whole)


def test_a_journal_line_that_does_not_fit_on_the_disk_leaves_none_behind(tmp_path, small_disk):
    folder = small_disk / ".out.mkv.vsr"
    journal = Journal(folder, {"a": "b"}, {})
    before = (folder / JOURNAL).read_bytes()
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(OSError, match="No space left"):
        journal._append({"long": "x" * 100_000})
    journal.close()
    assert (folder / JOURNAL).read_bytes() == before


def test_a_job_that_is_killed_while_it_joins_joins_again(clip, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / "out.mkv"
    with monkeypatch.context() as patched:
        patched.setattr(long_job, "_join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert enhance(clip, out) == 130
    saved = shutil.copytree(work_folder(out), tmp_path / "saved")
    for _ in range(20):
        process = begin(clip, out)
        while process.is_alive() and not (caught := list(work_folder(out).glob("joined-*.mkv"))):
            time.sleep(0.0005)
        process.kill()
        process.join()
        if caught and not out.exists():
            break
        out.unlink(missing_ok=True)
        shutil.rmtree(work_folder(out), ignore_errors=True)
        shutil.copytree(saved, work_folder(out))
    assert caught
    assert enhance(clip, out) == 0
    assert contents(out) == undisturbed
    assert not work_folder(out).exists()


def test_what_an_earlier_run_has_left_and_what_the_disk_must_hold_are_told_before_anything(
    clip, half_done, monkeypatch, capfd
):
    out = half_done
    begun = [word for word in words(clip, out) if word != "--quiet"]
    ticks, sha256 = [], journal.sha256_of

    def looking(path):
        ticks.append(plain_line("in.mkv", clocks[-1], None))
        return sha256(path)

    clocks, check = [], long_job._check
    monkeypatch.setattr(
        long_job, "_check", lambda journal, clock: (clocks.append(clock), check(journal, clock))[1]
    )
    monkeypatch.setattr(journal, "sha256_of", looking)
    num = len(records_of(out).segments)
    assert run(begun) == 0
    assert ticks == [f"in.mkv: checking finished segments, {n} of {num}" for n in range(num)]
    assert "of it are there" in capfd.readouterr().err
    assert run([*begun, "--overwrite"]) == 0
    assert "the first segment will tell" in capfd.readouterr().err
