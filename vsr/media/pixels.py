"""Between FFmpeg's pictures and ours: pixel formats, colour codes, planes without copies.

Knows names, codes and bytes. Never converts range or matrix on the way: that is
`color.py`'s work, from stated facts.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation, VideoReformatter

from vsr.errors import SourceError
from vsr.frames import Frame, Layout, PictureFormat, Plane


# FFmpeg's names and codes are those of ITU-T H.273, tables 2 to 4; sitings are libavutil's AVChromaLocation.
def _numbered(names: str) -> dict[str, int]:
    """`NAME NUMBER NAME NUMBER ...` as a table."""
    words = names.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


MATRICES = _numbered(
    "gbr 0  bt709 1  unknown 2  fcc 4  bt470bg 5  smpte170m 6  smpte240m 7  ycgco 8  bt2020nc 9  bt2020c 10 "
    "smpte2085 11  chroma-derived-nc 12  chroma-derived-c 13  ictcp 14  ipt-c2 15  ycgco-re 16  ycgco-ro 17"
)
PRIMARIES = _numbered(
    "bt709 1  unknown 2  bt470m 4  bt470bg 5  smpte170m 6  smpte240m 7  film 8  bt2020 9  smpte428 10 "
    "smpte431 11  smpte432 12  ebu3213 22"
)
TRANSFERS = _numbered(
    "bt709 1  unknown 2  bt470m 4  bt470bg 5  smpte170m 6  smpte240m 7  linear 8  log100 9  log316 10 "
    "iec61966-2-4 11  bt1361e 12  iec61966-2-1 13  bt2020-10 14  bt2020-12 15  smpte2084 16  smpte428 17 "
    "arib-std-b67 18"
)
RANGES = {"limited": 1, "full": 2}
SITINGS = {"unspecified": 0, "left": 1, "center": 2, "topleft": 3, "top": 4, "bottomleft": 5, "bottom": 6}

_LAYOUTS: dict[tuple[int, int], tuple[Layout, str]] = {
    (32, 32): ("yuv420", ""),
    (32, 64): ("yuv422", ""),
    (64, 64): ("yuv444", ""),
    (16, 64): ("yuv422", "chroma doubled in width, 4:1:1 to 4:2:2"),
    (16, 16): ("yuv420", "chroma doubled both ways, 4:1:0 to 4:2:0"),
    (64, 32): ("yuv444", "chroma doubled in height, 4:4:0 to 4:4:4"),
}
"""Chroma width and height of a 64 by 64 picture, to a layout that loses no sample and a note."""

_WIDENED = re.compile(r"(?:gray|gbrp|yuv4\d\dp)9le|(?:gray|gbrp)14le")
_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
SWS_MATRICES = _numbered("bt709 1  fcc 4  bt470bg 5  smpte170m 5  smpte240m 7  bt2020nc 9  bt2020c 9")
"""Matrices that swscale knows, and its own numbers of them."""


def name_of(table: dict[str, int], code: int, default: str = "unknown") -> str:
    """Return the name that `table` gives `code`, or `default` for reserved and unspecified codes."""
    return next((name for name, value in table.items() if value == code), default)


def pixel_format(format: PictureFormat) -> str:
    """Return FFmpeg's name of the pixel format that holds `format`'s planes,
    e.g. `yuv422p10le`, `gbrp`, `ya8`.

    Raises:
        SourceError: FFmpeg has none, e.g. for 12-bit 4:2:0 with opacity.
    """
    return _pixel_format(format.layout, format.bit_depth, format.alpha)


@lru_cache
def _pixel_format(layout: Layout, bit_depth: int, alpha: bool) -> str:
    end = "" if bit_depth == 8 else f"{bit_depth}le"
    if layout == "gray":
        name = ("ya" + (end or "8")) if alpha else "gray" + end
    elif layout == "rgb":
        name = ("gbrap" if alpha else "gbrp") + end
    else:
        name = ("yuva" if alpha else "yuv") + f"{layout[3:]}p{end}"
    try:
        av.VideoFormat(name)
    except ValueError as error:
        kind = f"{bit_depth}-bit {layout}{' with opacity' if alpha else ''}"
        raise SourceError(f"FFmpeg has no pixel format for {kind}; use 8, 10 or 16 bits") from error
    return name


@dataclass(frozen=True, slots=True)
class PixelReading:
    """How a decoder's pixel format is read."""

    layout: Layout
    bit_depth: int
    full_range: bool
    """The pixel format itself says full range (`yuvj420p`, RGB)."""
    notes: tuple[str, ...] = ()
    """What is converted or left out."""


