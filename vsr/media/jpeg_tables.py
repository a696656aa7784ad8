"""How hard a JPEG has been compressed, on the scale that encoders are told."""

from itertools import islice

_STANDARD = 3688
"""Sum of the 64 steps of the luma table in ITU-T T.81 annex K.1, which quality 50 uses as it is."""


def jpeg_quality(data: bytes) -> int:
    """Tell the quality, 1 to 100, at which libjpeg would use luma steps as large as this file's.

    Read backwards from libjpeg's `jpeg_quality_scaling`: steps are the standard's by 2 - quality / 50, below
    50 by 50 / quality. Files of other encoders have other tables; the sum of their steps stands for them.
    Below 25 the steps end at 255 and it reads too high. 100 where there is no table.
    """
    for table, steps in _tables(data):
        if table == 0:
            scale = sum(steps) / _STANDARD
            return max(1, min(100, round(100 - 50 * scale if scale <= 1 else 50 / scale)))
    return 100


def _tables(data: bytes) -> list[tuple[int, list[int]]]:
    """Numbers and steps of the quantisation tables before the first scan (T.81 B.2.4.1)."""
    found: list[tuple[int, list[int]]] = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDB:
            body = iter(data[at + 4 : at + 2 + size])
            for head in body:
                wide = 2 if head >> 4 else 1
                values = bytes(islice(body, 64 * wide))
                steps = [int.from_bytes(values[i : i + wide], "big") for i in range(0, len(values), wide)]
                found.append((head & 15, steps))
        at += 2 + size if data[at + 1] != 0xFF else 1
    return found
