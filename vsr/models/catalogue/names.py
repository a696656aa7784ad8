"""Every model that has a name, and how a chain of them is chosen. An explicit list: nothing is scanned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsr.durable import sha256_of
from vsr.errors import ModelError
from vsr.models.catalogue.published import Published, find_published
from vsr.models.files.any_file import SUFFIXES, read_file
from vsr.models.files.checkpoint import read_model
from vsr.models.files.diffusion_folder import INDEX
from vsr.models.networks.resampling import Resampler, resampling_spec
from vsr.models.spec import Model
from vsr.resample import Kernel

WEIGHTS = Path(__file__).parents[1] / "weights"
"""Built-in weights, each with its model card."""

DEFAULT_TIER = {"cpu": "fast", "cuda": "base"}
"""The best tier that a device runs at about the speed of video."""


_PICTURES = "BSDS500 train+test, 54 of DIV2K test"
_CLIPS = f"{_PICTURES}, 19 DAVIS sequences, 8 clips"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A network of our own whose weights lie in the package."""

    tier: str
    scale: int
    sha256: str
    licence: str = "MIT"
    trained_on: str = _PICTURES

    @property
    def name(self) -> str:
        return f"{self.tier}-x{self.scale}"


BUILT_IN = (
    BuiltIn("nano", 2, "39cf7a6a0c2faaf47bb5faf8c659e92d5a972a340b456299a687d7bde362694f"),
    BuiltIn("nano", 3, "395895aa6a5d3d9e037f7740e1e1aa6591b0b2b4067f9d9d97a19b0d5a1e6b4d"),
    BuiltIn("nano", 4, "f8a428f74a1fb11550e69278dd239fb0c87d75b0ee5d906748fa2a94a9410306"),
    BuiltIn("fast", 2, "bdeb766bc42e524d9262eb50d63172ca757eb62628d5ac7166642bbc5cb89b6f"),
    BuiltIn("fast", 3, "8ffdf0eb30680bfec963ff49e18cdf6fd16229c2e7e86034f38470b499c6d3e9"),
    BuiltIn("fast", 4, "54eb2c5e87b9d45e8d9441aaeff2390ec2bc04a9c7cc2d9a527b5229974e5d20"),
    BuiltIn("base", 2, "902b66c5bd6903e80153857c9737c7f2994b74827b562d29ff575d1a4dc2025a"),
    BuiltIn("base", 3, "37f523e2f668123dc4d21167c734fa824bf3c215770dcf2a12a87c48671f2ac3"),
    BuiltIn("base", 4, "ce0fa5a1fc5a8b6ea8d953508ecf91ad196585fdfe4d8f4525fbdf75a145e49a"),
    BuiltIn("large", 2, "9bb960d595516b85da4f38cb43838595829ab0fff5b3ad4667b1003c247cdabf"),
    BuiltIn("large", 4, "3425910313a2cc72281886d91082d2bc286544febadde2b5481237e8271e7f6d"),
    BuiltIn(
        "video", 2, "a08d166f4c246564623471a16febd63d2b0f94b2c97b02bb50271252e9fc4379", trained_on=_CLIPS
    ),
    BuiltIn(
        "video", 4, "3e1fd6a64ef222d6f6468a248999418429c44d4f559793bebabf79a3fd93e07c", trained_on=_CLIPS
    ),
    BuiltIn("deblur", 1, "93dff75840c737b121aa22d276a021e5c482295d2af149d5cbecf77b8893b70d"),
    BuiltIn(
        "fast-real", 2, "4a58dc30ef7329e327438a1377e4ed1321a421ebab0789ca5efa560d6df6ebf8", trained_on=_CLIPS
    ),
    BuiltIn(
        "fast-real", 3, "cdf0ba33d502fe20eca7ff4136794974204ede8afc0864f3693ce8db11709308", trained_on=_CLIPS
    ),
    BuiltIn(
        "fast-real", 4, "2637c7a368b9e52969e43ba8a8ca966a75146ee9d1225fd3a3e38ee3dacc9a4c", trained_on=_CLIPS
    ),
    BuiltIn(
        "base-real", 2, "97a3449969bee4e255707961d9d3ff0978e950234f7b99f262db0bea485ba2cc", trained_on=_CLIPS
    ),
    BuiltIn(
        "base-real", 3, "2c64a1696875fb4959b2c8b8c2ae19cdfb353eef66250e5217d76ffa0a984fb8", trained_on=_CLIPS
    ),
    BuiltIn(
        "base-real", 4, "7c1068d6be7d3ad63c831ab3e079afe2ff02181f321632af5ba03357aaf64433", trained_on=_CLIPS
    ),
    BuiltIn(
        "video-real", 4, "e5660b56976d38e154888507633afe4ba9d643b7410dacd850cfec4712d2a7df", trained_on=_CLIPS
    ),
)

