"""Levels with an engine each, or one for each scale and for clean and real pictures, all of the same scales, so that
no level changes an output's size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Literal, get_args

from vsr.engine import Engine, pick_device
from vsr.errors import ConfigError
from vsr.live.scheduling.latency_control import ControlTuning, LatencyLevel
from vsr.models import DEFAULT_TIER, Choice, Model, Verdict, choose, load, refuse_unserved, variant_of
from vsr.options import EngineOptions, ModelOptions

Look = Literal["clean", "real"]
"""What pictures look like."""

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


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """By which engine a camera's pictures are enhanced."""

    engine: Engine
    look: Look | Literal[""] = ""
    """What they were found to look like, where that has decided."""

    @property
    def name(self) -> str:
        """Of its networks."""
        return "+".join(stage.spec.name for stage in self.engine.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLevel(LatencyLevel):
    """A level that can be used."""

    engine: Engine
    """Of the usual scale."""
    variants: Mapping[Look, Engine] = field(default_factory=dict[Look, Engine])
    """By what they are for, `engine` among them; empty where there is nothing to choose from."""
    named: bool = False
    """The user named the model itself, not its tier: it is taken as it is unless a camera asks for a variant."""
    others: "Mapping[int, EngineLevel]" = field(default_factory=dict[int, "EngineLevel"])
    """By their scales where there are regions of other ones, the usual among them."""

    @property
    def networks(self) -> Sequence[str]:
        """Its name, and those of what cameras of the usual scale may get instead."""
        variants = [
            EngineChoice(engine).name for engine in self.variants.values() if engine is not self.engine
        ]
        return [self.name, *variants]

    @property
    def engines(self) -> Sequence[Engine]:
        """All of them, the usual one first."""
        found = [self.engine, *self.variants.values()]
        found += [engine for level in self.others.values() for engine in level.engines]
        return list({id(engine): engine for engine in found}.values())

    def choose(self, scale: int | None, wish: ModelOptions, verdict: Verdict | None) -> EngineChoice:
        """Choose an engine for one camera.

        Args:
            scale: enlargement; None for the usual one.
            wish: the user's, whose source and denoise count.
            verdict: what the pictures look like; None while that is not known.
        """
        level = self if scale is None else self.others.get(scale, self)
        if wish.asked is not None:
            return EngineChoice(level.variants.get("real" if wish.asked else "clean", level.engine))
        if not level.variants or level.named or verdict is None:
            return EngineChoice(level.engine)
        look: Look = "real" if verdict.is_real else "clean"
        return EngineChoice(level.variants[look], look)


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
    models: Sequence[str] = (),
    scale: int = 2,
    options: EngineOptions = EngineOptions(),
    *,
    asked: bool = False,
) -> list[EngineLevel]:
    """Load the models, the best first, and bring them to the device, each with its variants for clean and real
    pictures; bicubic and fewer frames follow.

    All engines are made now: weights are small, and no camera waits for a level later.

    Args:
        models: names, tiers or paths; empty for what suits the device.
        scale: enlargement of height and width.
        options: for all engines.
        asked: a camera asks for a clean or a real network: models that are named in full come with their variants, too.

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
    levels = [_level(choose([name], scale), scale, options, asked=asked) for name in wanted]
    plain_model = load("identity" if scale == 1 else f"bicubic-x{scale}")
    plain = _level([Choice(plain_model, named=True)], scale, replace(options, precision="auto"))
    fewer = [replace(plain, name=f"{plain.name}, 1 frame of {every}", every=every) for every in FEWER]
    return [*levels, plain, *fewer]


def make_engines_for(
    scales: Sequence[int],
    models: Sequence[str] = (),
    options: EngineOptions = EngineOptions(),
    *,
    wishes: Sequence[ModelOptions] = (),
) -> list[EngineLevel]:
    """The same for several scales at once: levels with an engine for each.

    A level of one scale stands beside that of another which is as far from the last; where a scale has fewer, its
    first stays for longer.

    Args:
        scales: the usual one, which the models are for, and others, which get what suits the device.
        models: as for `make_engines`.
        options: for all engines.
        wishes: the cameras' for clean or real networks.

    Raises:
        ModelError: a model is not known or does not load.
        ConfigError: a model does not give the scale, or what is wished for, or the device or precision is not to be
            had.
    """
    usual, *others = scales
    asked = [wish for wish in wishes if wish.asked is not None]
    levels = {usual: make_engines(models, usual, options, asked=bool(asked))}
    levels |= {scale: make_engines((), scale, options) for scale in others}
    for wish in asked:
        _check([level for own in levels.values() for level in own], wish)
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
    return replace(
        first,
        name=name,
        work=mean(level.work for level in parts.values()),
        latency=max(level.latency for level in parts.values()),
        others=parts,
    )


def first_level(levels: Sequence[EngineLevel]) -> int:
    """Where to begin: with the device's default tier if it is among the levels, else at the top."""
    usual = DEFAULT_TIER[levels[0].engine.device.type]
    tiers = [[name.split("-x")[0] for name in level.name.split(_BESIDE)] for level in levels]
    return next((index for index, names in enumerate(tiers) if usual in names), 0)


def _level(
    choices: Sequence[Choice], scale: int, options: EngineOptions, *, asked: bool = False
) -> EngineLevel:
    """A level of a chain and of its variants; of a model named by the user only where one of these is asked for.

    As nobody knows which cameras will look real, its work is the mean of all its networks', its latency the longest.
    """
    chain = [choice.model for choice in choices]
    name = "+".join(model.spec.name for model in chain)
    reached = math.prod(model.spec.scale for model in chain)
    if reached != scale:
        raise ConfigError(
            f"{name} enlarges by {reached} and not by {scale}; give models that do, or another scale"
        )
    named = any(choice.named for choice in choices)
    engine = Engine(chain, options)
    chains: dict[Look, list[Model]] = {}
    for look in get_args(Look) if asked or not named else ():
        if (models := variant_of(choices, float(look == "real"))) is not None:
            chains[look] = models
    used = list(chains.values()) or [chain]
    return EngineLevel(
        name=name,
        work=mean(map(_work, used)),
        latency=max(sum(model.spec.context.latency for model in models) for models in used),
        engine=engine,
        variants={
            look: engine if models == chain else Engine(models, options) for look, models in chains.items()
        },
        named=named,
    )


def _work(chain: Sequence[Model]) -> float:
    """What a frame costs."""
    reached, work = 1, _OVERHEAD
    for model in chain:
        work += model.spec.kflop_per_pixel * reached**2
        reached *= model.spec.scale
    return work


def _check(levels: Sequence[EngineLevel], wish: ModelOptions) -> None:
    """Raise ConfigError where no level has what a camera asks for."""
    pairs = [level.variants for level in levels if level.variants]
    specs = [stage.spec for level in levels for stage in level.engine.stages if stage.spec.sha256]
    if not specs and wish.asked:
        raise ConfigError(
            "at scale 1 nothing is cleaned by itself; name a network that cleans, such as fast-real"
        )
    if specs and not pairs:
        refuse_unserved(wish, specs)
    for stages in (pair["real"].stages for pair in pairs):
        if wish.asked not in (0, 1) and all(stage.spec.packs == 1 for stage in stages):
            raise ConfigError(
                f"denoise {wish.asked:g}: {stages[0].spec.name} cannot be told how much; for cameras 0 or 1 is "
                "accepted with it"
            )
