"""Records of cameras: what they hold, that they go on over restarts, and that any change is found and named."""

import json
import os
import random
import shutil
import signal
from concurrent.futures import wait
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from evidence.test_record import one_change
from live.test_live_command import Live
from support.clips import ClipOptions, write_clip

from vsr.cli.main import run
from vsr.durable import sha256_of
from vsr.errors import ConfigError, SinkError, VerifyError
from vsr.evidence import check_live
from vsr.evidence.frame_account import FrameAccount
from vsr.evidence.live_record import LiveRecord
from vsr.evidence.live_records import LiveRecords
from vsr.evidence.signing import signer_of
from vsr.live.frame_notes import FrameNote
from vsr.live.options import CameraOptions, LiveOptions, OutputOptions
from vsr.live.scheduling.engines import make_engines, make_engines_for

NAMES = [
    f"door-20260101-1200{second:02}{suffix}.mkv" for second in (0, 20, 40) for suffix in ("", "-original")
]


def camera(folder: Path, **options) -> CameraOptions:
    keep = options.pop("keep_hours", 0.0)
    output = OutputOptions("record", str(folder), keep_hours=keep)
    return CameraOptions("door", "rtsp://127.0.0.1/a", evidence=True, outputs=(output,), **options)


def begin(folder: Path, key: str = "", **options) -> LiveRecord:
    made = camera(folder, sign=key, **options)
    facts = {"case": made.case, "url": "rtsp://127.0.0.1/a", "levels": []}
    facts["options"] = {
        "outputs": [{"kind": "record", "keep_hours": made.outputs[0].keep_hours, "keep_gb": 0.0}]
    }
    return LiveRecord(made, facts, signer_of(key))


def write_part(folder: Path, name: str, seed: int = 0) -> Path:
    content = np.random.default_rng(seed).integers(0, 256, 900, np.uint8).tobytes()
    (part := folder / f"{name}.part").write_bytes(content)
    return part


def finish(part: Path) -> None:
    part.rename(part.with_suffix(""))


def look_until_hashed(record: LiveRecord) -> None:
    """Files are hashed in other threads."""
    record.look()
    wait(record._hashing.values())
    record.look()


def frames(first: int, last: int, *, shown) -> list[FrameNote]:
    """Frames of 25 fps, each decoded and, where it is among those, then shown."""
    notes = []
    for number in range(first, last + 1):
        notes.append(FrameNote("decoded", number, 3600 * number, 0.0))
        if number in shown:
            notes.append(FrameNote("shown", -1, 3600 * number, 0.0))
    return notes


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """The recordings of a camera, with a signed record of two services, the first of which was killed."""
    root = tmp_path_factory.mktemp("live")
    assert run(["evidence", "key", str(root / "lab.pem")]) == 0
    folder, key = root / "door", str(root / "lab.pem")
    record = begin(folder, key)
    for number, name in enumerate(NAMES[:5]):
        part = write_part(folder, name, number)
        record.look(notes=frames(25 * number, 25 * number + 24, shown=range(200)))
        if number < 4:
            finish(part)
            look_until_hashed(record)
    record._log.close()  # killed: the fifth is not finished
    record = begin(folder, key)
    finish(folder / f"{NAMES[4]}.part")
    look_until_hashed(record)
    finish(write_part(folder, NAMES[5], 5))
    record.look()
    record.end()
    return folder


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "evidence" / "log.jsonl").read_text().splitlines()]


def told_wrong(folder: Path, key: Path | None = None) -> str:
    """What is wrong by `verify`; empty where nothing is."""
    try:
        list(check_live(folder / "evidence", key=key))
    except VerifyError as error:
        return str(error)
    return ""


def test_a_log_goes_on_from_file_to_file_and_over_restarts(kept):
    assert told_wrong(kept, kept.parent / "lab.pem.pub") == ""
    entries = log_of(kept)
    assert [each["file"] for each in entries if each["step"] == "segment"] == NAMES
    steps = [
        each["step"] for each in entries if each["step"] not in ("signed", "begins", "segment", "frames")
    ]
    assert steps == ["begun", "went on", "ended"]
    assert [each["frames"] for each in entries if each["step"] == "frames"] == [
        [0, 24],
        [25, 49],
        [50, 74],
        [75, 99],
    ]


