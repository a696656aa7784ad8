"""A network on coded planes that is shown an average over time instead of the frame alone.

What a still or moving scene shows again is averaged along its motion, so that noise falls with the number of
frames, and the network is told, pixel by pixel, how much of it is left: a Kalman filter whose gain is 1 over the
number of frames that a pixel has been seen (Dubois and Sabri, "Noise reduction in image sequences using
motion-compensated temporal filtering", 1984). Where the memory and the frame differ by more than noise does, as
behind what moves, the memory is not used. It is cleared where a scene begins.

A network that has learnt it sees three pictures more: by what the frame itself, the next one and the one before,
moved to where things are now, differ from the average. A codec leaves other marks in each of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.flow import anchors, motion_between, moved
from vsr.models.networks.planes import PlanesNet
from vsr.models.spec import NOISE_SPAN, PACKED, TOLD, Context, Model, State
from vsr.resample import enlarge

STILL, MOVING = 24, 4
"""Most frames that a pixel is averaged over. Each resampling of what moves blurs a little: with σ 15 on 16 frames the
error against the clean frame falls by 2.1 dB on Vid4's foliage and 4.7 on a slow pan by 4 frames, by 0.5 and 4.6 by
12."""

RENEWED = 11.0
"""Code values by which what a codec renews differs from what stood there, at the worst compression (σ); it renews
some blocks and leaves most as they were, so that the usual difference says nothing. On a still scene of σ 15 after
x264 at crf 28 the average comes 0.6 to 0.9 dB nearer to what there was, without it 0.04."""

CERTAIN, LOST = 1.5, 3.0
"""How many times the squared difference that noise makes is still noise, and from how much on it is none."""

NEIGHBOURED = PACKED + TOLD + 3 * PACKED
"""Channels that a network sees which is shown the neighbours, too."""

LEFT = -0.25
"""Where chroma of most video lies, in its samples, from the middle of its block."""


class Averages(NamedTuple):
    """What is remembered of a scene, float32."""

    luma: Tensor
    """(B, 1, 2h, 2w)."""
    chroma: Tensor
    """(B, 2, h, w)."""
    frames: Tensor
    """(B, 1, h, w): of how many each is the average."""


class OverTime(nn.Module):
    """A `PlanesNet` with a memory: the average of the frames so far."""

    def __init__(self, network: PlanesNet):
        super().__init__()
        self.network = network
        around = int(network.head.in_channels == NEIGHBOURED)
        self.context = Context(before=around, after=around, stateful=True)

    def init_state(self, batch: int, height: int, width: int) -> Averages:
        """An empty memory: averages of no frame."""
        blank = self.network.head.weight.new_zeros(batch, 1, height, width, dtype=torch.float32)
        return Averages(F.interpolate(blank, scale_factor=2.0), torch.cat([blank, blank], 1), blank)

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, Averages]:
        """Enhance the middle one of one or three frames, (B, 1 or 3, 8, h, w), with what is remembered."""
        assert state is not None
        seen = frames[:, self.context.before].float()
        averages = averaged(seen, state, reset)
        shown = shown_instead(seen, averages)
        if self.context.after:
            neighbours = [frames[:, index].float() for index in (2, 0)]
            shown = with_neighbours(shown, seen, averages, neighbours)
        residual = self.network(shown.to(frames.dtype).contiguous(memory_format=torch.channels_last)).float()
        return (residual + self._enlarged(shown[:, :PACKED] - seen[:, :PACKED]))[:, None], averages

    def _enlarged(self, change: Tensor) -> Tensor:
        """What is to be added to the enlarged frame for it to be the enlarged average; both packed."""
        scale = self.network.scale
        shift = (0.0, -LEFT * (1 - 1 / scale))  # as the engine enlarges what this is added to
        luma = enlarge(F.pixel_shuffle(change[:, :4], 2), scale)
        chroma = enlarge(change[:, 4:], scale, shift=shift, kernel="catmull-rom")
        return torch.cat([F.pixel_unshuffle(luma, 2), chroma], 1)


def sees_neighbours(model: Model) -> bool:
    """Whether a network is of no use without a memory: it has learnt to see what is around a frame, too."""
    return isinstance(model.network, PlanesNet) and model.network.head.in_channels == NEIGHBOURED


def over_time(model: Model, name: str) -> Model:
    """The same network with a memory.

    Args:
        model: of a `PlanesNet`.
        name: of what comes out.
    """
    assert isinstance(model.network, PlanesNet)
    network = OverTime(model.network).eval()
    spec = replace(
        model.spec,
        name=name,
        context=network.context,
        halo=None,
        recordable=False,
    )
    return Model(spec, network)


@torch.no_grad()
def averaged(seen: Tensor, memory: Averages, reset: Tensor) -> Averages:
    """The memory with one more frame in it.

    Args:
        seen: (B, 8, h, w) float32: packed, and what is told of it.
        memory: as it was left.
        reset: (B,) bool; True where it is not of this scene.
    """
    luma, chroma = F.pixel_shuffle(seen[:, :4], 2), seen[:, 4:PACKED]
    noise, compression = seen[:, PACKED, None] * NOISE_SPAN / 255, seen[:, PACKED + 1, None]
    before = _remembered(luma, chroma, noise, RENEWED * compression / 255, memory)
    count = 1 + before.frames.masked_fill(reset[:, None, None, None], 0)
    share = 1 - 1 / count
    luma = torch.lerp(luma, before.luma, F.interpolate(share, scale_factor=2.0))
    return Averages(luma, torch.lerp(chroma, before.chroma, share), count)


def shown_instead(seen: Tensor, averages: Averages) -> Tensor:
    """(B, 8, h, w): the average, and how much of the noise that is told is left in it."""
    luma, chroma, count = averages
    told = seen[:, PACKED, None] / count.sqrt(), seen[:, PACKED + 1 :]
    return torch.cat([F.pixel_unshuffle(luma, 2), chroma, *told], 1)


@torch.no_grad()
def with_neighbours(shown: Tensor, seen: Tensor, averages: Averages, neighbours: Sequence[Tensor]) -> Tensor:
    """(B, 26, h, w): what is shown, and by what the frame, the next one and the one before differ from it.

    Args:
        shown: (B, 8, h, w), the average.
        seen: (B, 8, h, w), the frame.
        averages: as `shown`.
        neighbours: (B, 8, h, w) each, the one after and the one before.
    """
    there = [_moved_here(each, averages) for each in neighbours]
    return torch.cat([shown, *(each - shown[:, :PACKED] for each in (seen[:, :PACKED], *there))], 1)


def _moved_here(frame: Tensor, averages: Averages) -> Tensor:
    """Another frame's planes, (B, 6, h, w), where things are now."""
    luma, chroma = F.pixel_shuffle(frame[:, :4], 2), frame[:, 4:PACKED]
    other = Averages(luma, chroma, torch.ones_like(averages.frames))
    there = _aligned(averages.luma, averages.chroma, other).there
    return torch.cat([F.pixel_unshuffle(there.luma, 2), there.chroma], 1)


