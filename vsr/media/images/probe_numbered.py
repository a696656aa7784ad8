"""What a video of numbered pictures holds, from a few of them."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vsr.errors import SourceError
from vsr.frames import PictureFormat, StreamInfo
from vsr.media.images.linear import PQ
from vsr.media.images.numbered import describe_gaps
from vsr.media.images.probe_image import is_image, probe_image
from vsr.media.probe_video import probe

USUAL_RATE = Fraction(24)
"""Frames a second where nobody says."""

_LOOKED_AT = 32
"""Pictures, spread over all, by which the format is settled."""


def probe_numbered(name: str, pictures: Sequence[tuple[int, Path]], rate: Fraction | None) -> StreamInfo:
    """Tell what a video of numbered pictures holds, from a few of them.

    Args:
        name: for messages, as the user has it.
        pictures: numbers and files, ascending.
        rate: frames a second; None where nobody has said.

    Raises:
        SourceError: there is none, one cannot be read, or one is of another size.
    """
    if not pictures:
        raise SourceError(f"{name} means no picture; numbers such as frames/00001.png are expected there")
    step = max(1, len(pictures) // _LOOKED_AT)
    looked_at = [path for _, path in [*pictures[::step], pictures[-1]]]
    infos = [_probe_one(path) for path in looked_at]
    format = infos[0].format
    for path, info in zip(looked_at, infos, strict=True):
        format = _widest(format, info.format, path, looked_at[0])
    tick = 1 / (rate or USUAL_RATE)
    first, last = pictures[0][0], pictures[-1][0]
    gaps = describe_gaps(number for number, _ in pictures)
    gaps = f"{gaps}; the picture before is shown for longer" if gaps else ""
    return StreamInfo(
        path=name,
        kind="video",
        container="numbered pictures",
        codec=infos[0].codec,
        pixel_format=infos[0].pixel_format,
        format=format,
        time_base=tick,
        start_pts=first,
        duration_s=float((last + 1 - first) * tick),
        num_frames=len(pictures),
        average_rate=1 / tick,
        rotation=infos[0].rotation,
        pictures=tuple(pictures),
        notes=(*infos[0].notes, *([gaps] if gaps else [])),
    )


def _probe_one(path: Path) -> StreamInfo:
    return probe_image(path) if is_image(path) else probe(path)


def _widest(known: PictureFormat, new: PictureFormat, path: Path, first: Path) -> PictureFormat:
    """The format that holds pictures of both without loss."""
    base = new if _is_coloured(new) and not _is_coloured(known) else known
    bright = PQ if PQ in (known.transfer, new.transfer) else base.transfer
    wide = replace(
        base, transfer=bright, bit_depth=max(known.bit_depth, new.bit_depth), alpha=known.alpha or new.alpha
    )
    if not (holds(wide, known) and holds(wide, new)):
        raise SourceError(
            f"{path} is {in_words(new)}, and {first} is {in_words(known)}; pictures of one size and kind are accepted"
        )
    return wide


def _is_coloured(format: PictureFormat) -> bool:
    return format.layout != "gray"


def in_words(format: PictureFormat) -> str:
    """Size, depth, layout and range of pictures."""
    opacity = " with opacity" if format.alpha else ""
    return f"{format.width}x{format.height}, {format.bit_depth} bit {format.layout}{opacity}, {format.range} range"


def holds(wide: PictureFormat, own: PictureFormat) -> bool:
    """Whether every picture of a format can be brought to another one without loss."""
    if (wide.height, wide.width) != (own.height, own.width) or wide.range != own.range:
        return False
    layout = own.layout == wide.layout or (own.layout == "gray" and wide.layout == "rgb")
    depth = own.bit_depth == wide.bit_depth or (own.bit_depth < wide.bit_depth and own.range == "full")
    return layout and depth and own.alpha <= wide.alpha
