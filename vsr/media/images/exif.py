"""The first directory of an EXIF block: orientation and the few texts that every picture format can hold."""

import struct

ORIENTATION = 274
"""Tag of the way the stored picture is turned and mirrored, 1 to 8 (TIFF 6.0, page 36)."""

TEXTS = (270, 271, 272, 305, 306, 315, 33432)
"""Tags of ImageDescription, Make, Model, Software, DateTime, Artist, Copyright."""

POINTERS = (34665, 34853, 40965)
"""Tags of the directories below: camera settings, GPS, interoperability."""

_ASCII, _SHORT, _LONG = 2, 3, 4

TURNS = {3: 180, 4: 180, 5: 90, 6: 270, 7: 270, 8: 90}
"""Degrees counter-clockwise by orientation; 2, 4, 5 and 7 are mirrored left to right before the turn."""


def read_tags(exif: bytes) -> dict[int, int | str]:
    """Read texts and single numbers of the first directory; a block that makes no sense has none.

    Args:
        exif: the block from its byte order mark (`II*\\0` or `MM\\0*`) on.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return {}
    tags: dict[int, int | str] = {}
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, num = struct.unpack_from(order + "HHI", exif, entry)
            if kind == _ASCII:
                at = entry + 8 if num <= 4 else struct.unpack_from(order + "I", exif, entry + 8)[0]
                tags[tag] = exif[at : at + num].split(b"\0")[0].decode("utf-8", "replace")
            elif num == 1 and kind in (_SHORT, _LONG):
                tags[tag] = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), exif, entry + 8)[0]
    except struct.error:
        pass  # a damaged block: what could be read before the damage counts
    return tags


def make_exif(tags: dict[int, int | str]) -> bytes:
    """Make a little-endian block of one directory: numbers as SHORT, texts as ASCII."""
    at = 8 + 2 + 12 * len(tags) + 4
    directory, texts = struct.pack("<H", len(tags)), b""
    for tag, value in sorted(tags.items()):
        if isinstance(value, int):
            directory += struct.pack("<HHIHH", tag, _SHORT, 1, value, 0)
            continue
        text = value.encode() + b"\0"
        inline = len(text) <= 4
        place = text.ljust(4, b"\0") if inline else struct.pack("<I", at + len(texts))
        directory += struct.pack("<HHI", tag, _ASCII, len(text)) + place
        texts += b"" if inline else text + b"\0" * (len(text) % 2)
    return b"II*\0" + struct.pack("<I", 8) + directory + b"\0\0\0\0" + texts


def orientation_of(exif: bytes) -> int:
    """Tell the orientation, 1 to 8; 1 (upright) where the block does not say."""
    value = read_tags(exif).get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def portable_tags(exif: bytes) -> dict[int, int | str]:
    """Tell the tags that survive in a format that cannot hold a whole EXIF block."""
    return {tag: value for tag, value in read_tags(exif).items() if tag == ORIENTATION or tag in TEXTS}