BASELINES: dict[str, Kernel] = {"bicubic": "bicubic", "lanczos": "lanczos"}
"""Tiers without weights; they come at every scale."""

SCALES = (2, 3, 4)


def names() -> list[str]:
    """Every name that `load` takes, without `identity`'s other spellings."""
    baselines = [f"{tier}-x{scale}" for tier in BASELINES for scale in SCALES]
    return ["identity", *baselines, *(entry.name for entry in BUILT_IN)]


def tiers() -> dict[str, tuple[int, ...]]:
    """The scales at which each tier comes."""
    found: dict[str, tuple[int, ...]] = dict.fromkeys(BASELINES, SCALES)
    for entry in BUILT_IN:
        found[entry.tier] = (*found.get(entry.tier, ()), entry.scale)
    return found


def load(name: str, *, scale: int = 0) -> Model:
    """Load a model by its full name (`fast-x2`) or from a checkpoint's path.

    Args:
        name: in the catalogue, or a path.
        scale: for files that do not tell theirs; 0 where none is wanted.

    Raises:
        ModelError: the name is not in the catalogue and no such file exists, it has not been pulled yet, or
            the file does not load.
    """
    if name == "identity":
        return _baseline("identity", 1, "bicubic")
    tier, _, fixed = name.rpartition("-x")
    if tier in BASELINES and fixed in {str(s) for s in SCALES}:
        return _baseline(name, int(fixed), BASELINES[tier])
    for entry in BUILT_IN:
        if entry.name == name:
            return _built_in(entry)
    if entry := find_published(name):
        return _published(entry)
    if "/" in name or "\\" in name or Path(name).suffix in SUFFIXES or (Path(name) / INDEX).is_file():
        return read_file(Path(name), scale=scale)
    raise ModelError(
        f"model {name!r} is not known; there are {', '.join(names())}, those that `vsr models list` shows besides, "
        "and paths of checkpoints and pipelines"
    )


def _baseline(name: str, scale: int, kernel: Kernel) -> Model:
    return Model(
        resampling_spec(name, scale=scale, kernel=kernel), Resampler(scale=scale, kernel=kernel).eval()
    )


def _built_in(entry: BuiltIn) -> Model:
    model = read_model(WEIGHTS / f"{entry.name}.safetensors", name=entry.name)
    if model.spec.sha256 != entry.sha256:
        raise ModelError(f"the weights of {entry.name} are damaged (SHA-256 differs); install vsr again")
    return Model(replace(model.spec, licence=entry.licence, trained_on=entry.trained_on), model.network)


def _published(entry: Published) -> Model:
    if not entry.path.is_file():
        raise ModelError(
            f"{entry.name} is not installed; `vsr models pull {entry.name}` installs it ({entry.licence})"
        )
    if sha256_of(entry.path) != entry.sha256:
        raise ModelError(
            f"{entry.path} is damaged (SHA-256 differs); `vsr models pull {entry.name}` gets it anew"
        )
    model = read_file(entry.path, scale=entry.scale)
    facts = {"name": entry.name, "licence": entry.licence, "trained_on": entry.trained_on}
    return Model(replace(model.spec, **facts), model.network)


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


def default_tiers(factor: float | None, *, device: str = "cpu") -> list[str]:
    """What enlarges where the user names no model: the device's default tier, or nothing for a factor of up
    to 1."""
    return [DEFAULT_TIER[device]] if factor is None or factor > 1 else []


