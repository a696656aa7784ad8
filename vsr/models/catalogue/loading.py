"""Models by name: the network of a name or of a path, with its facts."""

from dataclasses import replace
from pathlib import Path

from vsr.durable import sha256_of
from vsr.errors import ModelError
from vsr.models.catalogue.model_facts import ModelFacts, find_model, names, not_installed
from vsr.models.files.any_file import SUFFIXES, read_file, read_known_file
from vsr.models.files.checkpoint import read_model
from vsr.models.files.diffusion_folder import INDEX
from vsr.models.networks.resampling import Resampler, resampling_spec
from vsr.models.spec import Model
from vsr.models.variants.over_time import over_time, sees_neighbours
from vsr.resample import Kernel

BASELINES: dict[str, Kernel] = {"bicubic": "bicubic", "lanczos": "lanczos"}
"""Tiers without weights; they come at every scale."""


def load(name: str, *, scale: int = 0) -> Model:
    """Load a model by its full name (`fast-x2`) or from a checkpoint's path.

    Args:
        name: in the catalogue, or a path.
        scale: for files that do not tell theirs; 0 where none is wanted.

    Raises:
        ModelError: the name is not in the catalogue and no such file exists, it has not
            been pulled yet, or the file does not load.
    """
    facts = find_model(name)
    if facts:
        return _built_in(facts) if facts.tier else _published(facts)
    if "/" in name or "\\" in name or Path(name).suffix in SUFFIXES or (Path(name) / INDEX).is_file():
        model = read_file(Path(name), scale=scale)
        return over_time(model, model.spec.name) if sees_neighbours(model) else model
    raise ModelError(
        f"model {name!r} is not known; there are {', '.join(names())}, those that `vsr models --all` shows besides, "
        "and paths of checkpoints and pipelines"
    )


def _built_in(facts: ModelFacts) -> Model:
    if not facts.sha256:
        kernel = BASELINES.get(facts.tier, "bicubic")
        spec = resampling_spec(facts.name, scale=facts.scale, kernel=kernel)
        return Model(spec, Resampler(scale=facts.scale, kernel=kernel).eval())
    model = read_model(facts.path, name=facts.name, scale=facts.scale)
    if model.spec.sha256 != facts.sha256:
        raise ModelError(f"the weights of {facts.name} are damaged (SHA-256 differs); install vsr again")
    if facts.remembers and not model.spec.context.stateful:
        model = over_time(model, facts.name)
    return _with_terms(model, facts)


def _published(facts: ModelFacts) -> Model:
    name = facts.name
    if not facts.path.is_file():
        raise not_installed(facts)
    if sha256_of(facts.path) != facts.sha256:
        raise ModelError(f"{facts.path} is damaged (SHA-256 differs); `vsr models pull {name}` gets it anew")
    return _with_terms(read_known_file(facts.path, scale=facts.scale), facts)


def _with_terms(model: Model, facts: ModelFacts) -> Model:
    told = {key: getattr(facts, key) for key in ("name", "generative", "licence", "trained_on", "int8_loss")}
    spec = replace(model.spec, **told)
    return Model(spec, model.network)
