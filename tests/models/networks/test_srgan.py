"""SRGAN with batch normalisation in two published layouts, and EGVSR's ESPCN: names, formulas restated, tiles."""

import math
from pathlib import Path

import pytest
import torch
from support.published import noise, run, run_tiled, set5_psnr
from torch import Tensor
from torch.nn import functional as F

from vsr.errors import ModelError
from vsr.models import catalogue
from vsr.models.files.checkpoint import read_model
from vsr.models.networks.srgan import SrganNet

WIDE = 4
"""Channels here; 64 in published files."""


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape) * (math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1)


def layer(name: str, num_out: int, num_in: int, side: int, *, bias: bool = True) -> dict[str, Tensor]:
    return {f"{name}.weight": numbers(num_out, num_in, side, side)} | (
        {f"{name}.bias": numbers(num_out)} if bias else {}
    )


def norm(name: str) -> dict[str, Tensor]:
    tensors = {f"{name}.{key}": numbers(WIDE) + 1 for key in ("weight", "running_mean")} | {
        f"{name}.bias": numbers(WIDE)
    }
    return tensors | {
        f"{name}.running_var": numbers(WIDE).abs() + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(9),
    }


def slope(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.tensor([0.2])}


def blocks(scale: int) -> dict[str, Tensor]:
    """`block1` the first layer, `block2` to `block6` residual, `block7` the one after them, `block8` enlarges."""
    torch.manual_seed(1)
    tensors = layer("block1.0", WIDE, 3, 9) | slope("block1.1")
    for i in range(2, 7):
        tensors |= layer(f"block{i}.conv1", WIDE, WIDE, 3) | norm(f"block{i}.bn1") | slope(f"block{i}.prelu")
        tensors |= layer(f"block{i}.conv2", WIDE, WIDE, 3) | norm(f"block{i}.bn2")
    tensors |= layer("block7.0", WIDE, WIDE, 3) | norm("block7.1")
    steps = scale.bit_length() - 1
    for i in range(steps):
        tensors |= layer(f"block8.{i}.conv", 4 * WIDE, WIDE, 3) | slope(f"block8.{i}.prelu")
    return tensors | layer(f"block8.{steps}", 3, WIDE, 9)


def trunk(scale: int, conv: str = "conv_block") -> dict[str, Tensor]:
    """Sequences throughout; no biases before normalisations."""
    torch.manual_seed(2)
    tensors = layer(f"{conv}1.0", WIDE, 3, 9) | slope(f"{conv}1.1")
    for i in range(2):
        name = f"trunk.{i}.rcb"
        tensors |= layer(f"{name}.0", WIDE, WIDE, 3, bias=False) | norm(f"{name}.1") | slope(f"{name}.2")
        tensors |= layer(f"{name}.3", WIDE, WIDE, 3, bias=False) | norm(f"{name}.4")
    tensors |= layer(f"{conv}2.0", WIDE, WIDE, 3, bias=False) | norm(f"{conv}2.1")
    for i in range(scale.bit_length() - 1):
        name = f"upsampling.{i}.upsample_block"
        tensors |= layer(f"{name}.0", 4 * WIDE, WIDE, 3) | slope(f"{name}.2")
    return tensors | layer(f"{conv}3", 3, WIDE, 9)


