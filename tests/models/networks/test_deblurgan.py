"""DeblurGAN-v2 on both of its encoders: layouts, formulas restated, any size, tiles, the answer of the original."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.deblurgan import as_published, weights
from support.published import filled, noise, run, run_tiled
from torch import Tensor
from torch.nn import functional as F

from vsr.errors import ModelError
from vsr.models import catalogue
from vsr.models.layers.upsampling import Normalisation
from vsr.models.spec import Model

MOBILE = (
    "fpn.features.0.0.weight fpn.features.0.1.running_mean fpn.features.1.conv.0.weight fpn.features.1.conv.4.bias "
    "fpn.features.15.conv.6.weight fpn.td1.0.bias fpn.td3.1.running_var fpn.lateral0.weight fpn.lateral4.weight "
    "head1.block0.weight head4.block1.weight smooth.0.bias smooth.1.running_var smooth2.0.weight final.bias"
)
INCEPTION = (
    "fpn.inception.conv2d_1a.conv.weight fpn.inception.conv2d_1a.bn.weight fpn.inception.conv2d_2b.bn.running_var "
    "fpn.inception.mixed_5b.branch0.conv.weight fpn.inception.mixed_5b.branch1.1.conv.weight "
    "fpn.inception.mixed_5b.branch3.1.bn.bias fpn.inception.repeat.0.branch2.2.conv.weight "
    "fpn.inception.repeat.0.conv2d.bias fpn.inception.mixed_6a.branch1.2.conv.weight "
    "fpn.inception.repeat_1.0.branch1.1.conv.weight fpn.inception.mixed_7a.branch2.2.bn.weight "
    "fpn.td2.0.weight fpn.lateral3.weight head2.block1.weight smooth2.1.running_mean final.weight"
)
"""Some of the published keys of each."""


def load(folder: Path, depths: tuple[int, int] | None) -> Model:
    torch.save(as_published(weights(depths)), folder / "fpn.h5")
    return catalogue.load(str(folder / "fpn.h5"))


@pytest.fixture(scope="module", params=["mobilenet", pytest.param("inception", marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(tmp_path_factory.mktemp("fpn"), (1, 1) if request.param == "inception" else None)


@pytest.mark.parametrize(("depths", "names"), [(None, MOBILE), ((1, 1), INCEPTION)])
def test_layouts_have_the_published_names(depths, names: str, tmp_path: Path):
    assert not set(names.split()) - weights(depths).keys()
    spec = load(tmp_path, depths).spec
    assert (spec.name, spec.scale, spec.in_channels, spec.size_multiple, spec.halo) == ("fpn", 1, 3, 32, None)


@pytest.mark.parametrize("size", [(1, 1), (33, 64), (130, 97)])
def test_any_size_is_sharpened_and_pictures_of_a_batch_do_not_meet(model: Model, size: tuple[int, int]):
    x = noise(2, 3, *size)
    out = run(model, x)
    assert out.shape == x.shape
    assert 0.01 < (out - x).abs().max() <= 0.5
    assert (out[1:] - run(model, x[1:])).abs().max() < 1e-3  # fp32 over some forty normalisations


def test_tiles_are_near_the_whole(model: Model):
    """Each tile is normalised by itself, so that it is no more than near; random weights make the most of that."""
    x = F.interpolate(noise(1, 3, 20, 24), scale_factor=16, mode="bicubic").clamp(0, 1)
    change = run(model, x) - x
    error = (change - (run_tiled(model, x, 256) - x)).square().mean().sqrt()
    print(f"tiles of 256: {float(error / change.std()):.2f} of the change's deviation")
    assert 0 < error <= 0.6 * change.std()


def test_fp16_keeps_the_picture_and_bf16_is_not_offered(model: Model):
    assert model.spec.dtypes == ("fp32", "fp16")
    x = noise(1, 3, 128, 160)
    change = run(model, x) - x
    with torch.inference_mode():
        rough = copy.deepcopy(model.network).to(torch.float16)(x.half()).float()  # type: ignore[attr-defined]
    assert (change - rough).square().mean().sqrt() <= 0.05 * change.square().mean().sqrt()


@pytest.mark.parametrize("depths", [None, (1, 1)])
def test_a_file_that_does_not_fit_is_refused_with_the_first_difference(depths, tmp_path: Path):
    tensors = dict(weights(depths))
    torch.save(as_published(tensors | {"smooth.0.weight": torch.zeros(4, 15, 3, 3)}), tmp_path / "a.h5")
    with pytest.raises(
        ModelError, match=r"DeblurGAN-v2 but does not fit it: smooth.0.weight is \(4, 15, 3, 3\)"
    ):
        catalogue.load(str(tmp_path / "a.h5"))
    del tensors["fpn.lateral3.weight"]
    torch.save(as_published(tensors), tmp_path / "b.h5")
    with pytest.raises(ModelError, match=r"fpn.lateral3.weight \(8, \d+, 1, 1\) is missing"):
        catalogue.load(str(tmp_path / "b.h5"))


# The formula, restated


class Restated:
    """Both networks, one picture at a time, in doubles, each layer written out."""

    def __init__(self, tensors: dict[str, Tensor]):
        self.tensors = {key: value.double() for key, value in tensors.items()}

    def conv(self, x: Tensor, name: str, *, stride: int = 1, around: tuple[int, int] = (0, 0)) -> Tensor:
        """Sums over the kernel's places, black outside."""
        kernel, (rows, columns) = self.tensors[f"{name}.weight"], around
        large = torch.zeros(len(x), x.shape[1] + 2 * rows, x.shape[2] + 2 * columns, dtype=x.dtype)
        large[:, rows : rows + x.shape[1], columns : columns + x.shape[2]] = x
        num_out, seen, high, wide = kernel.shape
        height, width = (large.shape[1] - high) // stride + 1, (large.shape[2] - wide) // stride + 1
        out = torch.zeros(num_out, height, width, dtype=x.dtype)
        for i in range(high):
            for j in range(wide):
                part = large[:, i : i + stride * height : stride, j : j + stride * width : stride]
                if seen == 1:
                    out += kernel[:, 0, i, j, None, None] * part
                else:
                    out += torch.einsum("oc,chw->ohw", kernel[:, :, i, j], part)
        bias = self.tensors.get(f"{name}.bias")
        return out if bias is None else out + bias[:, None, None]

    def normalised(self, x: Tensor, name: str, epsilon: float = 1e-5) -> Tensor:
        """By the picture's own mean and variance."""
        mean = x.mean((1, 2), keepdim=True)
        x = (x - mean) / ((x - mean).square().mean((1, 2), keepdim=True) + epsilon).sqrt()
        if f"{name}.weight" in self.tensors:
            x = (
                x * self.tensors[f"{name}.weight"][:, None, None]
                + self.tensors[f"{name}.bias"][:, None, None]
            )
        return x

    def picture(self, x: Tensor, maps: list[Tensor]) -> Tensor:
        """What the pyramid and what follows make of five maps."""
        lateral = [self.conv(seen, f"fpn.lateral{i}") for i, seen in enumerate(maps)]
        for step, i in ((1, 3), (2, 2), (3, 1)):
            lateral[i] = self.smoothed(lateral[i] + larger(lateral[i + 1], 2), f"fpn.td{step}")
        heads = []
        for i in (4, 3, 2, 1):
            seen = self.conv(lateral[i], f"head{i}.block0", around=(1, 1)).clamp(min=0)
            seen = self.conv(seen, f"head{i}.block1", around=(1, 1)).clamp(min=0)
            heads.append(larger(seen, 2 ** (i - 1)))
        y = larger(self.smoothed(torch.cat(heads), "smooth"), 2) + lateral[0]
        y = self.conv(larger(self.smoothed(y, "smooth2"), 2), "final", around=(1, 1))
        return ((y.tanh() + (2 * x - 1)).clamp(-1, 1) + 1) / 2

    def smoothed(self, x: Tensor, name: str) -> Tensor:
        return self.normalised(self.conv(x, f"{name}.0", around=(1, 1)), f"{name}.1").clamp(min=0)

    def mobilenet(self, x: Tensor) -> list[Tensor]:
        def layer(x: Tensor, name: str, index: int, stride: int = 1) -> Tensor:
            side = self.tensors[f"{name}{index}.weight"].shape[2]
            y = self.conv(x, f"{name}{index}", stride=stride, around=(side // 2, side // 2))
            return self.normalised(y, f"{name}{index + 1}")

        x = layer(2 * x - 1, "fpn.features.0.", 0, 2).clamp(0, 6)
        maps = []
        for i in range(1, 16):
            name, given, index = f"fpn.features.{i}.conv.", x, 0
            if i > 1:
                x, index = layer(x, name, 0).clamp(0, 6), 3
            x = layer(x, name, index, 2 if i in (2, 4, 7, 14) else 1).clamp(0, 6)
            x = layer(x, name, index + 3)
            x = x + given if x.shape == given.shape else x
            maps += [x] if i in (1, 3, 6, 10, 15) else []
        return maps

    def inception(self, x: Tensor) -> list[Tensor]:
        def layer(x: Tensor, name: str, stride: int = 1, same: bool = True) -> Tensor:
            high, wide = self.tensors[f"fpn.inception.{name}.conv.weight"].shape[2:]
            around = (high // 2, wide // 2) if same else (0, 0)
            y = self.conv(x, f"fpn.inception.{name}.conv", stride=stride, around=around)
            return self.normalised(y, f"fpn.inception.{name}.bn", 1e-3).clamp(min=0)

        def several(x: Tensor, *names: str) -> Tensor:
            for name in names:
                x = layer(x, name)
            return x

        half = layer(2 * x - 1, "conv2d_1a", 2, same=False)
        quarter = largest(layer(layer(half, "conv2d_2a", same=False), "conv2d_2b"))
        eighth = largest(layer(layer(quarter, "conv2d_3b"), "conv2d_4a", same=False))
        around = [layer(mean_around(eighth), "mixed_5b.branch3.1")]
        y = [several(eighth, *(f"mixed_5b.branch{i}.{j}" for j in range(i + 1))) for i in (1, 2)]
        x = torch.cat([layer(eighth, "mixed_5b.branch0"), *y, *around])
        y = [several(x, *(f"repeat.0.branch{i}.{j}" for j in range(i + 1))) for i in (1, 2)]
        y = torch.cat([layer(x, "repeat.0.branch0"), *y])
        x = (0.17 * self.conv(y, "fpn.inception.repeat.0.conv2d") + x).clamp(min=0)
        y = several(x, "mixed_6a.branch1.0", "mixed_6a.branch1.1")
        y = layer(y, "mixed_6a.branch1.2", 2, same=False)
        x = sixteenth = torch.cat([layer(x, "mixed_6a.branch0", 2, same=False), y, largest(x)])
        y = torch.cat(
            [layer(x, "repeat_1.0.branch0"), several(x, *(f"repeat_1.0.branch1.{i}" for i in range(3)))]
        )
        x = (0.1 * self.conv(y, "fpn.inception.repeat_1.0.conv2d") + x).clamp(min=0)
        y = [layer(layer(x, f"mixed_7a.branch{i}.0"), f"mixed_7a.branch{i}.1", 2, same=False) for i in (0, 1)]
        last = several(x, "mixed_7a.branch2.0", "mixed_7a.branch2.1")
        last = torch.cat([*y, layer(last, "mixed_7a.branch2.2", 2, same=False), largest(x)])
        sides = ((0, 1), (1, 1), (1, 2), (1, 1), (1, 1))
        seen = (half, quarter, eighth, sixteenth, last)
        return [reflected(each, *side) for each, side in zip(seen, sides, strict=True)]


def larger(x: Tensor, by: int) -> Tensor:
    return x.repeat_interleave(by, 1).repeat_interleave(by, 2)


def windows(x: Tensor, stride: int) -> Tensor:
    """(C, H, W) → (C, h, w, 9), of 3x3."""
    height, width = (x.shape[1] - 3) // stride + 1, (x.shape[2] - 3) // stride + 1
    parts = [x[:, i:, j:][:, ::stride, ::stride][:, :height, :width] for i in range(3) for j in range(3)]
    return torch.stack(parts, -1)


def largest(x: Tensor) -> Tensor:
    return windows(x, 2).amax(-1)


def mean_around(x: Tensor) -> Tensor:
    """Over those of the nine pixels that there are."""
    large = torch.full((len(x), x.shape[1] + 2, x.shape[2] + 2), float("nan"), dtype=x.dtype)
    large[:, 1:-1, 1:-1] = x
    return windows(large, 1).nanmean(-1)


def reflected(x: Tensor, before: int, after: int) -> Tensor:
    rows, columns = (
        [abs(i) if i < side else 2 * (side - 1) - i for i in range(-before, side + after)]
        for side in x.shape[1:]
    )
    return x[:, rows][:, :, columns]


@pytest.mark.parametrize("depths", [None, (1, 1)])
def test_the_networks_are_what_their_formulas_say(depths, tmp_path: Path):
    model, x = load(tmp_path, depths), noise(1, 3, 128, 160)
    restated = Restated(weights(depths))
    maps = (restated.inception if depths else restated.mobilenet)(x[0].double())
    assert [seen.shape[2] for seen in maps] == [80, 40, 20, 10, 5]
    wanted = restated.picture(x[0].double(), maps)
    difference = (run(model, x)[0].clamp(0, 1) - wanted).abs().max() / wanted.std()
    print(
        f"{'inception' if depths else 'mobilenet'}: {float(difference):.1e} of the deviation from the formula"
    )
    assert difference <= 1e-4


# Against the original


def test_answers_of_the_original_are_reproduced(tmp_path: Path, test_data: Path):
    recipe = json.loads((test_data / "reference/deblurganv2_mobilenet.json").read_text())
    encoder = {}  # names of the encoder's second copy, under which its statistics were filled
    for stage, (first, last) in enumerate(((0, 2), (2, 4), (4, 7), (7, 11), (11, 16))):
        encoder |= {f"fpn.features.{i}.": f"fpn.enc{stage}.{i - first}." for i in range(first, last)}
    second = lambda key: re.sub(r"^fpn\.features\.\d+\.", lambda found: encoder.get(found[0], found[0]), key)  # noqa: E731
    tensors = filled(recipe, lambda key: second(key) if "running_" in key else key)
    torch.save(
        {"model": {f"module.{key}": value for key, value in tensors.items()}}, tmp_path / "fpn_mobilenet.h5"
    )
    model = catalogue.load(str(tmp_path / "fpn_mobilenet.h5"))
    ours = model.network.state_dict()  # type: ignore[attr-defined]
    known = ours.keys() | {second(key) for key in ours}
    assert {key for key in recipe["keys"] if key not in known} == {
        key for key in recipe["keys"] if re.match(r"fpn\.features\.1[678]\.", key)
    }
    for layer in model.network.modules():  # type: ignore[attr-defined]
        if isinstance(layer, Normalisation):
            layer.trained = True  # the answer was made in evaluation mode
    x = torch.from_numpy(
        np.random.default_rng(recipe["input_seed"]).random(recipe["input_shape"]).astype(np.float32)
    )
    out = (2 * run(model, (x + 1) / 2) - 1).clamp(-1, 1)
    top, left, size = recipe["crop"]
    crop = out[..., top : top + size, left : left + size].numpy()
    wanted = np.load(test_data / "reference/deblurganv2_mobilenet.npz")["crop"]
    error = float(np.abs(crop - wanted).max() / recipe["std"])
    print(f"deblurganv2_mobilenet: {error:.1e} of the deviation")
    assert error <= 1e-4
