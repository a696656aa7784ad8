"""Levels with an engine each, all of the same scale, so that no level changes an output's
size."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vsr.engine import Engine, pick_device
from vsr.errors import ConfigError
from vsr.live.scheduling.latency_control import ControlTuning, LatencyLevel
from vsr.models import DEFAULT_TIER, Model, choose_chain, load
from vsr.options import EngineOptions

TIERS = ("base", "fast", "nano")
"""What suits live, the best first."""

_BATCH = {"cpu": 1, "cuda": 16}
"""Frames of several cameras that go through a network together: on a CPU that gains nothing."""

_OVERHEAD = 2.0
"""KFLOP per pixel that conversions and all that is not the network cost: 5 ms
for bicubic beside 12 for nano-x2."""

FEWER = (2, 4)
"""The last levels enlarge one of so many frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLevel(LatencyLevel):
    """A level that can be used."""

    engine: Engine


@dataclass(frozen=True)
class LivePlan:
    """What the loop enhances with and aims at."""

    levels: Sequence[EngineLevel]
    """Ways to enhance, the best first, all of one scale."""
    latency_ms: int = 300
    """Target for the time from a frame's arrival to the encoder's input, p95."""
    tuning: ControlTuning = field(default_factory=ControlTuning)
    """Of the controller."""


def make_engines(
    models: Sequence[str] = (), scale: int = 2, options: EngineOptions = EngineOptions()
) -> list[EngineLevel]:
    """Load the models, the best first, and bring them to the device; bicubic and fewer frames
    follow.

    All engines are made now: weights are small, and no camera waits for a level later.

    Args:
        models: names, tiers or paths; empty for what suits the device.
        scale: enlargement of height and width.
        options: for all engines.

    Raises:
        ModelError: a model is not known or does not load.
        ConfigError: a model does not give the scale, or the device or precision is not to be had.
    """
    device = pick_device(options.device).type
    if options.batch == "auto":
        options = replace(options, batch=_BATCH[device])
    if (
        options.skip_static == "auto"
    ):  # a still picture would bring a model that is too slow once something moves
        options = replace(options, skip_static="off")
    wanted = list(models) or ([] if scale == 1 else list(TIERS))
    levels = [_level(choose_chain([name], scale), scale, options) for name in wanted]
    plain = _level(
        [load("identity" if scale == 1 else f"bicubic-x{scale}")], scale, replace(options, precision="auto")
    )
    fewer = [replace(plain, name=f"{plain.name}, 1 frame of {every}", every=every) for every in FEWER]
    return [*levels, plain, *fewer]


def first_level(levels: Sequence[EngineLevel]) -> int:
    """Where to begin: with the device's default tier if it is among the levels, else at the top."""
    usual, names = DEFAULT_TIER[levels[0].engine.device.type], [level.name.split("-x")[0] for level in levels]
    return names.index(usual) if usual in names else 0


def _level(chain: Sequence[Model], scale: int, options: EngineOptions) -> EngineLevel:
    name = "+".join(model.spec.name for model in chain)
    reached, work, latency = 1, _OVERHEAD, 0
    for model in chain:
        work += model.spec.kflop_per_pixel * reached**2
        latency += model.spec.context.latency
        reached *= model.spec.scale
    if reached != scale:
        raise ConfigError(
            f"{name} enlarges by {reached} and not by {scale}; give models that do, or another scale"
        )
    return EngineLevel(name=name, work=work, latency=latency, engine=Engine(chain, options))
