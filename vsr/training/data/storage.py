"""How footage is stored: as photos by JPEG, as video by codecs, at a strength that is drawn, none included."""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch

from vsr.frames import Frame, PictureFormat
from vsr.media import Codec, through_codec
from vsr.picture import Picture, from_planes, in_ycc, to_planes
from vsr.training.data.footage import Pictures, each_of, to_bytes

PHOTO_QUALITIES = (25, 95)


@dataclass(frozen=True, slots=True)
class _Coding:
    codec: Codec
    share: float
    best: int
    worst: int
    least: float
    """What is 0 on the scale of `Damage.compression`, in the codec's own."""
    span: float
    """From there to 1."""


_CODINGS = (
    _Coding("h264", 0.5, 18, 40, 12, 35),
    _Coding("hevc", 0.08, 20, 40, 12, 35),
    _Coding("mpeg4", 0.2, 2, 20, 0, 24),
    _Coding("mpeg2", 0.12, 2, 20, 0, 24),
    _Coding("mjpeg", 0.1, 2, 20, 0, 24),
)
"""In which shares codecs are met, and from which quality to which."""

_PRESETS = ("ultrafast", "veryfast", "medium")

_GROUPS = (0.1, 0.6, 0.3)
"""Shares of clips whose frames are all I frames, of those with an I frame every 12, and of those with one alone."""


def as_jpeg(pictures: Pictures, quality: int) -> Pictures:
    """Each of the frames as a JPEG file of that quality."""
    return each_of(pictures, lambda p: _jpeg(to_bytes(p), quality))


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.float32)[..., ::-1]


def through_jpeg(
    pictures: Pictures, qualities: tuple[int, int], rng: np.random.Generator
) -> tuple[Pictures, float]:
    """As JPEG files of one quality between the two, both included; and how strongly that compresses, 0 to 1."""
    quality = int(rng.integers(qualities[0], qualities[1] + 1))
    return as_jpeg(pictures, quality), (100 - quality) / 100


def as_photos(
    pictures: Pictures, rng: np.random.Generator, *, stored: bool = True
) -> tuple[list[Picture], float]:
    """Store frames as photos: three of four as JPEG, the others, and where they are not `stored`, as 8-bit R, G, B.

    Returns:
        Frames in luma and chroma, 4:2:0, and how strongly they are compressed, 0 to 1.
    """
    pictures, strength = to_bytes(pictures).astype(np.float32), 0.0
    if stored and rng.random() < 0.75:
        pictures, strength = through_jpeg(pictures, PHOTO_QUALITIES, rng)
    return coded(pictures, siting="center"), strength


def as_video(
    pictures: Pictures, rng: np.random.Generator, *, stored: bool = True
) -> tuple[list[Picture], float]:
    """Store frames as a clip: six of seven by a codec, the others, and where they are not `stored`, as its samples.

    Returns:
        As of `as_photos`.
    """
    coding = _CODINGS[int(rng.choice(len(_CODINGS), p=[coding.share for coding in _CODINGS]))]
    quality, group = (
        int(rng.integers(coding.best, coding.worst + 1)),
        int(rng.choice([1, 12, 250], p=_GROUPS)),
    )
    preset = str(rng.choice(_PRESETS)) if coding.codec == "h264" else ""
    is_jpeg = coding.codec == "mjpeg"
    given = coded(pictures, siting="center" if is_jpeg else "left", range="full" if is_jpeg else "limited")
    frames = [_as_frame(picture) for picture in given]
    strength = 0.0
    if stored and rng.random() < 6 / 7:
        frames = through_codec(frames, coding.codec, quality, preset=preset, group=group)
        strength = min(1.0, max(0.0, (quality - coding.least) / coding.span))
    return [
        from_planes(frame, [torch.from_numpy(plane) for plane in frame.planes]) for frame in frames
    ], strength


def coded(
    pictures: Pictures,
    *,
    siting: Literal["left", "center"],
    range: Literal["limited", "full"] = "full",
) -> list[Picture]:
    """Frames as luma and chroma, 4:2:0, of BT.601; nothing is rounded."""
    height, width = pictures.shape[1:3]
    format = PictureFormat(height, width, matrix="smpte170m", range=range, siting=siting)
    tensors = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2) / 255
    return [in_ycc(Picture(Frame((), format), rgb=rgb[None])) for rgb in tensors]


def _as_frame(picture: Picture) -> Frame:
    """Its samples, rounded."""
    format = picture.frame.format
    return replace(picture.frame, planes=tuple(plane.numpy() for plane in to_planes(picture, format)))
