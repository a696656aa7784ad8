"""Names of numbered pictures: `frames/%05d.png` means 00001.png, 00002.png and so on of a folder."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from vsr.media.images.kinds import READABLE

_BY_FFMPEG = "hdr pfm phm xbm xwd"
STILLS = frozenset(f".{ending}" for ending in _BY_FFMPEG.split()) | set(READABLE)
"""Endings of single pictures: those of our kinds, and others that FFmpeg reads."""

_NUMBER = re.compile(r"%(?:0(\d{1,2}))?d")
_TRAILING = re.compile(r"(.*?)(\d+)")


def is_numbered(path: str | Path) -> bool:
    """Whether a path's name stands for numbered pictures: it holds one `%d` or `%05d`, and no other `%`."""
    name = Path(path).name
    one = len(_NUMBER.findall(name)) == 1 and name.count("%") == 1
    return one and Path(name).suffix.lower() in STILLS


def path_of(pattern: Path, number: int) -> Path:
    """The file of a number."""
    return pattern.with_name(pattern.name % number)


def numbered_files(pattern: Path) -> dict[int, Path]:
    """Files that a pattern means and that are there, by number, ascending; nothing where there is no such folder."""
    before, after = (re.escape(part) for part in _NUMBER.split(pattern.name)[::2])
    named = re.compile(f"{before}(\\d+){after}")
    try:
        names = [path.name for path in pattern.parent.iterdir()]
    except OSError:
        return {}
    matches = [match for name in names if (match := named.fullmatch(name))]
    found = {int(match[1]): match[0] for match in matches if match[0] == pattern.name % int(match[1])}
    return {number: pattern.with_name(found[number]) for number in sorted(found)}


def by_number(paths: Iterable[Path]) -> dict[int, Path]:
    """Pictures by number: those at the end of their names where all have one of their own, else from 1 on by name.

    Names count as people read them: `2.png` comes before `10.png`.
    """
    ordered = sorted(set(paths), key=_as_read)
    ends = [_TRAILING.fullmatch(path.stem) for path in ordered]
    numbers = [int(end[2]) for end in ends if end]
    if len(set(numbers)) == len(ordered) and len({end and end[1] for end in ends}) == 1:
        return dict(sorted(zip(numbers, ordered, strict=True)))
    return dict(enumerate(ordered, 1))


def _as_read(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)] + [(0, str(path))]


def describe_gaps(numbers: Iterable[int], most: int = 4) -> str:
    """Say which numbers are missing between the first and the last; empty where none is."""
    ordered = sorted(numbers)
    gaps = [(a + 1, b - 1) for a, b in pairwise(ordered) if b > a + 1]
    if not gaps:
        return ""
    named = [f"{first}" if first == last else f"{first} to {last}" for first, last in gaps[:most]]
    more = f" and {len(gaps) - most} more gaps" if len(gaps) > most else ""
    count = sum(last - first + 1 for first, last in gaps)
    return f"{count} {'number is' if count == 1 else 'numbers are'} missing: {', '.join(named)}{more}"
