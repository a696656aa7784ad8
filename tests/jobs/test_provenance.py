"""What a result's sidecar says, held against the files themselves."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np

from vsr.cli.main import run
from vsr.jobs.identity import wishes_of
from vsr.models import load
from vsr.models.files.checkpoint import save_network
from vsr.options import EncodeOptions, EngineOptions, EnhanceOptions, JobOptions, ModelOptions

FLAGS = ["--model", "nano", "--preset", "ultrafast", "--quiet"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_sidecar_tells_source_result_and_models_by_their_hashes(make_clip, tmp_path):
    clip, out = make_clip("in.mp4", num_frames=5), tmp_path / "out.mkv"
    assert run(["enhance", str(clip), "-o", str(out), "--sidecar", *FLAGS]) == 0
    record = json.loads((tmp_path / "out.mkv.vsr.json").read_text())
    assert (record["source"]["sha256"], record["source"]["path"]) == (sha256(clip), str(clip))
    assert (record["result"]["sha256"], record["result"]["path"]) == (sha256(out), "out.mkv")
    assert (record["result"]["frames"], record["result"]["width"], record["result"]["bytes"]) == (
        5, 128, out.stat().st_size,
    )  # fmt: skip
    assert [(model["name"], model["sha256"]) for model in record["models"]] == [
        ("nano-x2", load("nano-x2").spec.sha256)
    ]
    assert record["options"]["preset"] == "ultrafast"
    assert record["verification"] == {"passed": True, "frames": 5}
    assert record["measured"]["frames"] == 5


def test_a_long_job_and_a_picture_have_a_sidecar_too(make_clip, tmp_path):
    tapes, out = tmp_path / "tapes", tmp_path / "out"
    tapes.mkdir()
    make_clip("long.mp4", num_frames=30).rename(tapes / "long.mp4")
    cv2.imwrite(str(tapes / "photo.png"), np.full((20, 30, 3), 90, np.uint8))
    assert run(["enhance", str(tapes), "-o", str(out), "--sidecar", "--segment", "0.5", *FLAGS]) == 0
    long, photo = (json.loads((out / f"{name}.vsr.json").read_text()) for name in ("long.mp4", "photo.png"))
    assert (long["result"]["frames"], photo["result"]["frames"]) == (30, 1)
    assert photo["result"]["sha256"] == sha256(out / "photo.png")
    assert photo["result"]["encoder"] is None
    assert sorted(path.name for path in out.iterdir()) == [
        "long.mp4", "long.mp4.vsr.json", "photo.png", "photo.png.vsr.json",
    ]  # fmt: skip


def test_a_sidecar_that_cannot_be_written_is_a_failure_of_its_file(make_clip, tmp_path, capsys):
    clip, out = make_clip("in.mp4", num_frames=2), tmp_path / "out.mp4"
    (tmp_path / "out.mp4.vsr.json").mkdir()
    assert run(["enhance", str(clip), "-o", str(out), "--sidecar", *FLAGS]) == 1
    assert "out.mp4.vsr.json exists and is no sidecar" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4.vsr.json"]


def test_wishes_are_about_the_result_and_not_about_the_way_to_it(tmp_path):
    plain = wishes_of(EnhanceOptions())
    elsewhere = EnhanceOptions(
        engine=EngineOptions(device="cpu", threads=3), job=JobOptions(segment=5, restart=True)
    )
    assert wishes_of(elsewhere) == plain
    assert wishes_of(EnhanceOptions(encode=EncodeOptions(quality=80))) != plain
    path = tmp_path / "own.safetensors"
    save_network(path, load("nano-x2").network)
    own = EnhanceOptions(models=ModelOptions(model=(str(path),)))
    before = wishes_of(own)
    save_network(path, load("fast-x2").network)
    assert wishes_of(own) != before
