"""Checkpoints made to harm: each is refused in one line, before anything large is made of it."""

import resource
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vsr.errors import ModelError
from vsr.models.checkpoint import read_model
from vsr.models.edsr import EdsrNet


def refusal(path: Path) -> str:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 700
    return str(caught.value)


def edsr() -> dict[str, Tensor]:
    return EdsrNet(channels=8, depth=1, scale=2, colors=3).state_dict()


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
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: float):
    tensors = edsr()
    tensors["body.0.conv2.weight"][3, 2, 1, 0] = value
    torch.save(tensors, tmp_path / "nan.pth")
    assert "body.0.conv2.weight holds values that are no numbers" in refusal(tmp_path / "nan.pth")


def test_a_file_that_claims_a_huge_network_gets_none(tmp_path: Path):
    tensors = edsr() | {"conv_first.weight": torch.zeros(200_000, 3, 1, 1)}
    torch.save(tensors, tmp_path / "huge.pth")
    assert "does not fit" in refusal(tmp_path / "huge.pth")


def test_a_block_with_a_huge_number_is_one_block(tmp_path: Path):
    tensors = edsr() | {"body.999999999.conv1.weight": torch.zeros(8, 8, 3, 3)}
    torch.save(tensors, tmp_path / "far.pth")
    assert "does not fit it: body.1.conv1.weight (8, 8, 3, 3) is missing" in refusal(tmp_path / "far.pth")
