"""What a source looks like: how noisy, how far compressed; clean, or such that it shows."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import mean, median

from vsr.errors import SourceError
from vsr.frames import Plane, StreamInfo
from vsr.media import ImageSource, NumberedSource, file_name, jpeg_quality, read_runs
from vsr.models import Damage, Verdict
from vsr.options import ReadOptions
from vsr.prefetch import closed_after
from vsr.quality import (
    Coding,
    LookOfPictures,
    compression_of,
    damage_of,
    damage_words,
    look_at_pictures,
    luma_codes,
    realness,
    told_damage,
)

RUNS, LENGTH = 8, 6
"""Of consecutive pictures that are looked at in a video."""

MEASURED = 3
"""Pictures of each run whose noise is measured."""


def judge_source(info: StreamInfo, read: ReadOptions = ReadOptions()) -> Verdict:
    """Look at a few dozen pictures spread over all that will be read, and tell how damaged they are.

    Half a second of one core for a video of 640x360.

    Raises:
        SourceError: the file cannot be read, or a picture not decoded.
    """
    coding, look = look_at_source(info, read)
    compression = compression_of(coding, look)
    why = f"{file_name(info.path)}: {damage_words(coding, look, compression)}"
    damage = told_damage(look, compression)
    told = Damage(round(damage.noise, 1), round(damage.compression, 2))  # the same on every machine
    return Verdict(realness(coding, look, compression) > 1, why, told)


def shown_damage(info: StreamInfo, read: ReadOptions = ReadOptions()) -> Damage:
    """How damaged a source is, all of it: its noise, and the detail that compression has taken or replaced.

    Raises:
        SourceError: the file cannot be read, or a picture not decoded.
    """
    coding, look = look_at_source(info, read)
    return damage_of(look, compression_of(coding, look))


def look_at_source(info: StreamInfo, read: ReadOptions = ReadOptions()) -> tuple[Coding, LookOfPictures]:
    """How a source is stored, and what its pictures show."""
    if info.kind == "image":
        return _look_at_image(info)
    return _look_at_numbered(info, read) if info.pictures else _look_at_video(info, read)


def _look_at_image(info: StreamInfo) -> tuple[Coding, LookOfPictures]:
    file, pixels = Path(info.path), info.format.height * info.format.width
    try:
        quality = jpeg_quality(file.read_bytes()) if info.codec == "mjpeg" else None
        coding = Coding(info.codec, key_bits=file.stat().st_size * 8 / pixels, jpeg_quality=quality)
    except OSError as error:
        raise SourceError(f"cannot read {str(file)!r}: {error.strerror}") from error
    frames = ImageSource(file, most_gb=math.inf).frames()
    with closed_after(frames):
        look = look_at_pictures([[luma_codes(frame)] for frame in islice(frames, 1)])
    return coding, look


def _look_at_numbered(info: StreamInfo, read: ReadOptions) -> tuple[Coding, LookOfPictures]:
    first, last = info.pictures[0][1], info.pictures[-1][1]
    pixels = info.format.height * info.format.width
    quality = jpeg_quality(first.read_bytes()) if info.codec == "mjpeg" else None
    coding = Coding(info.codec, key_bits=last.stat().st_size * 8 / pixels, jpeg_quality=quality)

    def lumas() -> Iterator[list[Plane]]:
        for time in _times(info, read):
            here = replace(read, start=f"{time:.6f}", end="", frames=MEASURED)
            with suppress(SourceError):  # what cannot be read has no say here
                yield [luma_codes(frame) for frame in NumberedSource(info, here).frames()]

    return coding, look_at_pictures(lumas())


def _look_at_video(info: StreamInfo, read: ReadOptions) -> tuple[Coding, LookOfPictures]:
    pixels = info.format.height * info.format.width
    quantisers: list[float] = []
    key_bits: list[float] = []

    def lumas() -> Iterator[list[Plane]]:
        for run in read_runs(info, _times(info, read), length=LENGTH):
            told = [picture.quantiser for picture in run if picture.quantiser is not None]
            quantisers.extend([mean(told)] if told else [])
            key_bits.extend(picture.bits / pixels for picture in run if picture.is_key and picture.bits)
            yield [luma_codes(picture.frame, fields=info.interlaced) for picture in run[:MEASURED]]

    look = look_at_pictures(lumas())
    return Coding(
        info.codec,
        quantiser=median(quantisers) if quantisers else None,
        key_bits=median(key_bits) if key_bits else None,
    ), look


def _times(info: StreamInfo, read: ReadOptions) -> list[float]:
    """Where equal parts of what will be read begin; the first picture of a file may be its only key frame."""
    start, end = (float(time or 0) for time in read.span)
    last = start + read.frames / float(info.average_rate or 25) if read.frames else 0.0
    ends = [time for time in (end, info.duration_s, last) if time]
    length = max(0.0, min(ends) - start) if ends else 0.0
    return [start + index * length / RUNS for index in range(RUNS)]
