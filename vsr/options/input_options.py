"""What is read of the input, what is put right in its pictures first, and what is written on them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vsr.errors import ConfigError
from vsr.options.notation import at_least, parse_aspect, parse_rate, parse_time

Language = Literal["en", "de", "fr", "es", "it", "nl", "pt"]

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]


@dataclass(frozen=True)
class ReadOptions:
    """Which frames of the input are read, and how."""

    start: str = ""
    """Time of the first frame, in seconds or HH:MM:SS.fff; empty for the beginning."""
    end: str = ""
    """Time at which to stop; the frame shown at that time is no longer taken. Empty for the end."""
    frames: int = 0
    """Stop after this many frames; 0 for all."""
    deinterlace: Literal["auto", "on", "off", "fields", "film"] = "auto"
    """`auto` deinterlaces the pictures that the source marks as interlaced, `on` all; `fields` makes a frame
    of each field, at twice the rate; `film` undoes a telecine: 23.976 frames a second of 29.97, or matched
    fields at 25."""
    field_order: Literal["auto", "top", "bottom"] = "auto"
    """Which field was first; `auto` believes the source, and takes the top one where it says nothing."""
    decoder: Literal["auto", "software", "nvdec"] = "auto"
    """What decodes: the CPU, or NVDEC on an NVIDIA GPU; `auto` takes NVDEC where there is one that can."""
    as_video: bool = False
    """Take all pictures that are named, by a pattern, a folder or one by one, for the frames of one video. A name
    with a number, such as frames/%05d.png, always means that."""
    allow_network: bool = False
    """Let addresses (http, https) be read; what they lead to reaches no file of this machine."""
    fps: str = ""
    """Frames a second of such a video: 25, 23.976 or 24000/1001; empty for 24. Other videos have times of their own."""
    force: bool = False
    """Take what can only come out wrong, too: Dolby Vision profile 5, whose colours nothing here understands."""

    def __post_init__(self) -> None:
        at_least(0, frames=self.frames)
        _ = self.rate
        start, end = self.span
        if end is not None and end <= start:
            raise ConfigError(f"end {self.end!r} does not come after start {self.start or '0'!r}")

    @property
    def rate(self) -> Fraction | None:
        """Frames a second of numbered pictures; None where nothing is said."""
        return parse_rate(self.fps) if self.fps else None

    @property
    def span(self) -> tuple[Fraction, Fraction | None]:
        """Exact seconds since the beginning of the stream: first included, end excluded."""
        return parse_time(self.start or "0"), parse_time(self.end) if self.end else None


@dataclass(frozen=True)
class PictureOptions:
    """What is put right in the pictures before the networks see them, and written on them afterwards."""

    crop_top: int = 0
    """Lines that are cut off at the top, before anything else."""
    crop_bottom: int = 0
    """Lines that are cut off at the bottom, such as those in which a video recorder switches heads."""
    crop_left: int = 0
    """Columns that are cut off on the left."""
    crop_right: int = 0
    """Columns that are cut off on the right."""
    autocrop: bool = False
    """Cut off black borders, found on frames spread over the clip, from what is left."""
    display_aspect: str = ""
    """Shape W:H in which the whole picture, before it is cut, is meant to be
    seen; empty: as the file says."""
    square: bool = False
    """Give square pixels: the side that is too short grows, the other stays as
    models give it. Size overrides."""
    color_correct: bool = False
    """Correct white balance and levels, adapting slowly within each scene."""
    label: Literal["off"] | Language = "off"
    """Write on every picture, in this language, that vsr has enhanced it, and by which networks."""
    label_corner: Corner = "bottom-right"
    """Where the label stands, as the picture is shown."""

    def __post_init__(self) -> None:
        sides = {f"crop_{side}": lines for side, lines in self.crop.items()}
        at_least(0, **sides)
        if self.display_aspect:
            parse_aspect(self.display_aspect)

    @property
    def crop(self) -> dict[str, int]:
        """Lines or columns by side."""
        return {
            "top": self.crop_top,
            "bottom": self.crop_bottom,
            "left": self.crop_left,
            "right": self.crop_right,
        }
