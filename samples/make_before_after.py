"""Draw before_after.png for the README: details of the samples, enlarged bicubically and by the product.

The last two are worn first, as footage comes: noise, new in every frame, and of the clip H.264.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

import vsr
from vsr.media import through_codec
from vsr.models import Damage, with_damage
from vsr.quality import Rgb, crop_grid, to_rgb

HERE = Path(__file__).parent

FRAMES, CRF = 12, 22


@dataclass(frozen=True)
class Detail:
    """A part of a sample."""

    name: str
    model: str
    box: tuple[int, int, int, int]
    """Top, left, height, width in the enlarged picture."""
    time_s: float = 0.0
    damage: Damage = field(default_factory=Damage)
    """What it is worn by, and the network is told."""


DETAILS = (
    Detail("street.mp4", "fast-x2", (60, 552, 170, 232), 1.2),
    Detail("street.mp4", "video-real-x2", (250, 440, 150, 232), 3.2, Damage(14.0, (CRF - 12) / 35)),
    Detail("astronaut.png", "base-real-x2", (60, 140, 170, 232), damage=Damage(9.0)),
)


def frames_of(detail: Detail) -> list[vsr.Frame]:
    path = HERE / detail.name
    if path.suffix == ".png":
        return list(vsr.ImageSource(path).frames())
    read = vsr.ReadOptions(start=str(detail.time_s), frames=FRAMES)
    return list(vsr.VideoSource(path, read).frames())


def worn(frames: list[vsr.Frame], damage: Damage) -> list[vsr.Frame]:
    rng, noisy = np.random.default_rng(0), []
    for frame in frames:
        planes = (plane + rng.normal(0, damage.noise, plane.shape) for plane in frame.planes)
        whole = tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes)
        noisy.append(replace(frame, planes=whole))
    return through_codec(noisy, "h264", CRF) if damage.compression else noisy


def enlarged(frames: list[vsr.Frame], name: str, damage: Damage) -> Rgb:
    """The last of the frames."""
    model = with_damage(vsr.load(name), damage)
    return to_rgb(list(vsr.Engine([model]).run(frames))[-1])


def main() -> None:
    rows: list[Rgb] = []
    for detail in DETAILS:
        frames = frames_of(detail)
        if detail.damage != Damage():
            frames = worn(frames, detail.damage)
        names = {"bicubic": "bicubic-x2", f"vsr {detail.model}": detail.model}
        pictures = [(label, enlarged(frames, name, detail.damage)) for label, name in names.items()]
        rows.append(crop_grid(pictures, detail.box, magnify=2))
    cv2.imwrite(str(HERE / "before_after.png"), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
