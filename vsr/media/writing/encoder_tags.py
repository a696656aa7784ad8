"""What an encoder is told of the pictures it gets: colours, chroma siting, aspect, progressive."""

from dataclasses import replace

from vsr.frames import PictureFormat
from vsr.media.pixels import pixel_format


def tags(kept: PictureFormat) -> list[tuple[str, str]]:
    """Return colour tags as encoder options; a tag that is unknown stays unsaid."""
    matrix = "rgb" if kept.matrix == "gbr" else kept.matrix  # filters know it as gbr, encoders do not
    all_tags = (
        ("colorspace", matrix),
        ("color_primaries", kept.primaries),
        ("color_trc", kept.transfer),
        ("color_range", "pc" if kept.range == "full" else "tv"),
        ("chroma_sample_location", kept.siting),
    )
    return [(name, value) for name, value in all_tags if value not in ("unknown", "unspecified")]


def filters(format: PictureFormat, kept: PictureFormat) -> list[str]:
    """Return filters that name what the frames are (raw frames carry no tags), and
    convert only where they must change.

    What leaves the networks is progressive, whatever the source was. Without `setparams` newer versions would
    read full range as limited and convert it.
    """
    described = format if format.layout != "rgb" else replace(format, matrix="gbr", range="full")
    chain = [_setparams(described), "setfield=prog"]
    if format.layout == "rgb" and kept.layout != "rgb":
        scale = "out_color_matrix=bt709:in_range=full:out_range=limited:flags=bicubic+accurate_rnd+full_chroma_int"
        chain += [f"scale={scale}", f"format={pixel_format(kept)}", _setparams(kept)]
    elif format.layout == "gray" and kept.layout != "gray":
        # Older versions take grey for limited range and newer ones for full, whatever is said of it: codes are kept
        # here, and what is limited gets another depth afterwards.
        colored = kept if kept.range == "full" else replace(kept, bit_depth=format.bit_depth)
        chain += [
            "scale=in_range=full:out_range=full",
            f"format={pixel_format(colored)}",
            _setparams(colored),
        ]
    aspect = kept.sample_aspect
    return [*chain, f"setsar=sar={aspect.numerator}/{aspect.denominator}:max=65535"]


def _setparams(format: PictureFormat) -> str:
    said = {
        "range": "pc" if format.range == "full" else "tv",
        "color_primaries": format.primaries,
        "color_trc": format.transfer,
        "colorspace": format.matrix,
    }
    return "setparams=" + ":".join(f"{name}={value}" for name, value in said.items())
