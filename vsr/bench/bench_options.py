"""What `vsr bench` is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.bench.clip import check_size
from vsr.bench.other_program import OtherProgram
from vsr.errors import ConfigError
from vsr.media import probe
from vsr.models import Model, choose_chain
from vsr.options import EncodeOptions, at_least, parse_size

FEW = 24
"""Frames of the short stream that every measurement takes off: more than all queues and windows hold."""


@dataclass(frozen=True)
class BenchOptions:
    """What is measured, and how often."""

    model: tuple[str, ...] = ()
    """Names, tiers or checkpoints, each measured on its own. Default: the device's own."""
    size: tuple[str, ...] = ()
    """Input size WIDTHxHEIGHT, several for a row each. Default: that of the clip; 640x360 without one."""
    frames: int = 120
    """Frames of each run; a fifth of them, 24 at most, is taken off as warm-up."""
    repeat: int = 3
    """Repetitions, whose medians count."""
    encoder: str = "x264"
    """As for `vsr enhance`; null throws the frames away."""
    preset: str = ""
    """The encoder's own preset. Default: veryfast for x264 and x265, else a good one."""
    against: str = ""
    """Command of another program for the same work, measured in turn: 'PROGRAM
    {input} {output}'; also {size}."""

    peers: bool = False
    """Instead, run the network alone by PyTorch, ONNX Runtime, OpenVINO and ncnn, as far as they are installed, in
    turn with ours, on one core and on all; on the CPU."""

    def __post_init__(self) -> None:
        at_least(5, frames=self.frames)
        at_least(1, repeat=self.repeat)
        for size in self.size:
            check_size(parse_size(size))
        if self.peers and self.against:
            raise ConfigError("peers and against: one of them at a time is accepted")
        if self.against:
            OtherProgram(self.against)

    @property
    def encode(self) -> EncodeOptions | None:
        """None for no encoder at all."""
        if self.encoder == "null":
            return None
        fast = "veryfast" if self.encoder in ("x264", "x265", "libx264", "libx265") else ""
        return EncodeOptions(encoder=self.encoder, preset=self.preset or fast)

    @property
    def few(self) -> int:
        return min(FEW, max(1, self.frames // 5))


def models_and_sizes(
    clip: Path | None, options: BenchOptions, device: str
) -> tuple[Sequence[Model], Sequence[tuple[int, int] | None]]:
    """Models, and height and width of each size, None for the clip's own; the clip can be read.

    Raises:
        ModelError: a model is not known.
        SourceError: the clip cannot be read.
    """
    models = [choose_chain([name] if name else [], None, device=device)[0] for name in options.model or ("",)]
    sizes = [parse_size(size) for size in options.size] or [None if clip else (360, 640)]
    if clip is not None:
        probe(clip)
    return models, sizes
