"""Options: frozen dataclasses whose fields are the keys of `configs/*.toml` and the flags of the commands.

A field's docstring is its help text. Checks that need only the value itself
are made here, when the value is made.
"""

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from vsr.errors import ConfigError


def parse_time(text: str) -> Fraction:
    """Read `SS`, `SS.fff`, `MM:SS.fff` or `HH:MM:SS.fff` as exact seconds.

    Raises:
        ConfigError: the text is none of these.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)", text.strip())
    if match is None:
        raise ConfigError(
            f"time {text!r} is not understood; write seconds (83.5) or HH:MM:SS.fff (00:01:23.500)"
        )
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_size(text: str) -> tuple[int, int]:
    """Read `WIDTHxHEIGHT` as (height, width).

    Raises:
        ConfigError: the text is not two whole numbers above 0.
    """
    match = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise ConfigError(f"size {text!r} is not understood; write WIDTHxHEIGHT, as in 1920x1080")
    return int(match[2]), int(match[1])


def parse_rate(text: str) -> Fraction:
    """Read frames a second, such as 24, 24000/1001 or 23.976, which means the same.

    Raises:
        ConfigError: the text is no number above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(\d+))?", text.strip())
    if match is None or not Fraction(match[1]) or (match[2] and not int(match[2])):
        raise ConfigError(f"fps {text!r} is not understood; write 25, 23.976 or 24000/1001")
    rate = Fraction(match[1]) / int(match[2] or 1)
    if not 1000 * rate > 1 or rate > 1000:
        raise ConfigError(f"fps {text!r} is out of range; 0.001 to 1000 is accepted")
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return ntsc if rate.denominator > 1 and not match[2] and abs(rate - ntsc) < Fraction(1, 100) else rate


def parse_aspect(text: str) -> Fraction:
    """Read `W:H`, such as 4:3 or 2.35:1, as a ratio.

    Raises:
        ConfigError: the text is not two numbers above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text.strip())
    if match is None or not Fraction(match[1]) or not Fraction(match[2]):
        raise ConfigError(f"aspect {text!r} is not understood; write W:H, as in 4:3")
    return Fraction(match[1]) / Fraction(match[2])


def at_least(minimum: int, **values: object) -> None:
    """Raise ConfigError for the first number below `minimum`; words such as `auto` pass."""
    for name, value in values.items():
        if isinstance(value, int) and value < minimum:
            raise ConfigError(f"{name} {value} is too small; {minimum} or more is accepted")


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
class ModelOptions:
    """Which networks enhance, and how large the result is."""

    model: tuple[str, ...] = ()
    """Name or path of a model; give it several times for a chain. Default: the best for this device."""
    scale: Literal["auto", 1, 2, 3, 4] = "auto"
    """Enlargement of height and width; `auto` is what the models named give, else 2."""
    size: str = ""
    """Exact output size WIDTHxHEIGHT; overrides scale."""
    height: int = 0
    """Output height; the width follows. Overrides scale."""
    source: Literal["auto", "clean", "real"] = "auto"
    """Variant of a model: `clean` for good sources, `real` for compressed and noisy ones; `auto` looks at the
    source. A model named in full is taken as it is."""
    denoise: Literal["auto"] | float = "auto"
    """How much noise and compression is taken off, from 0, by the clean network, to 1, for the worst by its
    `-real` one; `auto` measures how much there is. Instead of source. Of a file, its `-wdn` twin beside it is the
    clean one, and their weights are mixed."""
    texture: float = 0.0
    """How much texture is painted that is not in the source: from 0, none, to 1, all that the `-sharp` network
    paints, by mixing its weights with those of the `-real` one."""
    deblur: bool = False
    """Remove blur first; with scale 1 that is all that is done."""
    progressive: bool = False
    """Enlarge by 4 as twice by 2."""
    window: int = 0
    """Frames that a model with a choice looks at; 0 for its own default."""
    self_ensemble: bool = False
    """Average over the eight turned and mirrored versions of the picture: a
    little better, eight times slower."""
    steps: int = 0
    """Denoising steps of a diffusion model; 0 for as many as it is published with."""
    seed: int = 0
    """Of the noise that a diffusion model begins each frame with; every frame begins with the same."""

    @property
    def measures(self) -> bool:
        """Whether something hangs on how damaged the source is."""
        return self.denoise == "auto" and self.source != "clean"

    @property
    def restores(self) -> bool:
        """Whether damage is to be taken off even where nothing is enlarged."""
        return self.source == "real" or (self.denoise != "auto" and self.denoise > 0)

    def __post_init__(self) -> None:
        at_least(0, height=self.height, window=self.window, steps=self.steps, seed=self.seed)
        if self.denoise != "auto":
            if not 0 <= self.denoise <= 1:
                raise ConfigError(f"denoise {self.denoise:g} is out of range; 0 to 1 is accepted")
            if self.source != "auto":
                raise ConfigError("source and denoise exclude each other; give one of them")
        if not 0 <= self.texture <= 1:
            raise ConfigError(f"texture {self.texture:g} is out of range; 0 to 1 is accepted")
        if self.size:
            parse_size(self.size)
            if self.height:
                raise ConfigError("size and height exclude each other; give one of them")


@dataclass(frozen=True)
class PictureOptions:
    """What is put right in the pictures before the networks see them."""

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


@dataclass(frozen=True)
class EngineOptions:
    """Where and how networks run."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N, or cuda:N,M for several GPUs, which share a long job."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """Arithmetic of the networks; `auto` is bf16 or fp16 where the hardware is fast in it. int8: twice as
    fast as bf16 on CPUs with VNNI, for the plain networks, at a loss of up to 0.07 dB."""
    tile: Literal["auto", "off"] | int = "auto"
    """Edge of the square tiles a picture is cut into, in input pixels; `auto`
    cuts only where memory demands it."""
    batch: Literal["auto"] | int = "auto"
    """Windows enhanced together."""
    executor: Literal["auto", "eager", "compile", "graphs", "tensorrt"] = "auto"
    """How a network is run: as it stands, compiled by PyTorch, as recorded CUDA graphs, or by TensorRT;
    `auto` records graphs on a GPU."""
    skip_static: Literal["auto", "on", "off"] = "auto"
    """Run networks only where the picture has changed since the frame before, exactly, one window at a time;
    `auto` is off. A camera that sees nothing move then costs half or less, one whose noise gets through its
    codec 0.2 % more; but a live picture goes over to a larger model meanwhile, which is too slow as soon as
    something does move."""
    threads: int = 0
    """CPU threads of the network; 0 for all cores, shared out between workers."""

    def __post_init__(self) -> None:
        at_least(0, threads=self.threads)
        at_least(1, batch=self.batch)
        at_least(16, tile=self.tile)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+(,\d+)*)?", self.device):
            raise ConfigError(
                f"device {self.device!r} is not known; auto, cpu, cuda, cuda:N and cuda:N,M are accepted"
            )


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


