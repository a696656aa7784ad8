"""The field's video networks: layouts, formulas, chunks, and the answers of the originals."""

import copy
import json
import re
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from support.published import base, filled, noise
from support.restated import basicvsr, deformed, realbasicvsr, rlsp, rrn, warp
from support.video_networks import FP32, TINY, frame_of, saved, stream, tensors_of
from torch import Tensor, nn

from vsr.engine.device import can_bf16
from vsr.engine.engine import Engine
from vsr.engine.many_streams import ManyStreams
from vsr.errors import ConfigError, ModelError
from vsr.frames import Frame
from vsr.models.chain import with_window
from vsr.models.files.checkpoint import read_model
from vsr.models.layers import deformable
from vsr.models.layers.bidirectional import in_chunks
from vsr.models.layers.deformable import sampled_convolution
from vsr.models.layers.flow import moved
from vsr.models.spec import Context, Model
from vsr.models.variants.self_ensemble import self_ensemble

IN_CHUNKS = ("basicvsr", "basicvsrpp", "realbasicvsr")

SPYNET = "spynet.mean spynet.std spynet.basic_module.0.basic_module.0.weight spynet.basic_module.5.basic_module.8.bias "
TAIL = "upconv1.weight upconv2.bias conv_hr.weight conv_last.bias "
LAYOUTS = {
    "basicvsr": SPYNET + TAIL + "backward_trunk.main.0.weight backward_trunk.main.2.0.conv1.weight "
    "forward_trunk.main.0.bias forward_trunk.main.2.0.conv2.bias fusion.weight",
    "basicvsrpp": SPYNET + TAIL + "feat_extract.main.0.weight feat_extract.main.2.0.conv1.weight "
    "deform_align.backward_1.weight deform_align.forward_1.bias deform_align.backward_2.conv_offset.0.weight "
    "deform_align.forward_2.conv_offset.6.bias backbone.backward_1.main.0.weight "
    "backbone.forward_2.main.2.0.conv2.bias reconstruction.main.0.weight reconstruction.main.2.0.conv1.weight",
    "realbasicvsr": "image_cleaning.0.main.0.weight image_cleaning.0.main.2.0.conv1.weight image_cleaning.1.bias "
    "basicvsr.spynet.basic_module.0.basic_module.0.weight basicvsr.forward_trunk.main.0.bias basicvsr.conv_last.weight",
    "edvr": TAIL + "conv_first.weight feature_extraction.0.conv1.weight conv_l2_1.weight conv_l3_2.bias "
    "pcd_align.offset_conv1.l3.weight pcd_align.offset_conv2.l1.weight pcd_align.offset_conv3.l2.bias "
    "pcd_align.dcn_pack.l3.weight pcd_align.dcn_pack.l1.conv_offset.bias pcd_align.feat_conv.l2.weight "
    "pcd_align.cas_offset_conv1.weight pcd_align.cas_offset_conv2.bias pcd_align.cas_dcnpack.conv_offset.weight "
    "fusion.temporal_attn1.weight fusion.temporal_attn2.bias fusion.feat_fusion.weight fusion.spatial_attn1.weight "
    "fusion.spatial_attn5.bias fusion.spatial_attn_l1.weight fusion.spatial_attn_l3.bias "
    "fusion.spatial_attn_add1.weight fusion.spatial_attn_add2.bias reconstruction.0.conv1.weight",
    "rlsp": "layer0.weight layer0.bias layer2.weight layer3.bias",
    "rrn": "neuro.conv_1.weight neuro.recon_trunk.0.conv1.weight neuro.recon_trunk.1.conv2.bias neuro.conv_h.weight "
    "neuro.conv_o.bias",
}
"""Some of the published keys of each."""


@cache
def load(name: str) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        return read_model(saved(Path(folder), name, tensors_of(name)))


