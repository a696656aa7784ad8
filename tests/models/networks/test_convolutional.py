"""The field's convolutional networks: layouts, reach, formulas, and the answers of the originals."""

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.convolutional import TINY, tensors_of, unfolded
from support.published import base, noise, reference_error, run, run_tiled, set5_psnr
from torch import Tensor
from torch.nn import functional as F

from vsr.engine.device import can_bf16
from vsr.engine.engine import Engine
from vsr.errors import ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models import catalogue
from vsr.models.files.checkpoint import read_model
from vsr.models.layers.facts import facts_of
from vsr.models.networks.espcn import EspcnNet
from vsr.models.networks.rrdb import RrdbNet
from vsr.models.spec import Model
from vsr.options import EngineOptions
from vsr.resample import enlarge

LAYOUTS = {
    "srcnn_x3": "conv1.weight conv2.bias conv3.weight",
    "vdsr_x2": "input.weight residual_layer.0.conv.weight residual_layer.1.conv.weight output.weight",
    "fsrcnn_x3": "first_part.0.weight first_part.1.weight mid_part.0.weight mid_part.1.weight mid_part.2.bias "
    "mid_part.4.weight mid_part.6.weight mid_part.7.weight last_part.weight last_part.bias",
    "espcn": "conv1.weight conv4.bias",
    "edsr": "conv_first.weight body.1.conv1.weight body.1.conv2.bias conv_after_body.weight upsample.0.weight "
    "conv_last.bias",
    "edsr4": "upsample.0.weight upsample.2.weight",
    "span": "conv_1.eval_conv.bias block_6.c3_r.eval_conv.bias conv_2.eval_conv.bias conv_cat.bias upsampler.0.bias",
    "srresnet": "conv_first.weight body.1.conv2.weight upconv1.weight upconv2.weight conv_hr.weight conv_last.weight",
    "srresnet3": "upconv1.weight",
    "esrgan": "conv_first.weight body.0.rdb1.conv1.weight body.0.rdb3.conv5.bias conv_body.weight conv_up1.weight "
    "conv_up2.weight conv_hr.weight conv_last.weight",
    "x2plus": "conv_first.weight",
}
"""Some of the published keys of each."""


def saved(folder: Path, name: str, tensors: dict[str, Tensor]) -> Path:
    torch.save(tensors, folder / f"{name}.pth")
    return folder / f"{name}.pth"


