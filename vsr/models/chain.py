"""What the options mean for one input: which models in which order, clean or real, with which window.

The catalogue knows what there is; this module decides what to do with it, and says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vsr.errors import ConfigError
from vsr.models.catalogue import Choice, choose, default_tiers, load, tiers, with_painting, with_twins
from vsr.models.files.diffusion import is_diffusion, with_sampling
from vsr.models.layers.bidirectional import Chunked, in_chunks
from vsr.models.spec import Damage, Model, ModelSpec, with_damage
from vsr.models.variants.blend import blend
from vsr.models.variants.self_ensemble import self_ensemble
from vsr.options import ModelOptions

STRONGEST = Damage(noise=30.0, compression=0.75)
"""What `denoise` 1 tells: as much as networks for real footage have learnt."""


PAINTS = "is generative: it paints detail that is not in the source"
"""What is said of a network that does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a source looks like."""

    is_real: bool
    """Noisy or compressed so far that it shows, as footage from the real world is."""
    why: str
    """Such as `clip.mp4: noise 11, H.264 at quantiser 31 (compression 0.5)`."""
    damage: Damage = field(default_factory=Damage)
    """How much of it, for networks that are told."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Models that follow one another."""

    models: tuple[Model, ...]
    notes: tuple[str, ...] = ()
    """What has been decided for the user, and why."""


def make_chain(
    options: ModelOptions, factor: float | None, verdict: Verdict, *, device: str = "cpu"
) -> Chain:
    """Make the models of one input.

    Args:
        options: the user's wishes; its sizes are `factor` already.
        factor: output size over input size; None for what the models give.
        verdict: decides between clean and real where the user does not.
        device: kind of device, which decides on the default tier.

    Raises:
        ModelError: a model is not known, does not load, or would have nothing to do.
        ConfigError: no model of the chain has what an option asks for.
    """
    paints = options.texture > 0
    wanted = list(options.model) or default_tiers(factor, device=device, restore=options.restores or paints)
    if options.deblur:
        if "deblur" not in tiers():
            raise ConfigError("deblur: no such network is built in; name a checkpoint of one with --model")
        wanted.insert(0, "deblur")
    choices = choose(wanted, factor, progressive=options.progressive, paints=paints)
    notes: list[str] = []
    if options.progressive and [choice.model.spec.scale for choice in choices].count(2) < 2:
        notes.append("progressive changes nothing here: no model is taken at x2 twice")
    decide = _painted if paints else _clean_or_real
    models = decide(choices, options, verdict, notes)
    notes += [f"{each.spec.name} {PAINTS}" for each in models if each.spec.generative]
    if options.window:
        models = _with_window(models, options.window)
    if options.steps or options.seed:
        models = _with_sampling(models, options)
    if options.self_ensemble:
        models = [self_ensemble(model) for model in models]
    return Chain(tuple(models), tuple(notes))


def _clean_or_real(
    choices: Sequence[Choice], options: ModelOptions, verdict: Verdict, notes: list[str]
) -> list[Model]:
    """Put a `-real` variant, or a mixture, in the place of the first model that has one, and tell what can be told.

    Only of the first: what it gives to the next is clean.
    """
    asked = options.asked
    models = [choice.model for choice in choices]
    places = [place for place in _paired(choices) if not (asked is None and choices[place].named)]
    if places:
        share = float(verdict.is_real) if asked is None else asked
        models[places[0]] = _between(choices[places[0]], share)
        if asked is None:
            other = "clean" if share else "real"
            notes.append(
                f"{verdict.why}: {models[places[0]].spec.name} (say --source {other} to decide otherwise)"
            )
    else:
        refuse_unserved(options, [model.spec for model in models])
    return _informed(models, options, verdict)


def variant_of(choices: Sequence[Choice], share: float) -> list[Model] | None:
    """The models of a chain with the clean variant (0), the real one (1) or a mixture in the place of the first that
    has them; None where none has."""
    models = [choice.model for choice in choices]
    for place in _paired(choices)[:1]:
        models[place] = _between(choices[place], share)
        return models
    return None


def _paired(choices: Sequence[Choice]) -> list[int]:
    """Places in a chain whose model has a variant for clean or for damaged sources."""
    return [place for place, choice in enumerate(choices) if choice.twin or choice.clean]


