"""What a decoded picture is and what lies beside it, and the usual rule for what it does not say."""

from fractions import Fraction
from typing import Any, cast

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vsr.frames import PictureFormat
from vsr.media.matroska_header import (
    dolby_vision_in,
    dolby_vision_of_metadata,
    has_own_colours,
    header_of,
    siting_in,
)
from vsr.media.pixels import MATRICES, PRIMARIES, TRANSFERS, name_of, range_of, reading
from vsr.media.side_data import each_side_data, immersive_of, lines_of, mastering_of, mirrors, side_data_of
from vsr.media.timecode import timecode_in


def picture_format(picture: av.VideoFrame, stream: VideoStream) -> tuple[PictureFormat, list[str]]:
    """Return the planar format that holds a decoded picture without loss, and what was assumed, in lines."""
    how = reading(picture.format.name)
    notes = [f"{picture.format.name}: {note}" for note in how.notes]
    rgb = how.layout == "rgb"
    matrix = "gbr" if rgb else name_of(MATRICES, picture.colorspace)
    primaries = name_of(PRIMARIES, picture.color_primaries)
    transfer = name_of(TRANSFERS, picture.color_trc)
    if matrix == "unknown" or (matrix == "gbr" and not rgb):
        matrix, primaries, transfer = _usual_colours(picture.height, primaries, transfer)
        if how.layout != "gray":
            notes.append(
                f"the source does not say its colour matrix; it is taken as {matrix}, and the output says so"
            )
    format = PictureFormat(
        height=picture.height,
        width=picture.width,
        bit_depth=how.bit_depth,
        layout=how.layout,
        matrix=matrix,
        range=range_of(picture, how),
        primaries=primaries,
        transfer=transfer,
        siting=siting_in(header_of(stream)) if how.layout == "yuv420" else "unspecified",
        sample_aspect=Fraction(stream.sample_aspect_ratio or 1),
    )
    return format, notes


def _usual_colours(height: int, primaries: str, transfer: str) -> tuple[str, str, str]:
    """Fill in what is not tagged: by the primaries, else BT.601 below 720 lines and BT.709 from there."""
    by_primaries = {"bt2020": "bt2020nc", "bt709": "bt709", "smpte170m": "smpte170m", "bt470bg": "bt470bg"}
    usual = "smpte170m" if height < 720 else "bt709"
    matrix = by_primaries.get(primaries, usual)
    if primaries == "unknown":
        primaries = usual
    if transfer == "unknown" and matrix in ("smpte170m", "bt709"):
        transfer = matrix
    return matrix, primaries, transfer


def facts_beside(
    container: InputContainer, stream: VideoStream, picture: av.VideoFrame
) -> tuple[dict[str, Any], list[str]]:
    """Return fields of `StreamInfo` that no sample tells of, by their names, and what will be left out, in lines."""
    beside = side_data_of(picture)
    immersive, lines = immersive_of(beside)
    dolby_vision, mirrored = _dolby_vision(stream, beside), mirrors(beside)
    lines += lines_of([*each_side_data(picture), *([(24, b"")] if dolby_vision else [])])
    if has_own_colours(dolby_vision):
        lines.append(f"Dolby Vision profile {dolby_vision}: colours come out wrong; they are no Y'CbCr")
    if stream.metadata.get("alpha_mode") == "1" and len(picture.format.components) == 3:
        lines.append("left out: opacity: it is a video of its own beside the pictures, which is not decoded")
    if mirrored:
        lines.append("the source asks players to mirror the picture; so does the result")
    fields = {
        "mirrored": mirrored,
        "mastering": mastering_of(beside),
        "immersive": immersive,
        "dolby_vision": dolby_vision,
        "timecode": _timecode(container, stream, beside),
    }
    return fields, lines


def _timecode(container: InputContainer, stream: VideoStream, beside: dict[int, bytes]) -> str:
    """Return the first picture's time code: by its track, the file, or the picture itself."""
    for holder in (stream, container, *container.streams.data):
        for key, value in cast(Any, holder).metadata.items():
            if key.lower() == "timecode":
                return str(value)
    return timecode_in(beside)


def _dolby_vision(stream: VideoStream, beside: dict[int, bytes]) -> str:
    """Return the profile, by the container, else by the first picture; empty where there is none."""
    found = dolby_vision_in(header_of(stream))
    return found or (dolby_vision_of_metadata(beside[24]) if 24 in beside else "")
