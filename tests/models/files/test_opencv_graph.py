"""OpenCV's TensorFlow graphs as ordinary models: against published figures, against formulas, and broken ones."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from support.opencv_graphs import graph, node
from support.protobuf_writer import field
from support.published import noise, run, run_tiled, set5_psnr
from torch.nn import functional as F

from vsr.errors import ModelError
from vsr.models import catalogue
from vsr.models.files.opencv_graph import GraphNet, read_graph
from vsr.models.layers.facts import facts_of


def test_a_luma_graph_is_what_its_nodes_say(tmp_path: Path):
    content, weights = graph(1, side=4)
    (tmp_path / "net.pb").write_bytes(content)
    model = read_graph(tmp_path / "net.pb")
    assert (model.spec.scale, model.spec.in_channels, model.spec.value_range) == (2, 1, 1)
    x = noise(1, 1, 6, 7)
    f1, f2 = (torch.from_numpy(weights[key]).permute(3, 2, 0, 1) for key in ("f1", "f2"))
    y = F.conv2d(F.pad(x, (1, 2, 1, 2)), f1, torch.from_numpy(weights["b1"])).relu()
    y = F.conv2d(y, f2, padding=1)
    wanted = torch.zeros(1, 1, 12, 14)
    for row in range(2):
        for column in range(2):
            wanted[..., row::2, column::2] = y[:, 2 * row + column]
    assert (run(model, x) - wanted).abs().max() < 1e-5


def test_what_a_small_picture_meets_is_what_a_large_one_does(tmp_path: Path):
    (tmp_path / "net.pb").write_bytes(graph(1)[0])
    model = read_graph(tmp_path / "net.pb")
    assert isinstance(model.network, GraphNet)
    found = facts_of(model.network, colors=1)
    assert (model.spec.halo, model.spec.kflop_per_pixel) == (found["halo"], found["kflop_per_pixel"])


def test_a_colour_graph_sees_codes_of_blue_green_red_less_their_mean(tmp_path: Path):
    content, weights = graph(3)
    (tmp_path / "EDSR_x2.pb").write_bytes(content)
    model = read_graph(tmp_path / "EDSR_x2.pb")
    assert (model.spec.scale, model.spec.in_channels) == (2, 3)
    x = noise(1, 3, 5, 6)
    mean = torch.tensor([103.1545782, 111.561547, 114.35629928]).view(1, 3, 1, 1)
    f1, f2 = (torch.from_numpy(weights[key]).permute(3, 2, 0, 1) for key in ("f1", "f2"))
    y = F.conv2d(x[:, [2, 1, 0]] * 255 - mean, f1, torch.from_numpy(weights["b1"]), padding=1).relu()
    y = F.conv2d(y, f2, padding=1)
    wanted = torch.zeros(1, 3, 10, 12)
    for row in range(2):
        for column in range(2):
            for color in range(3):  # in a pixel's depth the colours of one place lie together
                wanted[:, color, row::2, column::2] = y[:, 3 * (2 * row + column) + color]
    wanted = ((wanted + mean) / 255)[:, [2, 1, 0]]
    assert (run(model, x) - wanted).abs().max() < 1e-4


def test_tiles_give_what_the_whole_gives(tmp_path: Path):
    (tmp_path / "net.pb").write_bytes(graph(1, side=4)[0])
    model, x = read_graph(tmp_path / "net.pb"), noise(1, 1, 23, 31)
    assert model.spec.halo == 3
    assert (run(model, x) - run_tiled(model, x, 8)).abs().max() < 1e-5


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        catalogue.load(str(path))
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_broken_graphs_are_refused_in_one_line(tmp_path: Path):
    path, (whole, weights) = tmp_path / "net.pb", graph(1)
    refusal(path)
    for content in (b"", b"nonsense" * 10, b"\xff" * 100_000, whole[:-1], whole[: len(whole) // 2]):
        path.write_bytes(content)
        refusal(path)
    path.write_bytes(whole.replace(b"Relu", b"Exec"))
    assert "operation Exec is none of dnn_superres's" in refusal(path)
    path.write_bytes(whole.replace(weights["b1"].tobytes(), struct.pack("<5f", *[float("nan")] * 5)))
    assert "no numbers" in refusal(path)
    path.write_bytes(whole.replace(field(3, bytes([1, 1, 1, 1])), field(3, bytes([1, 2, 2, 1]))))
    assert "stride 1" in refusal(path)
    path.write_bytes(whole + node("add", "Add", "relu", "b1"))
    assert "circles" in refusal(path)


def test_every_damaged_byte_ends_in_a_model_or_in_one_line(tmp_path: Path):
    path, (whole, _) = tmp_path / "net.pb", graph(1, side=1)
    rng = np.random.default_rng(1)
    for _ in range(150):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 2):
            broken[place] = rng.integers(256)
        path.write_bytes(broken)
        with contextlib.suppress(ModelError):
            read_graph(path)


# Published graphs


@pytest.fixture
def folder(test_data: Path) -> Path:
    return test_data / "weights" / "opencv_dnn_sr"


@pytest.mark.parametrize(
    ("name", "psnr"), [("FSRCNN_x2", 34.88), ("ESPCN_x4", 28.38), ("FSRCNN-small_x3", 30.24)]
)
def test_graphs_reach_their_figures_on_set5(name: str, psnr: float, folder: Path, test_data: Path):
    assert set5_psnr(catalogue.load(str(folder / f"{name}.pb")), test_data) == pytest.approx(psnr, abs=0.02)


@pytest.mark.slow
def test_lapsrn_reaches_its_figure_on_set5(folder: Path, test_data: Path):
    model = catalogue.load(str(folder / "LapSRN_x4.pb"))
    assert set5_psnr(model, test_data) == pytest.approx(28.75, abs=0.02)
    x = noise(1, 1, 40, 50)
    assert (run(model, x) - run_tiled(model, x, 16)).abs().max() < 1e-5
