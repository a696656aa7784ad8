"""What the first frames of a file say of all of it."""

import numpy as np

from vsr.frames import Frame, PictureFormat
from vsr.jobs.estimate import _Beginning  # pyright: ignore[reportPrivateUsage]
from vsr.media.reading.source import ListSource

FORMAT = PictureFormat(16, 16, layout="gray")


def frames_of(greys: list[int]) -> list[Frame]:
    return [Frame((np.full((16, 16), grey, np.uint8),), FORMAT, pts=pts) for pts, grey in enumerate(greys)]


def beginning(greys: list[int], max_frames: int) -> list[int]:
    source = ListSource(frames_of(greys))
    return [frame.pts for frame in _Beginning(source, 60.0, max_frames).frames()]


def test_the_still_that_a_film_begins_with_is_not_measured():
    """Its frames are repeated for nothing, and would promise a speed that nothing else of the film has."""
    assert beginning([9] * 30 + [1, 2, 3, 3, 4], max_frames=4) == [29, 30, 31, 32]


def test_what_never_moves_is_measured_as_it_is():
    assert beginning([9] * 5, max_frames=4) == [0, 1, 2, 3]
    assert beginning([1, 2, 3], max_frames=2) == [0, 1]
    assert beginning([7], max_frames=2) == [0]
