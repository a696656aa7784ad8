"""Real-ESRGAN's general-x4v3: the denoising of two files in any share."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.published import base, noise, run

from vsr.durable import sha256_of
from vsr.errors import ConfigError, ModelError
from vsr.models import catalogue
from vsr.models.catalogue import model_facts
from vsr.models.catalogue.model_facts import find_model
from vsr.models.chain import Verdict, make_chain
from vsr.models.networks.compact import CompactNet
from vsr.models.spec import Model
from vsr.models.variants.blend import blend
from vsr.options import ModelOptions


def compact(folder: Path, name: str, seed: int, depth: int = 2) -> Model:
    torch.manual_seed(seed)
    torch.save({"params": CompactNet(channels=6, depth=depth, scale=4).state_dict()}, folder / f"{name}.pth")
    return catalogue.load(str(folder / f"{name}.pth"))


def test_denoise_strength_is_the_share_of_the_weights(tmp_path: Path):
    keeps, denoises = (
        compact(tmp_path, "realesr-general-wdn-x4v3", 1),
        compact(tmp_path, "realesr-general-x4v3", 2),
    )
    mixed = blend(keeps, denoises, 0.3)
    net = CompactNet(channels=6, depth=2, scale=4)
    weights = [model.network.state_dict() for model in (keeps, denoises)]  # type: ignore[attr-defined]
    net.load_state_dict({key: 0.7 * value + 0.3 * weights[1][key] for key, value in weights[0].items()})
    x = noise(1, 3, 9, 11)
    assert (run(mixed, x) - base(mixed, x) - net(x).detach()).abs().max() < 1e-5
    assert mixed.spec.name == "realesr-general-wdn-x4v3 with 0.3 of realesr-general-x4v3"
    assert (mixed.spec.scale, mixed.spec.residual) == (4, "nearest")


@pytest.mark.parametrize("named", ["realesr-general-x4v3", "realesr-general-wdn-x4v3"])
@pytest.mark.parametrize(
    ("options", "share"), [({"denoise": 0.3}, 0.3), ({"source": "clean"}, 0), ({"denoise": 1.0}, 1)]
)
def test_the_command_mixes_a_file_with_its_twin_beside_it(
    tmp_path: Path, named: str, options: dict, share: float
):
    keeps, denoises = (
        compact(tmp_path, "realesr-general-wdn-x4v3", 1),
        compact(tmp_path, "realesr-general-x4v3", 2),
    )
    chosen = ModelOptions(model=(str(tmp_path / f"{named}.pth"),), **options)
    (model,) = make_chain(chosen, None, Verdict(False, "a.mp4 is clean")).models
    x = noise(1, 3, 9, 11)
    assert torch.equal(run(model, x), run(blend(keeps, denoises, share), x))


def test_installed_twins_are_mixed_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = ("realesr-general-wdn-x4v3", "realesr-general-x4v3")
    keeps, denoises = (compact(tmp_path, name, seed) for seed, name in enumerate(names))
    facts = [replace(find_model(name), sha256=sha256_of(tmp_path / f"{name}.pth")) for name in names]
    monkeypatch.setenv("VSR_MODELS", str(tmp_path))
    monkeypatch.setattr(model_facts, "PUBLISHED", tuple(facts))
    chosen = ModelOptions(model=(names[1],), denoise=0.3)
    (model,) = make_chain(chosen, None, Verdict(False, "a.mp4 is clean")).models
    assert model.spec.name == f"{names[0]} with 0.3 of {names[1]}"
    x = noise(1, 3, 9, 11)
    assert torch.equal(run(model, x), run(blend(keeps, denoises, 0.3), x))


def test_without_a_wish_the_file_that_is_named_is_taken_as_it_is(tmp_path: Path):
    denoises = compact(tmp_path, "realesr-general-x4v3", 2)
    compact(tmp_path, "realesr-general-wdn-x4v3", 1)
    chosen = ModelOptions(model=(str(tmp_path / "realesr-general-x4v3.pth"),))
    (model,) = make_chain(chosen, None, Verdict(True, "a.mp4 is noisy")).models
    assert model.spec == denoises.spec


def test_a_file_without_its_twin_is_refused_with_what_is_missing(tmp_path: Path):
    compact(tmp_path, "realesr-general-x4v3", 2)
    chosen = ModelOptions(model=(str(tmp_path / "realesr-general-x4v3.pth"),), denoise=0.5)
    with pytest.raises(
        ConfigError, match=r"realesr-general-x4v3 has no -real variant; .* its -wdn twin beside it"
    ):
        make_chain(chosen, None, Verdict(True, "a.mp4 is noisy"))


def test_files_of_different_depth_are_not_mixed(tmp_path: Path):
    with pytest.raises(ModelError, match="another shape"):
        blend(compact(tmp_path, "a", 1), compact(tmp_path, "b", 2, depth=3), 0.5)
