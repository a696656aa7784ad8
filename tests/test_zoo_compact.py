"""Real-ESRGAN's general-x4v3: the denoising of two files in any share."""

from pathlib import Path

import pytest
import torch
from published import base, noise, run

from vsr.errors import ModelError
from vsr.models import catalogue
from vsr.models.blend import blend
from vsr.models.compact import CompactNet
from vsr.models.spec import Model


def compact(folder: Path, name: str, seed: int, depth: int = 2) -> Model:
    torch.manual_seed(seed)
    torch.save({"params": CompactNet(channels=6, depth=depth, scale=4).state_dict()}, folder / f"{name}.pth")
    return catalogue.load(str(folder / f"{name}.pth"))


def test_denoise_strength_is_the_share_of_the_weights(tmp_path: Path):
    keeps, denoises = compact(tmp_path, "realesr-general-wdn-x4v3", 1), compact(tmp_path, "realesr-general-x4v3", 2)
    mixed = blend(keeps, denoises, 0.3)
    net = CompactNet(channels=6, depth=2, scale=4)
    weights = [model.network.state_dict() for model in (keeps, denoises)]  # type: ignore[attr-defined]
    net.load_state_dict({key: 0.7 * value + 0.3 * weights[1][key] for key, value in weights[0].items()})
    x = noise(1, 3, 9, 11)
    assert (run(mixed, x) - base(mixed, x) - net(x).detach()).abs().max() < 1e-5
    assert mixed.spec.name == "realesr-general-wdn-x4v3 with 0.3 of realesr-general-x4v3"
    assert (mixed.spec.scale, mixed.spec.residual) == (4, "nearest")


def test_files_of_different_depth_are_not_mixed(tmp_path: Path):
    with pytest.raises(ModelError, match="another shape"):
        blend(compact(tmp_path, "a", 1), compact(tmp_path, "b", 2, depth=3), 0.5)
