"""A border between segments, as the journal keeps it. Numbers alone: to read them takes no PyTorch."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Where reading begins for a border, and what is remembered there of the frames before. Frames count from
    0."""

    index: int
    pts: int
    scene: int
    """The frame that began the scene of the frame before."""
    scenes: dict[str, Any] | None
    """`Scene.saved`; None at the beginning."""
    colors: dict[str, Any] | None
    """`Adaptation.saved`; None where colours are not corrected."""


@dataclass(frozen=True, slots=True)
class Border:
    """The first frame of a segment other than the first one."""

    number: int
    """Of the segment that begins here, from 1."""
    index: int
    pts: int
    origin: int
    """pts of the job's first frame."""
    before: int
    """Checksum of the `COMPARED` frames before, as they go to the engine."""
    entry: EntryPoint

    def saved(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Border":
        """The border that was saved."""
        numbers: dict[str, Any] = dict(saved)
        numbers["entry"] = EntryPoint(**saved["entry"])
        return cls(**numbers)