@lru_cache
def reading(name: str) -> PixelReading:
    """Return the planar format nearest to FFmpeg's pixel format `name` that
    loses nothing, and notes where it must.

    Raises:
        SourceError: pictures in this format cannot be read (hardware surfaces).
    """
    fmt = av.VideoFormat(name, 64, 64)
    parts = fmt.components
    if not parts:
        raise SourceError(f"pixel format {name} cannot be read; decode in software")
    bits = max(part.bits for part in parts)
    notes: list[str] = []
    rgb = fmt.is_rgb or fmt.has_palette or fmt.is_bayer or name.startswith("xyz")
    colours = len(parts) - any(part.is_alpha for part in parts)
    if len(parts) > colours and not fmt.has_palette:
        notes.append("opacity is left out")
    layout: Layout = "rgb" if rgb else "gray"
    if not rgb and colours > 1:
        layout, note = _LAYOUTS.get(
            (fmt.chroma_width(64), fmt.chroma_height(64)), ("yuv444", f"{name} to 4:4:4")
        )
        notes += [note] if note else []
    depth = next(depth for depth in (8, 10, 12, 16, 64) if bits <= depth)
    if depth == 64 or (depth == 16 and layout not in ("rgb", "gray")):
        depth = 16 if layout in ("rgb", "gray") else 12
        notes.append(f"{bits}-bit samples are reduced to {depth} bits")
    return PixelReading(layout, depth, rgb or name.startswith(("yuvj", "mono")), tuple(notes))


def range_of(picture: av.VideoFrame, how: PixelReading) -> Literal["limited", "full"]:
    """Return a decoded picture's range; where nothing is said, limited for YUV."""
    return "full" if how.full_range or picture.color_range == RANGES["full"] else "limited"


@lru_cache
def _same_bytes(source: str, target: str) -> bool:
    """Say whether `source`'s first planes are `target`'s planes: equal but for opacity or the j of `yuvj`."""
    return re.sub(r"^yuv[aj]", "yuv", source).replace("gbrap", "gbrp").replace("gray8", "gray") == target


def _rows(plane: Any, wide: bool) -> Plane:
    """Return a plane's memory as rows as long as its stride; the view keeps the decoder's frame alive."""
    rows = np.frombuffer(plane, np.dtype("<u2") if wide else np.uint8)
    size = plane.height * (abs(plane.line_size) >> wide)
    rows = rows[:size].reshape(plane.height, -1)
    return rows[::-1] if plane.line_size < 0 else rows


def read_planes(picture: av.VideoFrame, format: PictureFormat) -> tuple[Plane, ...]:
    """Return views of a decoded picture's planes, in `Frame`'s order; nothing is copied.

    `picture` must hold the bytes of `pixel_format(format)`; planes beyond those of `format` are ignored.
    """
    wide = format.bit_depth > 8
    if format.layout == "gray" and format.alpha:
        packed = _rows(picture.planes[0], wide)
        return packed[:, : 2 * format.width : 2], packed[:, 1 : 2 * format.width : 2]
    order = {"gray": (0,), "rgb": (2, 0, 1)}.get(format.layout, (0, 1, 2)) + ((3,) if format.alpha else ())
    planes = picture.planes
    views: list[Plane] = []
    for index, plane in enumerate(order):
        height, width = format.plane_size(index)
        views.append(_rows(planes[plane], wide)[:height, :width])
    return tuple(views)


