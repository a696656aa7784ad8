"""Files made to harm, of every kind that is read: each is refused in one line, before anything large is made of it,
and nothing in it is executed.
"""

import pickle
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.onnx_files import has_runtime, node, write
from support.opencv_graphs import graph
from support.protobuf_writer import field
from support.published import noise, run
from torch import Tensor

from vsr.errors import ModelError
from vsr.models import load
from vsr.models.networks.edsr import EdsrNet


def refusal(path: Path) -> str:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError) as caught:
        load(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 700
    return str(caught.value)


def edsr() -> dict[str, Tensor]:
    return EdsrNet(channels=8, depth=1, scale=2, colors=3).state_dict()


class Runs:
    """Something that, unpickled as it asks, leaves a proof behind."""

    def __init__(self, proof: Path):
        self._proof = proof

    def __reduce__(self):
        return (Path.touch, (self._proof,))


@pytest.mark.parametrize("suffix", ["pth", "pt", "ckpt", "h5", "safetensors", "pb", "onnx"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "zipped"])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, suffix: str, wrapped: bool):
    if suffix == "onnx":
        has_runtime()
    path, proof = tmp_path / f"evil.{suffix}", tmp_path / "proof"
    content = edsr() | {"extra": Runs(proof)}
    if wrapped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    refusal(path)
    assert not proof.exists()


def onnx_graph(path: Path, kernel: np.ndarray | None = None, elsewhere: tuple[str, ...] = ()) -> Path:
    """A convolution and pixel shuffle; its kernel in the file or in another."""
    kernel = np.zeros((12, 3, 3, 3), np.float32) if kernel is None else kernel
    content = b"".join(field(1, side) for side in kernel.shape) + field(2, 1) + field(8, "kernel")
    if elsewhere:
        content += b"".join(field(13, field(1, "location") + field(2, place)) for place in elsewhere) + field(
            14, 1
        )
    else:
        content += field(9, kernel.astype("<f4").tobytes())
    nodes = field(5, content) + node("Conv", ["in", "kernel"], "phases", pads=[1, 1, 1, 1])
    nodes += node("DepthToSpace", ["phases"], "out", blocksize=2, mode="CRD")
    return write(path, nodes, ["b", 3, "h", "w"], ["b", 3, "H", "W"])


def whole(folder: Path, suffix: str) -> bytes:
    """A sound file."""
    path = folder / f"whole.{suffix}"
    if suffix == "onnx":
        has_runtime()
        onnx_graph(path)
    elif suffix == "pb":
        path.write_bytes(graph(1)[0])
    elif suffix == "safetensors":
        save_file(edsr(), path)
    else:
        torch.save(edsr(), path)
    load(str(path))
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "pb", "onnx"])
def test_files_that_end_early_are_refused(tmp_path: Path, suffix: str):
    content, path = whole(tmp_path, suffix), tmp_path / f"cut.{suffix}"
    for share in (0, 0.01, 0.3, 0.7, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        refusal(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "pb", "onnx"])
def test_bytes_that_are_nothing_are_refused(tmp_path: Path, suffix: str):
    if suffix == "onnx":
        has_runtime()
    path = tmp_path / f"noise.{suffix}"
    for content in (
        b"\xff" * 9000,
        np.random.default_rng(0).bytes(9000),
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
    ):
        path.write_bytes(content)
        refusal(path)


def test_an_onnx_file_with_values_that_are_no_numbers_is_refused_by_name(tmp_path: Path):
    has_runtime()
    kernel = np.zeros((12, 3, 3, 3), np.float32)
    kernel[3, 2, 1, 0] = np.nan
    assert "kernel holds values that are no numbers" in refusal(onnx_graph(tmp_path / "net.onnx", kernel))


def test_an_onnx_file_of_the_wrong_shape_is_refused(tmp_path: Path):
    has_runtime()
    assert refusal(onnx_graph(tmp_path / "net.onnx", np.zeros((12, 5, 3, 3), np.float32)))


