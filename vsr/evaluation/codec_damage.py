"""Damage as the world does it: a clip encoded by a codec at a stated strength, and read back."""

import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vsr.errors import ConfigError
from vsr.evaluation.score_clips import ReferenceClip
from vsr.frames import PictureFormat
from vsr.media import EncoderChoice, VideoEncoder, VideoSource, choose_encoder
from vsr.options import EncodeOptions
from vsr.quality import to_frame, to_playable, to_rgb


@dataclass(frozen=True, slots=True)
class Compression:
    """A codec and how hard it presses."""

    encoder: str
    """As `vsr enhance --encoder` takes it: x264, x265, vp9, mpeg4, ..."""
    strength: str
    """The encoder's crf where it has one, else its quantiser (`q:v`)."""


def parse_compression(text: str) -> Compression:
    """Read `ENCODER:STRENGTH`, as in `x264:32` or `mpeg4:8`.

    Raises:
        ConfigError: the text is not of that form.
    """
    match = re.fullmatch(r"([\w-]+):(\d+(?:\.\d+)?)", text)
    if match is None:
        raise ConfigError(
            f"compression {text!r} is not understood; write ENCODER:CRF, as in x264:32, or mpeg4:8"
        )
    return Compression(match[1], match[2])


@contextmanager
def spoilt(clip: ReferenceClip, compression: Compression) -> Generator[ReferenceClip, None, None]:
    """Encode a clip's reduced version, as 8-bit 4:2:0 in BT.709, for as long as the block lasts.

    Raises:
        ConfigError, SinkError: the encoder is not to be had or fails.
    """
    with tempfile.TemporaryDirectory(prefix="vsr-eval-") as folder:
        path, encoder = Path(folder) / "low.nut", None
        try:
            for frame in clip.low():
                playable = to_playable(to_frame(to_rgb(frame), frame))
                if encoder is None:
                    choice = _choice(compression, playable.format)
                    encoder = VideoEncoder(
                        path, choices=[choice], format=playable.format, time_base=frame.time_base
                    )
                encoder.write(playable)
            if encoder is not None:
                encoder.finish()
        except BaseException:
            if encoder is not None:
                encoder.abort()
            raise
        yield replace(clip, given=VideoSource(path))


def _choice(compression: Compression, format: PictureFormat) -> EncoderChoice:
    choice = choose_encoder(EncodeOptions(encoder=compression.encoder), format, "mkv")
    arguments = dict(choice.arguments)
    arguments["crf" if "crf" in arguments else "q:v"] = compression.strength
    return replace(choice, arguments=tuple(arguments.items()))
