"""Checkpoints that spandrel knows, beside a PyTorch that has no torchvision."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.convolutional import unfolded
from support.published import filled, noise, run
from torch import Tensor

from vsr.errors import ModelError
from vsr.models import catalogue
from vsr.models.catalogue.model_facts import licences_of
from vsr.models.files import any_file
from vsr.models.files.checkpoint import UnknownLayoutError
from vsr.models.files.spandrel import read_with_spandrel


def has(name: str) -> None:
    pytest.importorskip("einops", reason="no einops (extra zoo)")
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"no {name} (extra zoo)")


def strange(folder: Path) -> Path:
    torch.save({"alpha.weight": torch.ones(3, 3), "beta.weight": torch.ones(2)}, folder / "strange.pth")
    return folder / "strange.pth"


def test_without_spandrel_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(any_file, "has_spandrel", lambda: False)
    with pytest.raises(UnknownLayoutError, match=r"unknown layout .*pip install 'vsr\[zoo\]'"):
        catalogue.load(str(strange(tmp_path)))


def test_what_spandrel_does_not_know_is_refused_in_one_line(tmp_path: Path):
    has("spandrel")
    with pytest.raises(ModelError, match=r"strange\.pth is not known to spandrel either") as caught:
        catalogue.load(str(strange(tmp_path)))
    assert "\n" not in str(caught.value)


def unfilled(key: str, tensors: dict[str, Tensor]) -> Tensor:
    """What the networks themselves put into their files."""
    if key.endswith("relative_position_index"):  # SwinIR's, in windows of 8x8
        row, column = torch.arange(64) // 8, torch.arange(64) % 8
        return 15 * (row[:, None] - row + 7) + column[:, None] - column + 7
    if key.endswith("attn_mask"):  # for pictures of 64x64, which ours is not
        return torch.zeros(64, 64, 64)
    return next(value for value in tensors.values() if value.shape == (1,))  # MPRNet's one PReLU


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("nafnet_w32_gopro", "spandrel"),
        ("compact_general_x4", "spandrel"),
        ("realesrgan_anime6b_x4", "spandrel"),
        pytest.param("swinir_light_x2", "spandrel", marks=pytest.mark.slow),
        pytest.param("swinir_real_x4", "spandrel", marks=pytest.mark.slow),
        pytest.param("swinir_classical_x4", "spandrel", marks=pytest.mark.slow),
        pytest.param("mprnet_deblur", "spandrel_extra_arches", marks=pytest.mark.slow),
        pytest.param("restormer_deblur", "spandrel_extra_arches", marks=pytest.mark.slow),
        pytest.param("esrgan_rrdb_x4", "spandrel", marks=pytest.mark.slow),
        pytest.param("realesrgan_rrdb_x2", "spandrel", marks=pytest.mark.slow),
    ],
)
def test_answers_of_the_originals_are_reproduced_through_spandrel(
    name, package, tmp_path: Path, test_data: Path
):
    has(package)
    recipe = json.loads((test_data / "reference" / f"{name}.json").read_text())
    tensors = filled(recipe)
    tensors |= {key: unfilled(key, tensors) for key, entry in recipe["keys"].items() if not entry["filled"]}
    torch.save(tensors, tmp_path / f"{name}.pth")
    model = read_with_spandrel(tmp_path / f"{name}.pth")
    assert importlib.util.find_spec("torchvision") or not [
        key for key in sys.modules if key.startswith("torchvision")
    ]
    x = torch.from_numpy(
        np.random.default_rng(recipe["input_seed"]).random(recipe["input_shape"]).astype(np.float32)
    )
    top, left, size = recipe["crop"]
    crop = run(model, x)[..., top : top + size, left : left + size].numpy()
    error = np.abs(crop - np.load(test_data / "reference" / f"{name}.npz")["crop"]).max() / recipe["std"]
    print(f"{name} through spandrel: {error:.1e} of the deviation")
    assert error <= 1e-4
    assert run(model, noise(2, 3, 19, 27)).shape == (2, 3, 19 * model.spec.scale, 27 * model.spec.scale)


def test_span_is_folded_as_spandrel_folds_it(tmp_path: Path):
    has("spandrel")
    torch.save(unfolded(), tmp_path / "span.pth")
    ours, theirs = catalogue.load(str(tmp_path / "span.pth")), read_with_spandrel(tmp_path / "span.pth")
    x = noise(1, 3, 14, 17)
    assert (run(ours, x) - run(theirs, x)).abs().max() <= 1e-3 * run(ours, x).std()


def test_files_that_only_spandrel_knows_load_by_path(tmp_path: Path, test_data: Path):
    has("spandrel")
    recipe = json.loads((test_data / "reference" / "nafnet_w32_gopro.json").read_text())
    torch.save({"params": filled(recipe)}, tmp_path / "nafnet.pth")
    spec = catalogue.load(str(tmp_path / "nafnet.pth")).spec
    assert (spec.name, spec.scale, spec.in_channels, spec.halo, spec.residual) == (
        "nafnet",
        1,
        3,
        None,
        "none",
    )
    assert spec.kflop_per_pixel > 100
    assert licences_of(spec.network) == "MIT (NAFNet)"
