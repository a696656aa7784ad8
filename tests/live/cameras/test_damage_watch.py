"""What a camera's pictures are damaged by is followed slowly."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.camera import Camera
from vsr.live.cameras.damage_watch import DamageWatch
from vsr.live.options import CameraOptions
from vsr.media.pixels import make_av_frame
from vsr.models import Damage

FORMAT = PictureFormat(96, 128, matrix="bt709", range="full")


def seen(
    watch: DamageWatch, sigma: float, begin_s: float, *, key_bits: int | None = None, reset: bool = False
) -> None:
    """Three pictures of so much noise."""
    rng = np.random.default_rng(int(begin_s))
    for number in range(3):
        planes = [np.full(FORMAT.plane_size(index), 128, np.uint8) for index in range(3)]
        planes[0] = np.clip(np.rint(128 + sigma * rng.standard_normal(planes[0].shape)), 0, 255).astype(
            np.uint8
        )
        frame = Frame(tuple(planes), FORMAT, reset=reset and not number)
        watch.see(frame, make_av_frame(frame), key_bits=key_bits, now=begin_s + 0.04 * number)


def test_the_first_look_tells_what_is_there():
    watch = DamageWatch("ffv1")
    assert watch.told is None
    seen(watch, 12, 0)
    assert watch.told.damage == Damage(pytest.approx(12, abs=1), 0)


def test_between_looks_nothing_is_looked_at_and_a_look_moves_by_a_part():
    watch = DamageWatch("ffv1")
    seen(watch, 4, 0)
    seen(watch, 24, 2)
    assert watch.told.damage.noise == pytest.approx(4, abs=0.5)
    seen(watch, 24, 6)
    assert watch.told.damage.noise == pytest.approx(4 + 0.4 * 20, abs=1)
    for minute in range(1, 12):
        seen(watch, 24, 60 * minute)
    assert watch.told.damage.noise == pytest.approx(24, abs=2.5)


def test_small_changes_are_not_told():
    watch = DamageWatch("ffv1")
    seen(watch, 12, 0)
    told = watch.told.damage
    for minute in range(1, 6):
        seen(watch, 13, 60 * minute)
    assert watch.told.damage is told


def test_a_run_that_a_cut_breaks_begins_again():
    watch = DamageWatch("ffv1")
    rng = np.random.default_rng(0)
    for number, reset in enumerate([True, False, True, False]):
        planes = [rng.integers(0, 255, FORMAT.plane_size(index)).astype(np.uint8) for index in range(3)]
        frame = replace(Frame(tuple(planes), FORMAT), reset=reset)
        watch.see(frame, make_av_frame(frame), key_bits=None, now=0.04 * number)
    assert watch.told is None


def test_bits_of_key_frames_stand_in_where_no_quantiser_is_told():
    watch = DamageWatch("hevc")
    seen(watch, 12, 0, key_bits=96 * 128 // 10)
    assert watch.told.damage.compression > 0.5


def test_a_camera_tells_of_its_damage(make_clip):
    options = {"qmin": "12", "qmax": "12"}
    clip = make_clip("a.avi", codec="mpeg4", codec_options=options, num_frames=4)
    camera, stop = Camera(CameraOptions(name="door", url=str(clip)), 0), threading.Event()
    for number, _ in enumerate(camera.frames(stop)):
        if number == 3:
            stop.set()
    assert camera.status.verdict.damage.compression == pytest.approx(0.5, abs=0.03)


def test_a_camera_becomes_real_at_once_and_clean_again_only_when_it_clearly_is():
    watch = DamageWatch("ffv1")
    seen(watch, 0.5, 0)
    assert not watch.told.is_real
    seen(watch, 12, 60)
    assert watch.told.is_real
    assert watch.told.why.startswith("noise 1")
    for minute in range(2, 20):  # below the limit for what was clean, and not clearly so
        seen(watch, 2.75, 60 * minute)
    assert watch.told.is_real
    found = []
    for minute in range(20, 26):
        seen(watch, 0.5, 60 * minute)
        found.append(watch.told.is_real)
    assert found[0]
    assert not found[-1]
    for minute in range(26, 44):
        seen(watch, 2.75, 60 * minute)
    assert not watch.told.is_real


def test_what_was_found_outlives_the_connection():
    watch = DamageWatch("ffv1")
    seen(watch, 12, 0)
    again = DamageWatch("ffv1", watch.told)
    assert again.told is watch.told
    seen(again, 2.75, 0)
    assert again.told.is_real
