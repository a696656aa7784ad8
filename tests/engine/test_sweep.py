"""Results do not depend on batch, tile, threads, streams or graphs.

On a CPU they are equal bit for bit, with one exception in fp32: PyTorch computes a 3x3 convolution of one picture by
code of its own where the layer's input has 20,480 values or fewer, else by oneDNN, and the two add in another order.
So fp32 is exact where neither pictures nor tiles are that small, and else within one code of 16 bits.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from vsr.engine.device import has_fast_bf16
from vsr.engine.engine import Engine
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.networks.compact import CompactNet
from vsr.models.spec import Model, ModelSpec
from vsr.models.variants.int8 import has_int8
from vsr.options import EngineOptions

SETTINGS = [
    {"batch": 2},
    {"batch": 4},
    {"tile": 32},
    {"tile": 64},
    {"batch": 2, "tile": 32},
    {"batch": 4, "tile": 64},
    {"threads": 2},
    {"threads": 2, "batch": 2, "tile": 32},
]
"""Beside one at a time, whole, on one thread."""


def compact() -> Model:
    """Real-ESRGAN's kind of network: RGB, PReLU, nearest residual, x4."""
    torch.manual_seed(1)
    net = CompactNet(channels=8, depth=2, scale=4)
    torch.nn.init.normal_(net.body[-1].weight, std=0.05)
    return Model(ModelSpec("compact", scale=4, in_channels=3, residual="nearest", halo=4), net.eval())


def model_of(name: str) -> Model:
    return compact() if name == "compact" else load(name)


def noise(count: int, height: int, width: int, bit_depth: int = 16) -> list[Frame]:
    """16 bits show what 8 would round away."""
    rng = np.random.default_rng(5)
    format = PictureFormat(height, width, bit_depth, "yuv444", matrix="bt709", range="full")
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    return [
        Frame(
            tuple(rng.integers(0, 1 << bit_depth, (height, width)).astype(dtype) for _ in range(3)),
            format,
            pts=n,
        )
        for n in range(count)
    ]


def run(model: Model, frames: list[Frame], **options: object) -> list[Frame]:
    chosen = {"device": "cpu", "batch": 1, "tile": "off", "threads": 1} | options
    engine = Engine([model], EngineOptions(**chosen))  # type: ignore[arg-type]
    out = list(engine.run(frames))
    assert [frame.pts for frame in out] == [frame.pts for frame in frames]
    assert engine.notes == []
    return out


def differences(
    model: Model, frames: list[Frame], settings: list[dict], **fixed: object
) -> Iterator[tuple[dict, int]]:
    """For each setting the largest difference, in codes, from one at a time, whole, on one thread."""
    wanted = run(model, frames, **fixed)
    for setting in settings:
        got = run(model, frames, **fixed, **setting)
        planes = [
            (a, b)
            for one, other in zip(got, wanted, strict=True)
            for a, b in zip(one.planes, other.planes, strict=True)
        ]
        yield setting, max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in planes)


def skip_where_slow(precision: str) -> None:
    if precision == "bf16" and not has_fast_bf16():
        pytest.skip("this processor has no fast bf16")
    if precision == "int8" and not has_int8():
        pytest.skip("this processor has no fast int8")


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("name", ["nano-x2", "fast-x2", "compact"])
def test_settings_change_no_bit(name, precision):
    skip_where_slow(precision)
    model = model_of(name)
    if precision not in model.spec.dtypes:
        pytest.skip(f"{name} does not run in {precision}")
    for setting, most in differences(model, noise(5, 50, 86), SETTINGS, precision=precision):
        assert most == 0, setting


@pytest.mark.parametrize("name", ["nano-x2", "compact"])
def test_settings_change_no_bit_in_fp32_where_tiles_are_large(name):
    """A tile of 160 with its halo has 25,600 pixels or more."""
    settings = [{"batch": 2}, {"tile": 160}, {"threads": 2, "batch": 2, "tile": 160}]
    for setting, most in differences(model_of(name), noise(2, 320, 160), settings, precision="fp32"):
        assert most == 0, setting


@pytest.mark.parametrize("name", ["nano-x2", "fast-x2", "compact"])
def test_settings_change_no_more_than_a_16_bit_code_in_fp32_where_tiles_are_small(name):
    for setting, most in differences(model_of(name), noise(5, 50, 86), SETTINGS, precision="fp32"):
        assert most <= 1, setting


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_change_no_bit_of_a_network_with_a_state(precision):
    skip_where_slow(precision)
    for setting, most in differences(
        load("video-x4"), noise(4, 30, 44), [{"threads": 2}], precision=precision
    ):
        assert most == 0, setting


def test_averages_over_time_in_bf16_stay_within_a_third_of_an_8_bit_code():
    skip_where_slow("bf16")
    frames = noise(4, 30, 44)
    exact, rounded = (
        run(load("video-real-x2"), frames, precision=precision) for precision in ("fp32", "bf16")
    )
    for one, other in zip(exact, rounded, strict=True):
        apart = one.planes[0].astype(int) - other.planes[0].astype(int)
        assert np.abs(apart).mean() <= 0.3 * 257


def test_settings_change_no_bit_of_deblurring():
    skip_where_slow("bf16")
    settings = [{"batch": 2}, {"threads": 2}]
    for setting, most in differences(load("deblur-x1"), noise(4, 40, 56), settings, precision="bf16"):
        assert most == 0, setting


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["nano-x2", "fast-x2", "compact", "base-real-x2", "deblur-x1", "video-x4"])
def test_settings_and_graphs_stay_within_a_code_on_a_gpu(name, precision):
    """8 bits: a rounding of fp16 moves a value by less than a code, and so may turn one."""
    settings = [
        {"batch": batch, "tile": tile, "executor": executor}
        for batch in (1, 2, 4)
        for tile in ("off", 32, 64)
        for executor in ("eager", "graphs")
        if tile == "off" or name != "video-x4"
    ]
    fixed = {"device": "cuda", "precision": precision, "executor": "eager"}
    model, frames = model_of(name), noise(9, 90, 150, 8)
    wanted = run(model, frames, **fixed)
    for setting in settings:
        for got, one in zip(run(model, frames, **(fixed | setting)), wanted, strict=True):
            for a, b in zip(got.planes, one.planes, strict=True):
                assert np.abs(a.astype(int) - b.astype(int)).max() <= 1, setting
