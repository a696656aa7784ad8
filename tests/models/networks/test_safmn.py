"""SAFMN in its three published kinds: layouts, formulas restated, any size, figures of published files."""

import math
from pathlib import Path

import pytest
import torch
from support.published import noise, run, run_tiled, set5_psnr
from support.safmn import tensors_of
from torch import Tensor
from torch.nn import functional as F

from vsr.errors import ModelError
from vsr.models import catalogue
from vsr.models.files.checkpoint import read_model
from vsr.models.spec import Model

LAYOUTS = {
    "paper": "feats.1.norm1.weight feats.0.norm2.bias feats.0.safm.mfr.3.bias feats.1.safm.aggr.bias "
    "feats.0.ccm.ccm.0.bias feats.1.ccm.ccm.2.bias to_feat.bias to_img.0.bias",
    "ntire": "norm.gamma norm.beta feats.1.safm.mfr.0.weight feats.0.ccm.ccm.2.weight to_feat.bias to_img.0.bias",
    "light": "feats.0.conv1.proj.weight feats.1.conv1.dwconv.weight feats.0.conv1.out.weight "
    "feats.1.conv2.conv.0.weight feats.0.conv2.conv.2.weight to_feat.weight to_img.0.weight",
}
"""Some of the published keys of each."""


@pytest.fixture(scope="module", params=LAYOUTS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("safmn")
    torch.save({"params": tensors_of(request.param)}, folder / f"{request.param}.pth")
    return read_model(folder / f"{request.param}.pth")


def test_layouts_have_the_published_names_and_tell_the_kind(model: Model):
    tensors = tensors_of(model.spec.name)
    assert not set(LAYOUTS[model.spec.name].split()) - tensors.keys()
    assert (model.spec.scale, model.spec.in_channels, model.spec.halo) == (2, 3, None)
    assert model.network.state_dict().keys() == tensors.keys()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (37, 50)])
def test_any_size_is_enhanced(model: Model, size: tuple[int, int]):
    out = run(model, noise(2, 3, *size))
    assert out.shape == (2, 3, 2 * size[0], 2 * size[1])
    assert out.isfinite().all()


def test_tiles_are_near_the_whole(model: Model):
    """Squares lie elsewhere in a tile, and the response is the tile's own."""
    x = F.interpolate(noise(1, 3, 14, 17), scale_factor=8, mode="bicubic").clamp(0, 1)
    whole = run(model, x)
    error = (whole - run_tiled(model, x, 48)).square().mean().sqrt() / whole.std()
    print(f"{model.spec.name} in tiles of 48: {float(error):.3f} of the deviation")
    assert 0 < error <= 0.1


def test_a_layout_that_does_not_fit_is_refused_with_the_first_difference(model: Model, tmp_path: Path):
    tensors = tensors_of(model.spec.name)
    key = [key for key in tensors if key.startswith("feats.1.")][-1]
    torch.save({k: v for k, v in tensors.items() if k != key}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=rf"looks like SAFMN but does not fit it: {key} \(.*\) is missing"):
        read_model(tmp_path / "a.pth")


# The formulas, restated


