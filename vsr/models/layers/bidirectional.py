"""Networks that run forth and back through a clip, shown one chunk of it after the other.

Forward in time nothing is lost: what a chunk knew of its past is the state that the next one goes on with.
Backward in time a chunk begins with the frames of its margin, which come after those that it emits, and the
next chunk looks at again. Where a scene ends the window is shorter, and the chunk ends with it: a scene of up
to `emit` frames is enhanced as the authors' programs would enhance it whole.
"""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vsr.models.layers.facts import facts_of
from vsr.models.layers.video_trunk import SCALE
from vsr.models.spec import Context, Model, State

EMIT, MARGIN = 15, 5
"""Frames of a chunk that leave with it, and those that it looks ahead."""

WINDOWS = range(2, 121)
"""Frames, margin included, that a chunk may have instead."""


class Chunked(nn.Module):
    """A `Network` made of `run`."""

    emit = EMIT
    kept = 0
    """Values of each pixel and frame that are kept while a chunk is enhanced."""

    def init_state(self, batch: int, height: int, width: int) -> State:
        """What a network knows of the past before there is any; the first step of a scene says `reset`."""
        raise NotImplementedError

    def run(self, frames: Tensor, num_emitted: int, state: State, reset: Tensor) -> tuple[Tensor, State]:
        """Enhance the first `num_emitted` of some frames, (B, T, 3, H, W) → (B, num_emitted, 3, 4*H, 4*W)."""
        raise NotImplementedError

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, State]:
        """Enhance the first `emit` frames, or all where a scene ends before that."""
        assert state is not None
        return self.run(frames, min(self.emit, frames.shape[1]), state, reset)


def in_chunks(model: Model, *, emit: int, margin: int) -> Model:
    """The same model in other chunks; its network must be a `Chunked`.

    Args:
        model: as it is.
        emit: frames that leave with a chunk; memory grows with them.
        margin: frames after them that it looks at.
    """
    assert isinstance(model.network, Chunked)
    network = copy.copy(model.network)
    network.emit = emit
    context = replace(model.spec.context, emit=emit, after=margin)
    return Model(
        replace(model.spec, context=context, bytes_per_pixel=_bytes(network, emit + margin)), network
    )


def _bytes(network: Chunked, num_frames: int) -> int:
    """Memory of a step in fp32, per pixel: what is kept of each frame, and
    some layers of what works on one."""
    return 4 * (network.kept * num_frames + 1024)


def chunk_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """What the spec says of such a network. Motion reaches anywhere, and every layer sees what was moved."""
    assert isinstance(network, Chunked)
    emit, margin = 3, round(3 / EMIT * MARGIN)  # a short chunk of the same shape costs as much a frame
    context = Context(after=MARGIN, emit=EMIT, stateful=True, shortens=True)

    def call(shadow: nn.Module, picture: Tensor) -> None:
        assert isinstance(shadow, Chunked)
        frames = picture[:, None].expand(-1, emit + margin, -1, -1, -1)
        fresh = torch.ones(1, dtype=torch.bool, device="meta")
        shadow.run(frames, emit, shadow.init_state(1, *picture.shape[-2:]), fresh)

    facts = facts_of(network, colors=colors, call=call)
    return {
        "scale": SCALE,
        "context": context,
        "windows": WINDOWS,
        "halo": None,
        "dtypes": (
            "fp32",
            "fp16",
        ),  # in bf16 motion of more than a few pixels is not told to a fraction of one
        "bytes_per_pixel": _bytes(network, EMIT + MARGIN),
        "kflop_per_pixel": facts["kflop_per_pixel"] / emit,
    }
