"""Draw before_after.png for the README: details of the samples, enlarged bicubically and by the default model."""

from pathlib import Path

import cv2
import numpy as np

import vsr
from vsr.quality import Rgb, crop_grid, to_rgb

HERE = Path(__file__).parent

DETAILS = (
    ("street.mp4", 1.2, (60, 552, 170, 232)),
    ("street.mp4", 3.6, (250, 440, 150, 232)),
    ("astronaut.png", 0.0, (60, 140, 170, 232)),
)
"""Sample, time in seconds, and top, left, height, width of the detail in the enlarged picture."""


def frame_at(name: str, time_s: float) -> vsr.Frame:
    path = HERE / name
    if path.suffix == ".png":
        return next(iter(vsr.ImageSource(path).frames()))
    return next(iter(vsr.VideoSource(path, vsr.ReadOptions(start=str(time_s), frames=1)).frames()))


def enlarged(frame: vsr.Frame, model: str) -> Rgb:
    (large,) = vsr.Engine([vsr.load(model)]).run([frame])
    return to_rgb(large)


def main() -> None:
    rows: list[Rgb] = []
    for name, time_s, box in DETAILS:
        frame = frame_at(name, time_s)
        pictures = [("bicubic", enlarged(frame, "bicubic-x2")), ("vsr fast-x2", enlarged(frame, "fast-x2"))]
        rows.append(crop_grid(pictures, box, magnify=2))
    cv2.imwrite(str(HERE / "before_after.png"), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
