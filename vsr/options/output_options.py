"""How results are encoded."""

from dataclasses import dataclass
from typing import Literal

from vsr.errors import ConfigError


@dataclass(frozen=True)
class EncodeOptions:
    """How the output is encoded."""

    encoder: str = "auto"
    """auto, nvenc, x264, x265, av1, vp9, ffv1, prores or any FFmpeg encoder's name."""
    quality: int = 75
    """0 to 100, the same scale for every encoder; 75 looks like the source, 100 is larger than you need."""
    preset: str = ""
    """The encoder's own preset; empty for a good default."""
    bit_depth: Literal["auto", 8, 10, 12, 16] = "auto"
    """Bits of a sample in the file; `auto` as in the source. A master in 10
    keeps more of what networks make of 8; numbered pictures and FFV1 hold 16."""
    chroma: Literal["auto", "420", "422", "444"] = "auto"
    """How chroma is subsampled in the file; `auto` as in the source."""
    container: Literal["auto", "mp4", "mkv", "mov", "webm", "nut", "y4m", "ts"] = "auto"
    """`auto` follows the output's name, else the input's container. Into a pipe (`-o -`) go nut (as a rule), y4m, ts
    and mkv."""

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 100:
            raise ConfigError(f"quality {self.quality} is out of range; 0 to 100 is accepted")


@dataclass(frozen=True)
class AlsoOptions:
    """A second output of the same frames, such as a viewing copy beside a master; networks run once."""

    also: str = ""
    """Second output: a file, or an ending such as `_view.mp4` that takes the
    place of the first one's. Empty: none."""
    also_encoder: str = "auto"
    """Its encoder."""
    also_quality: int = 75
    """Its quality."""
    also_preset: str = ""
    """Its encoder's own preset."""
    also_bit_depth: Literal["auto", 8, 10, 12, 16] = "auto"
    """Bits of a sample in it."""
    also_chroma: Literal["auto", "420", "422", "444"] = "auto"
    """How its chroma is subsampled."""

    def __post_init__(self) -> None:
        _ = self.encode  # is checked there

    @property
    def encode(self) -> EncodeOptions:
        """The same as options of an output of its own."""
        return EncodeOptions(
            self.also_encoder, self.also_quality, self.also_preset, self.also_bit_depth, self.also_chroma
        )

    @property
    def is_ending(self) -> bool:
        """`also` fits outputs of any name."""
        return self.also.startswith(("_", ".")) and "/" not in self.also and "\\" not in self.also