@pytest.mark.parametrize(
    "places",
    [
        ("../secret",),
        ("/etc/passwd",),
        ("sub/weights",),
        ("..\\secret",),
        ("link",),
        ("none",),
        ("good", "../secret"),
    ],
)
def test_an_onnx_file_reads_no_weights_from_elsewhere(tmp_path: Path, places: tuple[str, ...]):
    has_runtime()
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    for path in (tmp_path / "secret", folder / "sub/weights", folder / "good"):
        path.write_bytes(bytes(12 * 3 * 9 * 4))
    (folder / "link").symlink_to(tmp_path / "secret")
    assert f"net.onnx keeps kernel in {places[-1]!r}" in refusal(
        onnx_graph(folder / "net.onnx", elsewhere=places)
    )


def test_an_onnx_file_may_have_its_weights_beside_it(tmp_path: Path):
    has_runtime()
    kernel = np.random.default_rng(0).normal(0, 0.2, (12, 3, 3, 3)).astype(np.float32)
    (tmp_path / "net.onnx.data").write_bytes(kernel.tobytes())
    beside = load(str(onnx_graph(tmp_path / "net.onnx", kernel, ("net.onnx.data",))))
    inside = load(str(onnx_graph(tmp_path / "whole.onnx", kernel)))
    x = noise(1, 3, 8, 9)
    assert torch.equal(run(beside, x), run(inside, x))


def test_a_graph_of_graphs_of_graphs_is_refused(tmp_path: Path):
    has_runtime()
    inner = node("If", [], "x")
    for _ in range(2000):
        inner = field(1, field(5, field(6, inner)))
    (tmp_path / "deep.onnx").write_bytes(field(7, inner))
    assert "cannot be read as ONNX" in refusal(tmp_path / "deep.onnx")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path):
    torch.save({"conv_first.weight": torch.zeros(1 << 16)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(
        tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as bomb:  # fmt: skip
        for entry in plain.infolist():
            content = bytes(256 << 20) if "/data/" in entry.filename else plain.read(entry)
            bomb.writestr(entry.filename, content)
    assert (tmp_path / "bomb.pth").stat().st_size < 1 << 20
    assert "would unpack to 256 MiB" in refusal(tmp_path / "bomb.pth")


def test_tensors_larger_than_their_file_are_refused(tmp_path: Path):
    torch.save({"conv_first.weight": torch.zeros(1).expand(1 << 17, 1 << 17)}, tmp_path / "stretched.pth")
    assert "far larger than the file" in refusal(tmp_path / "stretched.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("save", [torch.save, save_file])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: float, save):
    path = tmp_path / ("nan.pth" if save is torch.save else "nan.safetensors")
    tensors = edsr()
    tensors["body.0.conv2.weight"][3, 2, 1, 0] = value
    save(tensors, path)
    assert "body.0.conv2.weight holds values that are no numbers" in refusal(path)


@pytest.mark.parametrize("save", [torch.save, save_file])
def test_wrong_shapes_are_refused_by_name(tmp_path: Path, save):
    path = tmp_path / ("wrong.pth" if save is torch.save else "wrong.safetensors")
    save(edsr() | {"body.0.conv2.weight": torch.zeros(8, 8, 3, 1)}, path)
    assert "body.0.conv2.weight is (8, 8, 3, 1), (8, 8, 3, 3) expected" in refusal(path)


def test_a_tensorflow_graph_of_wrong_shapes_is_refused(tmp_path: Path):
    content = graph(1)[0]
    sides = b"".join(field(2, field(1, side)) for side in (3, 3, 5, 4))
    assert sides in content
    swapped = b"".join(field(2, field(1, side)) for side in (3, 3, 4, 5))
    (tmp_path / "net.pb").write_bytes(content.replace(sides, swapped))
    refusal(tmp_path / "net.pb")


def test_a_file_that_claims_a_huge_network_gets_none(tmp_path: Path):
    tensors = edsr() | {"conv_first.weight": torch.zeros(200_000, 3, 1, 1)}
    torch.save(tensors, tmp_path / "huge.pth")
    assert "does not fit" in refusal(tmp_path / "huge.pth")


def test_a_block_with_a_huge_number_is_one_block(tmp_path: Path):
    tensors = edsr() | {"body.999999999.conv1.weight": torch.zeros(8, 8, 3, 3)}
    torch.save(tensors, tmp_path / "far.pth")
    assert "does not fit it: body.1.conv1.weight (8, 8, 3, 3) is missing" in refusal(tmp_path / "far.pth")
