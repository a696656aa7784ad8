"""What travels beside the samples of a picture, and what becomes of each kind of it: one table.

Side data are read here and nowhere else, because PyAV raises at the first kind that it has no name for.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, cast

import av
from av.sidedata.sidedata import Type

from vsr.frames import Immersive, MasteringMetadata

Fate = Literal["carried", "left out", "of the coding"]
"""`carried`: in the result, where its container can hold it. `of the coding`: tells of the old file and not of what
it shows, or belongs to sound, which is copied."""


@dataclass(frozen=True, slots=True)
class SideData:
    """One row of the table."""

    name: str
    """For people."""
    fate: Fate
    why: str = ""
    """Why it is left out."""
    matters: Callable[[bytes], bool] = lambda _: True
    """Whether this one says anything; encoders write some of them out of habit."""


_OWN_PICTURES = "it describes the pictures as they were"
_NO_PLACE = "encoders here have no place for it"
_CODERS = (
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),  # x264
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),  # x265
)
"""UUIDs under which encoders write their own settings into the video."""

KINDS: dict[int, SideData] = {
    0: SideData("pan and scan", "left out", _NO_PLACE, lambda data: any(data[12:])),
    1: SideData("closed captions (CEA-608/708)", "left out", _NO_PLACE),
    2: SideData("stereo views", "carried"),
    3: SideData("matrix encoding", "of the coding"),
    4: SideData("downmix", "of the coding"),
    5: SideData("replay gain", "of the coding"),
    6: SideData("rotation", "carried"),
    7: SideData("active format (AFD)", "left out", _NO_PLACE, lambda data: data[:1] != b"\x08"),
    8: SideData("motion vectors", "of the coding"),
    9: SideData("skipped samples", "of the coding"),
    10: SideData("audio service", "of the coding"),
    11: SideData("mastering display", "carried"),
    12: SideData("time code", "carried"),
    13: SideData("spherical projection", "carried"),
    14: SideData("content light level", "carried"),
    15: SideData("ICC profile", "left out", "video files have no place for it"),
    16: SideData("time code", "carried"),
    17: SideData("HDR10+ dynamic metadata", "left out", _OWN_PICTURES),
    18: SideData("regions of interest", "of the coding"),
    19: SideData("quantisers", "of the coding"),
    20: SideData(
        "user data of the pictures (SEI)", "left out", _NO_PLACE, lambda data: data[:16] not in _CODERS
    ),
    21: SideData("film grain parameters", "left out", "the grain itself is in the pictures"),
    22: SideData("detected objects", "of the coding"),
    23: SideData("Dolby Vision dynamic metadata", "left out", _OWN_PICTURES),
    24: SideData("Dolby Vision dynamic metadata", "left out", _OWN_PICTURES),
    25: SideData("HDR Vivid dynamic metadata", "left out", _OWN_PICTURES),
    26: SideData("ambient viewing environment", "left out", _NO_PLACE),
    27: SideData("hints of what changes", "of the coding"),
    28: SideData("enhancement layer (LCEVC)", "left out", "nothing here decodes it"),
    29: SideData("view number", "of the coding"),
    30: SideData("3D reference displays", "left out", "one view is enhanced"),
    31: SideData("EXIF", "left out", "video files have no place for it; rotation is kept"),
}
"""FFmpeg's numbers (AVFrameSideDataType, which only grows) to what becomes of it."""


def _name_unknown(kinds: type[Type], number: object) -> Any:
    """Stand in for a kind that PyAV has no name for, where it would raise and hide all the others."""
    member = object.__new__(kinds)
    member._name_, member._value_ = f"KIND_{number}", number
    return member


cast(Any, Type)._missing_ = classmethod(cast(Any, _name_unknown))


def side_data_of(picture: av.VideoFrame) -> dict[int, bytes]:
    """Return a picture's side data by FFmpeg's numbers; of several of a kind the last."""
    return dict(each_side_data(picture))


def each_side_data(picture: av.VideoFrame) -> Iterator[tuple[int, bytes]]:
    """Yield a picture's side data with FFmpeg's numbers of their kinds."""
    for data in cast(Any, picture.side_data):
        yield data.type.value, bytes(data)


def lines_of(found: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    """Yield `left out: NAME: REASON` for what will not be in the result."""
    for number, data in found:
        kind = KINDS.get(number) or SideData(
            f"side data of kind {number}", "left out", "it is not known here"
        )
        if kind.fate == "left out" and kind.matters(data):
            yield f"left out: {kind.name}: {kind.why}"


def mirrors(found: dict[int, bytes]) -> bool:
    """Whether the display matrix mirrors the picture."""
    if 6 not in found:
        return False
    values = struct.unpack("=9i", found[6][:36])
    return values[0] * values[4] - values[1] * values[3] < 0


def mastering_of(found: dict[int, bytes]) -> MasteringMetadata | None:
    """Read FFmpeg's AVMasteringDisplayMetadata (ten rationals, two flags) and
    AVContentLightMetadata (two numbers)."""
    display, light = found.get(11), found.get(14)
    if display is None and light is None:
        return None
    primaries: tuple[tuple[Fraction, Fraction], ...] = ()
    white = low = high = None
    if display is not None:
        numbers = struct.unpack("=22i", display[:88])
        rationals = zip(numbers[0:20:2], numbers[1:20:2], strict=True)
        values = [Fraction(n, d) if d else Fraction(0) for n, d in rationals]
        if numbers[20]:
            primaries = tuple((values[i], values[i + 1]) for i in (0, 2, 4))
            white = (values[6], values[7])
        if numbers[21]:
            low, high = values[8], values[9]
    max_light, average_light = struct.unpack("=2I", light[:8]) if light else (0, 0)
    return MasteringMetadata(primaries, white, low, high, max_light, average_light)


PROJECTIONS = (
    "equirectangular",
    "cubemap",
    "equirectangular tile",
    "half equirectangular",
    "rectilinear",
    "fisheye",
)
"""FFmpeg's AVSphericalProjection."""
PACKINGS = {1: "side by side", 2: "top and bottom"}
"""FFmpeg's AVStereo3DType, where each view is a part of the picture by itself: enlarging keeps them apart."""


def immersive_of(found: dict[int, bytes]) -> tuple[Immersive | None, list[str]]:
    """Read FFmpeg's AVSphericalMapping (nine numbers) and AVStereo3D (type and flags first).

    Returns what can be carried, and lines on what cannot.
    """
    lines: list[str] = []
    projection, numbers, packing, swapped = "", (0,) * 8, "", False
    if 13 in found:
        kind, *rest = struct.unpack("=I3i5I", found[13][:36])
        numbers = tuple(rest)
        projection = PROJECTIONS[kind] if kind < len(PROJECTIONS) else f"kind {kind}"
    if 2 in found:
        kind, flags = struct.unpack("=2I", found[2][:8])
        packing, swapped = PACKINGS.get(kind, ""), bool(flags & 1)
        if kind and not packing:
            lines.append("left out: stereo views: they are not side by side or one above the other")
    if not projection and not packing:
        return None, lines
    return Immersive(projection, numbers[:3], numbers[3:7], numbers[7], packing, swapped), lines
