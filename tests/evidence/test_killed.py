"""Runs that are killed while they write a result and its record, at every kind of place, and what the same command then
makes of it."""

import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from evidence.conftest import FLAGS
from support.clips import ClipOptions, write_clip
from support.processes import forks

from vsr.cli.main import main, run
from vsr.errors import ConfigError, VerifyError
from vsr.evidence import check_evidence, load_record

PLACES = ("fsync", "replace", "rename", "link", "mkdir")
"""What the system is asked for before something is on the disk, or has its name."""


def killed_before(number: int, words: list[str], count: Path) -> None:
    """Run the command until it asks for the place of that number, and count the places until then."""
    left = number

    def counting(real):
        def call(*args, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            count.write_text(str(number - left))
            return real(*args, **options)

        return call

    for name in PLACES:
        setattr(os, name, counting(getattr(os, name)))
    main(words)


def run_until(number: int, words: list[str], count: Path) -> int:
    process = forks.Process(target=killed_before, args=(number, words, count))
    process.start()
    process.join(300)
    return process.exitcode


def kill_again_and_again(folder: Path, capfd, *, times: int) -> Counter:
    clip = write_clip(folder / "in.mp4", ClipOptions(num_frames=4, size=(32, 48), audio=True))
    count, result, record = folder / "count", folder / "out.mp4", folder / "evidence"
    words = ["enhance", str(clip), "-o", str(result), "--evidence", str(record), "--copy-source", *FLAGS]
    assert run_until(1_000_000, words, count) == 0
    total, chance, met = int(count.read_text()), random.Random(17), Counter()
    for part in range(times):
        shutil.rmtree(record)
        result.unlink()
        number = chance.randint(1 + part * total // times, (part + 1) * total // times)
        assert run_until(number, words, count) == -signal.SIGKILL
        is_recorded = (record / "record.json").exists()
        met["result without record" if result.exists() and not is_recorded else "other"] += 1
        was_begun = (record / "log.jsonl").exists() and (record / "log.jsonl").stat().st_size > 0
        if not is_recorded and was_begun:
            with pytest.raises(ConfigError, match=r"its log stands up to line \d+; name"):
                load_record(record)
        capfd.readouterr()
        code, told = run(words), capfd.readouterr().err.splitlines()
        assert (code == 0) == (not is_recorded), (number, told)
        assert len(told) == (code != 0), (number, told)
        assert not is_recorded or "holds a finished record" in told[0]
        assert list(check_evidence(record, decode=False))
        assert was_begun == is_recorded or b'"step": "went on"' in (record / "log.jsonl").read_bytes()
        assert {path.name for path in folder.iterdir()} == {"in.mp4", "out.mp4", "evidence", "count"}
    return met


@pytest.mark.slow
def test_no_place_leaves_a_result_without_its_record(tmp_path, capfd):
    assert kill_again_and_again(tmp_path, capfd, times=12)["result without record"] > 0


@pytest.mark.parametrize("name", ["record.json", "log.jsonl", "frames.txt"])
def test_what_is_cut_is_told_from_what_is_changed(recorded, name):
    path = recorded.folder / name
    content = path.read_bytes()
    for at in random.Random(17).sample(range(len(content) - 40, len(content)), 3):
        path.write_bytes(content[:at])
        with pytest.raises(VerifyError, match=f"{name}: .*is cut off, or its end was changed"):
            list(check_evidence(recorded.folder, decode=False))
    path.write_bytes(content.replace(b"e", b"f", 1))
    with pytest.raises(VerifyError, match=f"{name}: .*(was|were) changed"):
        list(check_evidence(recorded.folder, decode=False))


def test_a_record_that_is_not_finished_says_how_far_its_log_stands(recorded, capsys):
    log = recorded.folder / "log.jsonl"
    (recorded.folder / "record.json").unlink()
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    assert run(["evidence", "verify", str(recorded.folder)]) == 2
    assert "a run was cut off or is at work, its log stands up to line 4" in capsys.readouterr().err
    assert run(["evidence", "show", str(recorded.folder), "--log"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    log.write_bytes(b"".join([lines[0], lines[1].replace(b"e", b"f", 1), *lines[2:]]))
    assert run(["evidence", "verify", str(recorded.folder)]) == 3
    assert "log.jsonl: line 2 was changed" in capsys.readouterr().err