@dataclass(frozen=True)
class JobOptions:
    """How a long job is done, so that a power cut costs one segment."""

    segment: Literal["off"] | float = 20.0
    """Seconds of a segment. Videos that are longer are written in closed segments beside the output, and the
    same command goes on after the last one. `off`: in one piece, which begins again."""
    restart: bool = False
    """Begin anew, whatever lies unfinished."""
    workers: Literal["auto"] | int = "auto"
    """Segments that are enhanced side by side, each by a process of its own; `auto`: as many as there are
    GPUs, and one on a CPU, whose cores one worker keeps busy."""
    cluster: str = ""
    """Address of a Ray cluster whose nodes enhance the segments, HOST:PORT or `auto`; or
    `local` to start one here. Instead of workers."""
    max_memory: float = 8.0
    """Gigabytes that a video's frames may take while they are under way; one that needs more is refused,
    because a file of a few bytes may claim any size. What networks take is fitted to the memory there is."""

    def __post_init__(self) -> None:
        at_least(1, workers=self.workers)
        if not 0 < self.max_memory < math.inf:
            raise ConfigError(f"max-memory {self.max_memory:g} is no number of gigabytes; 8 is usual")
        if self.cluster and self.workers != "auto":
            raise ConfigError(
                "workers and cluster exclude each other; a cluster runs as many tasks as it has room for"
            )
        if self.segment != "off" and not 0.1 <= self.segment <= 86400:
            raise ConfigError(
                f"segment {self.segment:g} is out of range; off and 0.1 to 86400 seconds are accepted"
            )


@dataclass(frozen=True)
class EnhanceOptions:
    """Everything `vsr enhance` can be told."""

    read: ReadOptions = field(default_factory=ReadOptions)
    picture: PictureOptions = field(default_factory=PictureOptions)
    models: ModelOptions = field(default_factory=ModelOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    also: AlsoOptions = field(default_factory=AlsoOptions)
    job: JobOptions = field(default_factory=JobOptions)
