"""Results made again from their records."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evidence.conftest import FLAGS

from vsr.cli.main import run
from vsr.evidence.folder import record_text
from vsr.jobs.noting import NotingSink


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


@pytest.fixture(scope="module")
def kept_twice(original, tmp_path_factory) -> Path:
    """A result that has lost something, with a second output that has not."""
    folder = tmp_path_factory.mktemp("twice")
    words = ["enhance", str(original.source), "-o", str(folder / "out.mp4"), *FLAGS]
    words += ["--also", "_kept.mkv", "--also-encoder", "ffv1", "--evidence", str(folder / "evidence")]
    assert run(words) == 0
    changed(
        folder / "evidence" / "record.json",
        lambda record: record["processor"].update(processor="another one"),
    )
    return folder


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (0, 0, "all frames are equal"),
        (
            1,
            0,
            r"2 of 12 frames differ, by 1 code at most: 5, 9; what the encoder made of them is not compared",
        ),
        (
            2,
            3,
            "2 of 12 frames differ, by 2 codes at most; frame 5 is the first that differs by more than 1, by 2",
        ),
    ],
)
def test_frames_before_an_encoder_that_loses_are_told_to_be_near(
    kept_twice, capsys, monkeypatch, change, code, told
):
    write, number = NotingSink.write, itertools.count()

    def write_another(self, frame) -> None:
        rows = frame.planes[0].copy()
        rows[::2] ^= change if next(number) in (5, 9) else 0
        write(self, replace(frame, planes=(rows, *frame.planes[1:])))

    monkeypatch.setattr(NotingSink, "write", write_another)
    assert run(["evidence", "replay", str(kept_twice / "evidence"), "--quiet"]) == code
    said = capsys.readouterr()
    assert told in (said.err if code else said.out)
    assert ("within 1 code of each sample" in said.out) == (change == 1)
    assert {path.name for path in kept_twice.iterdir()} == {"out.mp4", "out_kept.mkv", "evidence"}


@pytest.mark.parametrize(
    ("bits", "kept_bits", "code", "told"),
    [
        ("8", "10", 0, "1 of 12 frames differ, by 1 code at most: 5"),
        ("10", "8", 3, "or is kept with fewer bits or less chroma, so nothing can be compared with it"),
    ],
    ids=["deeper", "shallower"],
)
def test_a_second_output_of_other_bits_tells_as_much_or_why_not(
    original, tmp_path, capsys, monkeypatch, bits, kept_bits, code, told
):
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mp4"), *FLAGS, "--bit-depth", bits]
    words += ["--also", "_kept.mkv", "--also-encoder", "ffv1", "--also-bit-depth", kept_bits]
    assert run([*words, "--evidence", str(tmp_path / "e")]) == 0
    changed(
        tmp_path / "e" / "record.json", lambda record: record["processor"].update(processor="another one")
    )
    write, number = NotingSink.write, itertools.count()

    def write_another(self, frame) -> None:
        rows = frame.planes[0] ^ (1 if next(number) == 5 else 0)
        write(self, replace(frame, planes=(rows, *frame.planes[1:])))

    monkeypatch.setattr(NotingSink, "write", write_another)
    assert run(["evidence", "replay", str(tmp_path / "e"), "--quiet"]) == code
    said = capsys.readouterr()
    assert told in (said.err if code else said.out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [["out.mkv", "--encoder", "ffv1"], ["out.mp4", "--also", "_kept.mkv", "--also-encoder", "ffv1"]],
    ids=["lossless", "with a lossless second output"],
)
def test_another_kind_of_processor_is_let_be_off_by_one_code(original, tmp_path, how):
    words = ["enhance", str(original.source), "-o", str(tmp_path / how[0]), *how[1:], "--quiet"]
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
