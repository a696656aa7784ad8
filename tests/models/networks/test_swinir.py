"""SwinIR: three kinds, any size, and the answers of the original."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support.published import noise, reference_error, run, run_tiled

from vsr.errors import ModelError
from vsr.models.files.checkpoint import read_model
from vsr.models.networks.swinir import SwinIr
from vsr.models.spec import Model

SIZES = {"channels": 8, "heads": 2, "window": 8, "hidden": 12, "depth": 2, "groups": 2, "colors": 3}
KINDS: dict[str, dict[str, Any]] = {
    "classical": {"tail": "pixelshuffle", "scale": 3, "wide": 6, "narrow": False},
    "light": {"tail": "pixelshuffledirect", "scale": 2, "wide": 8, "narrow": False},
    "real": {"tail": "nearest+conv", "scale": 4, "wide": 6, "narrow": False},
    "large": {"tail": "nearest+conv", "scale": 4, "wide": 6, "narrow": True},
    "denoising": {"tail": "", "scale": 1, "wide": 8, "narrow": False},
}
COMMON = (
    "conv_first.weight patch_embed.norm.weight layers.1.residual_group.blocks.1.attn.qkv.weight norm.bias"
)
LAYOUTS = {
    "classical": "conv_before_upsample.0.weight upsample.0.weight conv_last.weight conv_after_body.weight",
    "light": "upsample.0.weight layers.0.conv.weight",
    "real": "conv_before_upsample.0.weight conv_up1.weight conv_up2.weight conv_hr.weight conv_last.weight",
    "large": "layers.0.conv.0.weight layers.0.conv.2.weight layers.0.conv.4.weight conv_after_body.4.bias",
    "denoising": "conv_last.weight",
}


def net(kind: str) -> SwinIr:
    torch.manual_seed(4)
    network = SwinIr(**(SIZES | KINDS[kind]))
    for name, parameter in network.named_parameters():
        if name.endswith("bias_table"):
            torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("swinir")
    tensors = net(request.param).state_dict()
    masks = {"layers.0.residual_group.blocks.1.attn_mask": torch.zeros(64, 64, 64),
             "layers.0.residual_group.blocks.0.attn.relative_position_index": torch.zeros(64, 64).long()}  # fmt: skip
    assert not set(f"{COMMON} {LAYOUTS[request.param]}".split()) - tensors.keys()
    torch.save({"params": tensors | masks}, folder / f"{request.param}.pth")
    return read_model(folder / f"{request.param}.pth")


def test_the_kind_is_told_by_the_tensors(model: Model):
    facts, wanted = model.spec, KINDS[model.spec.name]
    assert (facts.scale, facts.halo, facts.size_multiple, facts.in_channels) == (wanted["scale"], None, 8, 3)
    x = noise(1, 3, 16, 24)
    assert (run(model, x) - net(model.spec.name)(x).detach()).abs().max() < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (13, 21)])
def test_any_size_is_enhanced(model: Model, size: tuple[int, int]):
    out = run(model, noise(2, 3, *size))
    assert out.shape == (2, 3, size[0] * model.spec.scale, size[1] * model.spec.scale)
    assert out.isfinite().all()


def test_tiles_differ_little_where_they_meet(model: Model):
    x = noise(1, 3, 90, 101)
    whole, parts = run(model, x), run_tiled(model, x, 48)
    assert (whole - parts).abs().max() <= 0.02 * whole.std()


def test_attention_is_what_the_formula_says():
    """softmax(q k' / sqrt(d) + bias) v for each head, window and pixel, in windows moved by four."""
    network = net("light")
    block = network.layers[0].residual_group.blocks[1]
    attention, window, shift = block.attn, 8, 4
    x = noise(1, 16, 24, 8)
    with torch.inference_mode():
        got = block(x) - x
        y = block.norm1(x)[0]
        q, k, v = attention.qkv(y).view(16, 24, 3, 2, 4).unbind(2)
        mixed = torch.zeros(16, 24, 2, 4)
        group = lambda i, size: ((i - shift) % size // window, i < shift)  # noqa: E731 — rows that wrap round stay apart
        places = [(i, j) for i in range(16) for j in range(24)]
        for i, j in places:
            near = [
                (a, b) for a, b in places if group(a, 16) == group(i, 16) and group(b, 24) == group(j, 24)
            ]
            # Within a window positions count from its own corner, after the roll.
            delta = [
                ((i - shift) % 16 - (a - shift) % 16 + 7, (j - shift) % 24 - (b - shift) % 24 + 7)
                for a, b in near
            ]
            for head in range(2):
                bias = torch.stack(
                    [attention.relative_position_bias_table[15 * d + e, head] for d, e in delta]
                )
                logits = torch.stack([(q[i, j, head] * k[a, b, head]).sum() for a, b in near]) / 2 + bias
                mixed[i, j, head] = sum(
                    share * v[a, b, head] for share, (a, b) in zip(logits.softmax(0), near, strict=True)
                )
        y = x[0] + attention.proj(mixed.flatten(2))
        wanted = y + block.mlp(block.norm2(y)) - x[0]
    assert (got[0] - wanted).abs().max() < 1e-4


def test_a_layout_that_does_not_fit_is_refused_with_the_first_difference(tmp_path: Path):
    tensors = net("classical").state_dict()
    key = "layers.1.residual_group.blocks.1.attn.qkv.bias"
    torch.save({k: v for k, v in tensors.items() if k != key}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=rf"looks like SwinIR but does not fit it: {key} \(24,\) is missing"):
        read_model(tmp_path / "a.pth")


@pytest.mark.parametrize(("name", "scale"), [("light_x2", 2), ("classical_x4", 4), ("real_x4", 4)])
def test_answers_of_the_original_are_reproduced(name: str, scale: int, tmp_path: Path, test_data: Path):
    model, error = reference_error(f"swinir_{name}", tmp_path, test_data)
    print(f"swinir_{name}: {error:.1e} of the deviation")
    assert error <= 1e-4
    assert model.spec.scale == scale
