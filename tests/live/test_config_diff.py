from dataclasses import replace

import pytest

from vsr.live.config_diff import ConfigChanges, changes_between
from vsr.live.options import CameraOptions, LiveOptions, OutputOptions
from vsr.options import EngineOptions

DOOR, YARD, HALL = (CameraOptions(name, f"rtsp://127.0.0.1/{name}") for name in ("door", "yard", "hall"))


def test_cameras_are_told_by_their_names():
    new = LiveOptions((HALL, replace(YARD, label=True), replace(DOOR, name="gate")))
    changes = changes_between(LiveOptions((DOOR, YARD, HALL)), new)
    assert changes == ConfigChanges(begun=("gate",), ended=("door",), restarted=("yard",), kept=("hall",))
    assert str(changes) == "begun: gate; ended: door; restarted: yard; 1 unchanged"


def test_an_output_is_part_of_its_camera():
    new = LiveOptions((replace(DOOR, outputs=(OutputOptions("hls", "folder"),)), YARD))
    assert changes_between(LiveOptions((DOOR, YARD)), new) == ConfigChanges(
        restarted=("door",), kept=("yard",)
    )


@pytest.mark.parametrize(
    "change", [{"models": ("nano",)}, {"scale": 4}, {"engine": EngineOptions(threads=1)}]
)
def test_what_all_cameras_share_is_made_anew_and_they_go_on(change):
    old = LiveOptions((DOOR, YARD))
    changes = changes_between(old, replace(old, **change))
    assert changes == ConfigChanges(kept=("door", "yard"), engine=True)
    assert str(changes) == "other models or device; 2 unchanged"


def test_another_latency_needs_no_other_engine():
    old = LiveOptions((DOOR,))
    assert changes_between(old, replace(old, latency_ms=200)) == ConfigChanges(kept=("door",), latency=True)


@pytest.mark.parametrize("change", [{"log": "json"}, {"metrics_port": 9100}, {"cameras": (YARD, DOOR)}])
def test_log_port_and_order_touch_no_camera(change):
    old = LiveOptions((DOOR, YARD))
    changes = changes_between(old, replace(old, **change))
    assert (set(changes.kept), changes.engine, changes.restarted) == ({"door", "yard"}, False, ())
