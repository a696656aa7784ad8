"""Levels with an engine each, or one for each scale, all of the same scales, so that no level changes an
output's size."""

from collections.abc import Mapping, Sequence
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

_BESIDE = " | "
"""Between the names of networks for several scales."""

FEWER = (2, 4)
"""The last levels enlarge one of so many frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLevel(LatencyLevel):
    """A level that can be used."""

    engine: Engine
    """Of the usual scale."""
    others: Mapping[int, Engine] = field(default_factory=dict[int, Engine])
    """By their scales where there are regions of other ones, the usual among them."""

    @property
    def engines(self) -> Sequence[Engine]:
        """All of them, the usual one first."""
        return [self.engine, *(engine for engine in self.others.values() if engine is not self.engine)]

    def engine_for(self, scale: int | None) -> Engine:
        """The engine of a scale; of the usual one for None."""
        return self.engine if scale is None else self.others.get(scale, self.engine)


@dataclass(frozen=True)
class LivePlan:
    """What the loop enhances with and aims at."""

    levels: Sequence[EngineLevel]
    """Ways to enhance, the best first, all of the same scales."""
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


def make_engines_for(
    scales: Sequence[int], models: Sequence[str] = (), options: EngineOptions = EngineOptions()
) -> list[EngineLevel]:
    """The same for several scales at once: levels with an engine for each.

    A level of one scale stands beside that of another which is as far from the last; where a scale has fewer, its
    first stays for longer.

    Args:
        scales: the usual one, which the models are for, and others, which get what suits the device.
        models: as for `make_engines`.
        options: for all engines.

    Raises:
        ModelError: a model is not known or does not load.
        ConfigError: a model does not give the scale, or the device or precision is not to be had.
    """
    usual, *others = scales
    levels = {usual: make_engines(models, usual, options)}
    levels |= {scale: make_engines((), scale, options) for scale in others}
    longest = max(map(len, levels.values()))
    padded = {scale: [own[0]] * (longest - len(own)) + own for scale, own in levels.items()}
    return [_beside({scale: own[index] for scale, own in padded.items()}) for index in range(longest)]


def _beside(parts: Mapping[int, EngineLevel]) -> EngineLevel:
    """One level of one for each scale, the usual one first."""
    first, *others = parts.values()
    if not others:
        return first
    plain = [level.name.split(",")[0] for level in parts.values()]
    name = _BESIDE.join(dict.fromkeys(plain)) + first.name[len(plain[0]) :]
    return EngineLevel(
        name=name,
        work=sum(level.work for level in parts.values()) / len(parts),
        every=first.every,
        latency=max(level.latency for level in parts.values()),
        engine=first.engine,
        others={scale: level.engine for scale, level in parts.items()},
    )


def first_level(levels: Sequence[EngineLevel]) -> int:
    """Where to begin: with the device's default tier if it is among the levels, else at the top."""
    usual = DEFAULT_TIER[levels[0].engine.device.type]
    tiers = [[name.split("-x")[0] for name in level.name.split(_BESIDE)] for level in levels]
    return next((index for index, names in enumerate(tiers) if usual in names), 0)


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
