"""What is noted of a frame where a record is wanted, as journals keep it. Numbers and text alone: to read them takes no
PyTorch."""

from typing import NamedTuple


class FrameHash(NamedTuple):
    """What is noted of a frame."""

    pts: int
    """Its time, in ticks of the stream that is read."""
    decoded: str
    """Of the planes as they were decoded."""
    given: str
    """Of the planes as the encoder got them."""
    damaged: bool = False
    """The decoder has said that it patched the picture up."""
