"""Archives with a record of each file."""

import csv
import json
from pathlib import Path

import pytest
from support.archives import FLAGS
from support.clips import ClipOptions, write_clip

from vsr.cli.main import run
from vsr.evidence import check_evidence, load_record


@pytest.fixture
def tapes(tmp_path) -> Path:
    (tmp_path / "tapes" / "a").mkdir(parents=True)
    write_clip(tmp_path / "tapes" / "a" / "one.mp4", ClipOptions(num_frames=6))
    (tmp_path / "tapes" / "bad.mp4").write_bytes(b"no video at all")
    return tmp_path / "tapes"


def enhance(tapes: Path, *flags: str | Path) -> int:
    return run(
        ["batch", str(tapes), "-o", str(tapes.parent / "out"), "--parallel", "1", *FLAGS, *map(str, flags)]
    )


def test_each_result_has_a_record_that_the_manifest_names(tapes, capsys):
    out = tapes.parent / "out"
    assert enhance(tapes, "--evidence", out) == 1
    folder = out / "a" / "one.mp4.evidence"
    assert list(check_evidence(folder))
    with (out / "manifest.csv").open() as file:
        named = {row["result"]: row["evidence"] for row in csv.DictReader(file)}
    assert named == {"a/one.mp4": str(folder), "bad.mp4": ""}
    last = json.loads((out / "bad.mp4.evidence" / "log.jsonl").read_text().splitlines()[-1])
    assert (last["step"], "bad.mp4" in last["reason"]) == ("failed", True)
    capsys.readouterr()
    enhance(tapes, "--evidence", out, "--dry-run")
    assert "2 files, 0 to do" in capsys.readouterr().out
    (folder / "record.json").unlink()
    enhance(tapes, "--evidence", out, "--dry-run")
    assert "one.mp4: has no record" in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_done_without_one_is_done_again_and_records_that_are_finished_stay(tapes, capsys):
    records = tapes.parent / "records"
    (tapes / "bad.mp4").unlink()
    assert enhance(tapes) == 0
    assert enhance(tapes, "--evidence", records) == 0
    write_clip(tapes / "a" / "one.mp4", ClipOptions(num_frames=7))
    assert enhance(tapes, "--evidence", records) == 0
    first, second = (records / "a" / f"one.mp4.evidence{mark}" for mark in ("", ".2"))
    assert [load_record(folder)["frames"]["count"] for folder in (first, second)] == [6, 7]


@pytest.mark.slow
def test_a_record_that_models_that_paint_would_have_is_refused(tapes, capsys):
    assert enhance(tapes, "--evidence", tapes.parent / "records", "--model", "fast-sharp-x2") == 1
    assert "fast-sharp-x2 is generative" in capsys.readouterr().err
    assert not (tapes.parent / "out" / "a" / "one.mp4").exists()