def _painted(
    choices: Sequence[Choice], options: ModelOptions, verdict: Verdict, notes: list[str]
) -> list[Model]:
    """Put what is between its faithful and its painting variant in the place of the last model that has them, so that
    nothing is made of what is painted. Those before it clean, as ever, and paint nothing."""
    place = max((place for place, choice in enumerate(choices) if choice.painting), default=None)
    if place is None:
        named = _named([choice.model for choice in choices])
        raise ConfigError(
            f"texture {options.texture:g}: {named} has no variant that paints; "
            f"{', '.join(with_painting()) or 'no model'} has one"
        )
    faithful, painting = load(choices[place].faithful), load(choices[place].painting)
    painted = blend(faithful, painting, options.texture)
    after = [choice.model for choice in choices[place + 1 :]]
    before = [_faithful(choice) for choice in choices[:place]]
    if any(choice.twin or choice.clean or choice.model.spec.packs > 1 for choice in before):
        return [*_clean_or_real(before, options, verdict, notes), painted, *after]
    if options.measures:
        notes.append(f"{verdict.why}: {painted.spec.name}")
    return _informed([*(choice.model for choice in before), painted, *after], options, verdict)


def _faithful(choice: Choice) -> Choice:
    """The same place in a chain with the variant that paints nothing."""
    is_painting = choice.painting == choice.model.spec.name
    return replace(choice, model=load(choice.faithful)) if is_painting else choice


def _informed(models: list[Model], options: ModelOptions, verdict: Verdict) -> list[Model]:
    """The same models, the first that can be told its input's damage told of it: what it gives to the next is clean."""
    first = next((place for place, model in enumerate(models) if model.spec.packs > 1), None)
    if first is not None:
        models[first] = with_damage(models[first], damage_to_tell(options, verdict.damage))
    return models


def _named(models: Sequence[Model]) -> str:
    """What a chain is called in an error."""
    return ", ".join(model.spec.name for model in models) or "an empty chain"


def refuse_unserved(options: ModelOptions, specs: Sequence[ModelSpec]) -> None:
    """See whether networks without variants serve the wish for a clean or a real one as they stand.

    Raises:
        ConfigError: they do not.
    """
    asked = options.asked
    if options.denoise != "auto":
        served = any(spec.packs > 1 for spec in specs)
    else:
        served = not asked or any("-real-x" in spec.name for spec in specs)
    if not served:
        option = "source real" if options.denoise == "auto" else f"denoise {asked:g}"
        named = ", ".join(spec.name for spec in specs) or "an empty chain"
        raise ConfigError(
            f"{option}: {named} has no -real variant; {', '.join(with_twins()) or 'no model'} has one, and "
            "so has a file with its -wdn twin beside it (realesr-general-x4v3)"
        )


def _between(choice: Choice, share: float) -> Model:
    """From the clean network to the real one: by its weights, or by what it is told where it can be told."""
    clean, real = (load(name) if name else choice.model for name in (choice.clean, choice.twin))
    return real if share and real.spec.packs > 1 else blend(clean, real, share)


def damage_to_tell(options: ModelOptions, measured: Damage) -> Damage:
    """What a network that can be told its input's damage is told."""
    if options.denoise == "auto":
        return Damage() if options.source == "clean" else measured
    return Damage(STRONGEST.noise * options.denoise, STRONGEST.compression * options.denoise)


def _with_sampling(models: Sequence[Model], options: ModelOptions) -> list[Model]:
    """Give every diffusion model its steps and seed."""
    if not any(is_diffusion(model) for model in models):
        named = _named(models)
        raise ConfigError(f"steps and seed are for diffusion models, and {named} is none; leave them out")
    return [
        with_sampling(model, steps=options.steps, seed=options.seed) if is_diffusion(model) else model
        for model in models
    ]


def _with_window(models: Sequence[Model], window: int) -> list[Model]:
    """Show `window` frames to every model that has a choice."""
    if not any(model.spec.windows for model in models):
        raise ConfigError(
            f"window {window}: {_named(models)} has no choice of windows; leave it out or name a model that has"
        )
    return [with_window(model, window) if model.spec.windows else model for model in models]


def with_window(model: Model, window: int) -> Model:
    """The same model, shown `window` frames: one to enhance, as many after it as before, or one less.

    Of a model that works in chunks about a quarter of them is margin.

    Raises:
        ConfigError: the model does not take that number.
    """
    if window not in model.spec.windows:
        raise ConfigError(
            f"window {window} is not accepted by {model.spec.name}; {_accepted(model.spec.windows)} is"
        )
    if isinstance(model.network, Chunked):
        return in_chunks(model, emit=window - window // 4, margin=window // 4)
    after = (window - 1) // 2
    context = replace(model.spec.context, before=window - 1 - after, after=after)
    return Model(replace(model.spec, context=context), model.network)


def _accepted(windows: Sequence[int]) -> str:
    if isinstance(windows, range):
        return f"{windows[0]} to {windows[-1]}"
    return " or ".join(str(number) for number in windows) or "no other than its own"
