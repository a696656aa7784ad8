"""The table of encoders, and the choice among them. Starts FFmpeg only to ask whether a hardware encoder really works.

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

ffv1 is lossless and has none. An encoder that is not in the table gets FFmpeg's own defaults.
A size that is odd where chroma is subsampled is encoded with more chroma by the encoders that refuse it: nothing is cropped.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import av
import ffmpeg

from vsr.config import EncodeOptions
from vsr.errors import ConfigError, SinkError
from vsr.frames import SUBSAMPLING, Layout, MasteringMetadata, PictureFormat
from vsr.media.ffmpeg import find_ffmpeg, first_error_line, list_encoders, run_ffmpeg
from vsr.media.pixels import pixel_format

_GOP = 120
"""Frames between key frames at most: a player seeks to within a few seconds."""

Shape = tuple[Layout, int]
"""Layout and bit depth."""

_YUV_8_10: dict[Shape, str] = {
    ("yuv420", 8): "yuv420p",
    ("yuv422", 8): "yuv422p",
    ("yuv444", 8): "yuv444p",
    ("yuv420", 10): "yuv420p10le",
    ("yuv422", 10): "yuv422p10le",
    ("yuv444", 10): "yuv444p10le",
}
_YUV_12: dict[Shape, str] = {(layout, 12): f"{layout}p12le" for layout in ("yuv420", "yuv422", "yuv444")}
_YUV_16: dict[Shape, str] = {(layout, 16): f"{layout}p16le" for layout in ("yuv420", "yuv422", "yuv444")}
_GRAY: dict[Shape, str] = {("gray", 8): "gray", ("gray", 10): "gray10le"}
_NVENC_8: dict[Shape, str] = {("yuv420", 8): "yuv420p", ("yuv444", 8): "yuv444p"}
# NVENC takes more than 8 bits in the high bits of 16; swscale's conversion to these is exact.
_NVENC_10: dict[Shape, str] = {("yuv420", 10): "p010le", ("yuv444", 10): "yuv444p16le"}
_FFV1: dict[Shape, str] = {
    **_YUV_8_10, **_YUV_12, **_YUV_16, **_GRAY, ("gray", 12): "gray12le", ("gray", 16): "gray16le",
    ("rgb", 8): "bgr0", ("rgb", 10): "gbrp10le", ("rgb", 12): "gbrp12le", ("rgb", 16): "gbrp16le",
}  # fmt: skip


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


def _in_steps(metadata: MasteringMetadata) -> str | None:
    """Write the mastering display in steps of 0.00002 and 0.0001 cd/m², the units of SMPTE ST 2086's SEI message."""
    white, low, high = metadata.white_point, metadata.min_luminance, metadata.max_luminance
    if len(metadata.primaries) != 3 or white is None or low is None or high is None:
        return None
    red, green, blue = metadata.primaries
    named = zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    points = "".join(f"{name}({round(x * 50_000)},{round(y * 50_000)})" for name, (x, y) in named)
    return f"{points}L({round(high * 10_000)},{round(low * 10_000)})"


def _in_units(metadata: MasteringMetadata) -> str | None:
    """Write the mastering display as decimal fractions, which SVT-AV1 wants."""
    white, low, high = metadata.white_point, metadata.min_luminance, metadata.max_luminance
    if len(metadata.primaries) != 3 or white is None or low is None or high is None:
        return None
    red, green, blue = metadata.primaries
    named = zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    points = "".join(f"{name}({float(x):.5f},{float(y):.5f})" for name, (x, y) in named)
    return f"{points}L({float(high):.4f},{float(low):.4f})"


def _mastering_entries(
    display: str, light: str, write: Callable[[MasteringMetadata], str | None], always: tuple[str, ...] = ()
) -> Callable[[MasteringMetadata], list[str]]:
    def entries(metadata: MasteringMetadata) -> list[str]:
        found: list[str] = []
        written = write(metadata)
        if written:
            found.append(f"{display}={written}")
        if metadata.max_content_light:
            found.append(f"{light}={metadata.max_content_light},{metadata.max_frame_average_light}")
        return [*found, *always] if found else []

    return entries


def _nvenc(name: str, shapes: dict[Shape, str], at_0: float, at_100: float) -> Encoder:
    options = (("tune", "hq"), ("rc", "vbr"), ("b:v", "0"), ("spatial-aq", "1"), ("forced-idr", "1"))
    return Encoder(name, shapes, ("cq", at_0, at_100), preset=("preset", "p5"), options=options)


