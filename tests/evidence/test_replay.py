"""Results made again from their records."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vsr.cli.main import run
from vsr.evidence.folder import record_text


@pytest.mark.slow
def test_the_same_is_made_again_in_another_process(original):
    words = [sys.executable, "-m", "vsr", "evidence", "replay", str(original.folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "12 frames given to the encoder: equal" in done.stdout
    assert "12 frames of the result, decoded again: equal" in done.stdout


@pytest.mark.parametrize(
    ("group", "name", "value", "told"),
    [
        ("models", "model", ["fast-x2"], "the record names model"),
        ("encode", "quality", 40, "frame 0 is encoded in another way"),
        ("engine", "precision", None, "frame 0 differs before it is encoded"),
        ("read", "frames", 11, "frame 11 is decoded in another way"),
    ],
)
def test_a_changed_option_is_found(recorded, capsys, group, name, value, told):
    def other(record: dict) -> None:
        if name == "precision":
            model = record["models"][0]
            model["precision"] = "fp32" if model["precision"] == "bf16" else "bf16"
        else:
            record["options"][group][name] = value

    changed(recorded.folder / "record.json", other)
    place = ["--source", str(recorded.source), "--result", str(recorded.result)]
    assert run(["evidence", "replay", str(recorded.folder), *place, "--quiet"]) in (2, 3)
    assert told in capsys.readouterr().err


def changed(path: Path, change: Callable[[dict], None]) -> None:
    """Write a record anew, as who forges one would."""
    record = json.loads(path.read_text())
    for entry in ("seal", "format", "version"):
        del record[entry]
    record["signer"] = None
    change(record)
    path.write_text(record_text(record))


def test_the_same_is_made_again(original, capsys):
    assert run(["evidence", "replay", str(original.folder), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "12 frames given to the encoder: equal" in told
    assert "12 frames of the result, decoded again: equal" in told
    assert "all frames are equal" in told


@pytest.mark.slow
def test_another_kind_of_processor_is_let_be_off_by_one_code(original, tmp_path):
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mkv"), "--encoder", "ffv1", "--quiet"]
    assert run([*words, "--model", "fast-x2", "--precision", "fp32", "--evidence", str(tmp_path / "e")]) == 0
    words = [sys.executable, "-m", "vsr", "evidence", "replay", str(tmp_path / "e"), "--quiet"]
    other = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run(
        words, env=os.environ | other, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    near = "by 1 code at most" in done.stdout
    assert ("within 1 code of each sample" in done.stdout) == near
    assert ("all frames are equal" in done.stdout) != near


def test_how_far_a_lossless_result_is_off_is_told(original, tmp_path, capsys):
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mkv"), "--encoder", "ffv1"]
    flags = ["--model", "nano-x2", "--precision", "fp32", "--quiet", "--evidence", str(tmp_path / "evidence")]
    assert run([*words, *flags]) == 0

    def on_another(record: dict) -> None:
        record["models"][0]["precision"], record["processor"]["processor"] = "bf16", "another one"

    changed(tmp_path / "evidence" / "record.json", on_another)
    assert run(["evidence", "replay", str(tmp_path / "evidence"), "--quiet"]) == 3
    told = capsys.readouterr().err
    assert "processor another one then" in told
    assert re.search(r"12 of 12 frames differ, by [2-9] codes at most", told)