def change_again_and_again(folder: Path, *, times: int, seed: int) -> None:
    chance = random.Random(seed)
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    assert len(files) == len(NAMES) + 2
    for number in range(times):
        name = list(files)[number % len(files)]
        content = files[name].read_bytes()
        changed, line = one_change(chance, content, in_lines=name == "log.jsonl")
        files[name].write_bytes(changed)
        told = told_wrong(folder)
        assert name in told, (name, line, told)
        if name == "log.jsonl":
            assert f"line {line + 1} " in told
        files[name].write_bytes(content)
    for name, path in files.items():
        away = path.rename(path.with_suffix(".away"))
        assert name in told_wrong(folder)
        away.rename(path)
    assert told_wrong(folder) == ""


def test_single_changes_are_found_and_named(kept, tmp_path):
    change_again_and_again(Path(shutil.copytree(kept, tmp_path / "door")), times=160, seed=17)


@pytest.mark.slow
def test_a_thousand_single_changes_are_found_and_named(kept, tmp_path):
    change_again_and_again(Path(shutil.copytree(kept, tmp_path / "door")), times=1000, seed=71)


def test_a_file_that_nobody_saw_be_written_is_named(kept, tmp_path, capsys):
    folder = Path(shutil.copytree(kept, tmp_path / "door"))
    shutil.copy(folder / NAMES[0], folder / "door-20260101-130000.mkv")
    assert run(["evidence", "verify", str(folder / "evidence")]) == 3
    assert "door-20260101-130000.mkv is not in the log" in capsys.readouterr().err
    begin(folder).end()  # one that goes on does not take it for its own
    assert log_of(folder)[-2]["earlier"] == ["door-20260101-130000.mkv"]
    assert told_wrong(folder) == ""


def test_another_ones_signature_is_named(kept, tmp_path):
    assert run(["evidence", "key", str(tmp_path / "other.pem")]) == 0
    assert "from line 1 on it is signed by another key" in told_wrong(kept, tmp_path / "other.pem.pub")
    folder = Path(shutil.copytree(kept, tmp_path / "door"))
    begin(folder).end()
    line = len(log_of(folder)) - 1
    assert f"from line {line} on it is signed by nobody" in told_wrong(folder, kept.parent / "lab.pem.pub")


def test_what_a_power_cut_leaves_stands_up_to_its_last_whole_line(kept, tmp_path, capsys):
    folder = Path(shutil.copytree(kept, tmp_path / "door"))
    record = begin(folder)
    write_part(folder, "door-20260101-140000.mkv")
    record.look()
    record._log.close()
    with (folder / "evidence" / "log.jsonl").open("ab") as log:
        log.write(b'{"line": 9')
    assert run(["evidence", "verify", str(folder / "evidence")]) == 0
    lines = len(log_of_whole(folder))
    assert f"stands up to line {lines}, 10 bytes of a line" in capsys.readouterr().out
    begin(folder).end()
    assert told_wrong(folder) == ""
    assert "cut off" in [entry["step"] for entry in log_of(folder)]


def log_of_whole(folder: Path) -> list[str]:
    return (folder / "evidence" / "log.jsonl").read_text().split("\n")[:-1]


def test_what_rules_delete_is_said_and_what_others_delete_is_wrong(tmp_path):
    for keep_hours in (0.0, 24.0):
        record = begin(folder := tmp_path / str(keep_hours), keep_hours=keep_hours)
        finish(write_part(folder, NAMES[0]))
        look_until_hashed(record)
        (folder / NAMES[0]).unlink()
        record.look()
        record.end()
        assert ("was deleted while it was recorded on" in told_wrong(folder)) == (keep_hours == 0)


def test_frames_left_out_and_what_stood_in_have_their_numbers_and_times():
    account = FrameAccount()
    account.add(frames(0, 9, shown={0, 1, 5, 6, 9}))
    account.add([FrameNote("stood in", -1, 0, 0.0)] * 3)
    account.add(frames(10, 12, shown=set()))
    assert account.told() == {
        "frames": [0, 9], "shown": 5, "left_out": [[2, 4, "0.080"], [7, 8, "0.280"]], "stood_in": [[9, 3]],
    }  # fmt: skip
    assert account.told() == {}
    account.close()
    assert account.told() == {"frames": [10, 12], "shown": 0, "left_out": [[10, 12, "0.400"]], "stood_in": []}


