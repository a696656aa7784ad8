"""From what a file and its pictures tell to the `Damage` that networks are told, and to clean or real."""

import math
from dataclasses import dataclass

from vsr.models import Damage
from vsr.quality.noise_level import LookOfPictures

EFFICIENCY = {
    "h264": 1.0,
    "hevc": 0.8,
    "av1": 0.72,
    "vp9": 1.1,
    "webp": 1.0,  # 24 photos: what stands for crf 24 is then quality 83
    # Not measured; as their next of kin.
    **dict.fromkeys(("vp8", "wmv3", "vc1", "rv30", "rv40"), 1.4),
    **dict.fromkeys(
        ("h263", "flv1", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "theora", "mpeg4"), 2.8
    ),
    **dict.fromkeys(("mpeg1video", "mpeg2video"), 4.0),
}
"""Bits that a codec needs for the PSNR that x264 has at crf 25.5, over x264's; others lose nothing or next to it."""

QUANTISED = (
    "mpeg4",
    "mpeg2video",
    "mpeg1video",
    "mjpeg",
    "h263",
    "flv1",
    "msmpeg4v2",
    "msmpeg4v3",
    "wmv1",
    "wmv2",
)
"""Codecs whose quantiser counts as the MPEGs' do, 1 to 31."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How a source is stored, as far as that is known."""

    codec: str
    """FFmpeg's name."""
    quantiser: float | None = None
    """Mean of the pictures looked at, as the codec counts."""
    key_bits: float | None = None
    """Bits per pixel of key frames."""
    jpeg_quality: int | None = None
    """1 to 100, of a picture."""


_CRF_BY_QUANTISER = (6.8, 0.78, -1.46, -1.26)
"""Constant, and factors of the quantiser and of the logarithms of detail and noise: encoders quantise more where
there is much of these. 112 clips by x264 at crf 10 to 40."""

_CRF_BY_BITS = (2.3, -8.2, 9.5)
"""Constant, and factors of the logarithms of bits and of detail. 64 clips by x265."""

_CRF_LEAST, _CRF_SPAN = 12, 35

_BLOCKING = 0.2
"""From which it is one; then 1 - exp(-2.2 blocking) is about the compression of the JPEG that it was."""

_FLATTENS = 0.2
"""Compression that repeats noise from picture to picture, or takes it off what is flat."""

_REAL_NOISE = 3.0
_REAL_CRF, _REAL_QUANTISER, _REAL_JPEG = (24 - _CRF_LEAST) / _CRF_SPAN, 5.5 / 24, 0.15
"""Compression from which networks for clean pictures would sharpen the damage."""


def compression_of(coding: Coding, look: LookOfPictures) -> float:
    """Tell how strongly a source has been compressed, on the scale of `Damage.compression`.

    By the quality of a JPEG, by quantisers (x264's crf is told within 3, root mean square), where decoders tell none by
    the bits of key frames, against the detail that these show (x265's within 3.3). What lies in a file without loss
    may have been a JPEG before: its blocks tell.
    """
    if coding.jpeg_quality is not None:
        return (100 - coding.jpeg_quality) / 100
    detail = math.log(look.detail + 0.3)
    if coding.quantiser is not None:
        if coding.codec in QUANTISED:
            return min(1.0, coding.quantiser / 24)
        if coding.codec == "vp9":
            return _of_crf(_h264_quantiser(coding.quantiser))
        constant, by_quantiser, by_detail, by_noise = _CRF_BY_QUANTISER
        noise = math.log(look.noise + 0.5)
        return _of_crf(constant + by_quantiser * coding.quantiser + by_detail * detail + by_noise * noise)
    if coding.codec not in EFFICIENCY:
        return 1 - math.exp(-2.2 * look.blocking) if look.blocking > _BLOCKING else 0.0
    if not coding.key_bits:
        return 0.0
    constant, by_bits, by_detail = _CRF_BY_BITS
    bits = math.log(coding.key_bits / EFFICIENCY[coding.codec])
    return _of_crf(constant + by_bits * bits + by_detail * detail)


def damage_of(look: LookOfPictures, compression: float) -> Damage:
    """How damaged pictures are: their noise counts the detail that compression has replaced or taken away, which is
    guessed by what is left (77 clips: RMS 1.0)."""
    lost = 1.4 * compression**0.8 * look.detail**0.7
    return Damage(math.hypot(visible_noise(look, compression), lost), compression)


def told_damage(look: LookOfPictures, compression: float) -> Damage:
    """What networks are told of it: the noise of half of the detail that was lost.

    Gain of `base-real` over bicubic, mean over five clips of five damages each (σ 0 to 15, x264 crf 18 to 34, ×2): told
    noise alone 0.79 dB, with all of what was lost 0.78, with half of it 0.83.
    """
    noise, whole = visible_noise(look, compression), damage_of(look, compression).noise
    return Damage(math.sqrt(0.75 * noise**2 + 0.25 * whole**2), compression)


def visible_noise(look: LookOfPictures, compression: float) -> float:
    """σ of the noise that can be seen.

    What is still shows in differences that it is none, and what only some classes of brightness show is texture: of 130
    clean photos 17 seem to have noise of 3 and more, 8 when that is known. Strong compression repeats noise, and takes
    it away where it is flat: there neither tells anything.
    """
    if compression >= _FLATTENS:
        return look.noise
    noise = min(look.noise, 2.5 * look.least + 1)
    return look.change if look.change is not None and look.change < 0.6 * noise else noise


def realness(coding: Coding, look: LookOfPictures, compression: float) -> float:
    """How far pictures are damaged, as a share of what networks trained on clean pictures bear.

    Above 1 these would sharpen noise or what compression has left, and networks for real footage are better.
    """
    if coding.jpeg_quality is not None or (coding.quantiser is None and coding.codec not in EFFICIENCY):
        most = _REAL_JPEG
    else:
        most = _REAL_QUANTISER if coding.quantiser is not None and coding.codec in QUANTISED else _REAL_CRF
    return max(compression / most, visible_noise(look, compression) / _REAL_NOISE)


def _of_crf(crf: float) -> float:
    return min(1.0, max(0.0, (crf - _CRF_LEAST) / _CRF_SPAN))


def _h264_quantiser(index: float) -> float:
    """The H.264 quantiser whose step is that of VP9's index, 0 to 255.

    Its table of steps, in eighths, grows by one up to 102 and then by 1.9 % each (libvpx, `ac_qlookup`).
    """
    step = index + 7 if index < 102 else 109 * math.exp(0.0184 * (index - 102))
    return 6 * math.log2(max(step / 8, 0.625) / 0.625)
