"""Eight cameras with quirks drawn by lot, for seconds; for an hour, and the disk full, see `support.soak`."""

import json
import os
import random

import pytest
from support.soak import Soak, SoakOptions


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_eight_cameras_with_quirks_are_recorded_and_leave_nothing_behind(tmp_path):
    """`VSR_SOAK_MINUTES` says how long, and that nothing else is going on: then holes, the clock and what grows are
    held, too. `VSR_SOAK_SEED` draws the same cameras again."""
    minutes = float(os.environ.get("VSR_SOAK_MINUTES", "0"))
    seed = int(os.environ.get("VSR_SOAK_SEED") or random.randrange(1 << 16))
    options = SoakOptions(minutes * 60 or 10, seed, segment_s=60 if minutes else 5)
    report = Soak(tmp_path, options).run()
    told = json.dumps(report, indent=1)
    print(told)
    assert not minutes or not report["wrong"], told
    assert len(report["cameras"]) == 8
    assert all(camera["pictures"] > 0 for camera in report["cameras"].values()), told
    assert not report["left behind"], told