def test_frames_of_a_camera_that_was_begun_anew_are_counted_anew(tmp_path):
    record = begin(tmp_path)
    record.look(notes=frames(0, 9, shown={0, 1, 2}))
    record.look(notes=frames(0, 4, shown={4}))
    record.end()
    told = [each for each in log_of(tmp_path) if each["step"] == "frames"]
    assert [(each["frames"], each["shown"]) for each in told] == [([0, 9], 3), ([0, 4], 1)]


def test_a_disk_that_fails_leaves_a_whole_log_and_is_tried_again(tmp_path, monkeypatch):
    record = begin(tmp_path)
    finish(write_part(tmp_path, NAMES[0]))
    write = os.write

    def half(descriptor: int, content: memoryview) -> int:
        if len(content) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:-50])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(SinkError, match="No space left"):
            record.look()
    assert log_of(tmp_path)
    record.look()
    record.end()
    assert told_wrong(tmp_path) == ""
    assert [each["step"] for each in log_of(tmp_path)].count("segment") == 1


def test_nobody_waits_for_the_hash_of_a_long_file(tmp_path, monkeypatch):
    record, hash_now = begin(tmp_path), Event()

    def slowly(path: Path) -> str:
        hash_now.wait(60)
        return sha256_of(path)

    monkeypatch.setattr("vsr.evidence.live_record.sha256_of", slowly)
    finish(write_part(tmp_path, NAMES[0]))
    record.look()
    finish(write_part(tmp_path, NAMES[1], 1))
    record.look(notes=frames(0, 9, shown={0}))
    assert [each["step"] for each in log_of(tmp_path)].count("begins") == 2
    assert record.is_hashing()
    hash_now.set()
    record.end()
    assert sorted(each["file"] for each in log_of(tmp_path) if each["step"] == "segment") == sorted(NAMES[:2])
    assert told_wrong(tmp_path) == ""


def test_nothing_of_others_is_taken_for_a_record(tmp_path):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        begin(tmp_path)


def test_generative_models_are_refused_or_marked(tmp_path):
    levels = make_engines(["fast-sharp-x2"])
    for allowed in (False, True):
        options = LiveOptions((camera(tmp_path, allow_generative=allowed),))
        with (
            LiveRecords() as records,
            nullcontext() if allowed else pytest.raises(ConfigError, match="is generative"),
        ):
            records.accept(options, levels)
    (first, *_) = log_of(tmp_path)
    assert "fast-sharp-x2 is generative" in first["generative"][0]
    assert first["levels"][0]["models"][0]["sha256"]
    assert first["options"]["record_original"]


def test_networks_of_regions_and_for_real_pictures_are_in_the_record_and_may_not_paint_either(tmp_path):
    (usual, *_), (painting, *_) = make_engines(["nano-x2"]), make_engines(["fast-sharp-x4"], 4)
    levels = [replace(usual, others={2: usual, 4: painting})]
    with LiveRecords() as records, pytest.raises(ConfigError, match="is generative"):
        records.accept(LiveOptions((camera(tmp_path),)), levels)
    with LiveRecords() as records:
        records.accept(LiveOptions((camera(tmp_path),)), make_engines_for([2, 4], ["nano-x2"]))
    (first, *_) = log_of(tmp_path)
    names = [model["name"] for model in first["levels"][0]["models"]]
    assert names == ["nano-x2", "base-x4", "base-real-x4"]


@pytest.mark.slow
def test_a_service_that_is_killed_and_one_that_ends_leave_one_record(tmp_path, capsys):
    clip, folder = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=50)), tmp_path / "rec"
    words = [clip, "--record", folder, "--evidence", "--model", "nano-x2"]
    with Live(tmp_path, *words) as live:
        live.wait(lambda: steps_of(folder).count("begins") == 2 and live.encoded("camera") > 20, 240)
    with Live(tmp_path, *words) as live:
        live.wait(lambda: steps_of(folder).count("begins") == 4 and live.encoded("camera") > 20, 240)
        assert live.end(signal.SIGTERM)[0] == 0
    assert run(["evidence", "verify", str(folder / "evidence")]) == 0
    assert "files: 4, 2 of them originals" in capsys.readouterr().out
    assert sum(each["shown"] for each in log_of(folder) if each["step"] == "frames") > 20
    steps = steps_of(folder)
    assert steps.index("begun") < steps.index("went on") < steps.index("segment") < steps.index("ended")


def steps_of(folder: Path) -> list[str]:
    log = folder / "evidence" / "log.jsonl"
    return [json.loads(line)["step"] for line in log.read_text().split("\n")[:-1]] if log.exists() else []
