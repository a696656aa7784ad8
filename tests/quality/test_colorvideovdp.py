"""ColorVideoVDP: what must hold whatever eyes are like, where its program is installed; and what stands in for it."""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.quality import colorvideovdp
from vsr.quality.colorvideovdp import ColorVideoVdp, GaussianBlur
from vsr.stand_in import standing_in


def picture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 500, (96, 128, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 4) + 128, 0, 255).astype(np.uint8)


def noisy(rgb: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, rgb.shape)
    return np.clip(rgb + noise, 0, 255).round().astype(np.uint8)


@pytest.fixture
def vdp() -> ColorVideoVdp:
    if importlib.util.find_spec("pycvvdp") is None:
        pytest.skip("no cvvdp (extra cvvdp)")
    return ColorVideoVdp()


def of_clip(vdp: ColorVideoVdp, results: list[np.ndarray], originals: list[np.ndarray]) -> float:
    with vdp:
        for result, original in zip(results, originals, strict=True):
            vdp.add(result, original)
        return vdp.value(25.0)


def test_noise_costs_and_equal_pictures_are_perfect(vdp: ColorVideoVdp):
    rgb = picture()
    jods = [vdp(noisy(rgb, sigma), rgb) for sigma in (0, 4, 16)]
    assert jods[0] == pytest.approx(10, abs=1e-3)
    assert jods[0] > jods[1] + 0.05 > jods[2] + 0.5


def test_a_clip_is_seen_in_time(vdp: ColorVideoVdp):
    originals = [picture()] * 8
    still = [noisy(picture(), 10)] * 8
    flickering = [noisy(picture(), 10, seed) for seed in range(8)]
    assert of_clip(vdp, originals, originals) == pytest.approx(10, abs=1e-3)
    assert of_clip(vdp, still, originals) != of_clip(vdp, flickering, originals)


def test_the_command_measures_it(vdp: ColorVideoVdp, make_clip, tmp_path: Path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    assert run(["eval", str(tmp_path), "--model", "bicubic", "--cvvdp"]) == 0
    assert "CVVDP" in capsys.readouterr().out
    clip = make_clip("a.mp4", size=(96, 128), num_frames=3)
    assert run(["eval", str(clip), "--model", "bicubic", "--cvvdp"]) == 0
    assert "CVVDP" in capsys.readouterr().out


def test_without_it_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    monkeypatch.setattr(colorvideovdp.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'vsr\[cvvdp\]'"):
        ColorVideoVdp()


def test_the_blur_that_stands_in_is_a_gaussian_with_mirrored_edges():
    x = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    blurred = GaussianBlur(13, 3.0)(x)
    wanted = cv2.GaussianBlur(x[1, 2].numpy(), (13, 13), 3.0, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(blurred[1, 2].numpy() - wanted).max() < 1e-6


def test_what_stands_in_is_gone_afterwards_and_what_is_there_is_left_alone(tmp_path: Path, monkeypatch):
    (tmp_path / "wanting.py").write_text("from nowhere_to_be_found.inner import thing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = {"nowhere_to_be_found.inner": {"thing": 7}}
    with standing_in(asked, importing="wanting"):
        assert importlib.import_module("wanting").thing == 7
    assert not any(name.startswith("nowhere_to_be_found") for name in sys.modules)
    with standing_in(asked, importing="wanting"):  # it has been imported
        assert "nowhere_to_be_found" not in sys.modules
    with standing_in({"json.tool": {"main": 7}}, importing="nothing"):
        assert importlib.import_module("json.tool").main != 7
    del sys.modules["wanting"]
