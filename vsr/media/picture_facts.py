"""The format of a decoded picture: what it says of itself, and the usual rule for what it does not say."""

from fractions import Fraction

import av
from av.video.stream import VideoStream

from vsr.frames import PictureFormat
from vsr.media.matroska_header import header_of, siting_in
from vsr.media.pixels import MATRICES, PRIMARIES, TRANSFERS, name_of, range_of, reading


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
