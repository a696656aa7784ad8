"""The containers that are written: what names mean them, which codecs they hold, how their muxers are told."""

import io
import math
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer

from vsr.errors import ConfigError
from vsr.media.images.kinds import KINDS, PICTURES
from vsr.media.images.numbered import is_numbered
from vsr.media.standard_streams import is_standard
from vsr.media.writing.kept_metadata import wants_keys
from vsr.options import EncodeOptions

_MAX_TIMESCALE = 2**31 - 1

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".qt": "mov", ".mkv": "mkv", ".webm": "webm"}
"""Endings of names that are written, and the containers they mean."""

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
"""Our names of containers to FFmpeg's names of muxers."""

PIPED = {"nut": "nut", "y4m": "yuv4mpegpipe", "ts": "mpegts", "mkv": "matroska"}
"""The same of what is written into a pipe."""

_IN_TS = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
"""What receivers of broadcasts know; its muxer refuses nothing."""


def output_container(path: str | Path, options: EncodeOptions) -> str:
    """Return the container to write, or of numbered pictures their kind: by the output's name, or as asked where
    that does not tell.

    Raises:
        ConfigError: the name has an ending of no container that is written, or of another than the option.
    """
    if is_standard(path):
        if options.container not in ("auto", *PIPED):
            raise ConfigError(f"{options.container} is not written into a pipe; {', '.join(PIPED)} are")
        return "nut" if options.container == "auto" else options.container
    if options.container in PIPED.keys() - MUXERS.keys():
        raise ConfigError(f"container {options.container} is for a pipe: name - as the output")
    if is_numbered(path):
        return _numbered_container(Path(path), options)
    named = CONTAINERS.get(Path(path).suffix.lower())
    if named is None and options.container == "auto":
        raise ConfigError(
            f"output name {str(path)!r} does not end in {', '.join(CONTAINERS)}; or give container"
        )
    if named is not None and options.container not in ("auto", named):
        raise ConfigError(f"output name {str(path)!r} and container {options.container} do not go together")
    return named or options.container


def _numbered_container(path: Path, options: EncodeOptions) -> str:
    named = PICTURES.get(path.suffix.lower())
    if named is None:
        raise ConfigError(f"numbered pictures {str(path)!r} do not end in {', '.join(PICTURES)}")
    if options.container != "auto":
        raise ConfigError(f"output name {str(path)!r} and container {options.container} do not go together")
    return named


@lru_cache(maxsize=8)
def _codecs_of(container: str) -> frozenset[str]:
    if container in KINDS:
        return frozenset({"png"})
    if container == "ts":
        return _IN_TS
    with av.open(io.BytesIO(), "w", format=(PIPED | MUXERS)[container]) as empty:
        return frozenset(empty.supported_codecs)


def check_container(codec: str, encoder: str, container: str) -> None:
    """Raise ConfigError where `container` cannot hold `codec`, naming those that can."""
    if codec in _codecs_of(container):
        return
    able = [name for name in MUXERS if codec in _codecs_of(name)]
    instead = f"use {' or '.join(able)}" if able else "no container here can; choose another encoder"
    raise ConfigError(f"{container} cannot hold what {encoder} makes ({codec}); {instead}")


def muxer_options(container: str, time_base: Fraction, original: InputContainer | None) -> dict[str, str]:
    """What a muxer is told, so that times stay exact to the tick of all streams."""
    if container in ("mkv", "webm"):
        # Dispositions are the original's. Left to itself, the muxer moves everything where the first
        # packet is an Opus or AAC packet before time 0, but the sound with its codec delay
        # differently from the pictures.
        return {"default_mode": "passthrough", "avoid_negative_ts": "disabled"}
    timescale = time_base.denominator
    while timescale < 1000:
        timescale *= 2
    # A delayed beginning is written in ticks of the whole movie, so these must suit video and audio alike.
    sounds = [cast(Any, stream).codec_context for stream in original.streams.audio] if original else []
    rates = [sound.sample_rate for sound in sounds if sound is not None and sound.sample_rate]
    movie = math.lcm(timescale, *rates)
    return {
        "movflags": "+faststart"
        + ("+use_metadata_tags" if original and wants_keys(original.metadata) else ""),
        "video_track_timescale": str(timescale),
        "movie_timescale": str(movie if movie <= _MAX_TIMESCALE else timescale),
    }
