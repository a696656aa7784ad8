"""Support by time: what of a result's unseen part other frames of the source have measured.

Another frame that shows the same, moved by less than whole pixels, has taken other samples of it. The part of the
result that its own frame cannot see, carried along the motion and reduced, says what these samples should be beyond
what the rest says. Where they are so it was measured; where the motion is none or of whole pixels it shows in nothing,
and stays unconfirmed; so does what appears once.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vsr.models import anchors, motion_between, moved
from vsr.support.reductions import Reduction
from vsr.support.signals import Map, mean_of

_DOUBT = 4.0
"""Energy that a prediction must exceed to be believed, in that of the source's noise."""


@torch.no_grad()
def confirmed_by(
    source: Tensor, result: Tensor, others: Sequence[Tensor], reduction: Reduction, noise: float
) -> Map:
    """Share of a result's unseen part that other frames confirm, of each block, 0 to 1.

    By least squares: how much of the prediction is in what the others show besides what is seen, shrunk towards none
    where the prediction is weaker than noise.

    Args:
        source: (h, w) float32 luma, 0 to 255.
        result: of that frame, (H, W).
        others: luma of frames of the source near it, (h, w) each.
        reduction: from the result's size to the source's.
        noise: σ of the source's own error.
    """
    seen = reduction.up(reduction.down(result))
    found, expected = torch.zeros_like(source), torch.full_like(source, _DOUBT * noise**2)
    here = source[None, None] / 255
    for other in others:
        there = other[None, None] / 255
        to_here, to_there = motion_between(anchors(there), here), motion_between(anchors(here), there)
        plain, whole = (reduction.down(moved(each[None, None], to_here)[0, 0]) for each in (seen, result))
        predicted, left = whole - plain, other - plain
        products = torch.stack([predicted * left, predicted * predicted])[None]
        both = moved(products, to_there, outside="zeros")[0]
        found, expected = found + both[0], expected + both[1]
    size = (source.shape[0], source.shape[1])
    share = mean_of(found, size) / mean_of(expected, size)
    return np.clip(share, 0, 1).astype(np.float32)
