"""Frames of a source and of a result, as pictures for a page."""

from dataclasses import replace

import cv2

from vsr.errors import VsrError
from vsr.evidence.sheet import ShownPair
from vsr.frames import Frame
from vsr.jobs import FrameHash, Plan, hash_of
from vsr.media import ImageSource, NumberedSource, VideoSource
from vsr.quality import to_rgb

_NUMBER = 3
_LARGEST = 1280
"""Pixels along the longer side."""


def shown_frames(count: int) -> set[int]:
    """Which of so many frames are shown: from the middles of equal parts."""
    return {count * (2 * part + 1) // (2 * _NUMBER) for part in range(_NUMBER)} if count else set()


def pair_of(
    plan: Plan, number: int, noted: FrameHash, result: Frame, *, before: Frame | None = None
) -> ShownPair:
    """A frame of the result, and the frame of the source that it was made of; where that was not kept as `before`, it
    is read by itself, which takes all frames from a key frame on."""
    before = before or _source_frame(plan, number, noted)
    time_s = float(noted.pts * plan.frames.time_base)
    return ShownPair(number, time_s, page_jpeg(before) if before is not None else b"", page_jpeg(result))


def _source_frame(plan: Plan, number: int, noted: FrameHash) -> Frame | None:
    """The frame of this hash; None where the file gives another one when it is entered in its middle."""
    one = replace(plan.options.read, start="", end="", frames=1)
    if plan.job.is_image:
        source = ImageSource(plan.job.path, opaque=plan.outputs is not None)
    elif plan.source.pictures:
        source = NumberedSource(plan.source, one, from_pts=noted.pts)
    else:
        source = VideoSource(plan.job.path, one, info=plan.source, from_pts=noted.pts)
    try:
        for at, frame in enumerate(source.frames()):
            if (at == number or not plan.job.is_image) and hash_of(frame) == noted.decoded:
                return frame
    except VsrError:
        return None
    return None


def page_jpeg(frame: Frame) -> bytes:
    """A frame as a JPEG that is not larger than a page needs."""
    picture = to_rgb(frame)[..., ::-1]
    height, width = picture.shape[:2]
    if (share := _LARGEST / max(height, width)) < 1:
        size = (max(1, round(width * share)), max(1, round(height * share)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