class PlanarConverter:
    """Brings pictures of any pixel format and size to one planar format; one swscale context, one thread."""

    def __init__(self, format: PictureFormat):
        self.format = format
        self.name = pixel_format(format)
        self._scaler = VideoReformatter()

    def convert(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture` itself where its bytes fit, else a conversion that keeps range and matrix.

        Raises:
            SourceError: swscale refuses.
        """
        target, name = self.format, picture.format.name
        same_size = (picture.height, picture.width) == (target.height, target.width)
        if same_size and _same_bytes(name, self.name):
            return picture
        how = reading(name)
        same_samples = (how.layout, how.bit_depth) == (target.layout, target.bit_depth)
        if same_size and same_samples and _WIDENED.fullmatch(name):
            return self._widen(picture, picture.format.components[0].bits)
        matrix = None
        if (how.layout == "rgb") != (target.layout == "rgb"):
            matrix = SWS_MATRICES.get(target.matrix)
        else:  # rare matrices make swscale refuse even where it need not know
            picture.colorspace = MATRICES["unknown"]
        try:
            return self._scaler.reformat(
                picture,
                target.width,
                target.height,
                self.name,
                src_colorspace=matrix,
                dst_colorspace=matrix,
                interpolation=_FLAGS,
                # Equal codes on both sides keep swscale from touching the range.
                src_color_range=RANGES[range_of(picture, how)],
                dst_color_range=RANGES[target.range],
                threads=1,
            )
        except (FFmpegError, ValueError) as error:
            raise SourceError(f"pixel format {name} cannot be converted to {self.name}: {error}") from error

    def _widen(self, picture: av.VideoFrame, bits: int) -> av.VideoFrame:
        """Bring 9 bits to 10 and 14 to 16. swscale is off by up to 32 in 65,536 here: it works in 15 bits."""
        format, shift = self.format, self.format.bit_depth - bits
        wide = av.VideoFrame(picture.width, picture.height, self.name)
        for source, target in zip(read_planes(picture, format), read_planes(wide, format), strict=True):
            np.left_shift(source, shift, out=target)
            if format.range == "full":
                target |= source >> (bits - shift)  # white stays white
        wide.pts, wide.duration = picture.pts, picture.duration
        if picture.time_base:
            wide.time_base = picture.time_base
        return wide


def make_av_frame(frame: Frame) -> av.VideoFrame:
    """Copy a frame into a new PyAV picture with its time and colour tags,
    ready for an encoder or FFmpeg filter.

    Siting and sample aspect have no place in a PyAV picture: an encoder takes them from `frame.format`.
    """
    format = frame.format
    picture = av.VideoFrame(format.width, format.height, pixel_format(format))
    for target, source in zip(read_planes(picture, format), frame.planes, strict=True):
        target[...] = source
    picture.pts, picture.time_base, picture.duration = frame.pts, frame.time_base, frame.duration
    picture.colorspace = MATRICES.get(format.matrix, MATRICES["unknown"])
    picture.color_range = RANGES[format.range]
    picture.color_primaries = PRIMARIES.get(format.primaries, PRIMARIES["unknown"])
    picture.color_trc = TRANSFERS.get(format.transfer, TRANSFERS["unknown"])
    return picture


def make_frame(picture: av.VideoFrame, format: PictureFormat) -> Frame:
    """Wrap a picture that already holds `pixel_format(format)` and has a pts
    and a time base; planes are views."""
    assert picture.pts is not None
    assert picture.time_base
    return Frame(
        planes=read_planes(picture, format),
        format=format,
        pts=picture.pts,
        time_base=cast(Any, picture.time_base),
        duration=picture.duration or 0,
    )
