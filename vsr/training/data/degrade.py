"""What happens to pictures on the way to a viewer: reduction alone, or all that the real world does.

The real chain has two rounds of blur, another size, noise and storing, as footage is often recorded, edited and
sent on (after Wang et al., "Real-ESRGAN", 2021). What each fault does is in the modules beside this one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.models import Damage
from vsr.picture import Picture, as_rgb, as_ycc
from vsr.resample import reduce
from vsr.training.data.footage import Footage, Pictures, to_bytes
from vsr.training.data.grain import drawn_kind, dusk, film_grain, night_noise, noisy, sensor_noise
from vsr.training.data.scaling import scaled, sharpened, soften
from vsr.training.data.storage import as_photos, as_video, coded, through_jpeg
from vsr.training.data.tape import combed, from_tape

FLATTEST = 0.4
"""Share of the squares in which the noise is measured that is told."""

CLEAN = 0.25
"""Share of clips that are only reduced: the network must not soften what is good already."""

_TWICE = 0.25
"""Share of the others that have a first round."""

_AT_NIGHT = 0.06
_ON_TAPE = 0.06
_ON_FILM = 0.1
_INTERLACED = 0.08


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A clip as it came to a viewer."""

    low: list[Picture]
    """Its frames in luma and chroma, 4:2:0."""
    high: Footage
    """What they show; darker than what was given where it became night."""
    damage: Damage
    """As far as a network is told of it: the mean over its frames."""


def cleanly(high: Footage, scale: int, rng: np.random.Generator) -> Footage:
    """Reduce and nothing else, as the test sets of the field are made."""
    if min(high.shape[1:3]) < scale:  # an icon among the pictures; no patch will fit it
        return np.zeros((len(high), high.shape[1] // scale, high.shape[2] // scale, 3), np.uint8)
    return reduce(torch.from_numpy(high).permute(0, 3, 1, 2), scale).permute(0, 2, 3, 1).contiguous().numpy()


def spoil(high: Footage, scale: int, rng: np.random.Generator) -> Spoilt:
    """Lead a clip through the world: a photo where it has one frame, else a video.

    Args:
        high: what there is to be seen, (T, H, W, 3); sides multiples of the scale.
        scale: by how much less is left of it.
        rng: every choice comes from it.
    """
    store, size = as_video if len(high) > 1 else as_photos, (high.shape[1] // scale, high.shape[2] // scale)
    pictures = high.astype(np.float32)
    if rng.random() < CLEAN:
        low = scaled(pictures, size, rng)
        return Spoilt(store(low, rng, stored=False)[0], high, Damage())
    at_night = rng.random() < _AT_NIGHT
    if at_night:
        pictures = dusk(pictures, rng)
        high = to_bytes(pictures)
    spoilt, undamaged = _first_round(pictures, size, rng) if rng.random() < _TWICE else (pictures, pictures)
    spoilt, undamaged = _alike(lambda both: _resized(both, size, rng), spoilt, undamaged)
    low, strength = store(_recorded(spoilt, rng, at_night=at_night), rng)
    return Spoilt(low, high, Damage(noise_of(low, undamaged), strength))


def really(high: Footage, scale: int, rng: np.random.Generator) -> Footage:
    """Spoil a clip and show it as R, G, B, as networks of luma or RGB learn from it."""
    low = spoil(high, scale, rng).low
    return to_bytes(torch.cat([as_rgb(picture) for picture in low]).permute(0, 2, 3, 1).numpy() * 255)


Degradation = Callable[[Footage, int, np.random.Generator], Footage]


def haar_detail(luma: Tensor) -> Tensor:
    """The diagonal detail of each square of 2x2 samples, (..., H, W) → (..., H // 2, W // 2)."""
    height, width = (side - side % 2 for side in luma.shape[-2:])
    a, b = luma[..., 0:height:2, 0:width:2], luma[..., 0:height:2, 1:width:2]
    c, d = luma[..., 1:height:2, 0:width:2], luma[..., 1:height:2, 1:width:2]
    return (a - b - c + d) / 2


def noise_of(low: list[Picture], undamaged: Pictures) -> float:
    """`Damage.noise` of frames beside what they would be without damage: of the flattest squares of 16x16 pixels.

    Of all squares it would count what a codec took of detail as noise, and networks told so smooth the rest, too.
    """
    spoilt, clean = (
        torch.cat([as_ycc(picture)[0] for picture in clip]) for clip in (low, coded(undamaged, siting="left"))
    )
    half = F.avg_pool2d(clean, 2)
    each = haar_detail(spoilt - clean) ** 2, half, half**2
    power, mean, square = (F.avg_pool2d(values, 8, ceil_mode=True).flatten() for values in each)
    flattest = (square - mean**2).argsort()[: max(1, round(FLATTEST * len(power)))]
    return 255 * float(power[flattest].mean().sqrt())


def _alike(
    change: Callable[[Pictures], Pictures], spoilt: Pictures, undamaged: Pictures
) -> tuple[Pictures, Pictures]:
    """Change both in the same way."""
    if spoilt is undamaged:
        changed = change(spoilt)
        return changed, changed
    changed = change(np.concatenate([spoilt, undamaged]))
    return changed[: len(spoilt)], changed[len(spoilt) :]


def _first_round(
    pictures: Pictures, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Pictures, Pictures]:
    """Recorded at another size, mostly a larger one than at last, a little noisy, perhaps stored as JPEG.

    Returns:
        The frames, and what they would be without noise and JPEG.
    """
    larger = rng.uniform(1, pictures.shape[1] / size[0]) if rng.random() < 0.7 else rng.uniform(0.6, 1)
    middle = (max(8, round(size[0] * larger)), max(8, round(size[1] * larger)))
    undamaged = scaled(soften(pictures, 1.4, rng), middle, rng)
    spoilt = noisy(undamaged, rng.uniform(0, 8), drawn_kind(rng), rng)
    return through_jpeg(spoilt, (50, 95), rng)[0] if rng.random() < 0.4 else spoilt, undamaged


def _resized(pictures: Pictures, size: tuple[int, int], rng: np.random.Generator) -> Pictures:
    """Blurred as by a lens, in the last pixels or those before, brought to its last size, perhaps sharpened."""
    factor = pictures.shape[1] / size[0]
    most = 1.4 * max(1.0, factor if rng.random() < 0.35 else 1.0)
    return sharpened(scaled(soften(pictures, most, rng), size, rng), rng)


def _recorded(pictures: Pictures, rng: np.random.Generator, *, at_night: bool) -> Pictures:
    """What the camera, the film or the tape adds."""
    moves, chance = len(pictures) > 1, rng.random()
    if at_night:
        pictures = night_noise(pictures, rng)
    elif moves and chance < _ON_TAPE:
        pictures = from_tape(pictures, rng)
    elif chance > 1 - _ON_FILM:
        pictures = film_grain(pictures, rng)
    else:
        pictures = sensor_noise(pictures, rng)
    return combed(pictures, rng) if moves and rng.random() < _INTERLACED else pictures
