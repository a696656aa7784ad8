"""The table of others' models, held against the files themselves and against Set5."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from support.published import set5_psnr

from vsr.durable import sha256_of
from vsr.models import load
from vsr.models.catalogue.model_facts import PUBLISHED, ModelFacts
from vsr.models.files.any_file import read_file

REPACKED = "realesr-animevideov3.pth"
"""Of this one the data has a copy that somebody compressed: the same tensors, another hash."""


@pytest.mark.slow
@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_the_table_says_of_a_file_what_the_file_says(
    entry: ModelFacts, test_data: Path, tmp_path, monkeypatch
):
    if entry.needs == "onnx" and not find_spec("onnxruntime"):
        pytest.skip("no onnxruntime")
    (path,) = (test_data / "weights").rglob(f"*{entry.file}")  # one has its competition's name before its own
    if entry.file == REPACKED:
        model = read_file(path)
    else:
        monkeypatch.setenv("VSR_MODELS", str(tmp_path))
        entry.path.symlink_to(path)
        assert (sha256_of(path), path.stat().st_size) == (entry.sha256, entry.num_bytes)
        model = load(entry.name)
    spec = model.spec
    assert (spec.scale, spec.in_channels) == (entry.scale, 1 if entry.sees == "luma" else 3)
    assert spec.kflop_per_pixel == pytest.approx(entry.kflop_per_pixel, rel=0.01)
    assert spec.context.num_frames == entry.num_frames
    assert spec.context.latency == entry.latency
    assert entry.set5 is not None
    assert set5_psnr(model, test_data) == pytest.approx(entry.set5, abs=0.02)
