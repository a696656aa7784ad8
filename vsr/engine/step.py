"""One step of a network on a batch of windows: in tiles where need be, states joined and parted."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from typing import Literal

import torch
from torch import Tensor

from vsr.engine.tiles import padded, tiled
from vsr.engine.windowed_stream import Place, WindowedStream, join_states, part_states
from vsr.models import ModelSpec, Network, State
from vsr.pulse import at_work


class Stepper:
    """Runs a prepared network. Several threads may, each with streams of its own.

    Args:
        spec: of the network.
        network: where it runs, in the type it computes in.
        dtype: what it is given.
        tile: as `EngineOptions.tile`.
    """

    def __init__(
        self, spec: ModelSpec, network: Network, dtype: torch.dtype, *, tile: Literal["auto", "off"] | int
    ):
        self._spec, self._network, self._dtype = spec, network, dtype
        self.tile = tile // spec.packs if isinstance(tile, int) else None
        """Edge of the tiles, in pixels as the network sees them; None for whole pictures. Made smaller where memory
        is short."""
        # Where tiles would equal the whole, states that differ at their edges would spoil that.
        self.may_tile = tile != "off" and (not spec.context.stateful or spec.halo is None)

    @torch.inference_mode()
    def run(self, frames: Tensor, *, streams: list[WindowedStream], resets: list[bool]) -> Tensor:
        """Enhance windows, (B, T, C, H, W) → (B, E, C, sH, sW), nominal; one stream and one reset each."""
        spec = self._spec
        tile = self.tile if self.tile and max(frames.shape[-2:]) > self.tile and self.may_tile else None
        after: list[tuple[Place, State]] = []
        call = self._call(streams, resets, tile, after)
        step = partial(padded, call, scale=spec.scale, multiple=spec.size_multiple)
        cut = partial(tiled, halo=spec.halo, scale=spec.scale, multiple=spec.size_multiple)
        with at_work(), _whole_fp32(frames.device):
            out = step(frames) if tile is None else cut(step, frames, tile=tile)
        part_states(streams, after)  # not before all of it has worked: a state must not step twice
        return out

    def _call(
        self,
        streams: list[WindowedStream],
        resets: list[bool],
        tile: int | None,
        after: list[tuple[Place, State]],
    ) -> Callable[[Tensor], Tensor]:
        """The step on a picture or, called for one by one, on its tiles; puts states into `after`."""
        peak, stateful = self._spec.value_range, self._spec.context.stateful
        numbers = count()

        def call(frames: Tensor) -> Tensor:
            place = (tile, next(numbers), tuple(frames.shape[-2:]))
            state, fresh = self._joined_state(streams, place) if stateful else (None, resets)
            reset = _flags([a or b for a, b in zip(resets, fresh, strict=True)], frames.device)
            scaled = frames if peak == 1 else frames * peak
            out, state = self._network.step(scaled.to(self._dtype), state, reset)
            if stateful:
                after.append((place, state))
            return out if peak == 1 else out / peak

        return call

    def _joined_state(self, streams: list[WindowedStream], place: Place) -> tuple[State, list[bool]]:
        """The state of a batch of streams, and which of these have none for that place yet and begin anew."""
        fresh = [place not in stream.states for stream in streams]
        blank = partial(self._network.init_state, 1, *place[2])
        begun = zip(streams, fresh, strict=True)
        return join_states([blank() if new else stream.states[place] for stream, new in begun]), fresh


def _whole_fp32(device: torch.device) -> AbstractContextManager[None]:
    """Keep cuDNN from calculating in TensorFloat-32, 10 bits of mantissa, where fp32 is asked for."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _flags(resets: list[bool], device: torch.device) -> Tensor:
    """The flags on the device, without a copy that would wait for all work before it."""
    flags = torch.zeros(len(resets), dtype=torch.bool, device=device)
    for index, reset in enumerate(resets):
        if reset:
            flags[index].fill_(True)
    return flags
