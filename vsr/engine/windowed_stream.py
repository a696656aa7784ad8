"""One stream's way through one stage: all that must be remembered from picture to picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from vsr.engine.packing import pack_picture
from vsr.engine.unchanged import Patchwork
from vsr.models import ModelSpec, Network, State
from vsr.picture import Picture, in_rgb, in_ycc
from vsr.trace import span
from vsr.windows import RepeatFinder, Ring, Window


@dataclass(frozen=True, slots=True)
class Input:
    """A picture in the colours its network wants, made once however many windows it is part of."""

    picture: Picture
    tensor: Tensor
    """(C, H, W) float32, nominal, or packed: what the network sees of the picture."""
    starts_scene: bool
    """A reset, or a picture of another size than the one before it."""


@dataclass(frozen=True, slots=True)
class Enhanced:
    """What a window gives."""

    finish: Callable[[], list[Picture]]
    """The pictures; called in the order of the stream, in the thread that takes them."""
    share: float = 1.0
    """Of the picture's area, what the network has run on."""


@dataclass(slots=True)
class Area:
    """Input pixels, counted as the pictures leave."""

    shown: int = 0
    """Of all pictures."""
    run: float = 0.0
    """Of these, what the network has run on."""


Place = tuple[int | None, int, tuple[int, ...]]
"""What a state belongs to: the edge of the tiles, None for none; which tile; its height and width."""


class WindowedStream:
    """Cuts a stream into windows, keeps the network's state for it, and puts in a row what comes out."""

    def __init__(self, spec: ModelSpec, patchwork: Patchwork | None = None):
        context = spec.context
        self._spec = spec
        self.damage = spec.damage
        """What is told of the pictures that come from here on; may be set between pictures."""
        self._ring: Ring[Input] = Ring(
            before=context.before, emit=context.emit, after=context.after, shortens=context.shortens
        )
        self._compared = None if context.stateful else RepeatFinder[Input](lambda item: item.picture.content)
        self._before: Input | None = None
        self._last: list[Picture] = []
        self._numbers = count()
        self.patchwork = patchwork
        """Keeps the network's last output, where only what changes is renewed."""
        self.area = Area()
        self.states: dict[Place, State] = {}
        """The network's, of the whole picture or of each tile; empty before the first step."""

    @property
    def can_be_told(self) -> bool:
        """Whether the network takes note of `damage`."""
        return self._spec.packs > 1

    def run(self, pictures: Iterable[Picture]) -> Iterator["Piece"]:
        """Yield all windows of a stream that ends."""
        for picture in pictures:
            yield from self.take(picture)
        yield from self.flush()

    def take(self, picture: Picture) -> Iterator["Piece"]:
        """Take the stream's next picture; yield the windows that are complete with it."""
        item = self.input(picture)
        yield from map(self._piece, self._ring.push(item, starts_scene=item.starts_scene))

    def flush(self) -> Iterator["Piece"]:
        """Yield the windows of what is left when the stream ends here."""
        yield from map(self._piece, self._ring.flush())

    def _piece(self, window: Window[Input]) -> "Piece":
        return Piece(self, window if self._compared is None else self._compared.compare(window))

    def input(self, picture: Picture) -> Input:
        """Convert the stream's next picture to the network's colours; what repeats is not converted again."""
        before = self._before
        starts_scene = picture.frame.reset or before is None or picture.size != before.picture.size
        if before is not None and picture.content == before.picture.content:
            picture, tensor = before.picture.again(picture.frame), before.tensor
        else:
            with span("convert in"):
                picture = in_rgb(picture) if self._spec.in_channels == 3 else in_ycc(picture)
                tensor = self._seen(picture)
        self._before = Input(picture, tensor, starts_scene)
        return self._before

    def _seen(self, picture: Picture) -> Tensor:
        """(C, H, W) of a picture in the network's colours."""
        if self.can_be_told:
            return pack_picture(picture, self.damage)[0]
        tensor = picture.luma if self._spec.in_channels == 1 else picture.rgb
        assert tensor is not None
        return tensor[0]

    def leave(self, window: Window[Input], enhanced: Enhanced | None) -> list[Picture]:
        """Give what leaves with a window, with content numbers of its own; of a repeat what left before it.

        Called in the order of the stream, and so not where windows are computed: the one that is repeated may
        then still be under way in another thread.
        """
        pixels = len(window.emitted) * window.items[0].tensor[0].numel()
        self.area.shown += pixels
        if enhanced is None:
            pairs = zip(self._last, window.emitted, strict=False)
            self._last = [picture.again(item.picture.frame) for picture, item in pairs]
        else:
            self.area.run += pixels * enhanced.share
            self._last = [replace(picture, content=next(self._numbers)) for picture in enhanced.finish()]
        return self._last


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A window, and the stream that it came from and its result goes back to."""

    stream: WindowedStream
    window: Window[Input]

    @property
    def tensors(self) -> list[Tensor]:
        """The window's pictures, (C, H, W) each."""
        return [item.tensor for item in self.window.items]

    @property
    def shape(self) -> torch.Size:
        """Number, colours, height, width of the window's pictures."""
        items = self.window.items
        return torch.Size((len(items), *items[0].tensor.shape))


@dataclass(frozen=True, slots=True)
class BatchResult:
    """A batch, and what came of it."""

    pieces: list[Piece]
    enhanced: list[Enhanced]
    """What each window gives that is not a repeat."""


def in_turn(results: Iterable[BatchResult]) -> Iterator[Picture]:
    """Put the batches' pictures in a row, repeats filled in."""
    for result in results:
        enhanced = iter(result.enhanced)
        for piece in result.pieces:
            yield from piece.stream.leave(piece.window, None if piece.window.repeats else next(enhanced))


def states_stack(network: Network, side: int) -> bool:
    """Whether several streams' states make one of a batch: every part is a tensor
    with the batch along its first axis.

    Args:
        network: one with a state.
        side: height and width of a picture that it takes.
    """
    one, two = (pytree.tree_leaves(network.init_state(batch, side, side)) for batch in (1, 2))
    return all(isinstance(leaf, Tensor) for leaf in [*one, *two]) and all(
        a.shape[:1] == (1,) and b.shape == (2, *a.shape[1:]) for a, b in zip(one, two, strict=True)
    )


def join_states(states: Sequence[State]) -> State:
    """One state of a batch of streams."""
    return states[0] if len(states) == 1 else pytree.tree_map(lambda *parts: torch.cat(parts), *states)


def part_states(streams: Sequence[WindowedStream], after: Sequence[tuple[Place, State]]) -> None:
    """Give each stream its part of a batch's states, in place of all that it had."""
    for index, stream in enumerate(streams):
        stream.states = {place: _part(state, index, len(streams)) for place, state in after}


def _part(state: State, index: int, batch: int) -> State:
    return state if batch == 1 else pytree.tree_map(lambda leaf: leaf[index : index + 1], state)
