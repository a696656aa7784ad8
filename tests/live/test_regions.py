"""Regions under way: the whole picture and parts of it from one decode."""

import itertools
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import draw_number, read_number
from support.live_player import wait_for

from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.region import RegionCamera
from vsr.live.cameras.status import CameraStatus
from vsr.live.monitoring.prometheus import health
from vsr.live.options import CameraOptions, LiveOptions
from vsr.live.region_options import RegionOptions
from vsr.live.scheduling.engines import first_level, make_engines_for
from vsr.live.service import LiveService
from vsr.live.target_options import OutputOptions
from vsr.options import EngineOptions, ModelOptions

CPU = EngineOptions(device="cpu", threads=2)
PLATE = (slice(16, 64), slice(32, 96))
"""Rows and columns in which the clip's numbers stand; all else is grey."""
NUM_FRAMES = 50


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("regions") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "10"})
        stream.height, stream.width, stream.pix_fmt = 96, 160, "yuv420p"
        for number in range(NUM_FRAMES):
            planes = np.full((144, 160), 128, np.uint8)
            draw_number(planes[PLATE], number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, "yuv420p")))
        container.mux(stream.encode())
    return path


def plate(**options: object) -> RegionOptions:
    return RegionOptions("plate", 32, 16, 64, 48, **options)  # type: ignore[arg-type]


class Watched:
    """What a region asks of its camera."""

    def __init__(self):
        self.options, self.watchers = CameraOptions("door", "clip.mp4"), {}
        self.status = CameraStatus(state="playing")

    def sees(self, frame: Frame) -> None:
        for watcher in list(self.watchers.values()):
            watcher(frame)


def frame(number: int, height: int = 96, width: int = 160, **options: object) -> Frame:
    format = PictureFormat(height, width)
    planes = tuple(np.full(format.plane_size(i), 128, np.uint8) for i in range(3))
    draw_number(planes[0][PLATE], number)
    return Frame(planes, format, number, Fraction(1, 25), **options)  # type: ignore[arg-type]


class Playing:
    """A region that is played in a thread of its own."""

    def __init__(self, region: RegionOptions):
        self.whole, self.stop, self.seen = Watched(), threading.Event(), list[Frame]()
        self.camera = RegionCamera(self.whole, region, 7)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._play)

    def _play(self) -> None:
        for one in self.camera.frames(self.stop):
            self.seen.append(one)

    def __enter__(self) -> "Playing":
        self._thread.start()
        wait_for(lambda: self.whole.watchers)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert not self.whole.watchers


def test_a_region_sees_its_part_of_every_frame_with_its_time():
    with Playing(plate()) as playing:
        for number in range(5):
            playing.whole.sees(frame(number, reset=number == 3))
        wait_for(lambda: len(playing.seen) == 5)
    assert [read_number(one.planes[0]) for one in playing.seen] == list(range(5))
    assert [one.pts for one in playing.seen] == list(range(5))
    assert {one.planes[0].shape for one in playing.seen} == {(48, 64)}
    assert {one.planes[1].shape for one in playing.seen} == {(24, 32)}
    assert {one.stream for one in playing.seen} == {7}
    assert [one.reset for one in playing.seen] == [True, False, False, True, False]
    assert (playing.camera.status.height, playing.camera.status.width) == (48, 64)


def test_a_region_that_another_size_does_not_hold_is_refused_until_it_does():
    with Playing(plate()) as playing:
        playing.whole.sees(frame(0))
        wait_for(lambda: len(playing.seen) == 1)
        playing.whole.sees(frame(1, 64, 90))
        wait_for(lambda: playing.camera.status.state == "refused")
        said = playing.camera.status.last_error
        assert said.startswith("region 64x48 at 32, 16 does not lie within the picture of 90x64")
        playing.whole.sees(frame(2, 120, 200))
        wait_for(lambda: len(playing.seen) == 2)
        assert playing.camera.status.state == "playing"
    assert [(read_number(one.planes[0]), one.reset) for one in playing.seen] == [(0, True), (2, True)]


def test_a_region_of_parts_of_the_picture_goes_along_with_its_size():
    with Playing(RegionOptions("gate", 0.5, 0, 0.5, 0.5)) as playing:
        playing.whole.sees(frame(0))
        playing.whole.sees(frame(1, 192, 320))
        wait_for(lambda: len(playing.seen) == 2)
    assert [one.planes[0].shape for one in playing.seen] == [(48, 80), (96, 160)]


def test_levels_of_several_scales_go_down_together():
    levels = make_engines_for((1, 4), (), CPU)
    assert [level.name for level in levels] == [
        "identity | base-x4",
        "identity | fast-x4",
        "identity | nano-x4",
        "identity | bicubic-x4",
        "identity | bicubic-x4, 1 frame of 2",
        "identity | bicubic-x4, 1 frame of 4",
    ]
    assert first_level(levels) in (0, 1)
    format = PictureFormat(48, 64)
    for level in levels:
        heights = [
            level.choose(scale, ModelOptions(), None).engine.output_format(format).height
            for scale in (None, 1, 4)
        ]
        assert heights == [48, 48, 192]


def test_plate_and_whole_are_recorded_from_one_decode(clip, tmp_path):
    def record(name: str) -> tuple[OutputOptions, ...]:
        return (OutputOptions("record", f"{tmp_path}/{name}", min_free_gb=0.0),)

    region = plate(scale=4, outputs=record("plate"))
    camera = CameraOptions("door", str(clip), encoder="x264", outputs=record("whole"), regions=(region,))
    options = LiveOptions((camera,), scale=1, engine=CPU, latency_ms=5000)
    threads = set(threading.enumerate())
    with LiveService(options) as service:
        wait_for(lambda: len(service.view().cameras) == 2, 60)
        # Each output is a process, which takes its time to begin.
        wait_for(lambda: len([*tmp_path.glob("*/*.part")]) == 2, 60)
        begun = [one.sink.written for one in service.view().cameras]
        wait_for(
            lambda: all(c.sink.written > n + 30 for c, n in zip(service.view().cameras, begun, strict=True)),
            60,
        )
        decodes = [one for one in threading.enumerate() if one.name == "vsr-camera-door"]
        whole, part = service.view().cameras
        said = health(service.view())
    assert len(decodes) == 1
    assert (whole.facts.name, part.facts.name) == ("door", "door-plate")
    assert set(said["cameras"]) == {"door", "door-plate"}
    assert whole.facts.delivered > 20
    assert part.facts.delivered > 20
    assert set(threading.enumerate()) <= threads
    assert_shows(tmp_path / "whole", (96, 160), PLATE)
    assert_shows(tmp_path / "plate", (192, 256), (slice(None), slice(None)))


def assert_shows(folder: Path, size: tuple[int, int], part: tuple[slice, slice]) -> None:
    """The recording is of a size and shows the clip's numbers, going forward."""
    numbers = []
    (path,) = folder.glob("*.mkv")
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            assert (picture.height, picture.width) == size
            numbers.append(read_number(picture.to_ndarray()[: picture.height][part]))
    steps = [(b - a) % NUM_FRAMES for a, b in itertools.pairwise(numbers)]
    assert len(numbers) > 20
    assert sum(0 < step < NUM_FRAMES // 2 for step in steps) > 0.9 * len(steps)
