"""The table of encoders: what each takes, and how our options become its own. Data only.

`quality` 0 to 100 becomes each encoder's own constant-quality value, linearly between two ends:

| encoder | option | at 0 | at 75 | at 100 |
| --- | --- | --- | --- | --- |
| libx264 | crf | 38 | 18.5 | 12 |
| libx265 | crf | 40 | 20.5 | 14 |
| libsvtav1 | crf | 60 | 26 | 15 |
| libvpx-vp9 | crf | 60 | 26 | 14 |
| h264_nvenc | cq | 40 | 20.5 | 14 |
| hevc_nvenc | cq | 42 | 22.5 | 16 |
| av1_nvenc | cq | 50 | 27.5 | 20 |

ffv1 and PNG are lossless and have none, nor has ProRes: 4:2:2 is written as 422 HQ, 4:4:4 as
4444. An encoder that is
not in the table gets FFmpeg's own defaults.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from vsr.frames import Layout, MasteringMetadata
from vsr.media.pixels import reading

Shape = tuple[Layout, int]
"""Layout and bit depth."""


def _shapes(*pixel_formats: str) -> dict[Shape, str]:
    """The shapes of FFmpeg's planar pixel formats, such as `yuv420p10le`, with these."""
    found: dict[Shape, str] = {}
    for names in pixel_formats:
        for name in names.split():
            how = reading(name)
            found[how.layout, how.bit_depth] = name
    return found


_YUV_8_10 = _shapes("yuv420p yuv422p yuv444p yuv420p10le yuv422p10le yuv444p10le")
_YUV_12 = _shapes("yuv420p12le yuv422p12le yuv444p12le")
_GRAY = _shapes("gray gray10le")
_420 = _shapes("yuv420p yuv420p10le")
_NVENC_8 = _shapes("yuv420p yuv444p")
# NVENC takes more than 8 bits in the high bits of 16; swscale's conversion to these is exact.
_NVENC_10: dict[Shape, str] = {("yuv420", 10): "p010le", ("yuv444", 10): "yuv444p16le"}
_YUV_16: dict[Shape, str] = {(layout, 16): f"{layout}p16le" for layout in ("yuv420", "yuv422", "yuv444")}
_FFV1 = _YUV_8_10 | _YUV_12 | _YUV_16 | _GRAY | _shapes("gray12le gray16le bgr0 gbrp10le gbrp12le gbrp16le")
_FFV1_ALPHA = _shapes(
    "yuva420p yuva422p yuva444p bgra yuva444p10le yuva422p10le yuva420p10le gbrap10le gbrap12le gbrap16le"
)


@dataclass(frozen=True)
class Encoder:
    """One row of the table."""

    name: str
    """FFmpeg's name."""
    shapes: dict[Shape, str]
    """Layouts and bit depths it takes, with the pixel format it takes them in."""
    quality: tuple[str, float, float] | None = None
    """Option, its value at quality 0 and at 100."""
    whole_quality: bool = False
    """The option takes whole numbers only."""
    preset: tuple[str, str] | None = None
    """Option and default."""
    options: tuple[tuple[str, str], ...] = ()
    params: tuple[str, tuple[str, ...]] | None = None
    """The option that takes `key=value:key=value`, and what is always in it."""
    mastering: Callable[[MasteringMetadata], list[str]] | None = None
    """Static HDR metadata as entries of `params`."""
    even: bool = True
    """Refuses an odd size where chroma is subsampled."""
    alpha: dict[Shape, str] = field(default_factory=dict[Shape, str])
    """Shapes it keeps an alpha plane with."""
    profiles: dict[Shape, str] = field(default_factory=dict[Shape, str])
    """Profile that a shape wants to be named."""


Write = Callable[[Fraction], str]


def _in_steps_of(steps_per_unit: int) -> Write:
    """Whole numbers of a small step, as SMPTE ST 2086's message has them."""
    return lambda value: str(round(value * steps_per_unit))


def _with_digits(digits: int) -> Write:
    """Decimal fractions, as SVT-AV1 wants them."""
    return lambda value: f"{float(value):.{digits}f}"


