"""Self-ensemble: a network shown the picture in its eight poses, the answers turned back and averaged.

What a network gets wrong in one pose it gets wrong differently in another (Timofte et al., "Seven ways to
improve example-based single image super resolution", CVPR 2016). Measured on Set5 at ×2: `nano` 36.68 → 36.95
dB, `fast` 37.14 → 37.34, `base` 37.43 → 37.58. To the engine it is a network like any other.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from vsr.models.spec import Model, Network, State

Pose = tuple[bool, int]

POSES: tuple[Pose, ...] = tuple((mirrored, turns) for mirrored in (False, True) for turns in range(4))
"""Mirrored left to right first or not, then quarter turns counter-clockwise."""


class SelfEnsemble(nn.Module):
    """Eight passes of one network; each pose has a state of its own, since a
    quarter turn swaps height and width."""

    def __init__(self, network: Network, packs: int = 1):
        """Show a network the poses of what it sees.

        Args:
            network: any.
            packs: as its `ModelSpec.packs`; the pixels that are packed together change places, too.
        """
        super().__init__()
        self.network, self.packs = network, packs

    def init_state(self, batch: int, height: int, width: int) -> State | None:
        """The states of the eight poses; None where the network has none."""
        states = tuple(
            self.network.init_state(batch, *((width, height) if turns % 2 else (height, width)))
            for _, turns in POSES
        )
        return None if states[0] is None else states

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, State | None]:
        """Enhance in all poses; the average is fp32, whatever the network computes in."""
        states = (None,) * len(POSES) if state is None else state
        total: Tensor | None = None
        after: list[State | None] = []
        for pose, before in zip(POSES, states, strict=True):
            output, next_state = self.network.step(self._posed(frames, pose), before, reset)
            turned = self._back(output.float(), pose)  # always a fresh tensor
            total = turned if total is None else total.add_(turned)
            after.append(next_state)
        assert total is not None
        return total.div_(len(POSES)), None if state is None else tuple(after)

    def _posed(self, frames: Tensor, pose: Pose) -> Tensor:
        return (
            _turned(frames, pose)
            if self.packs == 1
            else _turned(frames, pose)[..., _order(pose, self.packs, frames.shape[-3]), :, :]
        )

    def _back(self, frames: Tensor, pose: Pose) -> Tensor:
        mirrored, turns = pose
        if self.packs > 1:
            frames = frames[..., torch.argsort(_order(pose, self.packs, frames.shape[-3])), :, :]
        frames = torch.rot90(frames, -turns, (-2, -1))  # copies, even where there is nothing to turn
        return frames.flip(-1) if mirrored else frames


def self_ensemble(model: Model) -> Model:
    """The same model in eight poses: eight times the work."""
    spec = replace(
        model.spec, name=f"{model.spec.name} (self-ensemble)", kflop_per_pixel=8 * model.spec.kflop_per_pixel
    )
    return Model(spec, SelfEnsemble(model.network, model.spec.packs).eval())


def _turned(frames: Tensor, pose: Pose) -> Tensor:
    mirrored, turns = pose
    return torch.rot90(frames.flip(-1) if mirrored else frames, turns, (-2, -1))


def _order(pose: Pose, packs: int, channels: int) -> Tensor:
    """Which channel each of a packed picture's comes from when it is posed."""
    block = torch.arange(packs * packs)
    return torch.cat(
        [_turned(block.view(packs, packs), pose).flatten(), torch.arange(packs * packs, channels)]
    )
