"""The fused kernel against its plain twin: on a CPU in Triton's interpreter, on a GPU as it is used."""

import importlib
import sys
from types import ModuleType

import pytest
import torch

from vsr import color
from vsr.engine.engine import Engine
from vsr.frames import PictureFormat
from vsr.options import EngineOptions

FORMATS = [
    PictureFormat(4, 4, bit_depth, range=range_)
    for bit_depth in (8, 10, 12, 16)
    for range_ in ("limited", "full")
]


@pytest.fixture
def interpreted(monkeypatch) -> ModuleType:
    """The kernels' module, with the kernels run by Triton's interpreter."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.delitem(sys.modules, "vsr.engine.triton_rounding", raising=False)
    yield importlib.import_module("vsr.engine.triton_rounding")
    sys.modules.pop("vsr.engine.triton_rounding", None)


def hard_values(scale: tuple[float, float], bit_depth: int) -> torch.Tensor:
    """Every code, every half between two codes, their neighbours in float32, and what lies outside."""
    zero, span = scale
    codes = torch.arange(-8, (1 << bit_depth) + 8, 0.5 if bit_depth < 16 else 17.5)
    exact = (codes - zero) / span
    up, down = (exact.nextafter(torch.tensor(side)) for side in (torch.inf, -torch.inf))
    noise = torch.randn(1001, generator=torch.Generator().manual_seed(1))
    return torch.cat([exact, up, down, noise, torch.tensor([-1e9, 1e9])])


def assert_twins(to_codes, device: str) -> None:
    for format in FORMATS:
        for scale in (color.luma_scale(format), color.chroma_scale(format)):
            values = hard_values(scale, format.bit_depth).to(device)
            wanted = color.to_codes(values, scale, format.bit_depth)
            got = to_codes(values, scale, format.bit_depth)
            assert got.dtype == wanted.dtype
            assert torch.equal(got.int(), wanted.int()), (format, scale)


def test_the_kernel_gives_the_codes_of_its_plain_twin_halves_included(interpreted):
    assert_twins(interpreted.to_codes, "cpu")


def test_the_kernel_keeps_shapes_and_takes_views(interpreted):
    values = torch.rand(2, 3, 40, 50)
    for view in (values, values[:, 1:2, 5:, ::2], values.transpose(2, 3), values[:, :, :0]):
        wanted = color.to_codes(view, (16.0, 219.0), 8)
        assert torch.equal(interpreted.to_codes(view, (16.0, 219.0), 8), wanted)


def test_a_cpu_rounds_with_the_plain_twin():
    assert Engine([], EngineOptions(device="cpu")).to_codes is color.to_codes


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
def test_the_kernel_gives_the_codes_of_its_plain_twin_on_a_gpu():
    engine = Engine([], EngineOptions(device="cuda"))
    assert engine.notes == []
    assert engine.to_codes is not color.to_codes
    assert_twins(engine.to_codes, "cuda")
