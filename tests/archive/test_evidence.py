"""Archives with a record of each file."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from shutil import which

import pytest
from support.archives import FLAGS
from support.clips import ClipOptions, write_clip

from vsr.archive.state import read_entries
from vsr.cli.main import run
from vsr.evidence import check_evidence, load_record

SIGNER = """#!/bin/sh
case $1 in
  public) openssl pkey -in {key} -pubout ;;
  sign) test -e {ready} || {{ echo no >&2; exit 9; }}
    cat > {ready} && openssl pkeyutl -sign -rawin -inkey {key} -in {ready} ;;
esac
"""


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


def test_what_signs_is_told_from_the_file_and_an_older_state_does_not_know_it(tapes, tmp_path, capsys):
    pytest.importorskip("cryptography", reason="needs the extra `evidence`")
    if not which("openssl"):
        pytest.skip("openssl is not installed")
    out, signer, key = tapes.parent / "out", tmp_path / "signer", tmp_path / "lab.pem"
    assert run(["evidence", "key", str(key)]) == 0
    signer.write_text(SIGNER.format(key=key, ready=tmp_path / "ready"))
    signer.chmod(0o755)
    (tapes / "bad.mp4").unlink()
    assert enhance(tapes, "--evidence", out, "--sign", f"exec:{signer}") == 1
    (entry,) = read_entries(out).values()
    assert (entry.status, entry.unsigned, entry.lasting) == ("failed", True, False)
    assert "fails with code 9: no" in capsys.readouterr().err
    with closing(sqlite3.connect(out / ".vsr" / "state.sqlite")) as db, db:
        db.execute("alter table files drop column unsigned")
    (entry,) = read_entries(out).values()
    assert (entry.status, entry.unsigned) == ("failed", False)
    (tmp_path / "ready").touch()
    assert enhance(tapes, "--evidence", out, "--sign", f"exec:{signer}") == 0
    (entry,) = read_entries(out).values()
    assert (entry.status, entry.unsigned) == ("done", False)


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
