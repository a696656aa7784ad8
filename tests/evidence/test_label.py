"""A label on every picture: it is there, the record says so, and it is made again."""

import json

import av
import numpy as np
from evidence.conftest import FLAGS
from support.clips import ClipOptions, write_clip

from vsr.cli.main import run
from vsr.evidence import check_evidence


def first_of(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


def test_a_labelled_result_says_so_on_its_pictures_and_in_its_record(tmp_path, capsys):
    clip = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=8, gop=4, size=(96, 160)))
    words = [
        "enhance",
        str(clip),
        "--model",
        "nano-x2",
        "--encoder",
        "ffv1",
        "--threads",
        "1",
        "--segment",
        "0.2",
    ]
    plain, folder = tmp_path / "plain.mkv", tmp_path / "evidence"
    assert run([*words, "-o", str(plain), "--quiet"]) == 0
    wanted = ["--label", "de", "--label-corner", "top-left", "--evidence", str(folder)]
    assert run([*words, "-o", str(tmp_path / "out.mkv"), *wanted]) == 0
    assert "'aufbereitet mit vsr (nano-x2)' stands in the corner top-left" in capsys.readouterr().err
    changed = np.argwhere(first_of(plain) != first_of(tmp_path / "out.mkv"))
    assert len(changed) > 500
    assert changed.max(axis=0)[0] < 192 / 4
    record = json.loads((folder / "record.json").read_text())
    assert record["decided"]["label"] == "aufbereitet mit vsr (nano-x2)"
    assert "was written on every picture" in (folder / "report.html").read_text()
    assert list(check_evidence(folder))
    assert run(["evidence", "replay", str(folder)]) == 0


def test_where_there_is_no_room_for_it_nothing_is_done(original, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    assert (
        run(["enhance", str(original.source), "-o", str(out), *FLAGS, "--height", "40", "--label", "fr"]) == 2
    )
    assert "'amélioré par vsr' does not fit into" in capsys.readouterr().err
    assert not out.exists()
