"""The table of others' systems: against what is read, against `docs/models.md`, and as `vsr models show` uses it."""

import json
from pathlib import Path

import pytest
import torch

from vsr.cli.main import run
from vsr.models.catalogue.model_facts import SYSTEMS, licences_of
from vsr.models.files.architectures import ARCHITECTURES
from vsr.models.networks.edsr import EdsrNet

PAGE = Path(__file__).resolve().parents[3] / "docs" / "models.md"


def test_every_network_of_others_has_a_system_and_the_other_way_round():
    others = {each.name for each in ARCHITECTURES if "vsr's own" not in each.name}
    assert {system.network for system in SYSTEMS if not system.reader} == others
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS)
    assert all(system.licence for system in SYSTEMS)


def test_the_page_of_models_has_a_row_for_each_with_its_kind_and_licence():
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in PAGE.read_text().splitlines()]
    by_name = {row[0]: row for row in rows if len(row) > 4}
    for system in SYSTEMS:
        assert system.name in by_name, f"no row for {system.name}"
        assert by_name[system.name][1:3] == [system.kind, system.licence]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("EDSR", "MIT (EDSR baseline)"),
        ("RRDB (ESRGAN, Real-ESRGAN)", "Apache-2.0 (ESRGAN), BSD-3-Clause (Real-ESRGAN x4plus)"),
        ("ONNX graph", ""),
        ("TensorFlow graph", ""),
        ("plain (vsr's own)", ""),
    ],
)
def test_terms_of_published_weights_are_known_by_network(network: str, said: str):
    assert licences_of(network) == said


def test_show_says_that_a_file_s_own_terms_are_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save(EdsrNet(channels=4, depth=1, scale=2, colors=3).state_dict(), tmp_path / "edsr_x2.pth")
    assert run(["models", "show", str(tmp_path / "edsr_x2.pth"), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["network"] == "EDSR"
    assert card["licence"] == "unknown; published weights: MIT (EDSR baseline)"
    assert card["trained_on"] == "unknown"