def remembered(frames: Sequence[Tensor], *, neighbours: Sequence[Tensor] = ()) -> Tensor:
    """What the network is shown of the last of a scene's frames, each (B, 8, h, w) float32.

    Args:
        frames: up to the one that is enhanced.
        neighbours: the one after it and the one before, for a network that sees them.
    """
    first = frames[0]
    averages = Averages(F.pixel_shuffle(first[:, :4], 2), first[:, 4:PACKED], torch.zeros_like(first[:, :1]))
    for seen in frames:
        averages = averaged(seen, averages, torch.full((len(seen),), seen is first, device=seen.device))
    shown = shown_instead(frames[-1], averages)
    return with_neighbours(shown, frames[-1], averages, neighbours) if neighbours else shown


class _Aligned(NamedTuple):
    there: Averages
    """Where things are now."""
    still: Tensor
    """(B, 1, h, w): 1 where nothing was moved."""
    differs: Tensor
    """(B, 1, h, w): squared, from what it was aligned with."""


def _remembered(luma: Tensor, chroma: Tensor, noise: Tensor, renewed: Tensor, memory: Averages) -> Averages:
    """The averages where things are now, their counts cut where they do not show what the frame shows.

    Args:
        luma: of the frame, as in `Averages`.
        chroma: likewise.
        noise: σ that is told of it, nominal, (B, 1, h, w).
        renewed: likewise σ of what the codec renews.
        memory: as it was left.
    """
    there, still, differs = _aligned(luma, chroma, memory)
    agreed = _agreement(differs, there.frames, noise, renewed)
    most = MOVING + (STILL - MOVING) * still
    return there._replace(frames=agreed * torch.minimum(there.frames, most - 1))


def _aligned(luma: Tensor, chroma: Tensor, other: Averages) -> _Aligned:
    """Another picture moved to where things are in a frame."""
    flow = motion_between(anchors(F.avg_pool2d(luma, 2)), F.avg_pool2d(other.luma, 2))
    went = Averages(
        moved(other.luma, flow, kernel="bicubic"),
        moved(other.chroma, flow, kernel="bicubic"),
        moved(other.frames, flow),
    )
    if_still, if_moved = (_differences(luma, chroma, one) for one in (other, went))
    # By vote, since noise alone would make a motion of its own for every pixel.
    still = (_mean(if_still, 7) <= 1.06 * _mean(if_moved, 7)).float()
    still = (_mean(still, 5) > 0.5).float()
    there = Averages(
        torch.lerp(went.luma, other.luma, F.interpolate(still, scale_factor=2.0)),
        torch.lerp(went.chroma, other.chroma, still),
        torch.lerp(went.frames, other.frames, still),
    )
    return _Aligned(there, still, torch.lerp(if_moved, if_still, still))


def _agreement(differs: Tensor, count: Tensor, noise: Tensor, renewed: Tensor) -> Tensor:
    """From 1, where squared differences are what noise and the codec make, to 0, where they cannot be."""
    expected = 1 + 1 / count.clamp(min=1)
    near, wide = _mean(differs, 3) / expected, _mean(differs, 5) / expected
    # Half of a picture moves as was found, nearly always.
    common = wide[..., ::2, ::2].flatten(1).median(1).values[:, None, None, None]
    most = ((1.7 * noise + 2 / 255) ** 2).amax((2, 3), keepdim=True)
    usual = torch.maximum(torch.minimum(common, most), renewed**2).clamp(min=1 / 255**2)
    times = torch.maximum(near / 1.3, wide) / usual
    agreed = ((LOST - times) / (LOST - CERTAIN)).clamp(0, 1)
    return -F.max_pool2d(-agreed, 3, 1, 1)


def _differences(luma: Tensor, chroma: Tensor, memory: Averages) -> Tensor:
    """(B, 1, h, w): squared, of luma, and half of chroma's."""
    return (
        F.avg_pool2d((memory.luma - luma) ** 2, 2) + ((memory.chroma - chroma) ** 2).mean(1, keepdim=True) / 2
    )


def _mean(values: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(F.pad(values, (side // 2,) * 4, mode="replicate"), side, 1)
