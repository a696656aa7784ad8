"""The choice of an encoder, settled down to its arguments; the encoders themselves are rows of
`encoder_table`.

Starts FFmpeg only to ask what it has been built with, and whether a hardware encoder really works.
A size that is odd where chroma is subsampled is encoded with more chroma by the encoders that
refuse it: nothing is cropped.
"""

from dataclasses import dataclass, replace

from vsr.errors import ConfigError, SinkError, SourceError
from vsr.frames import SUBSAMPLING, Layout, MasteringMetadata, PictureFormat
from vsr.media.ffmpeg import (
    find_ffmpeg,
    list_encoders,
    list_pixel_formats,
)
from vsr.media.images.kinds import KINDS, title
from vsr.media.pixels import pixel_format, reading
from vsr.media.writing.encoder_table import BY_FFMPEG_NAME, ENCODERS, Encoder, Shape
from vsr.media.writing.encoder_tags import filters, tags
from vsr.media.writing.encoder_trial import try_frames
from vsr.media.writing.muxers import check_container
from vsr.options import EncodeOptions

_GOP = 120
"""Frames between key frames at most: a player seeks to within a few seconds."""
_CHROMA: dict[str, Layout] = {"420": "yuv420", "422": "yuv422", "444": "yuv444"}
_AV1_EDGE = 64
"""Rows and columns that SVT-AV1 wants at least (before 2.0)."""
_MAX_AREA = 2**31 // 8
"""FFmpeg refuses pictures of as many samples, edges of 128 on each axis included."""


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

    def on_gpu(self, number: int) -> "EncoderChoice":
        """The same on one GPU of several, where a GPU encodes: each has sessions of its own, and few."""
        if not self.encoder.endswith("_nvenc"):
            return self
        return replace(self, arguments=(*self.arguments, ("gpu", str(number))))


NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7", "slow", "medium", "fast", "hq", "ll", "lossless")
"""Presets of FFmpeg's NVENC encoders that are not of an older generation."""


def choose_encoder(
    options: EncodeOptions, format: PictureFormat, container: str, mastering: MasteringMetadata | None = None
) -> EncoderChoice:
    """Settle encoder, pixel format and arguments for pictures of `format` in
    `container` (`mp4`, `mkv`, `mov`, `webm`).

    `auto` really encodes a few frames with NVENC (15–100 ms) before it trusts it.

    Raises:
        ConfigError: the encoder is unknown, or the container or picture size does not go with it.
        SinkError: `nvenc` was asked for and does not work, or there is no FFmpeg.
    """
    if (format.height + 128) * (format.width + 128) >= _MAX_AREA:
        raise ConfigError(
            f"{format.width}x{format.height} is larger than FFmpeg takes; 16384x8192 is accepted"
        )
    pictures = options.encoder == "auto" and container in KINDS
    if pictures:
        options = replace(options, encoder="png")
    if options.encoder in ("auto", "nvenc"):
        return _choose_automatically(options, format, container, mastering)
    encoder = ENCODERS.get(options.encoder) or BY_FFMPEG_NAME.get(options.encoder)
    known = list_encoders(find_ffmpeg())
    if encoder is None and options.encoder in known:
        encoder = _foreign_encoder(options.encoder)
    if encoder is None or encoder.name not in known:
        raise ConfigError(
            f"encoder {options.encoder!r} is not known to this FFmpeg; auto, nvenc, x264, x265, av1, vp9, ffv1, prores "
            "and every video encoder that `ffmpeg -encoders` lists are accepted"
        )
    why = f"{title(container)} files, one a frame" if pictures else f"{encoder.name}, as asked"
    return _tried(_settle(encoder, options, format, container, mastering, why=why), options)


def _foreign_encoder(name: str) -> Encoder:
    """Describe an encoder that is not in the table, from what FFmpeg says
    about it; its defaults are FFmpeg's."""
    shapes: dict[Shape, str] = {}
    for given in list_pixel_formats(find_ffmpeg(), name):
        try:
            how = reading(given)
        except (SourceError, ValueError):
            continue  # a hardware surface, or a format newer than ours
        if not how.notes and not given.startswith("yuvj"):
            shapes.setdefault((how.layout, how.bit_depth), given)
    return Encoder(name, shapes, preset=("preset", ""), even=False)


def _choose_automatically(
    options: EncodeOptions, format: PictureFormat, container: str, mastering: MasteringMetadata | None
) -> EncoderChoice:
    wanted = wanted_format(options, format)
    webm, deep = container == "webm", wanted.bit_depth > 8
    reasons: list[str] = []
    for name in ("av1_nvenc",) if webm else ("hevc_nvenc",) if deep else ("h264_nvenc", "hevc_nvenc"):
        reason = _nvenc_obstacle(ENCODERS[name], wanted)
        if reason is None:
            # A preset that was meant for a software encoder must not cost the hardware one.
            theirs = options if options.preset in NVENC_PRESETS else replace(options, preset="")
            settled = _settle(ENCODERS[name], theirs, format, container, mastering, why="")
            reason = try_encoder(settled)
            if reason is None:
                notes = settled.notes
                if theirs.preset != options.preset:
                    notes = (
                        *notes,
                        f"preset {options.preset!r} is none of {name}'s; {' '.join(NVENC_PRESETS)} are",
                    )
                why = f"{name}: NVENC encoded a few frames of this size, so it is used"
                return replace(settled, why=why, notes=notes)
        reasons.append(reason)
    reason = reasons[0]
    if options.encoder == "nvenc":
        raise SinkError(f"NVENC cannot be used here: {reason}; encoder auto would choose software")
    name = _software(wanted) if webm else "x265" if deep else "x264"
    what = "WebM" if webm else "over 8 bits" if deep else "8 bits"
    import torch  # here, as a choice alone may be made without it

    # Who uses no GPU need not hear at each file that it has no encoder.
    because = f", because NVENC is not usable ({reason})" if torch.cuda.is_available() else ""
    why = f"{ENCODERS[name].name}: {what} in software{because}"
    return _tried(_settle(ENCODERS[name], options, format, container, mastering, why=why), options)


