"""Which networks run, where and how; and everything that `vsr enhance` can be told."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from vsr.errors import ConfigError
from vsr.options.input_options import PictureOptions, ReadOptions
from vsr.options.notation import at_least, parse_size
from vsr.options.output_options import AlsoOptions, EncodeOptions


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
    def asked(self) -> float | None:
        """From 0, the clean network, to 1, the real one, as the user decides; None where the source does."""
        return {"clean": 0.0, "real": 1.0}.get(self.source) if self.denoise == "auto" else self.denoise

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
class EngineOptions:
    """Where and how networks run."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N, or cuda:N,M for several GPUs, which share a long job."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """Arithmetic of the networks; `auto` is bf16 or fp16 where the hardware is fast in it, int8 where that is faster by
    far and costs no more than 0.07 dB, else fp32. int8 needs a CPU with VNNI and a network that is prepared for it."""
    tile: Literal["auto", "off"] | int = "auto"
    """Edge of the square tiles a picture is cut into, in input pixels; `auto`
    cuts only where memory demands it."""
    batch: Literal["auto"] | int = "auto"
    """Windows enhanced together."""
    executor: Literal["auto", "eager", "compile", "graphs", "tensorrt"] = "auto"
    """How a network is run: as it stands, compiled by PyTorch, as recorded CUDA graphs, or by TensorRT;
    `auto` records graphs on a GPU."""
    skip_static: Literal["auto", "on", "off"] = "auto"
    """Run networks only where the picture has changed since the frame before, exactly, one window at a time. A
    camera that sees nothing move then costs half or less, one whose noise gets through its codec 0.2 % more.
    `auto` does so for files on a CPU, once it has seen that it pays; live it is off, since a picture would go over to
    a larger model meanwhile, which is too slow as soon as something does move."""
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
    """Gigabytes that frames, a picture, or a step in tiles as asked for may take while they are under way; what
    needs more is refused, because a file of a few bytes may claim any size. What networks take otherwise is
    fitted to the memory there is."""

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