def squares(x: Tensor, cell: int) -> Tensor:
    """The largest in each of as many windows as squares fit, from the one's beginning to the other's end."""
    rows, columns = x.shape[1] // cell, x.shape[2] // cell
    out = torch.empty(len(x), rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * x.shape[1] // rows, math.ceil((i + 1) * x.shape[1] / rows)
            left, right = j * x.shape[2] // columns, math.ceil((j + 1) * x.shape[2] / columns)
            out[:, i, j] = x[:, top:bottom, left:right].amax((1, 2))
    return out


def nearest(x: Tensor, height: int, width: int) -> Tensor:
    rows = [i * x.shape[1] // height for i in range(height)]
    return x[:, rows][:, :, [j * x.shape[2] // width for j in range(width)]]


def bilinear(x: Tensor, height: int, width: int) -> Tensor:
    def along(x: Tensor, axis: int, length: int) -> Tensor:
        at = ((torch.arange(length) + 0.5) * x.shape[axis] / length - 0.5).clamp(min=0)
        first = at.long()
        second = (first + 1).clamp(max=x.shape[axis] - 1)
        share = (at - first).view([-1 if i == axis else 1 for i in range(3)])
        return x.index_select(axis, first) * (1 - share) + x.index_select(axis, second) * share

    return along(along(x, 1, height), 2, width)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def conv(x: Tensor, tensors: dict[str, Tensor], name: str) -> Tensor:
    kernel = tensors[f"{name}.weight"]
    groups = len(x) // kernel.shape[1]
    return F.conv2d(
        x[None], kernel, tensors.get(f"{name}.bias"), padding=kernel.shape[-1] // 2, groups=groups
    )[0]


def shuffled(x: Tensor) -> Tensor:
    out = torch.empty(len(x) // 4, 2 * x.shape[1], 2 * x.shape[2])
    for n in range(len(x)):
        out[n // 4, n % 4 // 2 :: 2, n % 2 :: 2] = x[n]
    return out


def restated(x: Tensor, t: dict[str, Tensor], kind: str) -> Tensor:
    size = x.shape[1:]
    y = conv(x, t, "to_feat")
    if kind == "ntire":
        strength = y.pow(2).sum((1, 2)).sqrt()
        share = strength / (strength.mean() + 1e-6)
        y = t["norm.gamma"][0] * y * share[:, None, None] + t["norm.beta"][0] + y
    head = y
    for i in range(2):
        if kind == "light":
            z = conv(y, t, f"feats.{i}.conv1.proj")
            far = bilinear(conv(squares(z[:4], 8), t, f"feats.{i}.conv1.dwconv"), *size)
            y = conv(gelu(torch.cat((z[4:], gelu(far) * z[:4]))), t, f"feats.{i}.conv1.out")
            y = conv(gelu(conv(y, t, f"feats.{i}.conv2.conv.0")), t, f"feats.{i}.conv2.conv.2")
            continue
        z = normed(y, t, f"feats.{i}.norm1")
        parts = [conv(z[:2], t, f"feats.{i}.safm.mfr.0")]
        for level in (1, 2, 3):
            cell = 2 ** (level + (kind == "ntire"))
            seen = conv(squares(z[2 * level : 2 * level + 2], cell), t, f"feats.{i}.safm.mfr.{level}")
            parts.append(nearest(seen, *size))
        y = gelu(conv(torch.cat(parts), t, f"feats.{i}.safm.aggr")) * z + y
        z = conv(
            gelu(conv(normed(y, t, f"feats.{i}.norm2"), t, f"feats.{i}.ccm.ccm.0")), t, f"feats.{i}.ccm.ccm.2"
        )
        y = z + y
    if kind == "ntire":
        return shuffled(conv(y, t, "to_img.0")) + bilinear(x, 2 * size[0], 2 * size[1])
    return shuffled(conv(y + head, t, "to_img.0"))


def normed(x: Tensor, t: dict[str, Tensor], name: str) -> Tensor:
    if f"{name}.weight" not in t:
        return x
    out = torch.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            pixel = x[:, i, j]
            out[:, i, j] = (pixel - pixel.mean()) / (pixel.var(correction=0) + 1e-6).sqrt()
    return out * t[f"{name}.weight"][:, None, None] + t[f"{name}.bias"][:, None, None]


def test_the_network_is_what_its_formula_says(model: Model):
    x, kind = noise(1, 3, 35, 49), model.spec.name
    wanted = restated(x[0], tensors_of(kind), kind)
    assert (run(model, x)[0] - wanted).abs().max() <= 1e-5 * wanted.std()


# Published files


@pytest.mark.slow
@pytest.mark.parametrize(("name", "psnr"), [("ntire23_team15_SAFMN", 32.16), ("light_safmnpp", 30.43)])
def test_published_files_reach_their_figures_on_set5(name: str, psnr: float, test_data: Path):
    model = catalogue.load(str(test_data / f"weights/safmn/{name}.pth"))
    assert set5_psnr(model, test_data) == pytest.approx(psnr, abs=0.02)
