"""Scene cuts: sets `Frame.reset` where a new scene begins, as frames pass
by. Knows no tensors, devices or files.

Each frame is shrunk to 64×36 grey samples and cut into twelve blocks; every block is looked for in the frame
before, a few samples around its own place, whatever its brightness and contrast. A pan or a zoom moves
blocks, a flash or a fade changes their brightness, a subtitle replaces a few of them: most are found again.
At a cut most are not.

A frame is judged by earlier frames alone, so that live video is not delayed. A flash is told from a cut
without waiting for its end: brighter stays brighter, what it saturates says nothing, and the frame after it
is found again in those before it. A frame without structure (black, white) begins no scene, then; the first
frame that has some again is held against the last one that had.
"""

import base64
import zlib
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsr.frames import Frame, PictureFormat, Plane
from vsr.prefetch import mapped

Grid = npt.NDArray[np.float32]

HEIGHT, WIDTH = 36, 64
"""Samples of a shrunk frame: the least that keeps twelve blocks with structure apart from each other."""

SAMPLES = 4
"""Rows and columns of the frame read for each of its samples: all cost 0.21 ms at 720p, these 0.04."""

BLOCK_HEIGHT, BLOCK_WIDTH = 9, 13
SHIFT_Y, SHIFT_X = 4, 6
"""How far a block is looked for: 11 % and 9 % of the picture, a whip pan.
Blocks keep as far from the border."""

TOPS = np.arange(SHIFT_Y, HEIGHT - SHIFT_Y - BLOCK_HEIGHT + 1, BLOCK_HEIGHT)
LEFTS = np.arange(SHIFT_X, WIDTH - SHIFT_X - BLOCK_WIDTH + 1, BLOCK_WIDTH)
PLACES = np.ix_(TOPS, LEFTS)

NOISE = 0.004
"""Standard deviation (white is 1) of what grain and compression leave in a
shrunk frame; structure is well above."""

STRUCTURE = 0.015
"""A block with less than this standard deviation in both frames has no say. A dark scene has 0.03 or more."""

BLACK, WHITE = 0.1, 0.85
"""A block without structure beyond these is saturated by a flash or faded out: it has no say either."""

VOTES = 5
"""Blocks that must have a say, of twelve: more than the four that a subtitle touches."""

LEAST = 0.25
"""Difference (see `_difference`) of a cut when nothing moves. Measured on 23
clips of 128×128 to 1280×720: at most
0.14 from one frame to the next of a take (traffic, hand-held, crowds, a cross-fade), 0.40 and 0.41 at their two cuts.
Of 1,200 joins between any two of them 98 % are found; most of the others join two test patterns."""

MOST = 0.45
"""However much moves, a difference above this is a cut, or a montage of single frames would never be one."""

MEMORY = 0.1
"""Weight of the newest difference in the recent average, about the last ten frames, which is added to
`LEAST`: pictures in which nothing is ever found again, such as confetti, need not be cut at every frame."""

SAME = 0.1
"""A difference at which a better match is not looked for."""

FLASH = 2
"""Frames that a flash may last."""


def mark_scene_cuts(
    frames: Iterable[Frame], scenes: "dict[int, Scene] | None" = None
) -> Generator[Frame, None, None]:
    """Set `reset` on the first frame of every scene but the first; resets that are set already stay.

    Each `Frame.stream` is judged by itself. No latency; 0.15 to 0.35 ms of one core a frame, at any
    size. Frames that become visible gradually (fade, cross-fade) begin no scene. What `scenes` holds,
    by stream, is gone on with and kept up to date. `frames` is closed, if it can be, in the thread that
    runs or closes this generator.
    """
    scenes = {} if scenes is None else scenes

    def marked(frame: Frame) -> Frame:
        starts = scenes.setdefault(frame.stream, Scene()).add(_shrink(frame), reset=frame.reset)
        return replace(frame, reset=True) if starts and not frame.reset else frame

    return mapped(marked, frames)


