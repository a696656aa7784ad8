"""What the source confirms of a result, as a record has it: figures in a file, their sum and pictures for the page."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsr.durable import sha256_of
from vsr.evidence.shown_pairs import page_jpeg
from vsr.jobs import Plan, support_of_plan
from vsr.support import Figures, FrameSupport, SupportWishes, figures_text, hatched, text_sentences

SUPPORT = "support.json"


@dataclass(frozen=True)
class Supported:
    """What was measured."""

    figures: Figures
    maps: Mapping[int, bytes]
    """Of some frames, by number: the result as a JPEG, with lines over what is not supported."""
    files: tuple[Path, ...]
    """What else the user had written of it."""

    @property
    def text(self) -> bytes:
        """The file of all figures, to the byte the one that `--support NAME.json` writes."""
        return figures_text(self.figures)

    def facts(self) -> dict[str, Any]:
        """What the record names: all but the single frames."""
        told = {name: value for name, value in self.figures.items() if name != "frames"}
        return told | {
            "text": text_sentences(self.figures["frames"]),
            "sha256": hashlib.sha256(self.text).hexdigest(),
            "files": {path.name: sha256_of(path) for path in self.files},
        }


def measure_support(plan: Plan, result: Path, wishes: SupportWishes, numbers: Collection[int]) -> Supported:
    """Measure a finished result, and draw the frames of these numbers.

    Raises:
        VsrError: as `support_of_plan`.
    """
    maps: dict[int, bytes] = {}

    def look(support: FrameSupport) -> None:
        if support.number in numbers:
            maps[support.number] = page_jpeg(hatched(support))

    task = replace(wishes.task(result), look=look)
    return Supported(support_of_plan(plan, task, full=wishes.full), maps, tuple(task.paths.all))
