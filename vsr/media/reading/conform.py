"""Pictures in the middle of a file that are unlike its first ones: another size, shape, matrix, range, transfer.

They are brought to what the file began with, by swscale. Shapes are kept: what is left of the frame becomes bars.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
from av.error import FFmpegError
from av.video.reformatter import Interpolation, VideoReformatter

from vsr.errors import SourceError
from vsr.frames import SUBSAMPLING, PictureFormat, StreamInfo
from vsr.media.pixels import (
    MATRICES,
    PRIMARIES,
    RANGES,
    SWS_MATRICES,
    TRANSFERS,
    PlanarConverter,
    name_of,
    pixel_format,
    read_planes,
    reading,
)
from vsr.media.reading.decode import ReadCounts

_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
_SAME_CURVE = frozenset({"bt709", "smpte170m", "bt2020-10", "bt2020-12"})
"""Transfers that are one function under several names (ITU-T H.273, table 3)."""
_NEARLY_709 = frozenset({"bt709", "smpte170m", "bt470bg", "smpte240m"})
"""Primaries that lie closer together than swscale's gamut mapping is exact."""
_HD_LINES = 720
_MAX_SCALERS = 16


@dataclass(frozen=True, slots=True)
class _Colours:
    """How a picture's samples are to be read, by FFmpeg's names."""

    matrix: str
    range: str
    primaries: str
    transfer: str

    @property
    def curve(self) -> str:
        """The transfer, by one name for what is one function."""
        return "bt709" if self.transfer in _SAME_CURVE else self.transfer

    def differences(self, other: "_Colours") -> set[str]:
        """Which of these differ from the other's; `unreadable` stands for a matrix that swscale does not know, `model`
        for R'G'B' and Y'CbCr, whose ranges say nothing of each other."""
        is_other_model = (self.matrix == "gbr") != (other.matrix == "gbr")
        found = {"model"} if is_other_model else {"range"} if self.range != other.range else set[str]()
        if self.matrix != other.matrix and not is_other_model:
            ours, theirs = SWS_MATRICES.get(self.matrix), SWS_MATRICES.get(other.matrix)
            found |= {"unreadable"} if None in (ours, theirs) else {"matrix"} if ours != theirs else set()
        narrow = {self.primaries, other.primaries} <= _NEARLY_709
        found |= {"primaries"} if _unlike(self.primaries, other.primaries) and not narrow else set()
        return found | ({"transfer"} if _unlike(self.curve, other.curve) else set())


def _unlike(one: str, other: str) -> bool:
    return "unknown" not in (one, other) and one != other