@torch.inference_mode()
def steps(model: Model, clip: Tensor) -> Tensor:
    """The whole clip, (T, 3, H, W) of 0–1, by bare steps of the network: all at once, or frame by frame."""
    context, white, out = model.spec.context, model.spec.value_range, []
    state = model.network.init_state(1, *clip.shape[-2:])
    if context.shortens:
        whole = in_chunks(model, emit=len(clip), margin=0).network
        return whole.step(clip[None], state, torch.tensor([True]))[0][0] + base(model, clip)
    for t in range(len(clip)):
        window = [
            clip[min(max(i, 0), len(clip) - 1)] for i in range(t - context.before, t + context.after + 1)
        ]
        given, state = model.network.step(torch.stack(window)[None] * white, state, torch.tensor([t == 0]))
        out.append(given[0, 0] / white)
    return torch.stack(out) + base(model, clip)


def gray(clip: Tensor) -> Tensor:
    """Away from black and white, where nothing is clipped."""
    return clip * 0.2 + 0.4


# Layouts


@pytest.mark.parametrize("name", TINY)
def test_layouts_have_the_published_names_and_tell_the_network(name: str):
    tensors = tensors_of(name)
    assert not set(LAYOUTS[name].split()) - tensors.keys()
    model = load(name)
    assert type(model.network) is type(TINY[name]())
    assert (model.spec.scale, model.spec.in_channels, model.spec.residual) == (4, 3, "bicubic")
    assert model.spec.kflop_per_pixel > 0
    mine = model.network.state_dict()  # type: ignore[attr-defined]
    assert mine.keys() == tensors.keys()
    assert all(torch.equal(mine[key], tensors[key]) for key in mine)


def toolbox(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names that the authors' toolbox gives."""
    rules = [(r"backward_trunk", "backward_resblocks"), (r"forward_trunk", "forward_resblocks")]
    rules += [(r"upconv(\d)\.", r"upsample\1.upsample_conv.")]
    rules += [(rf"(basic_module\.\d\.basic_module)\.{2 * i}\.", rf"\1.{i}.conv.") for i in range(5)]
    renamed = {}
    for key, value in tensors.items():
        for pattern, name in rules:
            new = re.sub(pattern, name, key)
            if new != key and "basic_module" in pattern:
                key = new
                break
            key = new
        renamed[key] = value
    return renamed


@pytest.mark.parametrize("name", IN_CHUNKS)
def test_files_of_the_authors_toolbox_give_the_same_network(name: str, tmp_path: Path):
    tensors = tensors_of(name)
    theirs = toolbox(tensors)
    assert "spynet.basic_module.5.basic_module.4.conv.bias" in {
        key.removeprefix("basicvsr.") for key in theirs
    }
    content = {f"generator.{key}": torch.zeros_like(value) for key, value in theirs.items()}
    content |= {f"generator_ema.{key}": value for key, value in theirs.items()}
    content |= {"step_counter": torch.tensor([9]), "discriminator.conv_0.weight": torch.ones(4, 3, 3, 3)}
    torch.save({"meta": {"iter": 9}, "state_dict": content}, tmp_path / "theirs.pth")
    mine = read_model(tmp_path / "theirs.pth").network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(mine[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("name", TINY)
def test_a_file_that_does_not_fit_is_refused_with_the_first_difference(name: str, tmp_path: Path):
    tensors = tensors_of(name)
    key = list(tensors)[-1]
    with pytest.raises(ModelError, match=f"does not fit it: {re.escape(key)} .* is missing"):
        read_model(saved(tmp_path, name, {k: v for k, v in tensors.items() if k != key}))
    with pytest.raises(ModelError, match=f"does not fit it: {re.escape(key)} is "):
        read_model(saved(tmp_path, name, tensors | {key: torch.ones(1)}))
    with pytest.raises(ModelError, match=r"extra.gamma \(3,\) has no place"):
        read_model(saved(tmp_path, name, tensors | {"extra.gamma": torch.ones(3)}))


# Formulas, restated


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (9, 2)])
def test_deformable_convolution_is_a_sum_over_places_read_between_pixels(size, monkeypatch):
    monkeypatch.setattr(
        "vsr.models.layers.deformable._BAND", {"cpu": 4 * 9 * size[1] * 2}
    )  # bands of two rows
    torch.manual_seed(0)
    x, weight, bias = torch.randn(1, 4, *size), torch.randn(3, 4, 3, 3), torch.randn(3)
    offset, mask = 3 * torch.randn(1, 2 * 18, *size), torch.rand(1, 18, *size)
    got = sampled_convolution(x, offset, mask, weight, bias)
    assert (got - deformed(x, offset, mask, weight, bias)).abs().max() < 1e-4


def test_deformable_convolution_equals_torchvisions():
    ops = pytest.importorskip("torchvision.ops", reason="no torchvision", exc_type=ImportError)
    torch.manual_seed(1)
    x, weight, bias = torch.randn(2, 8, 11, 13), torch.randn(5, 8, 3, 3), torch.randn(5)
    offset, mask = 3 * torch.randn(2, 4 * 18, 11, 13), torch.rand(2, 4 * 9, 11, 13)
    theirs = ops.deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)
    assert (sampled_convolution(x, offset, mask, weight, bias) - theirs).abs().max() < 1e-4


