"""The network for real footage: its file, its facts, and how it begins."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.published import noise

from vsr.errors import ModelError
from vsr.models import PACKED, TOLD, read_model
from vsr.models.layers.facts import facts_of
from vsr.models.networks.planes import PlanesNet, planes_facts

BASE = {"channels": 48, "deep": 96, "depth": (1, 4, 1)}
FAST = {"channels": 24, "deep": 48, "depth": (1, 2, 1)}


def tiny(scale: int = 2) -> PlanesNet:
    torch.manual_seed(1)
    network = PlanesNet(channels=4, deep=6, depth=(1, 2, 1), scales=(1, 2, 4), scale=scale)
    for tail in network.tails.values():
        torch.nn.init.normal_(tail.weight, std=0.05)  # type: ignore[arg-type]
    return network.eval()


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_one_file_serves_all_its_scales(tmp_path: Path, scale: int):
    save_file(tiny().state_dict(), tmp_path / "mine.safetensors")
    model = read_model(tmp_path / "mine.safetensors", scale=scale)
    assert (model.spec.scale, model.spec.in_channels, model.spec.packs) == (scale, 8, 2)
    assert (model.spec.residual, model.spec.size_multiple) == ("bicubic", 2)
    x = noise(1, PACKED + TOLD, 6, 8)
    with torch.inference_mode():
        out = model.network.step(x[:, None], None, torch.ones(1, dtype=torch.bool))[0][:, 0]
        assert out.shape == (1, PACKED, 6 * scale, 8 * scale)
        assert torch.equal(out, tiny(scale)(x))


def test_a_scale_that_it_has_not_learnt_is_refused_in_one_line(tmp_path: Path):
    save_file(tiny().state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(ModelError, match="enlarges by 1, 2, 4, not by 3"):
        read_model(tmp_path / "mine.safetensors", scale=3)


def test_it_sees_as_far_as_it_says():
    network = tiny(1)
    halo = planes_facts(network, PACKED + TOLD)["halo"]
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() * 0.2 + 0.01  # nothing may cancel, no ReLU close
    side = 2 * halo + 12
    probe = noise(1, PACKED + TOLD, side, side).requires_grad_()
    middle = side // 2
    network(probe)[..., middle, middle].sum().backward()
    assert probe.grad is not None
    reach = int((probe.grad.abs().sum((0, 1)).nonzero() - middle).abs().max())
    assert halo - 3 <= reach <= halo


@pytest.mark.parametrize(("shape", "most", "least_reach"), [(BASE, 160, 40), (FAST, 30, 20)])
def test_budgets_are_kept(shape: dict, most: float, least_reach: int):
    facts = planes_facts(PlanesNet(**shape, scales=(2,), scale=2), PACKED + TOLD)
    assert facts["kflop_per_pixel"] <= most
    assert 2 * facts["halo"] >= least_reach


@pytest.mark.parametrize("scale", [1, 4])
def test_its_facts_are_those_that_are_found_by_leading_a_picture_through(scale: int):
    network = PlanesNet(**BASE, scales=(1, 2, 4), scale=scale)
    found, said = facts_of(network, colors=PACKED + TOLD), planes_facts(network, PACKED + TOLD)
    assert (said["halo"], 4 * said["kflop_per_pixel"]) == (
        found["halo"],
        pytest.approx(found["kflop_per_pixel"]),
    )


def test_a_network_of_our_own_loads_without_the_compiler():
    words = "import sys; from vsr.models import load; load('fast-real-x2'); assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", words], check=True)


def test_it_begins_as_the_plain_enlargement():
    blank = PlanesNet(channels=4, deep=4, depth=(1, 1, 1), scales=(3,), scale=3)
    assert not blank(noise(1, PACKED + TOLD, 4, 4)).any()
