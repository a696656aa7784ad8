"""`vsr models`: what there is to choose from, and getting more of it."""

import json
from typing import Annotated

from cyclopts import App, Parameter
from rich.markdown import Markdown
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table

from vsr.cli.console import console, fail, say, size_of, wide
from vsr.errors import ConfigError, ModelError
from vsr.models import ModelFacts, all_cards, all_models, card_of, find_model, pull, shown, verify_installed

models = App(name="models", help="List, show, fetch and check models.")


@models.default
@models.command(name="list")
def list_models(*, json_: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """List all models that have a name.

    Speed goes by KFLOP per input pixel: live up to 25 (video speed at 640x360 on two CPU cores), fast up to
    200, slow up to 2,000 (seconds a frame), GPU above.

    Parameters
    ----------
    json_
        Print everything that is known as JSON.
    """
    cards = all_cards()
    if json_:
        print(json.dumps([shown(card) for card in cards], indent=2))
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "scale", "sees", "speed", "Set5 dB", "installed", "licence", "what for"):
        side = "right" if heading == "Set5 dB" else "left"
        table.add_column(heading, no_wrap=heading != "what for", justify=side)
    for card in cards:
        quality = f"{card.set5:.2f}" if card.set5 else ""
        about = card.name, f"x{card.scale}", _sees(card), card.speed, quality
        table.add_row(*about, _where(card), card.licence, card.purpose)
    wide().print(table)
    return 0


def _where(card: ModelFacts) -> str:
    """Such as `yes`, `damaged` or `pull, 2.5 MB`."""
    state = card.state
    if state != "not installed":
        return "yes" if state == "installed" else state
    return f"pull, {size_of(card.num_bytes or 0)}" if card.address else "by hand"


def _sees(card: ModelFacts) -> str:
    """Such as `luma, 3 frames, remembers, latency 1`."""
    parts = [card.sees]
    parts += [f"{card.num_frames} frames"] if card.num_frames > 1 else []
    parts += ["remembers"] if card.remembers else []
    parts += [f"latency {card.latency}"] if card.latency else []
    return ", ".join(parts)


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
            table.add_row(name.replace("_", " "), text)
    out = wide()
    out.print(table)
    if card["text"]:
        out.print(Markdown(card["text"]))
    return 0


@models.command(name="pull")
def pull_models(*names: str, from_: Annotated[str, Parameter(name="--from")] = "") -> int:
    """Fetch models of others; what is cut off goes on with the same command.

    Parameters
    ----------
    names
        As `vsr models list` shows them.
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
            _pull(entry, from_)
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


def _pull(entry: ModelFacts, place: str) -> None:
    figures = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    columns = TextColumn("{task.description}"), BarColumn(), *figures
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(entry.name, total=entry.num_bytes)
        path = pull(entry, place=place, tell=say, progress=lambda done: bar.update(task, completed=done))
    say(f"{entry.name}: {path}, {size_of(entry.num_bytes or 0)}, licence {entry.licence}")
    if entry.needs:
        say(f"{entry.name} needs vsr[{entry.needs}]")


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
        print(f"{name}: {'not installed' if sound is None else 'sound' if sound else 'damaged'}")
    if damaged:
        fail(f"{damaged} damaged; `vsr models pull` replaces models of others, installing vsr again its own")
    return 1 if damaged else 0
