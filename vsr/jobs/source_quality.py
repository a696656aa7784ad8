"""What a source looks like, from what its file says alone: good, or compressed so far that it shows."""

from pathlib import Path

from vsr.errors import SourceError
from vsr.frames import StreamInfo
from vsr.media import jpeg_quality
from vsr.models import Verdict

REFERENCE = 640 * 360
"""Pixels of the frames that `CLEAN_FROM` is about. Larger ones need fewer bits a pixel, by the fourth root of
their number: x264 at crf 26 took 0.050, 0.036, 0.061, 0.053 bits for four clips at 1280x720, 1.6 times that
at 640x360 and
2.0 times at 320x180."""

CLEAN_FROM = {
    "h264": 0.05,
    "hevc": 0.04,
    "av1": 0.036,
    "vp9": 0.055,
    "mpeg4": 0.14,
    "mpeg2video": 0.2,
    # Not measured; as their next of kin.
    "mpeg1video": 0.2,
    **dict.fromkeys(("h263", "flv1", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "theora"), 0.14),
    **dict.fromkeys(("vp8", "wmv3", "vc1", "rv30", "rv40"), 0.07),
}
"""Bits per pixel of a frame of `REFERENCE` size from which a codec shows
little; others lose nothing or next to it.

Ten natural clips, halved first, 60 frames each; median (least to most) of
bits per pixel brought to `REFERENCE`:

| x264 crf | 18 | 21 | 23 | 26 | 28 | 30 | 32 | 36 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| bits | 0.135 | 0.096 | 0.076 | 0.054 | 0.043 | 0.034 | 0.027 | 0.017 |
| least | 0.031 | 0.024 | 0.019 | 0.014 | 0.012 | 0.009 | 0.007 | 0.004 |
| most | 0.256 | 0.165 | 0.123 | 0.081 | 0.063 | 0.049 | 0.038 | 0.025 |
| Y-PSNR, dB | 44.4 | 42.0 | 40.5 | 38.3 | 36.8 | 35.3 | 33.9 | 31.5 |

| MPEG-4 quantiser | 2 | 4 | 6 | 10 | 16 |
| --- | --- | --- | --- | --- | --- |
| bits | 0.415 | 0.216 | 0.146 | 0.087 | 0.056 |
| Y-PSNR, dB | 44.8 | 40.3 | 37.7 | 34.8 | 32.5 |

So 0.05 takes seven of ten clips at crf 23 for clean (the others are fixed cameras, of which little is lost at
few bits), three at crf 28 and none from crf 30 on. For the PSNR that x264 has at crf 25.5, the other codecs
took 0.81 (x265), 1.10 (VP9), 0.74 (SVT-AV1), 2.7 (MPEG-4) and 4.1 (MPEG-2) times its bits.

At ×2 on four clips `fast` is ahead of `fast-real` up to crf 23 (by 0.3 to 1.8 dB at crf 14,
by 0.1 and less at crf 23), `fast-real` from crf 26 on (by 0.03 to 0.36); for MPEG-4 from 4 to 8.
"""

CLEAN_QUALITY = 85
"""JPEG quality from which its blocks do not show."""

CLEAN_WEBP = 2.0
"""Bits per pixel of a WebP, the median of 35 pictures at quality 85 (2.1; at quality 40 it is 0.9)."""

NAMES = {
    "h264": "H.264",
    "mpeg4": "MPEG-4",
    "mpeg2video": "MPEG-2",
    "mpeg1video": "MPEG-1",
    "mjpeg": "JPEG",
    "webp": "WebP",
}
"""How codecs are called where FFmpeg's name in capitals is not it."""


def judge_source(info: StreamInfo) -> Verdict:
    """Tell whether a source is compressed so far that networks trained on
    clean pictures would sharpen the damage.

    A video by its bits per pixel, a JPEG by its quantisation, a WebP by its
    size. What cannot be told is clean.
    """
    file, codec = Path(info.path), NAMES.get(info.codec, info.codec.upper())
    if info.kind == "image" and info.codec == "mjpeg":
        quality = _quality(file)
        return Verdict(quality < CLEAN_QUALITY, f"{file.name}: {codec} of quality {quality}")
    least = CLEAN_WEBP if info.codec == "webp" else CLEAN_FROM.get(info.codec)
    if least is None:
        return Verdict(False, f"{file.name}: {codec} shows no loss")
    bits = bits_per_pixel(info)
    if bits is None:
        return Verdict(False, f"{file.name}: {codec} at an unknown bit rate")
    size = 1.0 if info.kind == "image" else (info.format.height * info.format.width / REFERENCE) ** 0.25
    return Verdict(bits * size < least, f"{file.name}: {codec} at {bits:.2g} bits per pixel")


def bits_per_pixel(info: StreamInfo) -> float | None:
    """Bits that a pixel of one frame takes on average; None where the container does not tell enough.

    Where the stream's own rate is not given, sound and all the rest of the file count as picture.
    """
    pixels = info.format.height * info.format.width
    if info.kind == "image":
        return _bits(Path(info.path)) / pixels
    rate = info.bit_rate or (_bits(Path(info.path)) / info.duration_s if info.duration_s else None)
    if rate is None or not info.average_rate:
        return None
    return float(rate / info.average_rate / pixels)


def _quality(file: Path) -> int:
    try:
        return jpeg_quality(file.read_bytes())
    except OSError as error:
        raise SourceError(f"cannot read {str(file)!r}: {error.strerror}") from error


def _bits(file: Path) -> int:
    try:
        return file.stat().st_size * 8
    except OSError as error:
        raise SourceError(f"cannot read {str(file)!r}: {error.strerror}") from error