def _tried(choice: EncoderChoice, options: EncodeOptions) -> EncoderChoice:
    """Try before any frame is enhanced what only FFmpeg can judge: presets, tiny
    sizes, encoders not in the table."""
    ordinary = (
        choice.encoder in BY_FFMPEG_NAME and min(choice.format.height, choice.format.width) >= _AV1_EDGE
    )
    reason = None if ordinary and not options.preset else try_encoder(choice)
    if reason is not None:
        with_preset = f" with preset {options.preset!r}" if options.preset else ""
        size = f"{choice.format.width}x{choice.format.height} {choice.pixel_format}"
        raise ConfigError(f"{choice.encoder}{with_preset} does not encode {size}: {reason}")
    return choice


def _software(format: PictureFormat) -> str:
    """Choose for WebM: AV1 where SVT-AV1 holds the picture, else VP9."""
    av1 = ENCODERS["av1"]
    fits = (format.layout, format.bit_depth) in av1.shapes and not _is_odd(format, format.layout)
    fits = fits and min(format.height, format.width) >= _AV1_EDGE
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
    wanted = (
        min(chroma[format.layout], 3)
        if ("rgb", format.bit_depth) not in encoder.shapes
        else chroma[format.layout]
    )

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
    encoder: Encoder,
    options: EncodeOptions,
    format: PictureFormat,
    container: str,
    mastering: MasteringMetadata | None,
    *,
    why: str,
) -> EncoderChoice:
    codec = list_encoders(find_ffmpeg()).get(encoder.name, encoder.name)
    check_container(codec, encoder.name, container)
    kept, fed, notes = _picture(encoder, format, wanted_format(options, format))
    arguments = [("c:v", encoder.name), ("pix_fmt", fed), ("g", str(_GOP)), *encoder.options, *tags(kept)]
    if encoder.quality:
        option, at_0, at_100 = encoder.quality
        value = at_0 + (at_100 - at_0) * options.quality / 100
        arguments.append((option, str(round(value)) if encoder.whole_quality else f"{value:g}"))
    if profile := encoder.profiles.get((kept.layout, kept.bit_depth)):
        arguments.append(("profile:v", profile))
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
        encoder.name, codec, fed, kept, tuple(arguments), tuple(filters(format, kept)), why, tuple(notes)
    )


def wanted_format(options: EncodeOptions, format: PictureFormat) -> PictureFormat:
    """Return how pictures of `format` should be held by the file, whatever the encoder can."""
    depth = format.bit_depth if options.bit_depth == "auto" else options.bit_depth
    layout = format.layout
    if options.chroma != "auto" and layout != "gray":
        layout = _CHROMA[options.chroma]
    return replace(format, bit_depth=depth, layout=layout)


def _picture(
    encoder: Encoder, format: PictureFormat, wanted: PictureFormat
) -> tuple[PictureFormat, str, list[str]]:
    """Return what the file will hold, the pixel format that the encoder is fed,
    and notes on what changes unasked."""
    if not encoder.shapes:
        return format, pixel_format(format), []
    layout, depth = shape = _nearest(encoder, wanted)
    alpha = format.alpha and shape == (wanted.layout, wanted.bit_depth) and shape in encoder.alpha
    kept = replace(format, layout=layout, bit_depth=depth, alpha=alpha)
    if format.layout == "rgb" and layout != "rgb":
        known = {"primaries": format.primaries, "transfer": format.transfer}
        said = {name: "bt709" if value == "unknown" else value for name, value in known.items()}
        kept = replace(kept, matrix="bt709", range="limited", **said)
    elif layout == "rgb" and format.layout != "rgb":
        kept = replace(kept, matrix="gbr", range="full")
    notes: list[str] = []
    if (wanted.layout, wanted.bit_depth) != shape:
        before, after = (pixel_format(replace(f, alpha=False)) for f in (wanted, kept))
        odd = encoder.even and _is_odd(wanted, wanted.layout)
        reason = (
            f"for the odd size {format.width}x{format.height}" if odd else "which is the nearest it takes"
        )
        notes.append(f"{encoder.name} is given {after} instead of {before}, {reason}")
    if format.alpha and not alpha:
        notes.append(f"{encoder.name} does not keep the alpha plane; it is left out")
    return kept, encoder.alpha[shape] if alpha else encoder.shapes[shape], notes


def try_encoder(choice: EncoderChoice) -> str | None:
    """Encode a few frames; return None if that works, else the first line of what FFmpeg says."""
    format = choice.format
    return try_frames(format.height, format.width, choice.pixel_format, choice.arguments)