@dataclass(frozen=True, slots=True)
class _Small:
    """A shrunk frame and the statistics of every block-sized window, by the window's upper left sample."""

    values: Grid
    """Nominal: black is 0, white is 1."""
    mean: Grid
    spread: Grid
    """Standard deviation."""
    structure: Grid
    """Standard deviation in each block, (rows, columns), after a blur that leaves a third of the grain."""

    @property
    def has_structure(self) -> bool:
        return int((self.structure > STRUCTURE).sum()) >= VOTES


@dataclass(slots=True)
class Scene:
    """What is remembered of one stream."""

    recent: deque[_Small] = field(default_factory=lambda: deque[_Small](maxlen=FLASH + 1))
    """The last frames of the scene, newest last."""
    structured: _Small | None = None
    """The last frame of the scene that had structure, however long ago."""
    usual: float = 0.0
    """The recent average difference."""

    def copy(self) -> "Scene":
        """As it is now; what it remembers is shared, and never changes."""
        return replace(self, recent=self.recent.copy())

    def saved(self) -> dict[str, Any]:
        """Everything as JSON takes it, exactly. Statistics follow from the samples and are left out."""
        recent = [_packed(small) for small in self.recent]
        kept = next((n for n, small in enumerate(self.recent) if small is self.structured), None)
        other = None if self.structured is None or kept is not None else _packed(self.structured)
        return {"usual": float(self.usual), "recent": recent, "structured": kept, "other": other}

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Scene":
        """The scene that was saved."""
        scene = cls(usual=saved["usual"])
        scene.recent.extend(_measured(_unpacked(text)) for text in saved["recent"])
        if saved["other"] is not None:
            scene.structured = _measured(_unpacked(saved["other"]))
        elif saved["structured"] is not None:
            scene.structured = scene.recent[saved["structured"]]
        return scene

    def add(self, small: _Small, *, reset: bool) -> bool:
        """Remember a frame; returns whether it starts a scene."""
        difference = 0.0 if reset else self._difference(small)
        starts = reset or difference > min(LEAST + self.usual, MOST)
        self.usual += MEMORY * (difference - self.usual)
        if starts:
            self.recent.clear()
            self.structured = None
        self.recent.append(small)
        if small.has_structure:
            self.structured = small
        return starts

    def _difference(self, small: _Small) -> float:
        """From the frame of the scene that is most like this one."""
        least = 1.0 if self.recent else 0.0
        for earlier in reversed(self.recent):
            least = min(least, _difference(earlier, small))
            if least < SAME:
                return least
        if self.recent:
            least = min(least, _difference(_relit(self.recent[-1], small), small))
        return least if self.structured is None else min(least, _difference(self.structured, small))


def _packed(small: _Small) -> str:
    return base64.b64encode(zlib.compress(small.values.tobytes())).decode()


def _unpacked(text: str) -> Grid:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.float32).reshape(HEIGHT, WIDTH).copy()


def _shrink(frame: Frame) -> _Small:
    planes = frame.planes[:3] if frame.format.layout == "rgb" else frame.planes[:1]
    black, white = _black_and_white(frame.format)
    values = sum(_shrink_plane(plane) for plane in planes) / np.float32(len(planes))
    return _measured(np.asarray((values - black) / (white - black), np.float32))


