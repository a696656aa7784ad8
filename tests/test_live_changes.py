from dataclasses import replace

import pytest

from vsr.config import EngineOptions
from vsr.live.changes import Changes, compare
from vsr.live.options import CameraOptions, LiveOptions, OutputOptions

DOOR, YARD, HALL = (CameraOptions(name, f"rtsp://127.0.0.1/{name}") for name in ("door", "yard", "hall"))


def test_cameras_are_told_by_their_names():
    new = LiveOptions((HALL, replace(YARD, label=True), replace(DOOR, name="gate")))
    changes = compare(LiveOptions((DOOR, YARD, HALL)), new)
    assert changes == Changes(begun=("gate",), ended=("door",), restarted=("yard",), kept=("hall",))
    assert str(changes) == "begun: gate; ended: door; restarted: yard; 1 unchanged"


def test_an_output_is_part_of_its_camera():
    new = LiveOptions((replace(DOOR, outputs=(OutputOptions("hls", "folder"),)), YARD))
    assert compare(LiveOptions((DOOR, YARD)), new) == Changes(restarted=("door",), kept=("yard",))


@pytest.mark.parametrize(
    "change", [{"models": ("nano",)}, {"scale": 4}, {"latency_ms": 200}, {"engine": EngineOptions(threads=1)}]
)
def test_what_all_cameras_share_restarts_them_all(change):
    old = LiveOptions((DOOR, YARD))
    assert compare(old, replace(old, **change)) == Changes(restarted=("door", "yard"), engine=True)


@pytest.mark.parametrize("change", [{"log": "json"}, {"metrics_port": 9100}, {"cameras": (YARD, DOOR)}])
def test_log_port_and_order_touch_no_camera(change):
    old = LiveOptions((DOOR, YARD))
    changes = compare(old, replace(old, **change))
    assert (set(changes.kept), changes.engine, changes.restarted) == ({"door", "yard"}, False, ())
