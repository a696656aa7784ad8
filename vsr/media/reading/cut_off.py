"""Whether a file was cut off: it is shorter than its own boxes say. Looks at their headers alone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vsr.media.network import is_address
from vsr.media.standard_streams import is_standard

_MOST_BOXES = 100_000
"""Looked at; a long recording in fragments has two for each."""


def is_cut_off(path: str | Path, container: str) -> bool:
    """Say whether a file ends inside of a box that goes on; also where its container has no boxes with sizes.

    Args:
        path: of the file.
        container: FFmpeg's name of it.
    """
    if is_standard(path) or is_address(path):
        return True  # who sent it may have been stopped
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        end_of = next((end_of for name, end_of in _BOXES.items() if name in container), None)
        if end_of is None:
            return True
        at = 0
        for _ in range(_MOST_BOXES):
            file.seek(at)
            end = end_of(file, at)
            if end is None or end <= at or at >= size:
                break  # as long as it likes, or none of a kind that we know
            at = end
    return at > size


def _end_of_atom(file: BinaryIO, at: int) -> int | None:
    """ISO/IEC 14496-12: four bytes of size with the header, four of type; a size
    of 1 is followed by eight bytes of it, 0 reaches to the end of the file."""
    head = file.read(16)
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return at + size if size and len(head) >= 8 else None


def _end_of_element(file: BinaryIO, at: int) -> int | None:
    """RFC 8794: an ID and a size, each as long as the zeros that it begins with
    say; a size of ones alone is not known."""
    head = file.read(12)
    if len(head) < 2 or not head[0]:
        return None
    id_bytes = 9 - head[0].bit_length()
    first = head[id_bytes] if id_bytes < len(head) else 0
    size_bytes = 9 - first.bit_length()
    if not first:
        return None
    value = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    return None if value == (1 << 7 * size_bytes) - 1 else at + id_bytes + size_bytes + value


def _end_of_chunk(file: BinaryIO, at: int) -> int | None:
    """RIFF: four bytes of type, four of size, and content that an odd byte is added to."""
    head = file.read(8)
    size = int.from_bytes(head[4:8], "little")
    return at + 8 + size + size % 2 if len(head) == 8 and head[:4] == b"RIFF" else None


_BOXES: dict[str, Callable[[BinaryIO, int], int | None]] = {
    "mp4": _end_of_atom,
    "matroska": _end_of_element,
    "avi": _end_of_chunk,
}
"""By a part of FFmpeg's name of the container: where the box that begins here ends."""
