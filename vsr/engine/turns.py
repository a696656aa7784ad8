"""What a stage makes of its windows, and putting that in a row: in the order of the stream, repeats filled in."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from torch import Tensor

from vsr.pictures import Picture
from vsr.windows import Window


@dataclass(frozen=True, slots=True)
class Input:
    """A picture in the colours its network wants, made once however many windows it is part of."""

    picture: Picture
    tensor: Tensor
    """(C, H, W) float32, nominal: what the network sees of the picture."""
    starts_scene: bool
    """A reset, or a picture of another size than the one before it."""


@dataclass(frozen=True, slots=True)
class Enhanced:
    """What a window gives."""

    finish: Callable[[], list[Picture]]
    """The pictures; called in the order of the stream, in the thread that takes them."""
    share: float = 1.0
    """Of the picture's area, what the network has run on."""


Result = tuple[list[Window[Input]], list[Enhanced]]
"""A batch, and what each of its windows gives that is not a repeat."""


@dataclass(slots=True)
class Area:
    """Input pixels, counted as the pictures leave."""

    shown: int = 0
    """Of all pictures."""
    run: float = 0.0
    """Of these, what the network has run on."""


def in_turn(results: Iterable[Result], area: Area) -> Iterator[Picture]:
    """Put the batches' pictures in a row, repeats filled in, with content numbers of their own.

    Not where the batches are computed: the window that is repeated may then still be under way in another thread.
    """
    numbers = count()
    last: list[Picture] = []
    for windows, new in results:
        enhanced = iter(new)
        for window in windows:
            pixels = len(window.emitted) * window.items[0].tensor[0].numel()
            area.shown += pixels
            if window.repeats:
                last = [was.again(item.picture.frame) for was, item in zip(last, window.emitted, strict=False)]
            else:
                now = next(enhanced)
                area.run += pixels * now.share
                last = [replace(picture, content=next(numbers)) for picture in now.finish()]
            yield from last