ENCODERS: dict[str, Encoder] = {
    "x264": Encoder(
        "libx264", {**_YUV_8_10, **_GRAY}, ("crf", 38, 12), preset=("preset", "veryfast"),
        params=("x264-params", ("open-gop=0",)),
        mastering=_mastering_entries("mastering-display", "cll", _in_steps),
    ),
    "x265": Encoder(
        "libx265", {**_YUV_8_10, **_YUV_12, **_GRAY, ("gray", 12): "gray12le"}, ("crf", 40, 14),
        preset=("preset", "veryfast"), params=("x265-params", ("open-gop=0", "log-level=error")),
        mastering=_mastering_entries("master-display", "max-cll", _in_steps, ("hdr10=1", "repeat-headers=1")),
    ),
    "av1": Encoder(
        "libsvtav1", {("yuv420", 8): "yuv420p", ("yuv420", 10): "yuv420p10le"}, ("crf", 60, 15), whole_quality=True,
        preset=("preset", "8"), params=("svtav1-params", ()),
        mastering=_mastering_entries("mastering-display", "content-light", _in_units),
    ),
    "vp9": Encoder(
        "libvpx-vp9", {**_YUV_8_10, **_YUV_12}, ("crf", 60, 14), whole_quality=True, preset=("cpu-used", "4"),
        options=(("b:v", "0"), ("deadline", "good"), ("row-mt", "1")), even=False,
    ),
    "ffv1": Encoder(
        "ffv1", _FFV1, options=(("level", "3"), ("slicecrc", "1")), even=False,
        alpha={("yuv420", 8): "yuva420p", ("yuv422", 8): "yuva422p", ("yuv444", 8): "yuva444p", ("rgb", 8): "bgra",
               ("yuv444", 10): "yuva444p10le", ("yuv422", 10): "yuva422p10le", ("yuv420", 10): "yuva420p10le",
               ("rgb", 10): "gbrap10le", ("rgb", 12): "gbrap12le", ("rgb", 16): "gbrap16le"},
    ),
    "h264_nvenc": _nvenc("h264_nvenc", _NVENC_8, 40, 14),
    "hevc_nvenc": _nvenc("hevc_nvenc", {**_NVENC_8, **_NVENC_10}, 42, 16),
    "av1_nvenc": _nvenc("av1_nvenc", {("yuv420", 8): "yuv420p", ("yuv420", 10): "p010le"}, 50, 20),
}  # fmt: skip
"""Our names and, for NVENC, FFmpeg's. `nvenc` and `auto` choose among them."""

_BY_FFMPEG_NAME = {encoder.name: encoder for encoder in ENCODERS.values()}


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder, settled down to its arguments."""

    encoder: str
    """FFmpeg's name, e.g. `libx264`."""
    codec: str
    """What it makes, e.g. `h264`."""
    pixel_format: str
    """Pixel format that the encoder is fed."""
    format: PictureFormat
    """What the file will hold: size, depth, layout and tags."""
    arguments: tuple[tuple[str, str], ...]
    """Option (without the dash), value."""
    filters: tuple[str, ...]
    """FFmpeg filters in front of the encoder."""
    why: str
    """One line for the user."""
    notes: tuple[str, ...] = ()
    """What could not be kept as it is, one line each."""


def choose_encoder(
    options: EncodeOptions, format: PictureFormat, container: str, mastering: MasteringMetadata | None = None
) -> EncoderChoice:
    """Settle encoder, pixel format and arguments for pictures of `format` in `container` (`mp4`, `mkv`, `mov`, `webm`).

    `auto` really encodes a few frames with NVENC (15–100 ms) before it trusts it.

    Raises:
        ConfigError: the encoder is unknown, or the container or picture size does not go with it.
        SinkError: `nvenc` was asked for and does not work, or there is no FFmpeg.
    """
    if options.encoder in ("auto", "nvenc"):
        return _choose_automatically(options, format, container, mastering)
    encoder = ENCODERS.get(options.encoder) or _BY_FFMPEG_NAME.get(options.encoder)
    known = list_encoders(find_ffmpeg())
    if encoder is None and options.encoder in known:
        encoder = Encoder(options.encoder, {}, preset=("preset", "") if options.preset else None, even=False)
    if encoder is None or encoder.name not in known:
        raise ConfigError(
            f"encoder {options.encoder!r} is not known to this FFmpeg; "
            "auto, nvenc, x264, x265, av1, vp9, ffv1 and every video encoder that `ffmpeg -encoders` lists are accepted"
        )
    return _settle(encoder, options, format, container, mastering, why=f"{encoder.name}, as asked")


