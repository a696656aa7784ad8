"""How good a result is: PSNR, SSIM, and pictures that show the difference. Never opens a video."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.quality.colorvideovdp import ColorVideoVdp
    from vsr.quality.compare import compare_pictures, compare_streams, pairs
    from vsr.quality.compression import (
        EFFICIENCY,
        QUANTISED,
        Coding,
        compression_of,
        damage_of,
        realness,
        told_damage,
        visible_noise,
    )
    from vsr.quality.dists import Dists
    from vsr.quality.drawing import Rgb, as_frame, crop_grid, draw_caption, to_frame, to_playable, to_rgb
    from vsr.quality.grid import Gallery, encode_png
    from vsr.quality.known_damage import DAMAGE_TABLE, KnownDamage, damaged
    from vsr.quality.label import Label, black_frame, dim, draw_label, label_fits
    from vsr.quality.lpips import Lpips
    from vsr.quality.metrics import chroma_of, luma_of, psnr
    from vsr.quality.niqe import Niqe
    from vsr.quality.noise_left import NoiseOverTime
    from vsr.quality.noise_level import LookOfPictures, look_at_pictures, luma_codes
    from vsr.quality.score import Judge, Score, Show, mean_score, show_nobody
    from vsr.quality.temporal import Steadiness
    from vsr.quality.wording import damage_words

__getattr__ = lazy_exports(__name__)
