"""Compact networks of others in integers, with ranges from pictures at hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vsr.engine import Engine, precision
from vsr.engine.precision import place
from vsr.jobs.int8_ranges import in_own_ranges
from vsr.media import VideoSource, probe
from vsr.models import can_be_measured, has_int8, load, measured
from vsr.models.layers.int8_conv import LEVELS, Steps
from vsr.models.layers.int8_table import Bytes, ranges_of, tabled
from vsr.models.networks.compact import CompactNet
from vsr.models.spec import Model, ModelSpec
from vsr.options import EngineOptions, EnhanceOptions

pytestmark = pytest.mark.skipif(not has_int8(), reason="this processor has no VNNI")
INT8 = EngineOptions(device="cpu", precision="int8", threads=1)


def waves(height: int, width: int) -> torch.Tensor:
    """(1, 3, H, W): something with slopes, edges and texture in it."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    each = [0.5 + 0.3 * torch.sin(x / (4 + n) + y / 9) + 0.1 * (x // 7 % 2) for n in range(3)]
    return torch.stack(each)[None].clamp(0, 1)


def compact(scale: int = 2) -> Model:
    torch.manual_seed(3)
    network = CompactNet(channels=16, depth=3, scale=scale).eval()
    slopes = [layer for layer in network.body if isinstance(layer, torch.nn.PReLU)]
    for layer in slopes:
        torch.nn.init.uniform_(layer.weight, -1, 1.5)  # as published ones have them
    spec = ModelSpec("some", scale=scale, in_channels=3, residual="nearest", halo=5, dtypes=("fp32", "bf16"))
    return Model(spec, network)


@torch.inference_mode()
def test_a_table_is_the_convolution_and_its_function():
    convolution, slope = torch.nn.Conv2d(8, 12, 3, padding=1), torch.nn.PReLU(12)
    torch.nn.init.uniform_(slope.weight, -1, 1.5)
    seen, x = Bytes(Steps(1 / LEVELS, 0), torch.ones(1)), torch.rand(2, 8, 20, 30)
    codes = seen.steps.bytes_of(x)
    sums = convolution(codes / LEVELS)
    layer = tabled(convolution, slope, seen, ranges_of(sums[:1].flatten(2), slope(sums)[:1].flatten(2)))
    (step, zero), factors = layer.gives
    after = (layer(codes).float() - zero) * step * factors.view(1, -1, 1, 1)
    assert (after - slope(sums)).abs().quantile(0.99) < 3 * step


def test_a_measured_network_is_near_to_itself_in_fp32_and_knows_how_near():
    model = measured(compact(), [waves(48, 64), waves(40, 40)])
    assert model.spec.dtypes == ("fp32", "bf16", "int8")
    assert model.spec.int8_loss is not None
    assert 0 <= model.spec.int8_loss < 0.1
    assert can_be_measured(compact())
    assert not can_be_measured(load("nano-x2"))
    assert not compact().network.ranges  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{"batch": 3}, {"tile": 32}, {"threads": 2}, {"skip_static": "on"}])
def test_results_do_not_depend_on_batch_tile_threads_or_parts(options, tmp_path: Path, make_clip):
    path = make_clip("a.mkv", num_frames=5, codec="ffv1")
    frames, model = list(VideoSource(path).frames()), measured(compact(), [waves(48, 64)])
    plain, other = (Engine([model], each).run(frames) for each in (INT8, replace(INT8, **options)))
    for ours, theirs in zip(plain, other, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours.planes, theirs.planes, strict=True))


@pytest.mark.parametrize("wanted", ["auto", "int8"])
def test_a_clip_gives_the_ranges_where_nothing_else_is_fast(wanted, make_clip, monkeypatch):
    info = probe(make_clip("a.mkv", num_frames=5, codec="ffv1"))
    options = EnhanceOptions(engine=replace(INT8, precision=wanted))
    monkeypatch.setattr(precision, "has_amx", lambda: False)
    monkeypatch.setattr(precision, "has_fast_bf16", lambda: False)
    monkeypatch.setattr(precision, "speed_up", lambda model, name: 3.0)
    (model,), options, (note,) = in_own_ranges((compact(),), info, options, None)
    assert "int8 by ranges of this source" in note
    assert place(options.engine, model).precision == "int8"


def test_a_loss_that_shows_falls_back_with_a_line(make_clip, monkeypatch):
    info = probe(make_clip("a.mkv", num_frames=5, codec="ffv1"))
    monkeypatch.setattr("vsr.jobs.int8_ranges.MOST_LOSS", {"int8": -1.0})
    models, options, (note,) = in_own_ranges((compact(),), info, EnhanceOptions(engine=INT8), None)
    assert "not in int8, which would lose" in note
    assert (models[0].spec.dtypes, options.engine.precision) == (("fp32", "bf16"), "auto")


def test_nothing_is_measured_where_bf16_is_fast(make_clip, monkeypatch):
    monkeypatch.setattr(precision, "has_amx", lambda: True)
    model, options = compact(), EnhanceOptions(engine=EngineOptions(device="cpu"))
    info = probe(make_clip("a.mkv", num_frames=2, codec="ffv1"))
    assert in_own_ranges((model,), info, options, None) == ((model,), options, ())
