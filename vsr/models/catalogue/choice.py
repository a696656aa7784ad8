"""How a chain of models is chosen from names and tiers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import ModelError
from vsr.models.catalogue.loading import load
from vsr.models.catalogue.model_facts import find_model, names, tiers
from vsr.models.files.any_file import SUFFIXES
from vsr.models.spec import Model

DEFAULT_TIER = {"cpu": "fast", "cuda": "base"}
"""The best tier that a device runs at about the speed of video."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One place in a chain."""

    model: Model
    named: bool
    """The user named the model itself, not its tier."""
    twin: str = ""
    """Name of its variant for compressed and noisy sources; empty where there is none."""
    clean: str = ""
    """Name of its variant that leaves noise alone, where it is itself the one for noisy sources."""
    faithful: str = ""
    painting: str = ""
    """Names of its variants that work on damaged sources and invent nothing, and that paint texture besides; both
    empty where there is none of the latter."""


def default_tiers(factor: float | None, *, device: str = "cpu", restore: bool = False) -> list[str]:
    """What is used where the user names no model: the device's default tier or, for a factor of up to 1, nothing.

    Args:
        factor: output size over input size; None for what the models give.
        device: kind of device.
        restore: what is not enlarged is to be cleaned all the same, if there is a network for it.
    """
    if factor is None or factor > 1:
        return [DEFAULT_TIER[device]]
    tier = f"{DEFAULT_TIER[device]}-real"
    return [tier] if restore and 1 in tiers().get(tier, ()) else []


def choose_chain(wanted: Sequence[str], factor: float | None, *, device: str = "cpu") -> list[Model]:
    """Choose the models whose scales multiply to about the factor; one
    resampling does the rest. See `choose`."""
    return [choice.model for choice in choose(wanted or default_tiers(factor, device=device), factor)]


def choose(
    wanted: Sequence[str], factor: float | None, *, progressive: bool = False, paints: bool = False
) -> list[Choice]:
    """Choose the models of a chain, clean ones, with what may stand in for each.

    Full names and paths are taken as they are. A tier without a scale (`fast`) is taken at the scale that is
    missing; where it does not come at that scale it follows itself, as `fast-x2`, `fast-x2` for a factor of
    4. Of several tiers each has its turn, and the last one does what the others leave. A tier that does not
    enlarge (`deblur`) has its turn too, and leaves everything.

    Args:
        wanted: names, tiers or paths.
        factor: output size over input size; None for what the models give.
        progressive: take a tier at ×2 twice rather than once at ×4.
        paints: take tiers that come with a painting variant at the scales that have one: what these give beyond
            the factor is reduced.

    Raises:
        ModelError: a model is not known, does not load, or would have nothing to do.
    """
    by_tier = _that_paint(tiers()) if paints else tiers()
    open_tiers = [name for name in wanted if by_tier.get(name, (1,)) != (1,)]
    scale = math.ceil(factor or 0)
    fixed = {
        name: _of_tier(name, 1) if name in by_tier else _named(name, scale)
        for name in wanted
        if name not in open_tiers
    }
    reached = math.prod(fixed[name].model.spec.scale for name in wanted if name in fixed)
    if factor is None:
        factor = reached * math.prod(min(_enlargements(by_tier[name])) for name in open_tiers)
    idle = [name for name in open_tiers if 1 not in by_tier[name] and not (paints and _paints(name, by_tier))]
    if idle and factor <= reached:
        raise _nothing_left(idle[-1], by_tier[idle[-1]], factor)
    chain: list[Choice] = []
    for name in wanted:
        if name in fixed:
            chain.append(fixed[name])
            continue
        open_tiers.pop(0)
        scales = _turn(by_tier[name], factor / reached, is_last=not open_tiers, progressive=progressive)
        chain += _one_after_another(name, scales)
        reached *= math.prod(scales)
    return chain


