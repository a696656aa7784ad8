"""What was found of pictures, in words and figures for people."""

from vsr.quality.compression import EFFICIENCY, QUANTISED, Coding, visible_noise
from vsr.quality.noise_level import LookOfPictures

_SOFT = 0.25
"""Sharpness below which it is said."""

_NAMES = {
    "h264": "H.264",
    "mpeg4": "MPEG-4",
    "mpeg2video": "MPEG-2",
    "mpeg1video": "MPEG-1",
    "mjpeg": "JPEG",
    "webp": "WebP",
}
"""How codecs are called where FFmpeg's name in capitals is not it."""


def damage_words(coding: Coding, look: LookOfPictures, compression: float) -> str:
    """Say how damaged pictures are, such as `noise 11, H.264 at quantiser 31 (compression 0.5)`.

    Args:
        coding: how they are stored.
        look: what they show.
        compression: as `compression_of` tells it of both.
    """
    found = [f"noise {visible_noise(look, compression):.2g}", _stored(coding)]
    if compression and coding.codec not in EFFICIENCY and coding.codec not in QUANTISED:
        found.append("blocks of 8x8")
    if compression:
        found[-1] += f" (compression {compression:.2g})"
    if look.detail > 1 and look.sharpness < _SOFT:
        found.append("soft")
    return ", ".join(found)


def _stored(coding: Coding) -> str:
    """How, in words."""
    name = _NAMES.get(coding.codec, coding.codec.upper())
    if coding.jpeg_quality is not None:
        return f"{name} of quality {coding.jpeg_quality}"
    if coding.quantiser is not None:
        return f"{name} at quantiser {coding.quantiser:.0f}"
    if coding.codec in EFFICIENCY and coding.key_bits:
        return f"{name} at {coding.key_bits:.2g} bits per pixel"
    return name