def conv(x: Tensor, t: dict[str, Tensor], name: str) -> Tensor:
    return F.conv2d(x, t[f"{name}.weight"], t.get(f"{name}.bias"), padding=t[f"{name}.weight"].shape[-1] // 2)


def normed(x: Tensor, t: dict[str, Tensor], name: str) -> Tensor:
    """By the statistics of training."""
    column = {
        key: t[f"{name}.{key}"][:, None, None] for key in ("weight", "bias", "running_mean", "running_var")
    }
    x = (x - column["running_mean"]) / (column["running_var"] + 1e-5).sqrt()
    return x * column["weight"] + column["bias"]


def sloped(x: Tensor, t: dict[str, Tensor], name: str) -> Tensor:
    return torch.where(x > 0, x, t[f"{name}.weight"] * x)


def shuffled(x: Tensor, by: int = 2) -> Tensor:
    out = torch.empty(len(x), x.shape[1] // by**2, by * x.shape[2], by * x.shape[3])
    for n in range(x.shape[1]):
        out[:, n // by**2, n % by**2 // by :: by, n % by :: by] = x[:, n]
    return out


def of_blocks(x: Tensor, t: dict[str, Tensor], scale: int) -> Tensor:
    x = head = sloped(conv(x, t, "block1.0"), t, "block1.1")
    for i in range(2, 7):
        y = sloped(normed(conv(x, t, f"block{i}.conv1"), t, f"block{i}.bn1"), t, f"block{i}.prelu")
        x = x + normed(conv(y, t, f"block{i}.conv2"), t, f"block{i}.bn2")
    x = head + normed(conv(x, t, "block7.0"), t, "block7.1")
    steps = scale.bit_length() - 1
    for i in range(steps):
        x = sloped(shuffled(conv(x, t, f"block8.{i}.conv")), t, f"block8.{i}.prelu")
    return (torch.tanh(conv(x, t, f"block8.{steps}")) + 1) / 2


def of_trunk(x: Tensor, t: dict[str, Tensor], scale: int) -> Tensor:
    x = head = sloped(conv(x, t, "conv_block1.0"), t, "conv_block1.1")
    for i in range(2):
        name = f"trunk.{i}.rcb"
        y = sloped(normed(conv(x, t, f"{name}.0"), t, f"{name}.1"), t, f"{name}.2")
        x = x + normed(conv(y, t, f"{name}.3"), t, f"{name}.4")
    x = head + normed(conv(x, t, "conv_block2.0"), t, "conv_block2.1")
    for i in range(scale.bit_length() - 1):
        name = f"upsampling.{i}.upsample_block"
        x = sloped(shuffled(conv(x, t, f"{name}.0")), t, f"{name}.2")
    return conv(x, t, "conv_block3")


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(("tensors", "restated"), [(blocks, of_blocks), (trunk, of_trunk)])
def test_the_network_is_what_its_formula_says(tensors, restated, scale: int, tmp_path: Path):
    torch.save({"state_dict": tensors(scale)}, tmp_path / "net.pth")
    model = read_model(tmp_path / "net.pth")
    assert isinstance(model.network, SrganNet)
    assert (model.spec.scale, model.spec.in_channels) == (scale, 3)
    x = noise(2, 3, 11, 8)
    wanted = restated(x, tensors(scale), scale)
    assert (run(model, x) - wanted).abs().max() <= 1e-5 * wanted.std()
    assert (run_tiled(model, x, 4) - wanted).abs().max() <= 1e-5 * wanted.std()


def test_the_newer_names_are_the_same_network(tmp_path: Path):
    torch.save(trunk(4, "conv"), tmp_path / "new.pth")
    torch.save(trunk(4), tmp_path / "old.pth")
    x = noise(1, 3, 7, 9)
    assert torch.equal(run(read_model(tmp_path / "new.pth"), x), run(read_model(tmp_path / "old.pth"), x))


@pytest.mark.parametrize(("tensors", "key"), [(blocks, "block4.bn2.bias"), (trunk, "trunk.1.rcb.4.bias")])
def test_a_layout_that_does_not_fit_is_refused_with_the_first_difference(tensors, key: str, tmp_path: Path):
    torch.save({k: v for k, v in tensors(4).items() if k != key}, tmp_path / "a.pth")
    with pytest.raises(
        ModelError, match=r"batch normalisation but does not fit it: body.\d.4.bias \(4,\) is missing"
    ):
        read_model(tmp_path / "a.pth")


# EGVSR's ESPCN


def egvsr(scale: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(3)
    tensors = layer("conv1", 6, 1, 5) | layer("conv2", 5, 6, 3) | layer("conv3", 5, 5, 3)
    return tensors | layer("pwconv", scale**2, 5, 1) | layer("reconv", 1, 5, 1) | layer("deconv", 5, 1, 5)


def test_egvsr_s_espcn_ends_in_a_sigmoid(tmp_path: Path):
    tensors, x = egvsr(), noise(1, 1, 9, 10)
    torch.save(tensors, tmp_path / "espcn.pth")
    model = read_model(tmp_path / "espcn.pth")
    assert (model.spec.scale, model.spec.in_channels, model.spec.halo) == (3, 1, 4)
    y = x
    for name in ("conv1", "conv2", "conv3"):
        y = torch.tanh(conv(y, tensors, name))
    wanted = 1 / (1 + torch.exp(-shuffled(conv(y, tensors, "pwconv"), 3)))
    assert (run(model, x) - wanted).abs().max() < 1e-6


def test_egvsr_s_published_espcn_reaches_its_figure_on_set5(test_data: Path):
    model = catalogue.load(str(test_data / "weights/egvsr/espcn_x4_subconv_100.pth"))
    assert set5_psnr(model, test_data) == pytest.approx(29.35, abs=0.02)