def _choose_automatically(
    options: EncodeOptions, format: PictureFormat, container: str, mastering: MasteringMetadata | None
) -> EncoderChoice:
    webm, deep = container == "webm", format.bit_depth > 8
    reasons: list[str] = []
    for name in ("av1_nvenc",) if webm else ("hevc_nvenc",) if deep else ("h264_nvenc", "hevc_nvenc"):
        reason = _nvenc_obstacle(ENCODERS[name], format)
        if reason is None:
            # A preset named for another encoder must not break this one.
            settled = _settle(ENCODERS[name], options, format, container, mastering, why="")
            reason = _try_encoder(settled)
            if reason is None:
                return replace(settled, why=f"{name}: NVENC encoded a few frames of this size, so it is used")
        reasons.append(reason)
    reason = reasons[0]
    if options.encoder == "nvenc":
        raise SinkError(f"NVENC cannot be used here: {reason}; encoder auto would choose software")
    name = _software(format) if webm else "x265" if deep else "x264"
    kind = "over 8 bits" if deep else "8 bits"
    because = "WebM" if webm else kind
    why = f"{ENCODERS[name].name}: {because} in software, because NVENC is not usable ({reason})"
    return _settle(ENCODERS[name], options, format, container, mastering, why=why)


def _software(format: PictureFormat) -> str:
    """Choose for WebM: AV1 where SVT-AV1 holds the picture, else VP9."""
    av1 = ENCODERS["av1"]
    fits = (format.layout, format.bit_depth) in av1.shapes and not _is_odd(format, format.layout)
    return "av1" if fits and av1.name in list_encoders(find_ffmpeg()) else "vp9"


def _nvenc_obstacle(encoder: Encoder, format: PictureFormat) -> str | None:
    if encoder.name not in list_encoders(find_ffmpeg()):
        return f"this FFmpeg was built without {encoder.name}"
    if (format.layout, format.bit_depth) not in encoder.shapes:
        return f"{encoder.name} does not take {pixel_format(format)}"
    return f"{encoder.name} needs even sizes" if _is_odd(format, format.layout) else None


def _is_odd(format: PictureFormat, layout: Layout) -> bool:
    rows, columns = SUBSAMPLING[layout]
    return bool(format.height % rows or format.width % columns)


def _nearest(encoder: Encoder, format: PictureFormat) -> Shape:
    """Return the shape that loses least: first no chroma, then no depth, then the smallest."""
    chroma: dict[Layout, int] = {"gray": 0, "yuv420": 1, "yuv422": 2, "yuv444": 3, "rgb": 4}
    wanted = min(chroma[format.layout], 3) if ("rgb", format.bit_depth) not in encoder.shapes else chroma[format.layout]

    def loss(shape: Shape) -> tuple[int, ...]:
        level, depth = chroma[shape[0]], shape[1]
        return (
            max(0, wanted - level),
            max(0, format.bit_depth - depth),
            abs(level - wanted),
            abs(depth - format.bit_depth),
        )

    usable = [shape for shape in encoder.shapes if not (encoder.even and _is_odd(format, shape[0]))]
    if not usable:
        raise ConfigError(
            f"{encoder.name} does not take the odd size {format.width}x{format.height}; "
            "x264, x265, vp9 and ffv1 do, or give an even size"
        )
    return min(usable, key=loss)


def _settle(
    encoder: Encoder, options: EncodeOptions, format: PictureFormat, container: str,
    mastering: MasteringMetadata | None, *, why: str,
) -> EncoderChoice:  # fmt: skip
    codec = list_encoders(find_ffmpeg()).get(encoder.name, encoder.name)
    check_container(codec, encoder.name, container)
    kept, fed, notes = _picture(encoder, format)
    arguments = [("c:v", encoder.name), ("pix_fmt", fed), ("g", str(_GOP)), *encoder.options, *_tags(kept)]
    if encoder.quality:
        option, at_0, at_100 = encoder.quality
        value = at_0 + (at_100 - at_0) * options.quality / 100
        arguments.append((option, str(round(value)) if encoder.whole_quality else f"{value:g}"))
    if encoder.preset and (options.preset or encoder.preset[1]):
        arguments.append((encoder.preset[0], options.preset or encoder.preset[1]))
    entries = list(encoder.params[1]) if encoder.params else []
    if mastering is not None and encoder.mastering is not None:
        entries += encoder.mastering(mastering)
    elif mastering is not None and mastering != MasteringMetadata():
        notes.append(f"{encoder.name} does not carry the mastering display's metadata; it is left out")
    if encoder.params and entries:
        arguments.append((encoder.params[0], ":".join(entries)))
    return EncoderChoice(
        encoder.name, codec, fed, kept, tuple(arguments), tuple(_filters(format, kept)), why, tuple(notes)
    )