def _mastering_display(metadata: MasteringMetadata, point: Write, luminance: Write) -> str | None:
    white, low, high = metadata.white_point, metadata.min_luminance, metadata.max_luminance
    if len(metadata.primaries) != 3 or white is None or low is None or high is None:
        return None
    red, green, blue = metadata.primaries
    named = zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    points = "".join(f"{name}({point(x)},{point(y)})" for name, (x, y) in named)
    return f"{points}L({luminance(high)},{luminance(low)})"


def _mastering_entries(
    display: str, light: str, point: Write, luminance: Write, always: tuple[str, ...] = ()
) -> Callable[[MasteringMetadata], list[str]]:
    def entries(metadata: MasteringMetadata) -> list[str]:
        found: list[str] = []
        written = _mastering_display(metadata, point, luminance)
        if written:
            found.append(f"{display}={written}")
        if metadata.max_content_light:
            found.append(f"{light}={metadata.max_content_light},{metadata.max_frame_average_light}")
        return [*found, *always] if found else []

    return entries


_SEI = (_in_steps_of(50_000), _in_steps_of(10_000))
"""Chromaticity in steps of 0.00002, luminance in steps of 0.0001 cd/m²."""


def _nvenc(name: str, shapes: dict[Shape, str], at_0: float, at_100: float) -> Encoder:
    options = (("tune", "hq"), ("rc", "vbr"), ("b:v", "0"), ("spatial-aq", "1"), ("forced-idr", "1"))
    return Encoder(name, shapes, ("cq", at_0, at_100), preset=("preset", "p5"), options=options)


ENCODERS: dict[str, Encoder] = {
    "x264": Encoder(
        "libx264",
        _YUV_8_10 | _GRAY,
        ("crf", 38, 12),
        preset=("preset", "veryfast"),
        params=("x264-params", ("open-gop=0",)),
        mastering=_mastering_entries("mastering-display", "cll", *_SEI),
    ),
    "x265": Encoder(
        "libx265",
        _YUV_8_10 | _YUV_12 | _GRAY | _shapes("gray12le"),
        ("crf", 40, 14),
        preset=("preset", "veryfast"),
        params=("x265-params", ("open-gop=0", "log-level=error")),
        mastering=_mastering_entries("master-display", "max-cll", *_SEI, ("hdr10=1", "repeat-headers=1")),
    ),
    "av1": Encoder(
        "libsvtav1",
        _420,
        ("crf", 60, 15),
        whole_quality=True,
        preset=("preset", "8"),
        params=("svtav1-params", ()),
        mastering=_mastering_entries("mastering-display", "content-light", _with_digits(5), _with_digits(4)),
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        _YUV_8_10 | _YUV_12,
        ("crf", 60, 14),
        whole_quality=True,
        preset=("cpu-used", "4"),
        options=(("b:v", "0"), ("deadline", "good"), ("row-mt", "1")),
        even=False,
    ),
    "ffv1": Encoder(
        # Every picture by itself, with checksums, as archives ask for (RFC 9043, version 3).
        "ffv1",
        _FFV1,
        options=(("level", "3"), ("slicecrc", "1"), ("g", "1")),
        even=False,
        alpha=_FFV1_ALPHA,
    ),
    "prores": Encoder(
        "prores_ks",
        _shapes("yuv422p10le yuv444p10le"),
        options=(("vendor", "apl0"),),
        even=False,
        alpha=_shapes("yuva444p10le"),
        profiles={("yuv422", 10): "3", ("yuv444", 10): "4"},
    ),
    # Numbered pictures on their way: each a packet, which becomes a file of its own.
    "png": Encoder(
        "png",
        _shapes("rgb24 rgb48be gray gray16be"),
        even=False,
        alpha=_shapes("rgba rgba64be ya8 ya16be"),
    ),
    "h264_nvenc": _nvenc("h264_nvenc", _NVENC_8, 40, 14),
    "hevc_nvenc": _nvenc("hevc_nvenc", _NVENC_8 | _NVENC_10, 42, 16),
    "av1_nvenc": _nvenc("av1_nvenc", {("yuv420", 8): "yuv420p", ("yuv420", 10): "p010le"}, 50, 20),
}
"""Our names and, for NVENC, FFmpeg's. `nvenc` and `auto` choose among them."""

BY_FFMPEG_NAME = {encoder.name: encoder for encoder in ENCODERS.values()}
