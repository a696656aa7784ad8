"""What the tracks of an mp4 or QuickTime file call themselves, which PyAV tells of sound and pictures only.

Boxes: ISO/IEC 14496-12. Reads headers alone, and takes whatever a hostile file says for no more than text.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_WAY = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
"""The boxes inside of which the ones wanted lie."""
_MAX_BOXES = 10_000

DATA_TRACKS = {
    "gpmd": "GoPro's telemetry",
    "fdsc": "GoPro's facts of the file",
    "rtmd": "Sony's telemetry",
    "djmd": "DJI's telemetry",
    "dbgi": "DJI's debugging",
    "camm": "camera motion",
    "mebx": "Apple's timed metadata",
    "tmcd": "time code",
}
"""What tracks of data are, by what they call themselves. FFmpeg writes `gpmd` and, from a tag, `tmcd`."""


def track_tags(path: Path) -> dict[int, str]:
    """Return the four letters of each track's samples, such as `gpmd`, `rtmd` or `tmcd`, by the track's number."""
    tags: dict[int, str] = {}
    track = 0
    with suppress(OSError), path.open("rb") as file:  # whoever reads it next will say so
        for number, (name, start, _) in enumerate(track_boxes(file, 0, path.stat().st_size)):
            if number > _MAX_BOXES:
                break
            file.seek(start)
            head = file.read(24)
            if name == b"tkhd" and len(head) == 24:
                (track,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
            elif name == b"stsd" and len(head) >= 16:
                tags[track] = head[12:16].decode("latin-1")
    return tags


def track_boxes(file: BinaryIO, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, begin and end of contents of the boxes of a stretch, and of those inside of the few that matter."""
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        skip = 8
        if size == 1 and len(head) == 16:
            (size,), skip = struct.unpack_from(">Q", head, 8), 16
        size = size or end - at
        if size < skip:
            return
        yield name, at + skip, min(end, at + size)
        if depth < len(_WAY) and name == _WAY[depth]:
            yield from track_boxes(file, at + skip, min(end, at + size), depth + 1)
        at += size
