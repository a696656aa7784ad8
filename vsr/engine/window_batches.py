"""Which windows go through the network together: of one stream one after the other, of many side by side."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal

import torch

from vsr.engine.device import Placement
from vsr.engine.memory import step_bytes, steps_on_gpu
from vsr.engine.windowed_stream import Piece, WindowedStream, states_stack
from vsr.models import Model, Network
from vsr.picture import Picture

AT_ONCE_PIXELS = 2 << 20
"""Input pixels that keep a GPU busy: more in one batch gain nothing per frame, and cost memory."""

_ON_GPU = 4
"""Most windows of a batch by itself; on a CPU it is one, for batches gain nothing per frame there (measured)."""


class Batches:
    """Gathers windows of equal size.

    Args:
        model: what enhances.
        network: the same as it runs on the device.
        placement: where.
        most: windows in a batch; `auto` goes by the device, its memory and the pictures' size.
    """

    def __init__(self, model: Model, network: Network, placement: Placement, most: int | Literal["auto"]):
        self._spec, self._model, self._network, self._placement = model.spec, model, network, placement
        on_gpu = placement.device.type == "cuda"
        self._by_pixels = most == "auto" and on_gpu
        self.most = (_ON_GPU if on_gpu else 1) if most == "auto" else most
        """Windows in a batch; to be lowered where memory does not suffice."""
        self._fitting: dict[tuple[int, ...], int] = {}

    def most_of(self, piece: Piece) -> int:
        """How many windows like this one go through the network together."""
        if not self._by_pixels:
            return self.most
        height, width = (side * self._spec.packs for side in piece.shape[-2:])
        if (height, width) not in self._fitting:
            need = step_bytes(self._spec, self._model.network, self._placement.dtype, height, width)
            fit = steps_on_gpu(need, AT_ONCE_PIXELS // (height * width), self._placement.device)
            self._fitting[height, width] = fit
        return min(self.most, self._fitting[height, width])

    def of_stream(self, stream: WindowedStream, pictures: Iterable[Picture]) -> Iterator[list[Piece]]:
        """Consecutive windows of one stream."""
        batch: list[Piece] = []
        for piece in stream.run(pictures):
            if batch and piece.shape != batch[0].shape:
                yield batch
                batch = []
            batch.append(piece)
            if self._spec.context.stateful or len(batch) >= self.most_of(piece):
                yield batch
                batch = []
        if batch:
            yield batch

    def across(self, pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
        """The first window of every stream, then every stream's second, and so on: none holds two of one."""
        turns: Counter[WindowedStream] = Counter()
        groups: dict[tuple[int, torch.Size], list[Piece]] = {}
        for piece in pieces:
            groups.setdefault((turns[piece.stream], piece.shape), []).append(piece)
            turns[piece.stream] += 1
        for _, group in sorted(groups.items(), key=lambda item: item[0][0]):
            most = self.most_of(group[0]) if self._states_stack else 1
            yield from (group[i : i + most] for i in range(0, len(group), most))

    @cached_property
    def _states_stack(self) -> bool:
        return not self._spec.context.stateful or states_stack(self._network, 16 * self._spec.size_multiple)
