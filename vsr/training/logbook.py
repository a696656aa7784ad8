"""What a run leaves to look at, in NAME.log: log.jsonl, pictures, and TensorBoard's events."""

import json
import os
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from vsr.errors import ConfigError
from vsr.resample import enlarge
from vsr.training.events import EventFile

Array = npt.NDArray[np.uint8]

_SAMPLE_EDGE = 256
"""Longest side of one picture in a sample; larger ones are cut to their middle."""

_GAP = 4
"""White columns between the pictures of a sample."""


class Logbook:
    """Numbers and pictures of one run by step; a context manager that closes its files.

    A resumed run takes the book up where its state was saved: what was written after that is struck out.
    """

    def __init__(self, folder: Path, *, first: int):
        """Open the book of a run that goes on with step `first`."""
        if folder.exists() and not folder.is_dir():
            raise ConfigError(
                f"{folder} is a file, and the book of the run is a folder of that name; move it away"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for path in (folder / "log.jsonl", folder / "samples"):
            if path.is_symlink():
                raise ConfigError(f"{path} is a link, and what it leads to is left alone; move it away")
        path = folder / "log.jsonl"
        kept = _lines_up_to(first, path)
        self._lines = os.fdopen(_through_no_link(path), "w", encoding="utf-8")
        self._lines.writelines(kept)
        self._events = EventFile(folder, first=first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._events.close()

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """Note numbers by name, as they are after `step` steps."""
        self._lines.write(json.dumps({"step": step} | numbers) + "\n")
        self._lines.flush()
        self._events.numbers(step, numbers)

    def show(self, step: int, name: str, picture: Array) -> None:
        """Keep a picture, (H, W, 3) B, G, R, as samples/NAME-STEP.png."""
        encoded = cv2.imencode(".png", picture)[1].tobytes()
        path = self._folder / "samples" / f"{name}-{step:07d}.png"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)  # a link, or the same step's of an earlier run
        path.write_bytes(encoded)
        self._events.picture(step, f"samples/{name}", encoded, picture.shape[:2])


def _through_no_link(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _lines_up_to(step: int, path: Path) -> list[str]:
    """The whole lines of a log that speak of no later step; the last one may have been cut off."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]


def sample(low: Tensor, output: Tensor, target: Tensor) -> Array:
    """Put what came in (enlarged), what the network made of it, and the original side by side.

    Args:
        low: (C, h, w), C 1 (luma) or 3 (RGB), 0–1.
        output, target: (C, scale*h, scale*w).

    Returns:
        (H, W, 3) B, G, R, of the middle where the pictures are large.
    """
    scale = target.shape[1] // low.shape[1]
    pictures = [_drawn(picture) for picture in (enlarge(low[None].float().cpu(), scale)[0], output, target)]
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([pictures[0], gap, pictures[1], gap, pictures[2]], axis=1)


def _drawn(picture: Tensor) -> Array:
    _, height, width = picture.shape
    top, left = max(0, height - _SAMPLE_EDGE) // 2, max(0, width - _SAMPLE_EDGE) // 2
    middle = picture[:, top : top + _SAMPLE_EDGE, left : left + _SAMPLE_EDGE].float().cpu().clamp(0, 1)
    rows = (middle * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(rows[..., ::-1])
