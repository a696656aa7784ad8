"""`vsr eval --table`: the ladder, and OpenCV's networks beside it."""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsr.cli.main import run
from vsr.cli.model_table_view import markdown
from vsr.evaluation import model_table
from vsr.evaluation.candidates import our_candidate
from vsr.evaluation.model_table import TableRow, moving_shapes
from vsr.evaluation.score_pictures import score_set
from vsr.evaluation.test_sets import PictureSet
from vsr.options import EngineOptions
from vsr.quality.score import Judge, Score


@pytest.fixture
def opencv(test_data: Path) -> Path:
    return test_data / "weights" / "opencv_dnn_sr"


@pytest.mark.parametrize(
    ("name", "scale", "psnr"), [("FSRCNN", 2, 34.85), ("FSRCNN-small", 3, 30.23), ("ESPCN", 4, 28.38)]
)
def test_opencvs_networks_score_as_in_dnn_superres(name, scale, psnr, opencv: Path, test_data: Path):
    network = our_candidate(str(opencv / f"{name}_x{scale}.pb"), scale, EngineOptions(precision="fp32"))
    pairs = PictureSet(test_data / "testsets" / "Set5" / "HR", None, scale)
    result = score_set(network, pairs, Judge(scale))
    assert result.score.psnr == pytest.approx(psnr, abs=0.03)  # dnn_superres rounded luma once more


def test_opencvs_networks_count_every_kernel_at_every_pixel(opencv: Path):
    espcn = 5 * 5 * 64 + 3 * 3 * 64 * 32 + 3 * 3 * 32 * 4
    assert our_candidate(str(opencv / "ESPCN_x2.pb"), 2).kflop_per_pixel == 2 * espcn / 1000


def write_sets(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("Set5/HR", "BSD100"):
        path = folder / "testsets" / name
        path.mkdir(parents=True)
        cv2.imwrite(str(path / "a.png"), cv2.blur(rng.integers(0, 256, (50, 62, 3), np.uint8), (5, 5)))


def test_the_command_prints_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    write_sets(tmp_path)
    monkeypatch.setattr(model_table, "moving_shapes", partial(moving_shapes, num_frames=2))
    out = tmp_path / "table.json"
    words = ["--data", str(tmp_path), "--model", "nano", "--json", str(out)]
    assert run(["eval", "--table", *words]) == 0
    text = capsys.readouterr().out
    rungs = json.loads(out.read_text())["rungs"]
    assert [(rung["name"], rung["scale"]) for rung in rungs] == [("nano", 2), ("nano", 3), ("nano", 4)]
    for rung in rungs:
        assert f"{rung['scores']['BSD100']['psnr']:.2f} / {rung['scores']['BSD100']['ssim']:.4f}" in text
        assert rung["ms_per_frame"]["640x360"] > 0
    assert "the article: FSRCNN" in text


def test_mistakes_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("VSR_TEST_DATA", raising=False)
    assert run(["eval", "--table"]) == 2
    assert "by --data" in capsys.readouterr().err
    assert run(["eval", "--table", "--data", str(tmp_path), "--model", "turbo"]) == 2
    assert "no such rung; there are" in capsys.readouterr().err
    assert run(["eval", "--table", "--data", str(tmp_path)]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_each_kind_of_network_has_its_own_table():
    def rung(name: str, scale: int, psnr: float = 30.0) -> TableRow:
        scores = {} if scale == 1 else {"Set5": Score(psnr, 0.9), "BSD100": Score(psnr - 2, 0.8)}
        return TableRow(name, scale, True, "bf16", 20.0, 0, {"640x360": 17.0, "320x240": 4.0}, scores)

    text = markdown(
        [rung("fast", 2), rung("fast", 3, 33.13), rung("base", 2), rung("fast-real", 2), rung("deblur", 1)]
    )
    clean, _, real, _, same_size, _, third, _legend = text.split("\n\n")
    assert clean.count("\n") == 3
    assert "| `base` | 20 | 17 |  | 30.00 / 0.9000 |  |  | 28.00 / 0.8000 |  |  |" in clean
    assert "fast-real" in real
    assert "| `deblur` | 20 | 17 |" in same_size
    assert "| `fast` | 33.13 | 0.9000 | 4 |" in third
