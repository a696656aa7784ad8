"""Networks of others in integers, with ranges from pictures at hand."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vsr.engine import Engine, precision
from vsr.engine.device import cpu_threads
from vsr.engine.precision import place
from vsr.jobs import int8_ranges
from vsr.jobs.int8_ranges import in_own_ranges
from vsr.media import VideoSource, probe
from vsr.models import can_be_measured, has_int8, load, measured
from vsr.models.layers.int8_block import Int8Block
from vsr.models.layers.int8_conv import LEVELS, Steps, steps_between
from vsr.models.layers.int8_table import Bytes, ranges_of, tabled
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.networks.compact import CompactNet
from vsr.models.networks.edsr import EdsrNet
from vsr.models.networks.srresnet import SrResNet
from vsr.models.spec import Model, ModelSpec
from vsr.models.variants.int8 import in_int8
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


def residual(kind: type[EdsrNet | SrResNet], scale: int = 2, channels: int = 16) -> Model:
    """EDSR or SRResNet that gives pictures of no meaning."""
    torch.manual_seed(3)
    network = kind(channels=channels, depth=2, scale=scale, colors=3).eval()
    return Model(ModelSpec("some", scale=scale, in_channels=3, halo=20, dtypes=("fp32", "fp16")), network)


def rounded(layer: torch.nn.Conv2d, seen: Steps, x: torch.Tensor) -> torch.Tensor:
    """What a convolution of rounded weights makes of rounded values, in float32."""
    largest = layer.weight.abs().amax((1, 2, 3), keepdim=True) / 127
    weight = (layer.weight / largest).round() * largest
    return torch.nn.functional.conv2d(in_steps(seen, x), weight, layer.bias, padding=layer.padding)  # type: ignore[arg-type]


def in_steps(steps: Steps, x: torch.Tensor) -> torch.Tensor:
    return ((x / steps.step + steps.zero).round().clamp(0, LEVELS) - steps.zero) * steps.step


def by_rounded(network: EdsrNet | SrResNet, x: torch.Tensor) -> torch.Tensor:
    """What a measured network is meant to give, without integers and by layers as they are written down."""
    seen, head = iter(network.seen), network.head(x)
    sums = head
    for block in network.body:
        assert isinstance(block, ResidualBlock)
        hidden = rounded(block.conv1, next(seen), sums).relu()
        sums = sums + block.share * rounded(block.conv2, next(seen), hidden)
    if after := network.after_blocks():
        sums = head + rounded(after, next(seen), sums)
    steps = list(seen)
    for (layer, shuffle, slope), (given, following) in zip(
        network.enlarging(), pairwise([*steps, steps[-1]]), strict=True
    ):
        sums = torch.pixel_shuffle(rounded(layer, given, sums), shuffle)
        if slope != 1:  # as bytes before it, too
            low, high = -following.zero * following.step, (LEVELS - following.zero) * following.step
            sums = torch.nn.functional.leaky_relu(in_steps(steps_between(low / slope, high), sums), slope)
    return network.picture(sums, x)


KINDS = pytest.mark.parametrize(
    "model", [compact(), residual(EdsrNet), residual(SrResNet)], ids=["compact", "edsr", "srresnet"]
)


@torch.inference_mode()
@pytest.mark.parametrize("kind", [EdsrNet, SrResNet])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_residual_networks_count_what_their_rounded_layers_do(kind, scale):
    model, x = (
        measured(residual(kind, scale), [waves(48, 64)]),
        torch.cat([waves(24, 20), waves(24, 20).flip(3)]),
    )
    network = model.network
    assert isinstance(network, EdsrNet | SrResNet)
    wanted, exact, got = by_rounded(network, x), network(x), in_int8(network)(x)
    assert (got - wanted).abs().mean() < 0.2 * (exact - wanted).abs().mean()
    assert (exact - wanted).abs().mean() < 0.1 * exact.std()


@torch.inference_mode()
def test_a_block_that_adds_a_share_adds_it_in_integers():
    torch.manual_seed(0)
    block, x = ResidualBlock(16, 0.1), torch.randn(1, 16, 9, 14)
    seen = Steps(8 / LEVELS, 128), Steps(3 / LEVELS, 0)
    hidden = rounded(block.conv1, seen[0], x).relu()
    wanted = x + 0.1 * rounded(block.conv2, seen[1], hidden)
    got = Int8Block(block, *seen)(x.clone(memory_format=torch.channels_last))
    assert (got - wanted).abs().max() < 0.01 * (wanted - x).std()


@pytest.mark.parametrize("kind", [EdsrNet, SrResNet])
def test_a_trained_network_loses_next_to_nothing(kind):
    whole, model = photograph(), residual(kind, channels=8)
    large = torch.stack(
        [whole[0, :, y : y + 32, x : x + 32] for y in range(0, 200, 64) for x in range(0, 120, 64)]
    )
    network, small = model.network, halved(large)
    assert isinstance(network, torch.nn.Module)
    steps = torch.optim.Adam(network.parameters(), lr=4e-3)
    with cpu_threads(1):
        for _ in range(60):
            steps.zero_grad()
            torch.nn.functional.mse_loss(network(small), large).backward()
            steps.step()
    other = whole[..., :96, 160:256]
    with torch.no_grad():
        exact, untrained = (
            (each(halved(other)) - other).square().mean() for each in (network, residual(kind).network)
        )
    assert exact < 0.3 * untrained
    loss = measured(model, [other]).spec.int8_loss
    assert loss is not None
    assert loss <= 0.1


def photograph() -> torch.Tensor:
    """(1, 3, 256, 256)."""
    codes = cv2.imread(str(Path(__file__).resolve().parents[3] / "samples" / "astronaut.png"))
    assert codes is not None
    return torch.from_numpy(codes).permute(2, 0, 1)[None] / 255


def halved(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)


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


@KINDS
@pytest.mark.parametrize("options", [{"batch": 3}, {"tile": 32}, {"threads": 2}, {"skip_static": "on"}])
def test_results_do_not_depend_on_batch_tile_threads_or_parts(model, options, tmp_path: Path, make_clip):
    path = make_clip("a.mkv", num_frames=5, codec="ffv1")
    frames, model = list(VideoSource(path).frames()), measured(model, [waves(48, 64)])
    plain, other = (Engine([model], each).run(frames) for each in (INT8, replace(INT8, **options)))
    for ours, theirs in zip(plain, other, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours.planes, theirs.planes, strict=True))


@pytest.fixture
def machine(monkeypatch):
    """A processor of which is said whether it has a matrix unit, and how many times as fast as fp32 it is."""

    def pretend(*, amx: bool, bf16: float, int8: float) -> None:
        for module in (precision, int8_ranges):
            monkeypatch.setattr(module, "has_amx", lambda: amx)
        monkeypatch.setattr(precision, "has_fast_bf16", lambda: bf16 > 0)
        monkeypatch.setattr(precision, "speed_up", lambda model, name: {"bf16": bf16, "int8": int8}[name])

    return pretend


@KINDS
@pytest.mark.parametrize("wanted", ["auto", "int8"])
@pytest.mark.parametrize("bf16", [0, 1.8])
def test_a_clip_gives_the_ranges_where_int8_is_the_fastest_by_far(model, wanted, bf16, make_clip, machine):
    info = probe(make_clip("a.mkv", num_frames=5, codec="ffv1"))
    options = EnhanceOptions(engine=replace(INT8, precision=wanted))
    machine(amx=False, bf16=bf16, int8=3.0)
    (model,), options, (note,) = in_own_ranges((model,), info, options, None)
    assert "int8 by ranges of this source" in note
    assert place(options.engine, model).precision == "int8"


@pytest.mark.parametrize(("bf16", "int8"), [(1.8, 2.5), (0, 1.1)])
def test_what_is_not_worth_a_loss_stays_as_it_is(bf16, int8, make_clip, machine):
    info = probe(make_clip("a.mkv", num_frames=2, codec="ffv1"))
    machine(amx=False, bf16=bf16, int8=int8)
    model, options = compact(), EnhanceOptions(engine=EngineOptions(device="cpu"))
    assert in_own_ranges((model,), info, options, None) == ((model,), options, ())


@KINDS
def test_a_loss_that_shows_falls_back_with_a_line(model, make_clip, monkeypatch):
    info = probe(make_clip("a.mkv", num_frames=5, codec="ffv1"))
    monkeypatch.setattr("vsr.jobs.int8_ranges.MOST_LOSS", {"int8": -1.0})
    models, options, (note,) = in_own_ranges((model,), info, EnhanceOptions(engine=INT8), None)
    assert "not in int8, which would lose" in note
    assert (models[0].spec.dtypes, options.engine.precision) == (model.spec.dtypes, "auto")


def test_a_network_that_knows_no_bf16_takes_int8_where_bf16_is_fast_too(make_clip, machine):
    machine(amx=True, bf16=4.0, int8=3.0)
    info, options = (
        probe(make_clip("a.mkv", num_frames=2, codec="ffv1")),
        EnhanceOptions(engine=EngineOptions(device="cpu")),
    )
    (model,), options, _ = in_own_ranges((residual(EdsrNet),), info, options, None)
    chosen = place(options.engine, model)
    assert (chosen.precision, "bf16 would round" in chosen.why) == ("int8", True)


def test_nothing_is_measured_where_a_matrix_unit_is_fast_in_bf16(make_clip, machine):
    machine(amx=True, bf16=4.0, int8=9.0)
    model, options = compact(), EnhanceOptions(engine=EngineOptions(device="cpu"))
    info = probe(make_clip("a.mkv", num_frames=2, codec="ffv1"))
    assert in_own_ranges((model,), info, options, None) == ((model,), options, ())