@pytest.mark.parametrize(
    "content", ["raise RuntimeError('operator torchvision::nms does not exist')", "", None]
)
def test_a_torchvision_without_kernels_is_not_asked(content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(content or "")
    (tmp_path / "torchvision" / "ops.py").write_text("deform_conv2d = None\n" if content is None else "")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert deformable._operator.__wrapped__() is None
    finally:  # not by `monkeypatch`, which would bring back what it deleted, for whoever asks for torchvision next
        for name in ("torchvision.ops", "torchvision"):
            sys.modules.pop(name, None)


def test_without_offsets_it_is_a_convolution():
    x, weight = noise(1, 4, 8, 9), noise(6, 4, 3, 3, seed=1)
    got = sampled_convolution(x, torch.zeros(1, 18, 8, 9), torch.ones(1, 9, 8, 9), weight, None)
    assert (got - nn.functional.conv2d(x, weight, padding=1)).abs().max() < 1e-5


@pytest.mark.parametrize("outside", ["zeros", "border"])
def test_features_are_moved_between_pixels(outside):
    torch.manual_seed(2)
    x, flow = torch.randn(1, 3, 6, 8), 4 * torch.randn(1, 2, 6, 8)
    assert (moved(x, flow, outside=outside) - warp(x, flow, outside)).abs().max() < 1e-5


def restated(name: str, weights: dict[str, Tensor], clip: Tensor) -> list[Tensor]:
    frames = list(clip.split(1))
    if name == "realbasicvsr":
        pictures, times = realbasicvsr(weights, frames)
        assert times == 3
        return pictures
    return basicvsr(weights, frames) if name == "basicvsr" else rrn(weights, frames, 4)


@pytest.mark.parametrize("name", ["basicvsr", "realbasicvsr", "rrn"])
def test_networks_are_what_their_papers_say(name: str):
    clip = noise(3, 3, 6, 9, seed=3)
    wanted = torch.cat(restated(name, tensors_of(name), clip))
    assert (steps(load(name), clip) - wanted).abs().max() < 2e-5 * wanted.std() * 10


def test_clean_frames_are_cleaned_once(tmp_path: Path):
    weights = tensors_of("realbasicvsr")
    weights["image_cleaning.1.weight"] *= 1e-3
    weights["image_cleaning.1.bias"] *= 1e-3
    clip = noise(2, 3, 6, 9, seed=4)
    pictures, times = realbasicvsr(weights, list(clip.split(1)))
    assert times == 1
    got = steps(read_model(saved(tmp_path, "clean", weights)), clip)
    assert (got - torch.cat(pictures)).abs().max() < 1e-4


def test_rlsp_gives_luma_and_leaves_colour_to_the_enlargement():
    clip = noise(3, 3, 6, 9, seed=5)
    model = load("rlsp")
    got = steps(model, clip)
    luma = 16 + (got * torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    wanted = torch.cat(rlsp(tensors_of("rlsp"), list(clip.split(1))))
    assert (luma - wanted).abs().max() < 1e-2  # of 255
    change = got - base(model, clip)
    assert (change - change.mean(1, keepdim=True)).abs().max() < 1e-5


# As streams


def whole(name: str, clip: Tensor) -> Tensor:
    """What the network gives for a clip that it is shown as its authors do, in codes of 16 bits."""
    return (steps(load(name), clip).clamp(0, 1) * 65535).round() / 65535


@pytest.mark.parametrize("name", TINY)
def test_a_streamed_clip_equals_the_whole_one(name: str):
    clip = gray(noise(6, 3, 12, 16, seed=6))
    assert (stream(load(name), clip) - whole(name, clip)).abs().max() <= 3 / 65535


@pytest.mark.parametrize("name", IN_CHUNKS)
def test_chunks_that_see_the_rest_of_the_clip_equal_the_whole_one(name: str):
    """Forward in time nothing is lost from chunk to chunk, and a margin is all that is missing backward."""
    clip = gray(noise(7, 3, 12, 16, seed=7))
    seen = stream(in_chunks(load(name), emit=2, margin=5), clip)
    assert (seen - whole(name, clip)).abs().max() <= 3 / 65535
    blind = stream(in_chunks(load(name), emit=2, margin=0), clip)
    assert (blind - whole(name, clip)).abs().max() > 100 / 65535


@pytest.mark.parametrize("name", TINY)
def test_scenes_are_enhanced_as_if_alone(name: str):
    clip = gray(noise(6, 3, 8, 12, seed=8))
    model = load(name)
    model = in_chunks(model, emit=2, margin=1) if name in IN_CHUNKS else model
    together = stream(model, clip, resets=(3, 4))
    apart = torch.cat([stream(model, scene) for scene in (clip[:3], clip[3:4], clip[4:])])
    assert (together - apart).abs().max() <= 1 / 65535


@pytest.mark.parametrize("name", TINY)
def test_streams_that_end_apart_go_through_in_batches(name: str):
    model = load(name)
    model = in_chunks(model, emit=2, margin=1) if name in IN_CHUNKS else model
    clips = [gray(noise(num, 3, 8, 12, seed=9 + num)) for num in (5, 4)]
    streams = ManyStreams(Engine([model], replace(FP32, batch=2)))
    out: list[Frame] = []
    for t in range(5):
        now = [replace(frame_of(clip[t], t), stream=n) for n, clip in enumerate(clips) if t < len(clip)]
        out += streams.push(now)
    out += [frame for n in (0, 1) for frame in streams.flush(n)]
    for n, clip in enumerate(clips):
        got = torch.stack(
            [torch.from_numpy(np.stack(frame.planes) / 65535.0) for frame in out if frame.stream == n]
        )
        assert (got - stream(model, clip)).abs().max() <= 3 / 65535


def test_no_more_frames_wait_than_a_chunk_has():
    model = in_chunks(load("basicvsr"), emit=3, margin=2)
    read = 0

    def frames():
        nonlocal read
        for read in range(1, 18):
            yield frame_of(torch.full((3, 4, 4), 0.5), read)

    ahead = [read - frame.pts for frame in Engine([model], FP32).run(frames())]
    assert len(ahead) == 17
    assert max(ahead) <= model.spec.context.latency == 4


def test_the_window_is_the_chunk_with_its_margin():
    model = load("basicvsrpp")
    assert model.spec.context == Context(after=5, emit=15, stateful=True, shortens=True)
    assert model.spec.context.latency == 19
    other = with_window(model, 5)
    assert (other.spec.context.emit, other.spec.context.after) == (4, 1)
    clip = gray(noise(6, 3, 8, 12, seed=12))
    assert (stream(other, clip) - stream(in_chunks(model, emit=4, margin=1), clip)).abs().max() == 0
    assert (stream(other, clip) - stream(model, clip)).abs().max() > 0
    with pytest.raises(ConfigError, match="window 500 is not accepted by basicvsrpp; 2 to 120 is"):
        with_window(model, 500)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("size", [(1, 1), (7, 13)])
def test_any_size_is_enhanced(name: str, size: tuple[int, int]):
    out = stream(load(name), gray(noise(2, 3, *size)))
    assert out.shape == (2, 3, 4 * size[0], 4 * size[1])


@pytest.mark.parametrize("name", TINY)
def test_every_pose_counts_the_same(name: str):
    clip = gray(noise(2, 3, 8, 16, seed=13))
    upright, turned = (stream(self_ensemble(load(name)), pose) for pose in (clip, clip.transpose(2, 3)))
    assert (upright - turned.transpose(2, 3)).abs().max() < 2e-4


@pytest.mark.parametrize("name", [pytest.param("basicvsrpp", marks=pytest.mark.slow), "edvr", "rlsp", "rrn"])
@torch.inference_mode()
def test_half_precision_keeps_the_picture(name: str):
    model, clip = load(name), noise(5, 3, 4, 8, seed=14)
    context, white = model.spec.context, model.spec.value_range
    num_frames = 2 if context.shortens else context.before + context.emit + context.after
    frames, fresh = clip[None, :num_frames] * white, torch.tensor([True])
    exact = model.network.step(frames, model.network.init_state(1, 4, 8), fresh)[0]
    assert "fp16" in model.spec.dtypes
    for dtype in [torch.float16, torch.bfloat16][: 1 + ("bf16" in model.spec.dtypes and can_bf16())]:
        network = copy.deepcopy(model.network).to(dtype)  # type: ignore[attr-defined]
        out = network.step(frames.to(dtype), network.init_state(1, 4, 8), fresh)[0]
        assert (out.float() - exact).abs().max() <= 0.03 * exact.abs().max()


def test_enlarging_in_bands_gives_the_same_as_whole(monkeypatch):
    clip = gray(noise(2, 3, 40, 16, seed=15))
    model = load("basicvsr")
    at_once = steps(model, clip)
    monkeypatch.setattr("vsr.models.layers.video_trunk._ROWS", 16 * 12)
    assert (steps(model, clip) - at_once).abs().max() < 1e-6


@pytest.mark.parametrize("name", IN_CHUNKS)
def test_tiles_have_a_state_each(name: str):
    """Forward in time each tile goes on with what it knew itself, and so does what is made of them."""
    model = load(name)
    x = (
        noise(4, 3, 1, 56, seed=17).expand(-1, -1, 40, -1) * 0.02 + 0.49
    )  # motion depends on the picture: a quiet one
    clip = x.clone()
    at_once = stream(in_chunks(model, emit=4, margin=0), clip)
    options = replace(FP32, tile=40)
    engine = Engine([in_chunks(model, emit=2, margin=2)], options)
    assert not engine.notes
    tiled = stream(in_chunks(model, emit=2, margin=2), clip, options=options)
    assert 0 < (at_once - tiled).abs().max() <= 0.1 * at_once.std()
    forgetful = torch.cat([stream(in_chunks(model, emit=2, margin=2), part) for part in (clip[:2], clip[2:])])
    assert (at_once - tiled)[2:].abs().mean() < 0.5 * (at_once - forgetful)[2:].abs().mean()


def test_tiles_of_edvr_differ_little_where_they_meet():
    model, clip = load("edvr"), gray(noise(1, 3, 70, 90, seed=16))
    assert model.spec.halo is None
    at_once, tiled = stream(model, clip), stream(model, clip, options=replace(FP32, tile=40))
    assert 0 < (at_once - tiled).abs().max() <= 0.02 * at_once.std()


# Against the originals


@pytest.mark.parametrize(
    "name",
    [
        "edvr_m_x4",
        pytest.param("basicvsr_x4", marks=pytest.mark.slow),
        pytest.param("basicvsrpp_x4", marks=pytest.mark.slow),
    ],
)
def test_answers_of_the_originals_are_reproduced(name: str, tmp_path: Path, test_data: Path):
    recipe = json.loads((test_data / "reference" / f"{name}.json").read_text())
    wanted = np.load(test_data / "reference" / f"{name}.npz")["crop"]
    model = read_model(saved(tmp_path, name, filled(recipe)))
    assert sum(p.numel() for p in model.network.parameters()) == recipe["num_params"]  # type: ignore[attr-defined]
    rng = np.random.default_rng(recipe["input_seed"])
    (clip,) = torch.from_numpy(rng.random(recipe["input_shape"]).astype(np.float32))
    out = steps(model, clip)
    out = out if wanted.ndim == 5 else out[len(clip) // 2]
    assert abs(float(out.mean()) - recipe["mean"]) <= 1e-4 * recipe["std"]
    top, left, size = recipe["crop"]
    error = np.abs(out[..., top : top + size, left : left + size].numpy() - wanted[0]).max() / recipe["std"]
    print(f"{name}: {error:.1e} of the deviation")
    assert error <= 1e-4