@pytest.fixture(scope="module", params=TINY)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Each network, tiny, read from a file."""
    return read_model(saved(tmp_path_factory.mktemp("tiny"), request.param, tensors_of(request.param)))


SUMMED = [name for name in TINY if name.startswith(("espcn", "span", "edsr", "srresnet", "esrgan", "x2plus"))]


@pytest.mark.parametrize("name", SUMMED)
def test_what_is_summed_is_what_a_picture_meets(name: str, tmp_path: Path):
    spec, network = read_model(saved(tmp_path, name, tensors_of(name))).spec, TINY[name]()
    found = facts_of(network, colors=spec.in_channels)
    assert spec.halo == found["halo"]
    assert spec.kflop_per_pixel == pytest.approx(found["kflop_per_pixel"])


@pytest.mark.slow
def test_reading_what_is_summed_does_not_load_a_compiler(tmp_path: Path):
    paths = [str(saved(tmp_path, name, tensors_of(name))) for name in SUMMED]
    words = "import sys, vsr; [vsr.load(each) for each in sys.argv[1:]]; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", words, *paths], check=True)


@pytest.mark.parametrize("name", TINY)
def test_layouts_have_the_published_names_and_tell_the_network(name: str, tmp_path: Path):
    tensors = tensors_of(name)
    assert not set(LAYOUTS[name].split()) - tensors.keys()
    model = read_model(saved(tmp_path, name, tensors))
    assert type(model.network) is type(TINY[name]())
    assert model.spec.scale == TINY[name]().scale
    mine = model.network.state_dict()  # type: ignore[attr-defined]
    assert mine.keys() == tensors.keys()
    assert all(torch.equal(mine[key], tensors[key]) for key in mine)


def test_every_pixel_within_the_halo_counts_and_none_beyond(tiny: Model):
    spec = tiny.spec
    assert spec.halo is not None
    side = 2 * spec.halo + 9
    x = noise(1, spec.in_channels, side + side % spec.size_multiple, side + side % spec.size_multiple)
    for tile in (8, 16):
        whole, parts = run(tiny, x), run_tiled(tiny, x, tile)
        assert (whole - parts).abs().max() <= 1e-5 * whole.abs().max()
    with torch.enable_grad():
        for parameter in tiny.network.parameters():  # type: ignore[attr-defined]
            parameter.data = parameter.data.abs() * 0.2 + 0.01  # nothing may cancel, no ReLU close
        probe = x.requires_grad_()
        out = tiny.network.step(probe[:, None], None, torch.ones(1, dtype=torch.bool))[0][:, 0]
        middle = (spec.halo + 4) * spec.scale
        out[..., middle : middle + spec.scale, middle : middle + spec.scale].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1)).nonzero()
    reach = max(int((seen - (spec.halo + 4)).abs().max()), 0)
    assert reach <= spec.halo + spec.size_multiple - 1
    assert reach >= spec.halo - 1 - 2 * spec.size_multiple


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (20, 5)])
def test_any_size_is_enhanced(tiny: Model, size: tuple[int, int]):
    out = run(tiny, noise(2, tiny.spec.in_channels, *size))
    assert out.shape == (2, tiny.spec.in_channels, size[0] * tiny.spec.scale, size[1] * tiny.spec.scale)
    assert out.isfinite().all()


def test_precisions_that_are_offered_keep_the_picture(tiny: Model):
    x = noise(1, tiny.spec.in_channels, 18, 22)
    exact = run(tiny, x) - base(tiny, x)
    for name in set(tiny.spec.dtypes) & ({"bf16", "fp16"} if can_bf16() else {"fp16"}):
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[name]
        network = copy.deepcopy(tiny.network).to(dtype)  # type: ignore[attr-defined]
        with torch.inference_mode():
            out = network.step(x[:, None].to(dtype), None, torch.ones(1, dtype=torch.bool))[0][:, 0].float()
        assert (out - exact).abs().max() <= 0.02 * exact.abs().max()


def test_frames_pass_through_the_engine(tiny: Model):
    planes = tuple(noise(12, 17, seed=i).mul(255).byte().numpy() for i in range(3))
    engine = Engine([tiny], EngineOptions(device="cpu", precision="fp32", threads=1))
    (out,) = engine.run([Frame(planes, PictureFormat(12, 17, layout="rgb", range="full", matrix="gbr"))])
    assert out.planes[0].shape == (12 * tiny.spec.scale, 17 * tiny.spec.scale)


# Layouts of old


def old_edsr(tensors: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The authors' own names."""
    names = {"conv_first": "head.0", "conv_after_body": f"body.{depth}", "conv_last": "tail.1"}
    names |= {f"body.{i}.conv{j + 1}": f"body.{i}.body.{2 * j}" for i in range(depth) for j in range(2)}
    names |= {f"upsample.{i}": f"tail.0.{i}" for i in (0, 2)}
    old = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in tensors.items()
    }
    eye = torch.eye(3).view(3, 3, 1, 1)
    return old | {f"{part}_mean.{key}": eye if key == "weight" else torch.ones(3)
                  for part in ("sub", "add") for key in ("weight", "bias")}  # fmt: skip


def oldest_esrgan(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        "conv_first": "model.0",
        "conv_body": "model.1.sub.1",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
    }
    names |= {"conv_hr": "model.8", "conv_last": "model.10"}
    blocks = {
        f"body.0.rdb{i}.conv{j}": f"model.1.sub.0.RDB{i}.conv{j}.0" for i in (1, 2, 3) for j in range(1, 6)
    }
    return {f"{(names | blocks)[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in tensors.items()}


def old_esrgan(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}
    renamed = {}
    for key, value in tensors.items():
        head, _, rest = key.partition(".")
        renamed[f"{ {**names, 'body': 'RRDB_trunk'}.get(head, head) }.{rest.replace('rdb', 'RDB')}"] = value
    return renamed


@pytest.mark.parametrize(
    ("name", "rename"),
    [
        ("edsr", lambda tensors: old_edsr(tensors, 2)),
        ("edsr4", lambda tensors: old_edsr(tensors, 1)),
        ("esrgan", oldest_esrgan),
        ("esrgan", old_esrgan),
        ("x2plus", old_esrgan),
    ],
)
def test_older_layouts_give_the_same_network(name: str, rename: Callable, tmp_path: Path):
    tensors = tensors_of(name)
    old = rename(tensors)
    assert old.keys() != tensors.keys()
    new, model = read_model(saved(tmp_path, "new", tensors)), read_model(saved(tmp_path, "old", old))
    assert model.spec.scale == new.spec.scale
    x = noise(1, 3, 10, 12)
    assert torch.equal(run(model, x), run(new, x))


def test_span_as_it_is_trained_is_folded(tmp_path: Path):
    tensors, model = unfolded(), read_model(saved(tmp_path, "span", unfolded()))
    x = noise(1, 3, 12, 9)
    grown = F.pad((x - torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)) * 255, (1, 1, 1, 1))
    y = grown
    for i in range(3):
        y = F.conv2d(y, *_pair(tensors, f"conv_1.conv.{i}"))
    y = y + F.conv2d(grown, *_pair(tensors, "conv_1.sk"))[..., 1:-1, 1:-1]
    with torch.inference_mode():
        got = model.network.conv_1(grown)[..., 1:-1, 1:-1]  # type: ignore[attr-defined]
    assert (got - y).abs().max() <= 1e-5 * y.abs().max()
    assert run(model, x).shape == (1, 3, 48, 36)
    plain = read_model(saved(tmp_path, "plain", tensors | {"no_norm": torch.zeros(1)}))
    assert (run(plain, x) - run(model, x)).abs().max() > 0.01


