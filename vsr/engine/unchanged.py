"""What has not changed is not computed again: frames that repeat the one before, and parts of pictures.

**Frames** that show exactly what the frame before them showed: still cameras, slides, animation on twos. Every
frame gets a content number. Equal numbers mean equal pictures, so that whatever was made of one picture is the
result for the other; networks, resampling, rounding and transfers then need not run again. Planes are compared
by value where the decoder left them (measured at 640x360: 40 µs for a frame that repeats, 5 µs for one that
does not, beside 17 ms for `fast-x2`).

**Parts**: a network is run only where the picture has changed; the rest of its output is that of the window
before. Exact, because a result depends on no more than `halo` pixels around it, and because the parts computed alone
are checked, bit for bit, against the whole picture before they are used. All parts have one shape: kernels
are chosen by shape (oneDNN runs a 3x3 convolution of one channel in fp32 in another order below 20,480
pixels), a recorded or compiled network is prepared once, and one check speaks for all of them.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.engine.tiles import grown, is_out_of_memory, round_up
from vsr.frames import Frame
from vsr.models import ModelSpec

SAMPLED = 16
"""Every so many rows are compared before all of them: frames that differ mostly do so everywhere."""

CELL = 16
"""Edge of the squares in which change is looked for, in pixels."""

EDGE = 160
"""Edge of a part, where the halo does not ask for more: above 20,480 pixels, see above."""

MOST = 0.7
"""Share of the picture from which on it is computed as a whole."""

REST = 7
"""Windows that are computed whole unseen after one that had to be, where nobody has asked for parts: looking for
changes is then a thousandth of the work of `fast-x2`, and what stands still again is late by this."""

_EVERYWHERE = 0.9
"""Share of the squares, in a sample; the picture's edges are less than the rest of `MOST`."""


class Contents:
    """Numbers the contents of a stream's frames."""

    def __init__(self) -> None:
        self._before: Frame | None = None
        self._number = 0

    def number(self, frame: Frame) -> int:
        """Content number of the next frame, which goes up where the picture is not the one before."""
        if self._before is not None and not shows_the_same(frame, self._before):
            self._number += 1
        self._before = frame
        return self._number


def shows_the_same(frame: Frame, other: Frame) -> bool:
    """Whether two frames have the same format and the same code values in all planes; times do not matter."""
    if frame.format != other.format:
        return False
    pairs = list(zip(frame.planes, other.planes, strict=True))
    return all(np.array_equal(a[::SAMPLED], b[::SAMPLED]) for a, b in pairs) and all(
        np.array_equal(a, b) for a, b in pairs
    )


