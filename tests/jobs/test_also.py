"""A master and a viewing copy from one stream: both verified, both named or neither, and long jobs with both go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest
from support.clips import read_number

from vsr.cli.main import run
from vsr.durable import work_folder
from vsr.engine.engine import Engine
from vsr.jobs.segments.journal_records import read_records
from vsr.media.probe_video import probe
from vsr.media.writing import output
from vsr.media.writing.encode import VideoEncoder
from vsr.media.writing.verify import verify

MASTER = ["--encoder", "ffv1", "--bit-depth", "10"]
COPY = [
    "--also-encoder",
    "x264",
    "--also-preset",
    "ultrafast",
    "--also-bit-depth",
    "8",
    "--also-chroma",
    "420",
]


def enhance(clip: Path, out: Path, also: object, *flags: str) -> int:
    words = [
        "enhance",
        str(clip),
        "-o",
        str(out),
        "--also",
        str(also),
        "--model",
        "nano",
        "--threads",
        "1",
        "--quiet",
    ]
    return run([*words, *MASTER, *COPY, *flags])


def frames(path: Path) -> list[tuple[float, int]]:
    """Time and number of every frame."""
    with av.open(str(path)) as opened:
        return [
            (round(float(f.time), 3), read_number(f.reformat(format="gray").to_ndarray()))
            for f in opened.decode(video=0)
        ]


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        return [frame.to_ndarray().tobytes() for frame in opened.decode(video=0)]


@pytest.fixture
def clip(make_clip) -> Path:
    return make_clip("in.mp4", num_frames=50, audio=True, pixel_format="yuv422p", b_frames=2)


@pytest.fixture
def outs(tmp_path) -> tuple[Path, Path]:
    return tmp_path / "master.mkv", tmp_path / "view.mp4"


@pytest.mark.parametrize("segment", ["off", "0.4"])
def test_both_outputs_hold_every_frame_in_their_own_codec_and_depth(clip, outs, segment, monkeypatch):
    runs, begin = [], Engine.run
    monkeypatch.setattr(Engine, "run", lambda self, frames: (runs.append(1), begin(self, frames))[1])
    assert enhance(clip, *outs, "--segment", segment) == 0
    assert len(runs) == 1
    expected = [(round(n / 25, 3), n) for n in range(50)]
    assert [frames(out) for out in outs] == [expected, expected]
    master, view = map(probe, outs)
    assert (master.codec, master.pixel_format) == ("ffv1", "yuv422p10le")
    assert (view.codec, view.pixel_format) == ("h264", "yuv420p")
    assert [other.kind for other in (*master.others, *view.others)] == ["audio", "audio"]
    assert sorted(path.name for path in outs[0].parent.iterdir()) == ["in.mp4", "master.mkv", "view.mp4"]


def test_segments_of_both_hold_what_one_piece_holds(clip, outs, tmp_path):
    whole = tmp_path / "whole.mkv", tmp_path / "whole.mp4"
    assert enhance(clip, *outs, "--segment", "0.4") == 0
    assert enhance(clip, *whole, "--segment", "off") == 0
    assert pictures(outs[0]) == pictures(whole[0])
    assert [time for time, _ in frames(outs[1])] == [time for time, _ in frames(whole[1])]


def test_a_job_whose_encoders_die_fails_and_goes_on_with_both(clip, outs, monkeypatch, capfd):
    write = VideoEncoder.write
    fed = []

    def dying(self, frame):
        fed.append(frame.pts)
        if len(fed) == 30:
            os.kill(self.pid, signal.SIGKILL)
        write(self, frame)

    with monkeypatch.context() as patched:
        patched.setattr(VideoEncoder, "write", dying)
        assert enhance(clip, *outs, "--segment", "0.4") == 1
    assert "FFmpeg (ffv1 and libx264) was killed by signal 9" in capfd.readouterr().err
    records = read_records(work_folder(outs[0]))
    assert records is not None
    assert records.num_frames >= 10
    assert not any(out.exists() for out in outs)
    assert enhance(clip, *outs, "--segment", "0.4") == 0
    assert [len(frames(out)) for out in outs] == [50, 50]


@pytest.mark.parametrize("segment", ["off", "0.4"])
@pytest.mark.parametrize("wrong", [0, 1])
def test_where_one_is_not_as_it_should_be_neither_gets_its_name(clip, outs, monkeypatch, segment, wrong):
    def failing(path, parts, *rest, **named):
        checked = verify(path, parts, *rest, **named)
        return replace(checked, differences=("it is wrong",)) if parts[0].stream == wrong else checked

    monkeypatch.setattr(output, "verify", failing)
    assert enhance(clip, *outs, "--segment", segment) == 3
    assert not any(out.exists() for out in outs)
    assert outs[wrong].with_name(f"{outs[wrong].stem}.unverified{outs[wrong].suffix}").exists()


@pytest.mark.parametrize("segment", ["0.4", "off"])
def test_a_run_ended_between_the_two_names_gives_neither_and_one_killed_there_is_finished(
    clip, outs, monkeypatch, segment
):
    named, give_name = [], output.give_name
    saved, kept = outs[0].with_name("saved"), outs[0].with_name("kept")

    def dying(finished, target, **how):
        if named:
            os.link(outs[0], kept)
            raise KeyboardInterrupt
        give_name(finished, target, **how)
        named.append(shutil.copytree(work_folder(outs[0]), saved))

    with monkeypatch.context() as patched:
        patched.setattr(output, "give_name", dying)
        assert enhance(clip, *outs, "--segment", segment) == 130
    assert [out.exists() for out in outs] == [False, False]
    os.replace(kept, outs[0])  # as a kill would have left it
    shutil.rmtree(work_folder(outs[0]), ignore_errors=True)
    saved.rename(work_folder(outs[0]))
    assert enhance(clip, *outs, "--segment", segment) == 0
    assert [len(frames(out)) for out in outs] == [50, 50]
    assert not work_folder(outs[0]).exists()


def test_an_ending_goes_with_every_input_and_a_file_with_one(make_clip, tmp_path, capfd):
    for name in ("a.mp4", "b.mp4"):
        make_clip(name, num_frames=5)
    tapes, restored = str(tmp_path / "?.mp4"), tmp_path / "restored"
    assert enhance(Path(tapes), restored, "view.mp4") == 2
    assert "2 videos; give an ending such as _view.mp4" in capfd.readouterr().err
    assert enhance(Path(tapes), restored, "_view.mp4", "--container", "mkv") == 0
    assert sorted(path.name for path in restored.iterdir()) == ["a.mkv", "a_view.mp4", "b.mkv", "b_view.mp4"]


def test_the_copy_may_lie_elsewhere_and_replaces_nothing_unasked(clip, outs, tmp_path, capfd):
    elsewhere = tmp_path / "views"
    elsewhere.mkdir()
    assert enhance(clip, outs[0], elsewhere / "view.mp4") == 0
    assert [path.name for path in elsewhere.iterdir()] == ["view.mp4"]
    outs[0].unlink()
    assert enhance(clip, outs[0], elsewhere / "view.mp4") == 1
    assert "view.mp4 exists" in capfd.readouterr().err
    assert enhance(clip, outs[0], outs[0]) == 2
    assert enhance(clip, outs[0], "view.avi") == 2


def test_an_eight_bit_master_stays_so_beside_a_deeper_copy(clip, outs):
    words = [
        "enhance",
        str(clip),
        "-o",
        str(outs[0]),
        "--model",
        "nano",
        "--threads",
        "1",
        "--quiet",
        *MASTER[:2],
    ]
    assert run([*words, "--also", str(outs[1]), "--also-encoder", "x265", "--also-bit-depth", "10"]) == 0
    assert probe(outs[0]).format.bit_depth == 8
    assert probe(outs[1]).format.bit_depth == 10


def test_the_report_tells_of_both(clip, outs, tmp_path, capsys):
    assert enhance(clip, *outs, "--dry-run") == 0
    assert f"also     {outs[1]}: libx264" in capsys.readouterr().out
    assert enhance(clip, *outs, "--report", str(tmp_path / "report.json")) == 0
    (report,) = json.loads((tmp_path / "report.json").read_text())
    assert [report[name]["num_frames"] for name in ("written", "also")] == [50, 50]
    assert report["also"]["encoder"] == "libx264"


@pytest.mark.slow
def test_memory_is_flat_with_two_outputs_in_segments(make_clip, outs):
    clip = make_clip("long.mp4", num_frames=900, size=(90, 160), audio=True)
    words = [
        sys.executable,
        "-m",
        "vsr",
        "enhance",
        clip,
        "-o",
        outs[0],
        "--also",
        outs[1],
        "--config",
        "archive-film",
    ]
    words += ["--encoder", "ffv1", "--container", "mkv", "--model", "nano", "--also-preset", "ultrafast"]
    words += ["--precision", "fp32", "--segment", "5"]
    held: list[int] = []
    with subprocess.Popen([*map(str, words), "--quiet"]) as process:
        while process.poll() is None:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            now = [int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS")]
            held += now if list(work_folder(outs[0]).glob("*.segment")) else []
            time.sleep(0.1)
    assert process.returncode == 0
    early, late = (sorted(part)[len(part) // 2] for part in (held[: len(held) // 3], held[-len(held) // 3 :]))
    assert late - early < 24  # MB, over 600 frames of 0.2 MB each
    assert [len(frames(out)) for out in outs] == [900, 900]
