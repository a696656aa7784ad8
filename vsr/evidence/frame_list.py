"""The hashes of all frames as a text, a line each, and the root of their Merkle tree, which stands for all of them.

Each line ends with a check of itself, so that of a text that was changed the line can be named.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vsr.errors import VerifyError
from vsr.evidence.chain_log import CUT_OFF

FRAMES = "frames.txt"

_COLUMNS = (
    "#columns: number, pts, decoded, given to the encoder, decoded result, patched up by the decoder, check"
)


@dataclass(frozen=True, slots=True)
class NotedFrame:
    """A frame's hashes: SHA-256 as 64 hexadecimal digits."""

    pts: int
    decoded: str
    given: str
    result: str
    """Of the result's frame as it is decoded again."""
    damaged: bool = False
    """The decoder has said that it patched the source's picture up."""


def write_frames(frames: Iterable[NotedFrame], time_base: Fraction) -> str:
    """Write the text."""
    lines = [*_head(time_base), *(_line(number, frame) for number, frame in enumerate(frames))]
    return "\n".join(lines) + "\n"


def _head(time_base: Fraction) -> list[str]:
    return [
        "#format: hashes of frames, by vsr",
        "#version: 1",
        "#hash: SHA-256 of all rows of all planes, as FFmpeg's framehash makes it",
        f"#time base: {time_base.numerator}/{time_base.denominator}",
        _COLUMNS,
    ]


def _line(number: int, frame: NotedFrame) -> str:
    told = "patched" if frame.damaged else "-"
    text = f"{number}, {frame.pts}, {frame.decoded}, {frame.given}, {frame.result}, {told}"
    return f"{text}, {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def read_frames(raw: bytes, path: Path, *, count: int) -> list[NotedFrame]:
    """Read the text of so many frames.

    Raises:
        VerifyError: names the first frame whose line was changed, moved, or is not there.
    """
    lines = raw.decode("utf-8", "replace").split("\n")
    frames: list[NotedFrame] = []
    for place, line in enumerate(lines):
        if place < 5 or (line == "" and place == len(lines) - 1):
            continue
        number = place - 5
        told, pts, decoded, given, result, patched, check = (*line.split(", "), *[""] * 7)[:7]
        if told != str(number) and hashlib.sha256(line[:-18].encode()).hexdigest()[:16] == check:
            raise VerifyError(f"{path}: frame {number} is missing; frame {told} stands in its place")
        if place == len(lines) - 1:
            raise VerifyError(f"{path}: the line of frame {number} {CUT_OFF}")
        try:
            frame = NotedFrame(int(pts), decoded, given, result, patched == "patched")
        except ValueError:
            raise VerifyError(f"{path}: the line of frame {number} was changed") from None
        if _line(number, frame) != line:
            raise VerifyError(f"{path}: the line of frame {number} was changed")
        frames.append(frame)
    if len(frames) != count:
        raise VerifyError(f"{path}: frame {min(len(frames), count)} is missing, or there is one too many")
    base = lines[3].removeprefix("#time base: ")
    is_base = "/" in base and all(part.isdigit() and int(part) for part in base.split("/"))
    if not is_base or raw != write_frames(frames, Fraction(base)).encode():
        raise VerifyError(f"{path}: the lines before those of frames were changed")
    return frames


def merkle_root(frames: Sequence[NotedFrame]) -> str:
    """Hash all frames' lines pairwise, as RFC 6962, 2.1, has it."""
    level = [
        hashlib.sha256(b"\0" + _line(number, frame).encode()).digest() for number, frame in enumerate(frames)
    ]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)
        ]
        level = [*pairs, *level[len(pairs) * 2 :]]
    return level[0].hex()