class Conformer:
    """A passive stage between the decoder and all that follows. Pictures like the first ones pass untouched."""

    def __init__(self, info: StreamInfo, names: set[str], counts: ReadCounts):
        """`names` are the pixel formats that count as the first picture's."""
        self._format, self._names, self._counts = info.format, names, counts
        self._first_aspect = self._aspect = info.coded_aspect
        self._tags: tuple[int, ...] = ()
        format = info.format
        self._colours = _Colours(format.matrix, format.range, format.primaries, format.transfer)
        self._scalers: dict[object, VideoReformatter] = {}
        self._alike: set[object] = set()

    def conform(self, picture: av.VideoFrame, context: Any) -> av.VideoFrame:
        """Return the picture, or one like the first ones that is made of it.

        `context` is the decoder's, which says the shape of samples; PyAV's pictures do not. It may run a few pictures
        ahead, and what pictures do not say of their colours FFmpeg takes from it: both are believed where a new
        sequence can begin.

        Raises:
            SourceError: swscale refuses.
        """
        if picture.key_frame or not self._tags:
            range_and_more = (picture.color_range, picture.color_primaries, picture.color_trc)
            self._tags = (picture.colorspace, *range_and_more)
            if self._first_aspect:
                self._aspect = Fraction(context.sample_aspect_ratio or self._aspect or 1)
        name = picture.format.name
        kind = (name, picture.height, picture.width, self._aspect, self._tags)
        if kind in self._alike:
            return picture
        size, colours = self._size(picture), self._colours_of(picture)
        same_size = (picture.height, picture.width) == (self._format.height, self._format.width)
        differences = colours.differences(self._colours)
        whole = size == (self._format.height, self._format.width)
        self._counts.resampled += not same_size or name not in self._names
        self._counts.recoloured += bool(differences - {"unreadable", "model"})
        self._counts.fitted += not whole
        self._counts.misread += "unreadable" in differences
        if not differences and whole:
            if same_size and name in self._names:
                self._alike.add(kind)
            return picture
        made = self._fields_made(picture, size, colours)
        return made if whole else self._with_bars(picture, made, colours)

    def _size(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Height, width that the picture takes of the frame, so that its shape is kept."""
        format = self._format
        height, width = format.height, format.width
        ours = Fraction(width, height) * (self._first_aspect or 1)
        wanted = Fraction(picture.width, picture.height) * (self._aspect or 1)
        rows, columns = SUBSAMPLING[format.layout]
        if wanted > ours:
            return _within(height, height * ours / wanted, 2 * rows), width
        return height, _within(width, width * wanted / ours, columns)

    def _colours_of(self, picture: av.VideoFrame) -> _Colours:
        """What is said of the picture; where nothing is said, it is as the first ones were."""
        how, first = reading(picture.format.name), self._colours
        colorspace, color_range, primaries, transfer = self._tags
        light = (name_of(PRIMARIES, primaries), name_of(TRANSFERS, transfer))
        if how.layout == "gray" or self._format.layout == "gray":
            return first  # what becomes of these says `PlanarConverter`
        if how.layout == "rgb":
            return _Colours("gbr", "full", *light)
        matrix = name_of(MATRICES, colorspace)
        if matrix in ("unknown", "gbr"):
            is_hd = picture.height >= _HD_LINES
            is_as_first = first.matrix != "gbr" and is_hd == (self._format.height >= _HD_LINES)
            matrix = first.matrix if is_as_first else "bt709" if is_hd else "smpte170m"
        # FFmpeg's decoders keep the pixel format where only the range changes: the tag is right.
        unsaid = "full" if how.full_range else "limited" if first.matrix == "gbr" else first.range
        return _Colours(matrix, name_of(RANGES, color_range, unsaid), *light)

    def _made(self, picture: av.VideoFrame, size: tuple[int, int], colours: _Colours) -> av.VideoFrame:
        """Scale and recolour a picture."""
        first, (height, width) = self._colours, size
        if colours.range == "limited":
            picture = _plain(picture)
        source, target = (SWS_MATRICES.get(each.matrix) for each in (colours, first))
        if "gbr" in (colours.matrix, first.matrix):
            source = target = source or target
        elif source is None or target is None:
            source = target = None  # equal codes on both sides keep swscale from touching them
            picture.colorspace = MATRICES["unknown"]
        differences = colours.differences(first)
        gamut = "primaries" in differences
        light = gamut or "transfer" in differences
        try:
            return self._scaler(size, colours).reformat(
                picture,
                width,
                height,
                pixel_format(self._format),
                src_colorspace=source,
                dst_colorspace=target,
                interpolation=_FLAGS,
                src_color_range=RANGES[colours.range],
                dst_color_range=RANGES[first.range],
                dst_color_trc=TRANSFERS[first.transfer] if light else None,
                dst_color_primaries=PRIMARIES[first.primaries] if gamut else None,
                threads=1,
            )
        except (FFmpegError, ValueError) as error:
            raise SourceError(
                f"a picture of {picture.width}x{picture.height} {picture.format.name} cannot be made like the first "
                f"ones of the file: {error}"
            ) from error

    def _fields_made(self, picture: av.VideoFrame, size: tuple[int, int], colours: _Colours) -> av.VideoFrame:
        """Do the same; fields that belong to two moments are scaled each by itself."""
        made = self._made(picture, size, colours)
        height, width = size
        if not picture.interlaced_frame or picture.height == height or picture.height % 4 or height % 4:
            return made
        made.make_writable()
        planes = read_planes(made, replace(self._format, height=height, width=width))
        half = replace(self._format, height=height // 2, width=width)
        for parity in (0, 1):
            field = self._made(_field(picture, parity), (height // 2, width), colours)
            for source, target in zip(read_planes(field, half), planes, strict=True):
                target[parity::2] = source
        return made

    def _scaler(self, size: tuple[int, int], colours: _Colours) -> VideoReformatter:
        """One for each way: making one ready for another transfer takes swscale seconds."""
        if len(self._scalers) > _MAX_SCALERS:
            self._scalers.clear()
        return self._scalers.setdefault((size, colours), VideoReformatter())

    def _with_bars(self, picture: av.VideoFrame, made: av.VideoFrame, colours: _Colours) -> av.VideoFrame:
        """Put a scaled picture in the middle of a black one, which has the picture's time and flags."""
        whole = self._made(picture, (self._format.height, self._format.width), colours)
        whole.make_writable()  # the decoder may still look at it
        return _centred(made, whole, self._format)


def _plain(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture of limited range in no pixel format that swscale takes for full range, whatever is said."""
    name, full = picture.format.name, RANGES["full"]
    if not name.startswith("yuvj"):
        return picture
    return VideoReformatter().reformat(
        picture, format=name.replace("j", "", 1), src_color_range=full, dst_color_range=full, threads=1
    )


def _field(picture: av.VideoFrame, parity: int) -> av.VideoFrame:
    """Copy every other line."""
    how = reading(picture.format.name)
    whole = PictureFormat(
        picture.height,
        picture.width,
        how.bit_depth,
        how.layout,
        range="full" if how.full_range else "limited",
    )
    planar = PlanarConverter(whole).convert(picture)
    half = replace(whole, height=picture.height // 2)
    field = av.VideoFrame(half.width, half.height, pixel_format(half))
    for source, target in zip(read_planes(planar, whole), read_planes(field, half), strict=True):
        target[...] = source[parity::2]
    field.colorspace, field.color_range = picture.colorspace, picture.color_range
    field.color_primaries, field.color_trc = picture.color_primaries, picture.color_trc
    return field


def _within(whole: int, part: Fraction, step: int) -> int:
    """Round to whole chroma samples; what is nearly all is all."""
    rounded = max(step, step * round(part / step))
    return whole if whole - rounded < step else rounded


def _centred(inner: av.VideoFrame, outer: av.VideoFrame, format: PictureFormat) -> av.VideoFrame:
    """Overwrite `outer`, both of `format` but for the size, with black and `inner` in its middle."""
    is_yuv = format.layout.startswith("yuv")
    rows, columns = SUBSAMPLING[format.layout]
    top, left = ((a - b) // 2 // step * step for a, b, step in (
        (outer.height, inner.height, 2 * rows), (outer.width, inner.width, columns)))  # fmt: skip
    black = 16 << (format.bit_depth - 8) if format.range == "limited" and format.layout != "rgb" else 0
    small = PictureFormat(inner.height, inner.width, format.bit_depth, format.layout)
    for index, (source, target) in enumerate(
        zip(read_planes(inner, small), read_planes(outer, format), strict=True)
    ):
        is_chroma = is_yuv and index in (1, 2)
        down, across = (rows, columns) if is_chroma else (1, 1)
        target[...] = 1 << (format.bit_depth - 1) if is_chroma else black
        height, width = source.shape
        target[top // down : top // down + height, left // across : left // across + width] = source
    return outer
