"""What networks learn from, as it is read: pictures, and runs of frames. Degrades nothing."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vsr.errors import SourceError
from vsr.frames import Frame
from vsr.media import VideoSource
from vsr.options import ReadOptions
from vsr.picture import as_rgb, from_planes
from vsr.scenes import mark_scene_cuts

Footage = npt.NDArray[np.uint8]
"""(T, H, W, 3) RGB: one picture (T = 1), or successive frames of one scene."""

Pictures = npt.NDArray[np.float32]
"""The same while it is made worse: 0-255, neither rounded nor clipped."""

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
CLIPS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".ts", ".m4v", ".mpg"}


def find_pictures(folders: tuple[str, ...]) -> list[Path]:
    """List the pictures in `folders` and below, sorted so that a seed means the same everywhere.

    DIV2K, Flickr2K and plain folders are read so.

    Raises:
        SourceError: a folder does not exist, or none holds a picture.
    """
    paths = [path for folder in folders for path in sorted(_existing(folder).rglob("*"))]
    pictures = [path for path in paths if path.suffix.lower() in PICTURES]
    if folders and not pictures:
        raise SourceError(f"no picture in {', '.join(folders)}; {', '.join(sorted(PICTURES))} are read")
    return pictures


def find_clips(folders: tuple[str, ...]) -> list[Path]:
    """List the clips in `folders` and below, sorted: video files, and
    folders that hold the frames of one clip.

    Vimeo-90K (`sequences/00001/0001/im1.png` …), REDS
    (`train_sharp/000/00000000.png` …) and DAVIS are read so.

    Raises:
        SourceError: a folder does not exist, or none holds a clip.
    """
    found: set[Path] = set()
    for folder in folders:
        root = _existing(folder)
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.suffix.lower() in CLIPS:
                found.add(path)
            elif path.suffix.lower() in PICTURES:
                found.add(path.parent)
    if folders and not found:
        raise SourceError(
            f"no clip in {', '.join(folders)}; {', '.join(sorted(CLIPS))} and folders of frames are read"
        )
    return sorted(found)


def _existing(folder: str) -> Path:
    if not Path(folder).exists():
        raise SourceError(f"training folder {folder} does not exist")
    return Path(folder)


def read_picture(path: Path) -> Footage:
    """Read one picture.

    Raises:
        SourceError: the file is not a picture.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SourceError(f"{path} cannot be read as a picture")
    return np.asarray(pixels[None, ..., ::-1], np.uint8, order="C")


def read_clip(path: Path, *, shrink: float = 1.0, frames: int = 30) -> Footage:
    """Read the first frames of a clip; of a video file up to its first scene cut.

    Args:
        path: video file or folder of frames.
        shrink: reduce a video file's height and width by this; 2 or more, or what
            compression left is taken for detail.
        frames: how many at most.

    Raises:
        SourceError: it cannot be read.
    """
    pictures = _frames_of_folder(path) if path.is_dir() else _frames_of_file(path, frames)
    taken: list[npt.NDArray[np.uint8]] = []
    for picture in pictures:
        if taken and picture.shape != taken[0].shape:
            break
        taken.append(picture)
        if len(taken) == frames:
            break
    if shrink > 1 and not path.is_dir():
        height, width = (max(1, round(side / shrink)) for side in taken[0].shape[:2])
        taken = [
            np.asarray(cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA), np.uint8) for p in taken
        ]
    return np.stack(taken)


def _frames_of_folder(folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURES:
            yield read_picture(path)[0]


def _frames_of_file(path: Path, frames: int) -> Iterator[npt.NDArray[np.uint8]]:
    source = VideoSource(path, ReadOptions(frames=frames))
    with closing(mark_scene_cuts(source.frames())) as decoded:
        for index, frame in enumerate(decoded):
            if index and frame.reset:
                return
            yield _rgb(frame)


def _rgb(frame: Frame) -> npt.NDArray[np.uint8]:
    planes = [torch.from_numpy(np.ascontiguousarray(plane)) for plane in frame.planes]
    rgb = as_rgb(from_planes(frame, planes))[0].permute(1, 2, 0)
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy()


def each_of(pictures: Pictures, change: Callable[[Any], Any]) -> Pictures:
    """Every frame changed by itself."""
    return np.stack([change(picture) for picture in pictures]).astype(np.float32)


def to_bytes(pictures: Pictures) -> Footage:
    """Rounded and clipped."""
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)
