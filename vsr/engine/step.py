"""One step of a network on a batch of windows: in tiles where need be, states of the streams joined and parted."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from vsr.engine.lane import Lane, join_states, part_state
from vsr.engine.tiles import padded, tiled
from vsr.models.spec import ModelSpec, Network, State


class Stepper:
    """Runs a prepared network. Several threads may, each with lanes of its own.

    Args:
        spec: of the network.
        network: where it runs, in the type it computes in.
        dtype: what it is given.
        tile: as `EngineOptions.tile`.
    """

    def __init__(self, spec: ModelSpec, network: Network, dtype: torch.dtype, *, tile: Literal["auto", "off"] | int):
        self._spec, self._network, self._dtype = spec, network, dtype
        self.tile = tile if isinstance(tile, int) else None
        """Edge of the tiles, in input pixels; None runs whole pictures. To be made smaller where memory is short."""
        self.may_tile = tile != "off" and not spec.context.stateful

    @torch.inference_mode()
    def run(self, frames: Tensor, *, lanes: list[Lane], resets: list[bool]) -> Tensor:
        """Enhance windows, (B, T, C, H, W) → (B, E, C, sH, sW), nominal; one lane and one reset each."""
        spec = self._spec
        step = partial(padded, self._call(lanes, resets), scale=spec.scale, multiple=spec.size_multiple)
        if self.tile is None or max(frames.shape[-2:]) <= self.tile or not self.may_tile:
            return step(frames)
        return tiled(step, frames, tile=self.tile, halo=spec.halo, scale=spec.scale, multiple=spec.size_multiple)

    def _call(self, lanes: list[Lane], resets: list[bool]) -> Callable[[Tensor], Tensor]:
        peak, stateful = self._spec.value_range, self._spec.context.stateful

        def call(frames: Tensor) -> Tensor:
            state = self._joined_state(lanes, frames.shape[-2:]) if stateful else None
            reset = _flags(resets, frames.device)
            scaled = frames if peak == 1 else frames * peak
            out, state = self._network.step(scaled.to(self._dtype), state, reset)
            if stateful:
                part_state(lanes, state)
            return out if peak == 1 else out / peak

        return call

    def _joined_state(self, lanes: list[Lane], size: tuple[int, ...]) -> State:
        for lane in lanes:
            if lane.state_size != size:
                lane.state, lane.state_size = self._network.init_state(1, *size), size
        return join_states(lanes)


def _flags(resets: list[bool], device: torch.device) -> Tensor:
    """The flags on the device, without a copy that would wait for all work before it."""
    flags = torch.zeros(len(resets), dtype=torch.bool, device=device)
    for index, reset in enumerate(resets):
        if reset:
            flags[index].fill_(True)
    return flags
