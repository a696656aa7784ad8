"""The fused kernels against their plain twins: on a CPU in Triton's interpreter, on a GPU as they are used."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest
import torch

from vsr import color
from vsr.engine.engine import Engine
from vsr.engine.executor import rounding_on
from vsr.frames import Frame, PictureFormat
from vsr.options import EngineOptions
from vsr.picture import Picture, Rounding, as_ycc, to_planes

zeros = torch.zeros

SITED = [("yuv420", siting) for siting in ("left", "center", "topleft", "bottom")] + [("yuv422", "left")]

FORMATS = [
    PictureFormat(4, 4, bit_depth, range=range_)
    for bit_depth in (8, 10, 12, 16)
    for range_ in ("limited", "full")
]


def imported_anew(monkeypatch: pytest.MonkeyPatch, *, interpreted: bool) -> Iterator[ModuleType]:
    """The kernels' module; Triton reads the variable when it meets the kernels."""
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.setenv("TRITON_INTERPRET", "1" if interpreted else "0")
    monkeypatch.delitem(sys.modules, "vsr.engine.triton_rounding", raising=False)
    yield importlib.import_module("vsr.engine.triton_rounding")
    sys.modules.pop("vsr.engine.triton_rounding", None)


@pytest.fixture
def interpreted(monkeypatch) -> Iterator[ModuleType]:
    """The kernels run by Triton's interpreter."""
    yield from imported_anew(monkeypatch, interpreted=True)


@pytest.fixture
def real(monkeypatch) -> Iterator[ModuleType]:
    """The kernels as a GPU gets them."""
    yield from imported_anew(monkeypatch, interpreted=False)


def hard_values(scale: tuple[float, float], bit_depth: int) -> torch.Tensor:
    """Every code, every half between two codes, their neighbours in float32, and what lies outside."""
    zero, span = scale
    codes = torch.arange(-8, (1 << bit_depth) + 8, 0.5 if bit_depth < 16 else 17.5)
    exact = (codes - zero) / span
    up, down = (exact.nextafter(torch.tensor(side)) for side in (torch.inf, -torch.inf))
    noise = torch.randn(1001, generator=torch.Generator().manual_seed(1))
    return torch.cat([exact, up, down, noise, torch.tensor([-1e9, 1e9])])


def rgb_planes(rgb: torch.Tensor, format: PictureFormat) -> list[torch.Tensor]:
    """What matrix, resizing and rounding give one after the other."""
    luma, chroma = as_ycc(Picture(Frame((), format), rgb=rgb))
    return to_planes(Picture(Frame((), format), luma=luma, chroma=chroma), format)


def assert_twins_of_rgb(fused, format: PictureFormat, device: str = "cpu") -> None:
    size, generator = (format.height, format.width), torch.Generator().manual_seed(1)
    rgb = (torch.rand(1, 3, *size, generator=generator) * 1.4 - 0.2).to(device)
    for way in (rgb, rgb.contiguous(memory_format=torch.channels_last), rgb.half()):
        planes, wanted = fused(way, format, format), rgb_planes(way.float(), format)
        assert [(plane.shape, plane.dtype) for plane in planes] == [(one.shape, one.dtype) for one in wanted]
        for plane, exact in zip(planes, wanted, strict=True):
            apart = (plane.int() - exact.int()).abs()
            assert apart.max() <= 1  # of a value on a half
            assert (apart > 0).sum() <= 0.01 * apart.numel() + 2 * (format.bit_depth == 16)


def plain_codes(values: torch.Tensor, scale: tuple[float, float], bit_depth: int) -> torch.Tensor:
    """As on a GPU without Triton: with a gradient it is not OpenCV that rounds."""
    return color.to_codes(values.clone().requires_grad_(), scale, bit_depth)


def assert_twins(to_codes, device: str) -> None:
    for format in FORMATS:
        for scale in (color.luma_scale(format), color.chroma_scale(format)):
            values = hard_values(scale, format.bit_depth).to(device)
            wanted = plain_codes(values, scale, format.bit_depth)
            got = to_codes(values, scale, format.bit_depth)
            assert got.dtype == wanted.dtype
            assert torch.equal(got.int(), wanted.int()), (format, scale)