def _that_paint(by_tier: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The same tiers at the scales of their painting variants; as they are where they have none."""
    return {
        tier: tuple(scale for scale in scales if _texture_of(f"{tier}-x{scale}")[1]) or scales
        for tier, scales in by_tier.items()
    }


def _paints(tier: str, by_tier: dict[str, tuple[int, ...]]) -> bool:
    return bool(_texture_of(f"{tier}-x{by_tier[tier][0]}")[1])


def _one_after_another(tier: str, scales: Sequence[int]) -> list[Choice]:
    """A tier at several scales. One that paints does so last: what were painted before would be painted upon."""
    *earlier, last = scales
    found: list[Choice] = []
    for scale in earlier:
        faithful, painting = _texture_of(f"{tier}-x{scale}")
        found.append(
            _of_tier(faithful.rpartition("-x")[0] if painting == f"{tier}-x{scale}" else tier, scale)
        )
    return [*found, _of_tier(tier, last)]


def _turn(scales: Sequence[int], left: float, *, is_last: bool, progressive: bool) -> list[int]:
    """At which scales a tier is taken when its turn has come and so much is left to enlarge."""
    if left <= 1 and 1 in scales:
        return [1]
    available = _enlargements(scales)
    return _scales_for(left, available, progressive) if is_last else [min(available)]


def _enlargements(scales: Sequence[int]) -> tuple[int, ...]:
    return tuple(scale for scale in scales if scale > 1)


def _nothing_left(tier: str, scales: Sequence[int], factor: float) -> ModelError:
    return ModelError(
        f"{tier} enlarges by {' or '.join(str(scale) for scale in scales)}, and nothing is left to enlarge "
        f"to reach {factor:g} times the size; leave it out or ask for a larger scale"
    )


def with_twins() -> list[str]:
    """Names of the models that have a variant for compressed and noisy sources."""
    return [name for name in names() if _twin_of(name)]


def _twin_of(name: str) -> str:
    tier, _, scale = name.rpartition("-x")
    twin = f"{tier}-real-x{scale}"
    return twin if twin in names() else ""


def with_painting() -> list[str]:
    """Names of the models that have a variant which paints texture, the faithful ones."""
    return [name for name in names() if _texture_of(name)[0] == name]


def _texture_of(name: str) -> tuple[str, str]:
    """Names of the faithful and the painting variant of a model, its own among them; empty without both."""
    tier, _, scale = name.rpartition("-x")
    tier = tier.removesuffix("-real").removesuffix("-sharp")
    faithful, painting = f"{tier}-real-x{scale}", f"{tier}-sharp-x{scale}"
    return (faithful, painting) if {faithful, painting} <= set(names()) else ("", "")


def _of_tier(tier: str, scale: int) -> Choice:
    name = f"{tier}-x{scale}"
    return Choice(load(name), False, _twin_of(name), "", *_texture_of(name))


def _named(name: str, scale: int) -> Choice:
    facts = find_model(name)
    if facts and not facts.tier:
        clean, twin = (Path(path).stem for path in _beside(facts.path))  # installed, under their names
    else:
        clean, twin = _beside(Path(name)) if Path(name).suffix in SUFFIXES else ("", _twin_of(name))
    return Choice(load(name, scale=scale), True, twin, clean, *_texture_of(name))


def _beside(path: Path) -> tuple[str, str]:
    """The files beside one that leave noise alone and that take it off:
    `realesr-general-wdn-x4v3` and without wdn."""
    head, _, tail = path.stem.rpartition("-")
    weak = head.endswith("-wdn")
    other = path.with_stem(f"{head.removesuffix('-wdn')}-{tail}" if weak else f"{head}-wdn-{tail}")
    found = str(other) if other.is_file() else ""
    return ("", found) if weak else (found, "")


_NEAR = 1.25
"""How far one final resampling may enlarge what the models give: 1920 from 2x 854, but not 3 from 2."""


def _scales_for(factor: float, available: tuple[int, ...], progressive: bool) -> list[int]:
    """The fewest available scales, at least one, then the smallest, whose
    product comes near `factor` or above."""
    enough = [scale for scale in available if scale * _NEAR >= factor]
    scales = [min(enough)] if enough else [max(available)]
    if progressive and scales == [4] and 2 in available:
        scales = [2, 2]
    return scales if enough else scales + _scales_for(factor / math.prod(scales), available, progressive)