def test_branches_that_do_not_fit_together_are_refused(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"SPAN but does not fit it: conv_1.sk.weight \(4, 3, 1, 1\) has no place"
    ):
        read_model(saved(tmp_path, "span", unfolded() | {"conv_1.conv.0.bias": torch.zeros(5)}))


def test_espcn_of_the_paper_has_tanh_and_other_names(tmp_path: Path):
    net = EspcnNet(sides=(5, 3, 3), widths=(4, 4), scale=2, colors=1, tanh=True)
    names = {"conv1": "first_part.0", "conv2": "first_part.2", "conv3": "last_part.0"}
    old = {
        f"{names[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in net.state_dict().items()
    }
    model, x = read_model(saved(tmp_path, "espcn_x2", old)), noise(1, 1, 9, 9)
    y = x * 219 / 255 + 16 / 255
    for i, side in enumerate((5, 3)):
        y = torch.tanh(F.conv2d(y, *_pair(old, f"first_part.{2 * i}"), padding=side // 2))
    y = F.conv2d(y, *_pair(old, "last_part.0"), padding=1)
    out = torch.empty(1, 1, 18, 18)
    for row in range(2):
        for column in range(2):
            out[..., row::2, column::2] = (y[:, 2 * row + column] * 255 - 16) / 219
    assert (run(model, x) - out).abs().max() < 1e-5


def _pair(tensors: dict[str, Tensor], layer: str) -> tuple[Tensor, Tensor]:
    return tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]


# Formulas, restated


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(C, H, W) → one sample after the other, black outside."""
    num_out, _, side, _ = weight.shape
    _, height, width = x.shape
    large = torch.zeros(len(x), height + side - 1, width + side - 1)
    large[:, side // 2 : side // 2 + height, side // 2 : side // 2 + width] = x
    out = torch.empty(num_out, height, width)
    for n in range(num_out):
        for i in range(height):
            for j in range(width):
                out[n, i, j] = (weight[n] * large[:, i : i + side, j : j + side]).sum() + bias[n]
    return out


def test_srcnn_is_three_convolutions_over_the_enlarged_picture(tmp_path: Path):
    tensors = tensors_of("srcnn_x3")
    x = noise(1, 1, 4, 5)
    y = (enlarge(x, 3, kernel="catmull-rom") * 219 / 255 + 16 / 255)[0]
    for i in (1, 2, 3):
        y = convolved(y, *_pair(tensors, f"conv{i}"))
        y = y.clamp(min=0) if i < 3 else y
    out = run(read_model(saved(tmp_path, "srcnn_x3", tensors)), x)
    assert (out[0] - (y * 255 - 16) / 219).abs().max() < 1e-5


def test_fsrcnn_spreads_each_feature_over_nine_pixels(tmp_path: Path):
    tensors = tensors_of("fsrcnn_x3")
    x = noise(1, 1, 5, 6)
    y = (x * 219 / 255 + 16 / 255)[0]
    layers = ["first_part.0", *(f"mid_part.{i}" for i in (0, 2, 4, 6))]
    for layer in layers:
        y = convolved(y, *_pair(tensors, layer))
        head, number = layer.split(".")
        slope = tensors[f"{head}.{int(number) + 1}.weight"][:, None, None]
        y = torch.where(y > 0, y, slope * y)
    spread = torch.zeros(1, 15 + 12, 18 + 12)  # with room for what falls outside
    for i in range(5):
        for j in range(6):
            stamp = (y[:, None, i, j, None, None] * tensors["last_part.weight"]).sum(0)
            spread[:, 3 * i : 3 * i + 9, 3 * j : 3 * j + 9] += stamp
    out = spread[:, 4 : 4 + 15, 4 : 4 + 18] + tensors["last_part.bias"]
    assert (
        run(read_model(saved(tmp_path, "fsrcnn_x3", tensors)), x)[0] - (out * 255 - 16) / 219
    ).abs().max() < 1e-5


# Scales that tensors do not tell


@pytest.mark.parametrize(("stem", "factor", "scale"), [("vdsr", 3, 3), ("vdsr_x4", 2, 4), ("vdsr", None, 2)])
def test_the_scale_comes_from_the_files_name_or_from_what_is_wanted(tmp_path: Path, stem, factor, scale):
    path = saved(tmp_path, stem, tensors_of("vdsr_x2"))
    (model,) = catalogue.choose_chain([str(path)], factor)
    assert model.spec.scale == scale


# Refusals


@pytest.mark.parametrize("name", TINY)
def test_a_file_that_does_not_fit_is_refused_with_the_first_difference(name: str, tmp_path: Path):
    tensors = tensors_of(name)
    key = next(key for key in reversed(tensors) if tensors[key].ndim == 4 and tensors[key].shape[3] > 1)
    cut = tensors | {key: tensors[key][..., :1]}
    with pytest.raises(
        ModelError, match=rf"does not fit it: {key.replace('.', '[.]')} is|unknown layout"
    ) as caught:
        read_model(saved(tmp_path, name, cut))
    assert "\n" not in str(caught.value)
    key = list(tensors)[-1]
    with pytest.raises(ModelError, match=f"{key.replace('.', '[.]')}.* is missing|unknown layout"):
        read_model(saved(tmp_path, name, {k: v for k, v in tensors.items() if k != key}))


def test_a_tensor_that_has_no_place_is_named(tmp_path: Path):
    tensors = tensors_of("edsr") | {"attention.gamma": torch.ones(3)}
    with pytest.raises(ModelError, match=r"attention.gamma \(3,\) has no place"):
        read_model(saved(tmp_path, "edsr", tensors))


# Against the originals


@pytest.mark.parametrize(
    ("name", "scale", "halo"),
    [
        ("edsr_baseline_x2", 2, 36),
        ("srresnet_x4", 4, 35),
        ("realesrgan_anime6b_x4", 4, 94),
        pytest.param("edsr_x4", 4, 68, marks=pytest.mark.slow),
        pytest.param("esrgan_rrdb_x4", 4, None, marks=pytest.mark.slow),
        pytest.param("realesrgan_rrdb_x2", 2, None, marks=pytest.mark.slow),
    ],
)
def test_answers_of_the_originals_are_reproduced(name, scale, halo, tmp_path: Path, test_data: Path):
    model, error = reference_error(name, tmp_path, test_data)
    print(f"{name}: {error:.1e} of the deviation")
    assert error <= 1e-4
    assert (model.spec.scale, model.spec.halo) == (scale, halo)


@pytest.mark.slow
def test_span_reaches_its_figure_on_set5(test_data: Path):
    model = catalogue.load(str(test_data / "weights/ntire2025_esr/team46_span.pth"))
    assert (model.spec.scale, model.spec.halo) == (4, 21)
    assert set5_psnr(model, test_data) == pytest.approx(31.74, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "psnr"), [(2, 37.61), (3, 33.76), (4, 31.44)])
def test_vdsr_reaches_its_figures_on_set5(scale, psnr, test_data: Path):
    model = catalogue.load(str(test_data / "weights/vdsr/vdsr_state_dict.pth"), scale=scale)
    assert set5_psnr(model, test_data) == pytest.approx(psnr, abs=0.02)


def test_deep_networks_in_tiles_differ_little_where_tiles_meet(tmp_path: Path):
    torch.manual_seed(1)
    net = RrdbNet(channels=8, growth=4, depth=8, scale=2, num_doublings=1, colors=3)
    model = read_model(saved(tmp_path, "deep", net.state_dict()))
    assert model.spec.halo is None
    x = noise(1, 3, 72, 80)
    whole = run(model, x)
    assert 0 < (whole - run_tiled(model, x, 40)).abs().max() <= 1e-3 * math.sqrt(float(whole.var()))