def choose_chain(wanted: Sequence[str], factor: float | None, *, device: str = "cpu") -> list[Model]:
    """Choose the models whose scales multiply to about the factor; one resampling does the rest. See
    `choose`."""
    return [choice.model for choice in choose(wanted or default_tiers(factor, device=device), factor)]


def choose(wanted: Sequence[str], factor: float | None, *, progressive: bool = False) -> list[Choice]:
    """Choose the models of a chain, clean ones, with what may stand in for each.

    Full names and paths are taken as they are. A tier without a scale (`fast`) is taken at the scale that is
    missing; where it does not come at that scale it follows itself, as `fast-x2`, `fast-x2` for a factor of
    4. Of several tiers each has its turn, and the last one does what the others leave. A tier that does not
    enlarge (`deblur`) has its turn too, and leaves everything.

    Args:
        wanted: names, tiers or paths.
        factor: output size over input size; None for what the models give.
        progressive: take a tier at ×2 twice rather than once at ×4.

    Raises:
        ModelError: a model is not known, does not load, or would have nothing to do.
    """
    by_tier = tiers()
    open_tiers = [name for name in wanted if by_tier.get(name, (1,)) != (1,)]
    scale = math.ceil(factor or 0)
    fixed = {
        name: _of_tier(name, 1) if name in by_tier else _named(name, scale)
        for name in wanted
        if name not in open_tiers
    }
    reached = math.prod(fixed[name].model.spec.scale for name in wanted if name in fixed)
    if factor is None:
        factor = reached * math.prod(min(by_tier[name]) for name in open_tiers)
    if open_tiers and factor <= reached:
        raise ModelError(
            f"{open_tiers[-1]} enlarges by {' or '.join(str(scale) for scale in by_tier[open_tiers[-1]])}, "
            f"and nothing is left to enlarge to reach {factor:g} times the size; leave it out or ask for a larger scale"
        )
    chain: list[Choice] = []
    for name in wanted:
        if name in fixed:
            chain.append(fixed[name])
            continue
        open_tiers.pop(0)
        scales = (
            [min(by_tier[name])] if open_tiers else _scales_for(factor / reached, by_tier[name], progressive)
        )
        chain += [_of_tier(name, scale) for scale in scales]
        reached *= math.prod(scales)
    return chain


def with_twins() -> list[str]:
    """Names of the models that have a variant for compressed and noisy sources."""
    return [name for name in names() if _twin_of(name)]


def _twin_of(name: str) -> str:
    tier, _, scale = name.rpartition("-x")
    twin = f"{tier}-real-x{scale}"
    return twin if any(entry.name == twin for entry in BUILT_IN) else ""


def _of_tier(tier: str, scale: int) -> Choice:
    name = f"{tier}-x{scale}"
    return Choice(load(name), named=False, twin=_twin_of(name))


def _named(name: str, scale: int) -> Choice:
    clean, twin = _beside(Path(name)) if Path(name).suffix in SUFFIXES else ("", _twin_of(name))
    return Choice(load(name, scale=scale), named=True, twin=twin, clean=clean)


def _beside(path: Path) -> tuple[str, str]:
    """The files beside one that leave noise alone and that take it off: `realesr-general-wdn-x4v3` and
    without wdn."""
    head, _, tail = path.stem.rpartition("-")
    weak = head.endswith("-wdn")
    other = path.with_stem(f"{head.removesuffix('-wdn')}-{tail}" if weak else f"{head}-wdn-{tail}")
    found = str(other) if other.is_file() else ""
    return ("", found) if weak else (found, "")


_NEAR = 1.25
"""How far one final resampling may enlarge what the models give: 1920 from 2x 854, but not 3 from 2."""


def _scales_for(factor: float, available: tuple[int, ...], progressive: bool) -> list[int]:
    """The fewest available scales, at least one, then the smallest, whose product comes near `factor` or
    above."""
    enough = [scale for scale in available if scale * _NEAR >= factor]
    scales = [min(enough)] if enough else [max(available)]
    if progressive and scales == [4] and 2 in available:
        scales = [2, 2]
    return scales if enough else scales + _scales_for(factor / math.prod(scales), available, progressive)
