"""The boxes of ISO's file format (ISO/IEC 14496-12, clause 4.2), of which AVIF, JPEG 2000 and JPEG XL are made."""

from collections.abc import Iterator

_INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"jp2h": 0}
"""Boxes that hold boxes, and how many bytes come before these."""


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each box's type and body, those inside others, too. Ends where what follows is no box."""
    at = 0
    while at + 8 <= len(data):
        size, kind, begin = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, begin = int.from_bytes(data[begin : begin + 8], "big"), begin + 8
        end = at + size if size else len(data)
        if end < begin or end > len(data):
            return
        yield kind, data[begin:end]
        if kind in _INSIDE:
            yield from boxes(data[begin + _INSIDE[kind] : end])
        at = end
