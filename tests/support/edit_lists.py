"""Edit lists put into mp4 files: what editors on phones leave of a film that they trim without encoding it."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

Edit = tuple[float, float]
"""Seconds of the track from which it is shown (-1 for an empty edit), and for how long."""


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        size = int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], start, start + size
        start += size


def _find(data: bytes, names: Sequence[bytes], start: int, end: int) -> tuple[int, int]:
    for name, first, last in _boxes(data, start, end):
        if name == names[0]:
            return (first, last) if len(names) == 1 else _find(data, names[1:], first + 8, last)
    raise KeyError(names)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def put_edits(path: Path, edits: Sequence[Sequence[Edit]]) -> Path:
    """Give each track of an mp4 whose index is at its end these edits in place of its own."""
    data = path.read_bytes()
    begin, end = _find(data, [b"moov"], 0, len(data))
    assert end == len(data), "the index is not at the end"
    timescale = int.from_bytes(data[slice(*_after(data, [b"moov", b"mvhd"], 12))], "big")
    movie, waiting = b"", list(edits)
    for name, first, last in _boxes(data, begin + 8, end):
        movie += (
            _with_edits(data[first:last], waiting.pop(0), timescale) if name == b"trak" else data[first:last]
        )
    path.write_bytes(data[:begin] + _box(b"moov", movie))
    return path


def _after(data: bytes, names: Sequence[bytes], offset: int) -> tuple[int, int]:
    at = _find(data, names, 0, len(data))[0] + 8 + offset
    return at, at + 4


def _with_edits(track: bytes, edits: Sequence[Edit], timescale: int) -> bytes:
    own = int.from_bytes(track[slice(*_after(track, [b"trak", b"mdia", b"mdhd"], 12))], "big")
    rows = b"".join(
        struct.pack(">IiI", round(length * timescale), -1 if start < 0 else round(start * own), 1 << 16)
        for start, length in edits
    )
    listed = _box(b"edts", _box(b"elst", struct.pack(">II", 0, len(edits)) + rows))
    parts = [track[a:b] for name, a, b in _boxes(track, 8, len(track)) if name != b"edts"]
    return _box(b"trak", b"".join([parts[0], listed, *parts[1:]]))