def _picture(encoder: Encoder, format: PictureFormat) -> tuple[PictureFormat, str, list[str]]:
    """Return what the file will hold, the pixel format that the encoder is fed, and notes on what changes."""
    if not encoder.shapes:
        return format, pixel_format(format), []
    layout, depth = shape = _nearest(encoder, format)
    alpha = format.alpha and shape == (format.layout, format.bit_depth) and shape in encoder.alpha
    kept = replace(format, layout=layout, bit_depth=depth, alpha=alpha)
    if format.layout == "rgb" and layout != "rgb":
        known = {"primaries": format.primaries, "transfer": format.transfer}
        tags = {name: "bt709" if value == "unknown" else value for name, value in known.items()}
        kept = replace(kept, matrix="bt709", range="limited", **tags)
    notes: list[str] = []
    if (format.layout, format.bit_depth) != shape:
        before, after = (pixel_format(replace(f, alpha=False)) for f in (format, kept))
        odd = encoder.even and _is_odd(format, format.layout)
        reason = f"for the odd size {format.width}x{format.height}" if odd else "which is the nearest it takes"
        notes.append(f"{encoder.name} is given {after} instead of {before}, {reason}")
    if format.alpha and not alpha:
        notes.append(f"{encoder.name} does not keep the alpha plane; it is left out")
    return kept, encoder.alpha[shape] if alpha else encoder.shapes[shape], notes


def _tags(kept: PictureFormat) -> list[tuple[str, str]]:
    """Return colour tags as encoder options; a tag that is unknown stays unsaid."""
    tags = (
        ("colorspace", kept.matrix), ("color_primaries", kept.primaries), ("color_trc", kept.transfer),
        ("color_range", "pc" if kept.range == "full" else "tv"), ("chroma_sample_location", kept.siting),
    )  # fmt: skip
    return [(name, value) for name, value in tags if value not in ("unknown", "unspecified")]


def _filters(format: PictureFormat, kept: PictureFormat) -> list[str]:
    """Return filters that name what the frames are (raw frames carry no tags), and convert only where they must change.

    Without `setparams` newer versions would read full range as limited and convert it.
    """
    described = format if format.layout != "rgb" else replace(format, matrix="gbr", range="full")
    filters = [_setparams(described)]
    if format.layout == "rgb" and kept.layout != "rgb":
        scale = "out_color_matrix=bt709:in_range=full:out_range=limited:flags=bicubic+accurate_rnd+full_chroma_int"
        filters += [f"scale={scale}", f"format={pixel_format(kept)}", _setparams(kept)]
    aspect = kept.sample_aspect
    return [*filters, f"setsar=sar={aspect.numerator}/{aspect.denominator}:max=65535"]


def _setparams(format: PictureFormat) -> str:
    tags = {
        "range": "pc" if format.range == "full" else "tv",
        "color_primaries": format.primaries, "color_trc": format.transfer, "colorspace": format.matrix,
    }  # fmt: skip
    return "setparams=" + ":".join(f"{name}={value}" for name, value in tags.items())


_MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}


@lru_cache(maxsize=8)
def _codecs_of(container: str) -> frozenset[str]:
    with av.open(io.BytesIO(), "w", format=_MUXERS[container]) as empty:
        return frozenset(empty.supported_codecs)


def check_container(codec: str, encoder: str, container: str) -> None:
    """Raise ConfigError where `container` cannot hold `codec`, naming those that can."""
    if codec in _codecs_of(container):
        return
    able = [name for name in _MUXERS if codec in _codecs_of(name)]
    instead = f"use {' or '.join(able)}" if able else "no container here can; choose another encoder"
    raise ConfigError(f"{container} cannot hold what {encoder} makes ({codec}); {instead}")


def _try_encoder(choice: EncoderChoice) -> str | None:
    """Encode a few frames; return None if that works, else the first line of what FFmpeg says."""
    source = f"color=s={choice.format.width}x{choice.format.height}:r=25"
    return _try_arguments(find_ffmpeg(), source, choice.pixel_format, choice.arguments)


@lru_cache(maxsize=32)
def _try_arguments(binary: str, source: str, pixel_format: str, arguments: tuple[tuple[str, str], ...]) -> str | None:
    options = {**dict(arguments), "vf": f"format={pixel_format}", "frames:v": "5", "f": "null"}
    command = ffmpeg.input(source, f="lavfi").output("-", **options)
    command = command.global_args("-hide_banner", "-nostdin", "-loglevel", "error")
    code, log = run_ffmpeg(command.compile(cmd=binary), timeout_s=20)
    return None if code == 0 else first_error_line(log)