def _measured(values: Grid) -> _Small:
    window = (BLOCK_WIDTH, BLOCK_HEIGHT)
    mean = cv2.boxFilter(values, -1, window, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    square = cv2.sqrBoxFilter(values, -1, window, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    structure = _in_blocks(np.asarray(cv2.blur(values, (3, 3)), np.float32)).std(axis=(1, 3))
    return _Small(values, np.asarray(mean, np.float32), np.asarray(spread, np.float32), structure)


def _in_blocks(values: Grid) -> Grid:
    """The samples of each block: (block rows, rows, block columns, columns)."""
    rows = slice(TOPS[0], TOPS[-1] + BLOCK_HEIGHT)
    columns = slice(LEFTS[0], LEFTS[-1] + BLOCK_WIDTH)
    return values[rows, columns].reshape(len(TOPS), BLOCK_HEIGHT, len(LEFTS), BLOCK_WIDTH)


def _shrink_plane(plane: Plane) -> Grid:
    rows, columns = (
        max(1, size // (SAMPLES * small)) for size, small in zip(plane.shape, (HEIGHT, WIDTH), strict=True)
    )
    sampled = np.ascontiguousarray(plane[rows // 2 :: rows, columns // 2 :: columns])
    return cv2.resize(sampled, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)


def _black_and_white(format: PictureFormat) -> tuple[float, float]:
    """Code values of the first plane."""
    if format.range == "full" or format.layout == "rgb":
        return 0.0, float((1 << format.bit_depth) - 1)
    step = 1 << (format.bit_depth - 8)
    return 16.0 * step, 235.0 * step


def _relit(old: _Small, new: _Small) -> _Small:
    """`old` in the light of `new`: its values replaced, in order of brightness, by those of `new`.

    If a flash has clipped most of the picture, then it now clips the same parts of `old`.
    """
    values = np.empty(old.values.size, np.float32)
    values[old.values.argsort(axis=None)] = np.sort(new.values, axis=None)
    return _measured(values.reshape(old.values.shape))


def _difference(old: _Small, new: _Small) -> float:
    """One minus the median correlation of the blocks of `new` with what is
    most like them in `old`; 0 is the same.

    Blocks are first compared in place: of a picture that stands still that is all. Others are looked for
    until more than half are the same.
    """
    level = new.mean[PLACES]
    says = np.maximum(new.structure, old.structure) > STRUCTURE
    says &= (new.structure > STRUCTURE) | ((level > BLACK) & (level < WHITE))
    if says.sum() < VOTES or not says[:-1].any():
        return 0.0
    differences = 1 - _correlation_in_place(old, new)
    to_find = int(says.sum()) // 2 + 1 - int((differences[says] < SAME).sum())
    places = zip(*np.nonzero(says & (differences >= SAME)), strict=True)
    while to_find > 0 and (place := next(places, None)) is not None:
        differences[place] = 1 - _best_correlation(old, new, int(TOPS[place[0]]), int(LEFTS[place[1]]))
        to_find -= bool(differences[place] < SAME)
    # In a dark scene most blocks with a say can be those of a subtitle.
    return min(_median(differences[says]), _median(differences[:-1][says[:-1]]))


def _median(values: Grid) -> float:
    """The upper one of an even number; a tenth of the time that NumPy takes."""
    return float(np.sort(values)[len(values) // 2])


def _correlation_in_place(old: _Small, new: _Small) -> Grid:
    """Of each block with the one at its own place, (rows, columns)."""
    products = (_in_blocks(old.values) * _in_blocks(new.values)).mean(axis=(1, 3))
    covariance = products - old.mean[PLACES] * new.mean[PLACES]
    return covariance / (old.spread[PLACES] * new.spread[PLACES] + NOISE**2)


def _best_correlation(old: _Small, new: _Small, top: int, left: int) -> float:
    """Of the block of `new` at a place with any of `old` around it."""
    bottom, right = top + BLOCK_HEIGHT, left + BLOCK_WIDTH
    around = old.values[top - SHIFT_Y : bottom + SHIFT_Y, left - SHIFT_X : right + SHIFT_X]
    products = cv2.matchTemplate(around, new.values[top:bottom, left:right], cv2.TM_CCOEFF)
    covariance = products / (BLOCK_HEIGHT * BLOCK_WIDTH)
    spread = old.spread[top - SHIFT_Y : top + SHIFT_Y + 1, left - SHIFT_X : left + SHIFT_X + 1]
    return float((covariance / (new.spread[top, left] * spread + NOISE**2)).max())
