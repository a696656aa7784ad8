"""The table of others' models, held against the files themselves or their layouts, and against Set5."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from support.published import filled, set5_psnr

from vsr.durable import sha256_of
from vsr.models import Model, load
from vsr.models.catalogue.model_facts import PUBLISHED, ModelFacts
from vsr.models.files.any_file import read_file

REPACKED = {
    "realesr-animevideov3": "realesr-animevideov3.pth",
    "realesr-general-x4v3": "realesr-general-x4v3_from_ncnn_fp16.pth",
    "realesr-general-wdn-x4v3": "realesr-general-wdn-x4v3_from_ncnn_fp16.pth",
    "realesrgan-x4plus": "RealESRGAN_x4plus_from_ncnn_fp16.pth",
}
"""Of these the data has copies that somebody compressed or stored in fp16: other hashes."""

LAYOUTS = {
    "realesrgan-x2plus": "realesrgan_rrdb_x2",
    "realesrgan-x4plus-anime": "realesrgan_anime6b_x4",
    "swinir-real-x4": "swinir_real_x4",
    "nafnet-gopro-small": "nafnet_w32_gopro",
}
"""Of these it has the layout, key for key."""


@pytest.mark.slow
@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_the_table_says_of_a_file_what_the_file_says(
    entry: ModelFacts, test_data: Path, tmp_path, monkeypatch
):
    reader = {"onnx": "onnxruntime", "zoo": "spandrel"}.get(entry.needs, "torch")
    if not find_spec(reader):
        pytest.skip(f"no {reader}")
    model = _model(entry, test_data, tmp_path, monkeypatch)
    spec = model.spec
    assert (spec.scale, spec.in_channels) == (entry.scale, 1 if entry.sees == "luma" else 3)
    assert spec.kflop_per_pixel == pytest.approx(entry.kflop_per_pixel, rel=0.01)
    assert spec.context.num_frames == entry.num_frames
    assert spec.context.latency == entry.latency
    if entry.name not in LAYOUTS:
        assert entry.set5 is not None
        assert set5_psnr(model, test_data) == pytest.approx(entry.set5, abs=0.02)


def _model(entry: ModelFacts, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The network of the file, of a copy of it, or of its layout."""
    if entry.name in LAYOUTS:
        recipe = json.loads((data / "reference" / f"{LAYOUTS[entry.name]}.json").read_text())
        torch.save({"params": filled(recipe)}, folder / "made.pth")
        return read_file(folder / "made.pth")
    if entry.name in REPACKED:
        return read_file(data / "weights" / "realesrgan" / REPACKED[entry.name])
    found = [*(data / "weights").rglob(f"*{entry.file}")]  # one has its competition's name before its own
    if not found:
        pytest.skip(f"{entry.file} is not in the data")
    monkeypatch.setenv("VSR_MODELS", str(folder))
    entry.path.symlink_to(found[0])
    assert (sha256_of(found[0]), found[0].stat().st_size) == (entry.sha256, entry.num_bytes)
    return load(entry.name)
