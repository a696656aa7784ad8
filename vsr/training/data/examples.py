"""Examples to learn from: a stretch of a clip or a picture in motion, and what became of it on its way to a viewer."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vsr.engine import from_packed, pack_picture
from vsr.models import NEIGHBOURED, PACKED, TOLD, Damage, remembered
from vsr.training.data.blur import filmed
from vsr.training.data.degrade import Degradation, cleanly, really, spoil
from vsr.training.data.footage import Footage
from vsr.training.data.motion import moving_clip
from vsr.training.data.storage import coded
from vsr.training.data.teacher import Teacher
from vsr.training.options import TrainOptions

DEGRADATIONS: dict[str, Degradation] = {"bicubic": cleanly, "real": really}

_CODED_FRAMES = 5
"""Length of the clips that single-frame networks see compressed: an I frame, P frames and B frames."""

_LENGTHS = (3, 5, 7)
"""The same for networks on planes."""

_MOVED_EDGE = 288
"""Edge of the frames made from stills, full resolution."""

_FILMED = 0.45
"""Share of clips among the examples for networks on planes; the rest are photos, which cost a fifth."""

_LENGTHS_OVER_TIME = (4, 7, 11)

_FILMED_OVER_TIME = 0.9
"""The same for those that are shown what is around a frame."""

_REMEMBERED = 0.4
"""Share of these clips that are shown as a network with a memory sees them: averaged, with noise that varies."""

_TRIES = 4
"""Windows that are looked at for detail."""

_DETAIL = 25.0
"""Standard deviation, in code values, from which on a window is always taken."""


@dataclass(frozen=True)
class Pair:
    """A clip and what became of it: R, G, B in bytes, or packed 4:2:0 in float16."""

    low: npt.NDArray[Any]
    """(T, h, w, 3), or 8 where it is packed and told."""
    high: npt.NDArray[Any]
    """(T, scale*h, scale*w, 3 or 6), or the middle frame alone."""
    scale: int
    siting: str = "unspecified"
    """Of packed chroma."""


def frames_per_example(options: TrainOptions) -> int:
    """How many frames an example has: as many as the network sees, or as a codec needs to leave its marks."""
    if options.network == "plain" or options.on_planes:
        return _CODED_FRAMES if options.degradation == "real" else 1
    return 3 if options.network == "unet" else options.frames


def example(
    item: Footage,
    stills: list[Footage],
    options: TrainOptions,
    rng: np.random.Generator,
    teacher: Teacher | None = None,
) -> Pair:
    """Make an example as long as the network wants, of a stretch of a clip or a picture in motion.

    Args:
        item: the clip or picture.
        stills: pictures that may be put before it.
        options: sizes, degradation.
        rng: every choice comes from it.
        teacher: whose pictures are learnt instead of the originals, by networks on planes.
    """
    if options.on_planes:
        return _packed_example(item, stills, options, rng, teacher)
    num_frames, scale = frames_per_example(options), options.scale
    if options.degradation == "blur":
        still = item[[int(rng.integers(len(item)))]]
        return Pair(*filmed(still, num_frames, rng), scale=1)
    if 1 < len(item) < num_frames:  # forth and back: Vimeo-90K's clips have 7 frames, and their motion counts
        item = np.pad(item, ((0, num_frames - len(item)), (0, 0), (0, 0), (0, 0)), mode="reflect")
    if len(item) >= num_frames:
        start = int(rng.integers(len(item) - num_frames + 1))
        clip = item[start : start + num_frames]
    else:
        clip = moving_clip(item, stills, num_frames, _MOVED_EDGE, rng)
    height, width = (side - side % scale for side in clip.shape[1:3])
    clip = clip[:, :height, :width]
    return Pair(DEGRADATIONS[options.degradation](clip, scale, rng), clip, scale)


def _packed_example(
    item: Footage,
    stills: list[Footage],
    options: TrainOptions,
    rng: np.random.Generator,
    teacher: Teacher | None,
) -> Pair:
    """Make an example of one frame's planes, of a photo or out of a clip, at one of the scales."""
    scale = int(rng.choice(list(options.shares), p=list(options.shares.values())))
    over_time = options.network == "planes-over-time"
    filmed, lengths = (_FILMED_OVER_TIME, _LENGTHS_OVER_TIME) if over_time else (_FILMED, _LENGTHS)
    num_frames = int(rng.choice(lengths)) if rng.random() < filmed else 1
    clip = _window(item, stills, num_frames, 2 * options.patch * scale, rng)
    if min(clip.shape[1:3]) < options.patch * scale:  # too small for a patch, which is never cut from it
        return Pair(
            np.zeros((1, 0, 0, NEIGHBOURED if over_time else PACKED + TOLD)),
            np.zeros((1, 0, 0, PACKED)),
            scale,
        )
    # Turned here and not as a patch: chroma that is sited left would lie elsewhere.
    clip = np.rot90(clip, int(rng.integers(4)), axes=(1, 2))
    clip = clip[:, :, ::-1] if rng.integers(2) else clip
    height, width = (side - side % (2 * scale) for side in clip.shape[1:3])
    spoilt = spoil(np.ascontiguousarray(clip[:, :height, :width]), scale, rng)
    seen, frames = int(rng.integers(num_frames)), [pack_picture(each, spoilt.damage) for each in spoilt.low]
    if over_time:
        neighbours = [frames[min(seen + 1, num_frames - 1)], frames[max(seen - 1, 0)]]
        low = remembered(frames[: seen + 1], neighbours=neighbours)
    else:
        low = remembered(frames[: seen + 1]) if rng.random() < _REMEMBERED else frames[seen]
    siting: Any = spoilt.low[seen].frame.format.siting
    if teacher is None:
        original = coded(spoilt.high[seen : seen + 1].astype(np.float32), siting=siting)[0]
    else:
        luma, chroma = from_packed(low[:, :PACKED])
        original = teacher(replace(spoilt.low[seen], luma=luma, chroma=chroma), scale, siting=siting)
    high = pack_picture(original, Damage())[:, :PACKED]
    halves = (planes.permute(0, 2, 3, 1).numpy().astype(np.float16) for planes in (low, high))
    return Pair(*halves, scale=scale, siting=siting)


def _window(
    item: Footage, stills: list[Footage], num_frames: int, edge: int, rng: np.random.Generator
) -> Footage:
    """As many frames of a square part of a clip, or of a picture in motion; of a picture alone exactly as it is."""
    start = int(rng.integers(max(1, len(item) - num_frames + 1)))
    frames = item[start : start + num_frames]
    if len(frames) < num_frames:
        return moving_clip(frames[:1], stills, num_frames, edge, rng)
    window = frames
    for _ in range(_TRIES):
        top, left = (int(rng.integers(max(1, side - edge + 1))) for side in frames.shape[1:3])
        window = frames[:, top : top + edge, left : left + edge]
        if window[0].std() > rng.uniform(0, _DETAIL):
            break
    return window
