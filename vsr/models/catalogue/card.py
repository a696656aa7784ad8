"""All that is known of a model, as `vsr models` shows it, and the cards that lie beside our own weights.

Run as a program it writes the cards anew.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vsr.errors import ModelError
from vsr.models.catalogue.model_facts import (
    BUILT_IN,
    LEARNT_FROM,
    WEIGHTS,
    ModelFacts,
    all_models,
    find_model,
    is_sound,
    licences_of,
)

if TYPE_CHECKING:
    from vsr.models.spec import Model, ModelSpec

_SHOWN = [
    "name",
    "purpose",
    "scale",
    "sees",
    "num_frames",
    "remembers",
    "latency",
    "kflop_per_pixel",
    "set5",
    "generative",
    "licence",
    "sha256",
    "num_bytes",
    "state",
    "path",
    "address",
    "how",
    "needs",
    "trained_on",
    "network",
    "parameters",
    "tiles",
    "size_multiple",
    "precisions",
]

GENERATIVE = "Generative: paints detail that is not in the source"
"""The warning of such a model's card."""

_DOES = (
    "",
    "Sharpens",
    "Doubles height and width of",
    "Triples height and width of",
    "Quadruples height and width of",
)
"""By scale."""

_ROWS = ("not seen", "reduction learnt", "learnt", "recipe", "steps, seed", "command", "scores", "date")
"""Of a card's table, those that the facts have under the same key."""


def shown(facts: ModelFacts) -> dict[str, Any]:
    """What `vsr models show` prints, in its order."""
    found = {key: getattr(facts, key) for key in _SHOWN}
    path = str(facts.path) if facts.sha256 or facts.place else ""
    return found | {"path": path, "text": card_text(facts), "speed": facts.speed}


def all_cards() -> list[ModelFacts]:
    """The whole catalogue; models of others are not looked into.

    Raises:
        ModelError: a file of our own is damaged.
    """
    return [card_of(facts.name) if facts.tier else facts for facts in all_models()]


def card_of(name: str) -> ModelFacts:
    """The facts of a name or of a checkpoint's path; of what is installed, those that only its file tells, too.

    Raises:
        ModelError: there is no such model, or it does not load.
    """
    facts = find_model(name)
    if facts and (facts.state == "installed") == bool(facts.tier):
        return facts  # ours say all; those of others are known by the table alone until they are here
    from vsr.models.catalogue.loading import load  # needs PyTorch

    try:
        return _described(name, load(name), facts)
    except ModelError:
        if not (facts and facts.needs):
            raise
        return facts  # it is sound, so what is missing is its reader


def _described(name: str, model: "Model", facts: ModelFacts | None) -> ModelFacts:
    """What a network that has been read tells, with what its table says."""
    from torch import nn

    spec, path = model.spec, facts.path if facts else Path(name)
    weights = list(model.network.parameters()) if isinstance(model.network, nn.Module) else []
    known = licences_of(spec.network)
    unknown = ("unknown" + (f"; published weights: {known}" if known else "")) if spec.sha256 else ""
    return replace(
        facts or ModelFacts(spec.name, spec.scale, "luma", place=path),
        name=spec.name,
        scale=spec.scale,
        sees=_SEES[spec.in_channels],
        num_frames=spec.context.num_frames,
        remembers=spec.context.stateful,
        latency=spec.context.latency,
        kflop_per_pixel=round(spec.kflop_per_pixel, 2),
        licence=spec.licence or unknown,
        sha256=spec.sha256,
        num_bytes=path.stat().st_size if path.is_file() else None,
        generative=spec.generative,
        trained_on=spec.trained_on or ("unknown" if spec.sha256 else ""),
        network=spec.network or type(model.network).__name__,
        parameters=sum(weight.numel() for weight in weights) if weights else None,
        tiles=_tiles(spec),
        size_multiple=spec.size_multiple,
        precisions=spec.dtypes,
    )


_SEES: dict[int, Literal["luma", "RGB", "luma and chroma"]] = {1: "luma", 3: "RGB", 8: "luma and chroma"}


def _tiles(spec: "ModelSpec") -> str:
    if spec.context.stateful:
        return "none" if spec.halo is not None else "bounded"
    return "bounded" if spec.halo is None else f"exact, overlapping by {spec.halo * spec.packs} pixels"


def card_text(facts: ModelFacts) -> str:
    """The model card of one of our own, Markdown; empty for others and for those without weights."""
    card = facts.card
    if not card:
        return ""
    rows = {
        "weights": f"`{facts.path.name}`, {card.get('stored', 'fp32')}, SHA-256 `{facts.sha256}`",
        "licence": f"{facts.licence}, as the project; mind the terms of the pictures it learnt from",
        "data": LEARNT_FROM[facts.trained_on],
    } | {row: card[row].format(scale=facts.scale, set5=facts.set5) for row in _ROWS if row in card}
    table = "\n".join(f"| {row} | {text} |" for row, text in rows.items())
    cost = f"{facts.kflop_per_pixel:.1f} KFLOP per input pixel."
    warning = f" **{GENERATIVE}.**" if facts.generative else ""
    head = f"# {facts.name}\n\n{_DOES[facts.scale]} {facts.sees}.{warning} {card['about']} {cost}"
    return f"{head}\n\n| | |\n| --- | --- |\n{table}\n\n{card['good for']}\n"


def verify_installed(name: str) -> bool | None:
    """Hash what is installed of a model again; None where nothing is installed.

    Raises:
        ModelError: no model of that name has a file.
    """
    facts = find_model(name)
    if facts is None or not facts.sha256:
        raise ModelError(
            f"{name!r} is no model of the catalogue that has a file; `vsr models --all` shows them all"
        )
    return is_sound(facts.path, facts.sha256) if facts.path.is_file() else None


if __name__ == "__main__":
    for _facts in BUILT_IN:
        if _facts.card:
            (WEIGHTS / f"{_facts.name}.md").write_text(card_text(_facts), encoding="utf-8")