def test_the_kernel_gives_the_codes_of_its_plain_twin_halves_included(interpreted):
    assert_twins(interpreted.fused_to_codes, "cpu")


def test_the_kernel_keeps_shapes_and_takes_views(interpreted):
    values = torch.rand(2, 3, 40, 50)
    for view in (values, values[:, 1:2, 5:, ::2], values.transpose(2, 3), values[:, :, :0]):
        wanted = plain_codes(view, (16.0, 219.0), 8)
        assert torch.equal(interpreted.fused_to_codes(view, (16.0, 219.0), 8), wanted)


@pytest.mark.parametrize(("layout", "siting"), [*SITED, ("yuv444", "left"), ("gray", "left")])
@pytest.mark.parametrize(
    ("depth", "size"), [(8, (1, 1)), (8, (3, 5)), (8, (37, 141)), (10, (66, 70)), (16, (18, 9))]
)
def test_the_kernel_of_colours_gives_what_matrix_halving_and_rounding_give(
    interpreted, layout, siting, depth, size
):
    format = PictureFormat(*size, bit_depth=depth, layout=layout, siting=siting, matrix="bt709")
    assert_twins_of_rgb(interpreted.fused_rgb_to_codes, format)


def test_a_cpu_rounds_with_the_plain_twins():
    assert Engine([], EngineOptions(device="cpu")).rounding == Rounding(color.to_codes, None)


@pytest.mark.usefixtures("interpreted")
def test_a_gpu_rounds_with_the_kernels(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch, "zeros", lambda *size, device: zeros(*size))
    notes: list[str] = []
    rounding = rounding_on(torch.device("cuda"), note=notes.append)
    assert notes == []
    assert rounding.of_planes is not color.to_codes
    assert rounding.of_rgb is not None


SIZES = dict.fromkeys(("height", "width", "per_color", "per_row", "per_column", "up", "left"), "i32")
LAYOUTS = [(2, 2, 8, 7, True), (1, 2, 1, 7, True), (1, 1, 1, 1, True), (1, 1, 1, 1, False)]
"""Rows and columns of luma for one of chroma, taps along both, and whether there is chroma."""


@pytest.mark.parametrize("capability", [75, 90])
@pytest.mark.parametrize("codes", ["u8", "u16"])
def test_the_kernels_compile_for_gpus_without_one(real, codes, capability):
    from triton import compile as compile_kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def machine_code(kernel: Any, types: dict[str, str], *constants: object) -> bytes:
        names = list(inspect.signature(kernel.fn).parameters)[len(types) :]
        known = {(len(types) + place,): value for place, value in enumerate(constants)}
        source = ASTSource(kernel, types | dict.fromkeys(names, "constexpr"), known)
        return compile_kernel(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]

    plane = {
        "values": "*fp32",
        "codes": f"*{codes}",
        "count": "i32",
        "zero": "fp32",
        "span": "fp32",
        "most": "fp32",
    }
    assert machine_code(real._round, plane, real._BLOCK)
    made = {"luma": f"*{codes}", "chroma": f"*{codes}"}
    told = dict.fromkeys(("factors", "down", "across"), "*fp32")
    for layout in LAYOUTS:
        types = {"rgb": "*fp32", **made, **told, **SIZES, "most": "fp32"}
        assert machine_code(real._split, types, *layout, real._HIGH, real._WIDE)


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
def test_the_kernels_give_the_codes_of_their_plain_twins_on_a_gpu():
    engine = Engine([], EngineOptions(device="cuda"))
    assert engine.notes == []
    assert engine.rounding.of_rgb is not None
    assert_twins(engine.rounding.of_planes, "cuda")
    for layout in ("yuv420", "yuv422", "yuv444", "gray"):
        assert_twins_of_rgb(engine.rounding.of_rgb, PictureFormat(270, 482, layout=layout), "cuda")
