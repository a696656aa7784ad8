"""The record as a page for people: one file of HTML that needs nothing else, for a screen or for paper."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from vsr.evidence.plain_words import limits_of, repeated_by, support_in_words, what_was_done
from vsr.evidence.sheet_style import STYLE


@dataclass(frozen=True)
class ShownPair:
    """A frame of the source and what became of it, as pictures that browsers show."""

    number: int
    time_s: float
    before: bytes
    """PNG or JPEG; empty where the frame could not be read alone."""
    after: bytes


def write_sheet(
    record: Mapping[str, Any], pairs: Sequence[ShownPair], maps: Mapping[int, bytes] | None = None
) -> str:
    """Write the page of a record; `maps` are JPEGs of what the source supports of frames, by their numbers."""
    result = Path(record["result"]["path"]).name
    parts = [
        f"<h1>{escape(result)}<small>what was done to make it, recorded by vsr</small></h1>",
        _facts({"case": record["case"] or "none given", "finished": record["finished"]}),
        _warning(record["generative"]),
        "<h2>What was done</h2>",
        *(f"<p>{escape(sentence)}</p>" for sentence in what_was_done(record)),
        "<h2>Before and after</h2>",
        "<p>Pictures of this page are for looking at and may be reduced. The evidence is the files "
        "themselves.</p>",
        *map(_pair, pairs),
        "<h2>What may not be concluded</h2>",
        _list(limits_of(record)),
        "<h2>How much of it the source supports</h2>",
        *_supported(record["support"], maps or {}),
        "<h2>The files</h2>",
        _table(("", "name", "bytes", "changed", "SHA-256"), _files(record)),
        "<h2>What was decided, and why</h2>",
        _list(record["notes"]) or "<p>Nothing had to be decided.</p>",
        "<h2>The networks</h2>",
        _table(
            ("name", "for", "learnt from", "licence", "ran in", "SHA-256"), map(_network, record["models"])
        ),
        "<h2>The frames</h2>",
        _facts(_frames(record)),
        "<h2>How to check and repeat it</h2>",
        _list(repeated_by(record)),
        "<h2>By what it was made</h2>",
        _facts(record["software"] | {name: _text(value) for name, value in record["processor"].items()}),
    ]
    head = f'<meta charset="utf-8"><title>{escape(result)}</title><style>{STYLE}</style>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _warning(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    told = "; ".join(reasons)
    return f'<p class="warning">May show what was never there. {escape(told)}.</p>'


def _pair(pair: ShownPair) -> str:
    def shown(picture: bytes, what: str, name: str) -> str:
        if not picture:
            return f"<figure><p>{what}: cannot be shown</p></figure>"
        return _figure(picture, what, name, f"{what}, frame {pair.number}, at {pair.time_s:.3f} s")

    return f'<div class="pair">{shown(pair.before, "source", "before")}{shown(pair.after, "result", "after")}</div>'


def _figure(picture: bytes, what: str, name: str, caption: str) -> str:
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    data = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return (
        f'<figure><img class="{name}" alt="{what}" src="{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _supported(told: Mapping[str, Any] | None, maps: Mapping[int, bytes]) -> Iterable[str]:
    if not told:
        yield (
            "<p>Not measured for this record. With --support, or by vsr support SOURCE RESULT, it is measured for each "
            "part of each frame how much of the result the source confirms.</p>"
        )
        return
    yield _list(support_in_words(told))
    yield (
        "<p>Nothing is drawn over what is supported, thin lines over what is partly so, thick ones over what is not. "
        "The figures of every frame are in support.json.</p>"
    )
    for number, picture in sorted(maps.items()):
        yield _figure(picture, "what the source supports", "after", f"frame {number}")


def _files(record: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for what in ("source", "result", "also"):
        if told := record[what]:
            name = Path(told["path"]).name
            yield what, name, f"{told['bytes']:,}", told["modified"][:19].replace("T", " "), told["sha256"]


def _network(model: Mapping[str, Any]) -> Sequence[str]:
    cards = model["cards"].values()
    purpose = ", ".join(dict.fromkeys(card["purpose"] for card in cards)) or "not known"
    where = f"{model['device']} in {model['precision']}"
    learnt = model["trained_on"] or "not known"
    return (
        model["name"],
        purpose,
        learnt,
        model["licence"] or "not known",
        where,
        model["sha256"] or "no weights",
    )


def _frames(record: Mapping[str, Any]) -> dict[str, str]:
    told = record["frames"]
    patched, pauses = told["patched_up"], told["pauses"]
    places = [f"after frame {each['after']}" for each in pauses.get("places", [])[:20]]
    none = "none" if pauses else "not looked for: frames keep no constant rate"
    return {
        "number": str(told["count"]),
        "Merkle root of their hashes": told["merkle_root"],
        "patched up by the decoder": ", ".join(map(str, patched[:50])) or "none",
        "pauses in the stream": ", ".join(places) or none,
    }


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value
    )
    return f"<dl>{rows}</dl>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
