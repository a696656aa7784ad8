"""ONNX files: what is found from the graph, what comes out, what is refused."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.onnx_files import Sides, has_runtime, node, weights, write
from support.published import noise, run, run_tiled, set5_psnr
from torch.nn import functional as F

from vsr.engine.engine import Engine
from vsr.errors import ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models import catalogue
from vsr.models.files import onnx
from vsr.options import EngineOptions

SIZE: Sides = ["batch", 3, "height", "width"]


def enlarger(path: Path, *, seen: int = 3, colors: int = 3, given: Sides | None = None) -> np.ndarray:
    """A convolution and pixel shuffle by 2; returns its kernel."""
    kernel = np.random.default_rng(0).normal(0, 0.2, (4 * colors, seen, 3, 3)).astype(np.float32)
    nodes = weights("kernel", kernel) + node("Conv", ["in", "kernel"], "phases", pads=[1, 1, 1, 1])
    nodes += node("DepthToSpace", ["phases"], "out", blocksize=2, mode="CRD")
    write(path, nodes, given or ["batch", seen, "height", "width"], ["batch", colors, "tall", "wide"])
    return kernel


@pytest.mark.parametrize("colors", [1, 3])
def test_scale_and_colours_are_found(tmp_path: Path, colors: int):
    has_runtime()
    kernel = enlarger(tmp_path / "net.onnx", seen=colors, colors=colors)
    model = catalogue.load(str(tmp_path / "net.onnx"))
    spec = model.spec
    assert (spec.name, spec.scale, spec.in_channels, spec.size_multiple, spec.dtypes) == (
        "net",
        2,
        colors,
        1,
        ("fp32",),
    )
    assert spec.kflop_per_pixel == pytest.approx(2 * 9 * 4 * colors**2 / 1000)
    x = noise(2, colors, 11, 14)
    wanted = F.pixel_shuffle(F.conv2d(x, torch.from_numpy(kernel), padding=1), 2)
    assert (run(model, x) - wanted).abs().max() < 1e-5
    assert (run_tiled(model, x, 8) - wanted).abs().max() < 1e-5


def test_other_processes_open_the_file_anew(tmp_path: Path):
    has_runtime()
    enlarger(tmp_path / "net.onnx")
    model = catalogue.load(str(tmp_path / "net.onnx"))
    x = noise(1, 3, 11, 14)
    assert torch.equal(run(pickle.loads(pickle.dumps(model)), x), run(model, x))


def test_frames_side_by_side_in_the_channels_are_a_window(tmp_path: Path):
    has_runtime()
    kernel = enlarger(tmp_path / "net.onnx", seen=9)
    model = catalogue.load(str(tmp_path / "net.onnx"))
    assert (model.spec.context.before, model.spec.context.after, model.spec.in_channels) == (1, 1, 3)
    frames = noise(1, 3, 3, 9, 8)
    out, _ = model.network.step(frames, None, torch.ones(1, dtype=torch.bool))
    wanted = F.pixel_shuffle(F.conv2d(frames.flatten(1, 2), torch.from_numpy(kernel), padding=1), 2)
    assert (out[:, 0] - wanted).abs().max() < 1e-5


@pytest.mark.parametrize(("length", "window"), [(3, 3), ("time", 5)])
def test_an_axis_of_time_is_a_window_of_which_the_middle_is_taken(tmp_path: Path, length, window):
    has_runtime()
    path = tmp_path / "net.onnx"
    write(path, node("Neg", ["in"], "out"), ["b", length, 1, "h", "w"], ["b", length, 1, "h", "w"])
    model = catalogue.load(str(path))
    assert model.spec.context.before + 1 + model.spec.context.after == window
    frames = noise(1, window, 1, 8, 8)
    out, _ = model.network.step(frames, None, torch.ones(1, dtype=torch.bool))
    assert torch.equal(out[:, 0], -frames[:, window // 2])


def test_sizes_that_a_graph_wants_are_found(tmp_path: Path):
    has_runtime()
    nodes = node("SpaceToDepth", ["in"], "small", blocksize=4)
    nodes += node("DepthToSpace", ["small"], "out", blocksize=4)
    model = catalogue.load(str(write(tmp_path / "net.onnx", nodes, SIZE, SIZE)))
    assert (model.spec.scale, model.spec.size_multiple) == (1, 4)
    x = noise(1, 3, 9, 15)
    assert torch.equal(run(model, x), x)


def test_a_graph_for_one_picture_at_a_time_is_given_one_at_a_time(tmp_path: Path):
    has_runtime()
    kernel = enlarger(tmp_path / "net.onnx", given=[1, 3, "height", "width"])
    x = noise(3, 3, 8, 9)
    wanted = F.pixel_shuffle(F.conv2d(x, torch.from_numpy(kernel), padding=1), 2)
    assert (run(catalogue.load(str(tmp_path / "net.onnx")), x) - wanted).abs().max() < 1e-5


def test_streams_pass_through_the_engine(tmp_path: Path):
    has_runtime()
    enlarger(tmp_path / "net.onnx", seen=9)
    format = PictureFormat(12, 17, layout="rgb", range="full", matrix="gbr")
    planes = [
        tuple(noise(12, 17, seed=3 * n + i).mul(255).byte().numpy() for i in range(3)) for n in range(5)
    ]
    engine = Engine([catalogue.load(str(tmp_path / "net.onnx"))], EngineOptions(device="cpu", threads=2))
    out = list(engine.run([Frame(each, format, pts=n) for n, each in enumerate(planes)]))
    assert [frame.pts for frame in out] == [0, 1, 2, 3, 4]
    assert out[0].planes[0].shape == (24, 34)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        catalogue.load(str(path))
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_graphs_that_enhance_no_stream_are_refused(tmp_path: Path):
    has_runtime()
    path = tmp_path / "net.onnx"
    assert "does not exist" in refusal(path)
    for content in (b"", b"nonsense" * 9, b"\xff" * 1000):
        path.write_bytes(content)
        assert "cannot be read as ONNX" in refusal(path)
    enlarger(path, given=[1, 3, 64, 64])
    assert "dynamic height and width" in refusal(path)
    enlarger(path, seen=12)
    assert "T odd" in refusal(path)
    enlarger(path, colors=1)
    assert "no whole factor" in refusal(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refusal(path)


def test_without_onnxruntime_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    enlarger(tmp_path / "net.onnx")
    monkeypatch.setattr(onnx.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'vsr[onnx]'" in refusal(tmp_path / "net.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "psnr"), [("Compact", 34.66), ("SuperUltraCompact", 33.16)])
def test_published_onnx_files_reach_their_figures_on_set5(name: str, psnr: float, test_data: Path):
    has_runtime()
    model = catalogue.load(str(test_data / f"weights/animejanai_nc/2x_AnimeJaNai_HD_V3_{name}.onnx"))
    assert set5_psnr(model, test_data) == pytest.approx(psnr, abs=0.02)


def test_nothing_is_told_to_the_runtimes_makers(tmp_path: Path):
    """Its telemetry begins with a file in the folder of temporary ones."""
    has_runtime()
    made = write(tmp_path / "net.onnx", node("Identity", ["in"], "out"), [1, 3, "h", "w"], [1, 3, "h", "w"])
    (tmp_path / "tmp").mkdir()
    code = f"from vsr.models import load; load({str(made)!r})"
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list((tmp_path / "tmp").iterdir())
