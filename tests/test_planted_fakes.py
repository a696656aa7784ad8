"""A few of the fakes that docs/support.md has two hundred of: what was changed in a result contradicts its source."""

import runpy
from pathlib import Path

import pytest

from vsr.models import load
from vsr.support.calibrating import degradations
from vsr.support.signals import OUTLIER

PROGRAM = runpy.run_path(str(Path(__file__).parents[1] / "samples" / "planted_fakes.py"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROGRAM["KINDS"])
def test_fakes_in_a_clean_networks_result_contradict_the_source(kind: str):
    model = load("nano-x2")
    cases = list(PROGRAM["cases_of"](model, degradations(model)["clean"], kind, 3))
    assert all(case.is_visible for case in cases)
    assert all(case.unchanged < OUTLIER < case.fake for case in cases)
    assert PROGRAM["auc_of"](cases) == 1
