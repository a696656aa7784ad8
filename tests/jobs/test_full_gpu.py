"""A GPU that could encode when it was tried, and has no session left when a file begins: others took the last."""

import json
import sys
from pathlib import Path

import pytest

from vsr.cli.main import run
from vsr.durable import work_folder
from vsr.errors import SinkError
from vsr.jobs.segments.journal_records import read_records
from vsr.media import find_ffmpeg, forget_trials, probe

PROGRAM = """#!{python}
import os, pathlib, sys, time
real, begun, sessions, words = {real!r}, pathlib.Path({begun!r}), {sessions}, sys.argv[1:]
if "h264_nvenc" in words:
    is_trial = "lavfi" in words
    with begun.open("a") as file:
        file.write("" if is_trial else "x")
    if begun.stat().st_size > sessions:
        journal = pathlib.Path({journal!r})
        while {after} and len(journal.read_text().splitlines()) <= {after}:
            time.sleep(0.05)
        sys.exit("[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: out of memory (10): (no details)")
    if is_trial:
        sys.exit(0)
    theirs = ("-preset", "-tune", "-rc", "-cq", "-b:", "-spatial-aq", "-forced-idr")
    for word in [word for word in words if word.startswith(theirs)]:
        del words[words.index(word) : words.index(word) + 2]
    words[words.index("h264_nvenc")] = "libx264"
os.execv(real, [real, *words])
"""
"""FFmpeg, whose h264_nvenc is x264, for so many streams, and then refuses, once so many segments are in the journal. A
trial takes no session for good."""


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A GPU that encodes a number of streams."""
    real = find_ffmpeg()

    def there_is(*, sessions: int, after: int = 0) -> None:
        program = tmp_path / "ffmpeg"
        facts = {"python": sys.executable, "real": real, "begun": str(tmp_path / "begun")}
        journal = str(work_folder(tmp_path / "out.mkv") / "journal")
        program.write_text(PROGRAM.format(**facts, sessions=sessions, journal=journal, after=after))
        program.chmod(0o755)
        monkeypatch.setenv("VSR_FFMPEG", str(program))

    forget_trials()
    yield there_is
    forget_trials()


def enhance(clip: Path, out: Path, *flags: str) -> int:
    return run(["enhance", str(clip), "-o", str(out), "--model", "bicubic", "--threads", "1", *flags])


@pytest.mark.parametrize("flags", [(), ("--segment", "0.2")])
def test_a_file_is_encoded_in_software_with_a_line(flags, gpu, make_clip, tmp_path, capfd):
    clip, out = make_clip("a.mkv", num_frames=20), tmp_path / "out.mkv"
    gpu(sessions=0)
    assert enhance(clip, out, *flags) == 0
    told = capfd.readouterr().err
    assert "note: NVENC took no more streams, so this is encoded by libx264" in told
    assert "OpenEncodeSessionEx failed" in told
    assert probe(out).num_frames == 20


@pytest.mark.parametrize("flags", [(), ("--segment", "0.2")])
def test_a_record_tells_what_has_encoded_and_why(flags, gpu, make_clip, tmp_path):
    clip, folder = make_clip("a.mkv", num_frames=10), tmp_path / "record"
    gpu(sessions=0)
    assert enhance(clip, tmp_path / "out.mkv", "--evidence", str(folder), *flags) == 0
    (path,) = folder.rglob("record.json")
    record = json.loads(path.read_text())
    assert [each["name"] for each in record["decided"]["encoders"]] == ["libx264"]
    assert any("NVENC took no more streams" in note for note in record["notes"])
    assert run(["evidence", "verify", str(path.parent)]) == 0


def test_a_long_job_that_has_begun_waits_for_the_gpu(gpu, make_clip, tmp_path, capfd):
    """Segments of two encoders are no one stream, and what is finished is not thrown away."""
    clip, out = make_clip("a.mkv", num_frames=20), tmp_path / "out.mkv"
    gpu(sessions=1, after=1)
    assert enhance(clip, out, "--segment", "0.2", "--workers", "1") == 1
    assert "OpenEncodeSessionEx failed" in capfd.readouterr().err
    records = read_records(work_folder(out))
    assert records is not None
    assert len(records.segments) == 1
    gpu(sessions=99)
    forget_trials()
    assert enhance(clip, out, "--segment", "0.2", "--workers", "1") == 0
    assert probe(out).num_frames == 20
    assert "h264_nvenc" in capfd.readouterr().err


def test_nvenc_that_was_asked_for_is_not_replaced(gpu, make_clip, tmp_path, capfd):
    gpu(sessions=0)
    assert enhance(make_clip("a.mkv", num_frames=5), tmp_path / "out.mkv", "--encoder", "nvenc") == 1
    assert "NVENC cannot be used here" in capfd.readouterr().err
    assert not (tmp_path / "out.mkv").exists()


def test_what_fails_for_another_reason_fails(gpu, make_clip, tmp_path, capfd, monkeypatch):
    gpu(sessions=99)
    monkeypatch.setattr("vsr.media.writing.encode.VideoEncoder.write", _refuse)
    assert enhance(make_clip("a.mkv", num_frames=5), tmp_path / "out.mkv") == 1
    told = capfd.readouterr().err
    assert "killed by signal 9" in told
    assert "took no more" not in told


def _refuse(*_: object) -> None:
    raise SinkError("FFmpeg (h264_nvenc) was killed by signal 9 after 0 frames", exit_code=-9)