@dataclass(frozen=True, slots=True)
class Extent:
    """A part's rows, or its columns, in input pixels."""

    start: int
    stop: int
    kept_from: int
    """First result that no cut edge reaches."""
    kept_to: int


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the picture that is computed alone."""

    rows: Extent
    columns: Extent

    def of(self, frames: Tensor) -> Tensor:
        """What the network is shown, of (..., H, W)."""
        return frames[..., self.rows.start : self.rows.stop, self.columns.start : self.columns.stop]

    def paste(self, result: Tensor, onto: Tensor, scale: int) -> None:
        """Put the result for this part, (..., scale*h, scale*w), where it
        belongs in (..., scale*H, scale*W)."""
        y, x = self.rows, self.columns
        target = onto[..., y.kept_from * scale : y.kept_to * scale, x.kept_from * scale : x.kept_to * scale]
        top, left = (y.kept_from - y.start) * scale, (x.kept_from - x.start) * scale
        target.copy_(result[..., top : top + target.shape[-2], left : left + target.shape[-1]])


class Patchwork:
    """The last output of a network without a state, renewed only where its windows changed.

    `run` may be called from several threads at once, `join` from one, in the order of the stream.
    """

    def __init__(
        self,
        spec: ModelSpec,
        step: Callable[[Tensor], Tensor],
        *,
        note: Callable[[str], None] = lambda line: None,
        waits_for: float = 0.0,
    ):
        """Begin without an output.

        Args:
            spec: with a `halo`, and without a state.
            step: (1, T, C, h, w) → (1, E, C, scale*h, scale*w), on any piece of a picture.
            note: told where the whole picture has to be computed after all.
            waits_for: how many pictures' worth of work must have been there to be left out before any is: what
                moves all the time, or ends soon, is never checked.
        """
        assert spec.halo is not None
        self._spec, self.step, self._note, self._waits_for = spec, step, note, waits_for
        self._patient, self._rests = waits_for > 0, 0
        self._cell = round_up(CELL, spec.size_multiple)
        self._reach = round_up(spec.halo, spec.size_multiple)
        self._edge = round_up(max(EDGE, 4 * self._reach + 2 * self._cell), spec.size_multiple)
        self._exact: dict[tuple[int, ...], bool] = {}
        self._checking = threading.Lock()
        self._output: Tensor | None = None

    def changed_parts(self, items: Sequence[Tensor], before: Sequence[Tensor]) -> list[Part] | None:
        """The parts whose results differ from those of the window before; None for the whole picture.

        Args:
            items: the window, each (C, H, W).
            before: the window before it; empty for the first.
        """
        if not before or items[0].shape != before[0].shape:
            return None
        if self._rests:
            self._rests -= 1
            return None
        pairs = [
            (new, old) for new, old in zip(items, before, strict=True) if new.data_ptr() != old.data_ptr()
        ]
        size = tuple(round_up(side, self._spec.size_multiple) for side in items[0].shape[-2:])
        shape = self._shape(*size)
        parts = self._around_changes(pairs, size, shape) if pairs else []
        share = len(parts) * shape[0] * shape[1] / (size[0] * size[1])
        if share <= MOST and self._waits_for > 0 and parts:
            self._waits_for -= 1 - share
            return None
        if share > MOST or (parts and not self._is_exact(items, size, shape)):
            self._rests = REST if self._patient else 0
            return None
        return parts

    def _around_changes(
        self, pairs: list[tuple[Tensor, Tensor]], size: tuple[int, ...], shape: tuple[int, int]
    ) -> list[Part]:
        """Parts that hold all results that change with pairs of new and old pictures."""
        if any(_changed_everywhere(new, old, self._cell) for new, old in pairs):
            return self._cover(
                torch.ones([-(-side // self._cell) for side in size], dtype=torch.bool), size, shape
            )
        reach = -(-self._reach // self._cell)
        changed = torch.stack([_changed_cells(new, old, self._cell) for new, old in pairs]).amax(0)
        needed = F.max_pool2d(changed, 2 * reach + 1, stride=1, padding=reach)[0] > 0
        return self._cover(needed.cpu(), size, shape)

    def _shape(self, height: int, width: int) -> tuple[int, int]:
        """Height, width of all parts: square, or as large where the picture is too low or narrow."""
        low = min(height, self._edge)
        wide = min(width, round_up(-(-self._edge * self._edge // low), self._spec.size_multiple))
        return min(height, round_up(-(-self._edge * self._edge // wide), self._spec.size_multiple)), wide

    def _cover(self, needed: Tensor, size: tuple[int, ...], shape: tuple[int, int]) -> list[Part]:
        """Cover the needed cells row of parts by row of parts, each as far down and right as it can lie."""
        parts: list[Part] = []
        first = 0
        while (found := needed[first:].any(1).nonzero()).numel():
            rows, past = self._span(first + int(found[0]), size[0], shape[0])
            columns = needed[first:past].any(0)
            left = 0
            while (found := columns[left:].nonzero()).numel():
                across, left = self._span(left + int(found[0]), size[1], shape[1])
                parts.append(Part(rows, across))
            first = past
        return parts

    def _span(self, cell: int, size: int, length: int) -> tuple[Extent, int]:
        """A span whose results begin with a cell at the latest, and the first
        cell that it does not give in full."""
        start = max(0, min(cell * self._cell - self._reach, size - length))
        stop = start + length
        kept_from = start + self._reach if start else 0
        kept_to = stop - self._reach if stop < size else size
        past = -(-size // self._cell) if stop == size else kept_to // self._cell
        return Extent(start, stop, kept_from, kept_to), past

    def _is_exact(self, items: Sequence[Tensor], size: tuple[int, ...], shape: tuple[int, int]) -> bool:
        """Whether parts equal the whole on this device, to the last bit: tried once a size, on noise."""
        with self._checking:
            if size not in self._exact:
                self._exact[size] = exact = self._try(items, size, shape)
                if not exact:
                    where = f"{self._spec.name} at {size[1]}x{size[0]}"
                    self._note(
                        f"{where}: parts would not equal the whole to the bit here; frames are computed whole"
                    )
            return self._exact[size]

    @torch.inference_mode()
    def _try(self, items: Sequence[Tensor], size: tuple[int, ...], shape: tuple[int, int]) -> bool:
        noise = torch.rand(len(items), len(items[0]), *size, generator=torch.Generator().manual_seed(0))
        frames = noise.to(items[0])[None]
        rows, columns = ((0, side // 2 // self._cell, (side - 1) // self._cell) for side in size)
        try:
            first, whole = (self.step(frames) for _ in range(2))  # one is recorded when it comes twice
            tried = whole.clone()
            for y, x in product(rows, columns):
                part = Part(self._span(y, size[0], shape[0])[0], self._span(x, size[1], shape[1])[0])
                part.paste(self.step(part.of(frames)), tried, self._spec.scale)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        return torch.equal(first, whole) and torch.equal(tried, whole)

    def run(self, frames: Tensor, parts: Sequence[Part]) -> list[tuple[Part, Tensor]]:
        """Compute the parts of a window, (1, T, C, H, W)."""
        frames = grown(frames, self._spec.size_multiple) if parts else frames
        return [(part, self.step(part.of(frames))[0]) for part in parts]

    def share(self, frames: Tensor, parts: Sequence[Part]) -> float:
        """How much of the picture the parts are, halos included."""
        area = sum(part.of(frames).shape[-2] * part.of(frames).shape[-1] for part in parts)
        return min(1.0, area / (frames.shape[-2] * frames.shape[-1]))

    @torch.inference_mode()
    def join(self, renewed: Tensor | list[tuple[Part, Tensor]]) -> Tensor:
        """The output for the next window, (E, C, scale*H, scale*W), of the whole or of its parts.

        It is written to by the next call: make something of it before.
        """
        if isinstance(renewed, Tensor):
            self._output = renewed
            return renewed
        assert self._output is not None
        for part, result in renewed:
            part.paste(result, self._output, self._spec.scale)
        return self._output


def _changed_everywhere(new: Tensor, old: Tensor, cell: int) -> bool:
    """Whether noise has touched nearly every square of (C, H, W), by one row of each.

    At 640x360 this is 0.05 ms of CPU where it has, and the whole check 0.6 ms where it has
    not, beside 17 ms or more for `fast-x2`.
    """
    differ = (new[:, cell // 2 :: cell] != old[:, cell // 2 :: cell]).any(0, keepdim=True).float()
    return bool(F.max_pool1d(differ, cell, ceil_mode=True).mean() > _EVERYWHERE) if differ.numel() else False


def _changed_cells(new: Tensor, old: Tensor, cell: int) -> Tensor:
    """(1, rows, columns), above 0 where a square of (C, H, W) holds anything that is not equal."""
    return F.max_pool2d((new != old).any(0, keepdim=True).float(), cell, ceil_mode=True)
