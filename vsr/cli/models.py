"""`vsr models`: what there is to choose from, and getting more of it."""

import json
from collections.abc import Sequence
from typing import Annotated, get_args

from cyclopts import App, Parameter
from rich.markdown import Markdown
from rich.table import Column, Table

from vsr.cli.console import cell, fail, show, size_of, spelled_out, wide
from vsr.cli.fetch_models import fetch_model
from vsr.errors import ConfigError, ModelError
from vsr.models import (
    Group,
    ModelFacts,
    all_cards,
    all_models,
    card_of,
    find_model,
    shown,
    verify_installed,
)

models = App(name="models", help="List, show, fetch and check models.")


_ROOMY = 100
"""Characters of a line from which on there is room for licences and the like."""

_LEGEND = "generative: paints detail that is not in the source"


@models.default
@models.command(name="list")
def list_models(
    *,
    all_: Annotated[bool, Parameter(name="--all")] = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """List the models that most people need, by what they are for, and those of others that are installed.

    Speed goes by KFLOP per input pixel: live up to 25 (video speed at 640x360 on two CPU cores), fast up to
    200, slow up to 2,000 (seconds a frame), GPU above.

    Parameters
    ----------
    all_
        List every model that has a name, at each scale.
    json_
        Print everything that is known of all of them as JSON.
    """
    cards = all_cards()
    if json_:
        print(json.dumps([shown(card) for card in cards], indent=2))
    elif all_:
        _print_all(cards)
    else:
        _print_few(cards)
    return 0


def _print_all(cards: Sequence[ModelFacts]) -> None:
    screen = wide()
    roomy = screen.width >= _ROOMY
    more = ["sees", "Set5 dB", "licence"] if roomy else []
    table = _table("name", "scale", "speed", "installed", *more, "what for")
    for card in cards:
        frames = f", {card.num_frames} frames" if card.num_frames > 1 else ""
        quality = f"{card.set5:.2f}" if card.set5 else ""
        terms = [f"{card.sees}{frames}", quality, card.licence] if roomy else []
        table.add_row(card.name, f"x{card.scale}", card.speed, _where(card), *terms, _purpose(card))
    screen.print(table)
    show(_LEGEND)


def _print_few(cards: Sequence[ModelFacts]) -> None:
    """A row for a tier or a model of others, below what it is for; fits a terminal of 80 characters."""
    screen = wide()
    licences = ["licence"] if screen.width >= _ROOMY else []
    table = _table("name", "scale", "speed", "here", *licences, "what for")
    also = [card for card in cards if not (card.tier or card.group) and card.state != "not installed"]
    groups = {group: [card for card in cards if card.group == group] for group in get_args(Group)}
    for group, members in (groups | {"also here": also}).items():
        if members:
            table.add_row(f"[bold]{group}[/bold]")
        for name in dict.fromkeys(card.tier or card.name for card in members):
            of_name = [card for card in members if name in (card.tier, card.name)]
            card, scales = of_name[0], " ".join(str(card.scale) for card in of_name)
            terms = [card.licence] if licences else []
            table.add_row(
                f"  {cell(name)}",
                scales,
                card.speed,
                _where(card).removeprefix("pull, "),
                *terms,
                _purpose(card),
            )
    screen.print(table)
    show(_LEGEND)
    show(f"What has a size is fetched when it is named. `vsr models --all` lists all {len(cards)} names.")


def _purpose(card: ModelFacts) -> str:
    return f"generative: {card.purpose}" if card.generative else card.purpose


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        side = "right" if heading == "Set5 dB" else "left"
        table.add_column(heading, no_wrap=heading != "what for", justify=side)
    return table


def _where(card: ModelFacts) -> str:
    """Such as `yes`, `damaged` or `pull, 2.5 MB`."""
    state = card.state
    if state != "not installed":
        return "yes" if state == "installed" else state
    return f"pull, {size_of(card.num_bytes or 0)}" if card.address else "by hand"


@models.command(name="show")
def show_model(model: str, /, *, json_: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Show all that is known of one model.

    Parameters
    ----------
    model
        Its name, or the path of a checkpoint.
    json_
        Print it as JSON.
    """
    card = shown(card_of(model))
    if json_:
        print(json.dumps(card, indent=2))
        return 0
    table = Table("", Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
    for name, value in card.items():
        if value not in ("", None, ()) and name != "text":
            text = ", ".join(value) if isinstance(value, tuple) else str(value)
            table.add_row(name.replace("_", " "), cell(text))
    out = wide()
    out.print(table)
    if card["text"]:
        out.print(Markdown(spelled_out(card["text"])))
    return 0


@models.command(name="pull")
def pull_models(*names: str, from_: Annotated[str, Parameter(name="--from")] = "") -> int:
    """Fetch models of others; what is cut off goes on with the same command.

    Parameters
    ----------
    names
        As `vsr models --all` shows them.
    from_
        Folder, file or https address to take them from instead of their own;
        $VSR_MODELS_MIRROR says it for good.
    """
    if not names:
        raise ConfigError(f"name the models to fetch: {_fetchable()}")
    entries = [_entry(name) for name in names]
    failed = False
    for entry in entries:
        try:
            fetch_model(entry, from_)
        except ModelError as error:
            fail(str(error))
            failed = True
    return 1 if failed else 0


def _fetchable() -> str:
    return ", ".join(facts.name for facts in all_models() if not facts.tier)


def _entry(name: str) -> ModelFacts:
    facts = find_model(name)
    if facts is None or facts.tier:
        why = "is built in" if facts and facts.sha256 else "cannot be fetched"
        raise ModelError(f"{name!r} {why}; these can be: {_fetchable()}")
    return facts


@models.command(name="verify")
def verify_models(*names: str) -> int:
    """Hash what is installed again; exit code 1 where something is damaged.

    Parameters
    ----------
    names
        Default is all models that have a file.
    """
    damaged = 0
    for name in names or [facts.name for facts in all_models() if facts.sha256]:
        sound = verify_installed(name)
        if sound is None and not names:
            continue
        damaged += sound is False
        show(f"{name}: {'not installed' if sound is None else 'sound' if sound else 'damaged'}")
    if damaged:
        fail(f"{damaged} damaged; `vsr models pull` replaces models of others, installing vsr again its own")
    return 1 if damaged else 0
