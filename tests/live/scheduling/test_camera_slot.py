"""Which frames of a camera are taken, where each counts."""

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

import numpy as np

from vsr.frames import Frame, PictureFormat
from vsr.live.cameras.status import CameraStatus
from vsr.live.scheduling.camera_slot import CameraSlot
from vsr.live.scheduling.channel import Channel, MemoryLiveSink

FORMAT = PictureFormat(16, 16)


class Camera:
    """Gives frames when it is told to."""

    status = CameraStatus()

    def __init__(self):
        self.coming: SimpleQueue[Frame] = SimpleQueue()
        self.come = threading.Semaphore(0)

    def frames(self, stop):
        while not stop.is_set():
            with suppress(Empty):
                yield self.coming.get(timeout=0.05)

    def give(self, *numbers: int) -> None:
        """Frames, whose number is their time, and wait until all have come."""
        for number in numbers:
            planes = tuple(np.zeros(FORMAT.plane_size(index), np.uint8) for index in range(3))
            self.coming.put(Frame(planes, FORMAT, pts=number))
            assert self.come.acquire(timeout=60)


def test_where_frames_are_left_out_a_dropped_one_does_not_cost_the_turn():
    camera, taken = Camera(), []
    slot = CameraSlot(Channel(0, "a", camera, MemoryLiveSink()), notify=camera.come.release, now=0.0)
    for numbers in [(0,), (1, 2, 3, 4, 5, 6), (7,), (8,), (9,)]:  # two wait: of six, four are dropped
        camera.give(*numbers)
        if slot.look(0.0, every=4) is not None:
            taken.append(slot.take().pts)
    shown = slot.overview(0.0)
    slot.close()
    assert taken == [0, 5, 9]
    assert (shown.arrived, shown.dropped, shown.thinned) == (10, 4, 3)
