"""One name, one thing: no public class or function, and no module, shares its name with another."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "vsr"

ALLOWED = {
    "main": "where a process begins: the commands, an output of a live stream, and what browsers watch",
    "options": "options of the whole, of training and of live, each in its own package",
    "span": "the network SPAN has this name in its paper; `trace.span` is the field's word, too",
}
"""Names that mean two things, with the reason why they may."""


def meanings() -> dict[str, set[str]]:
    """Where each name is defined. A module and what it defines under its own name are one thing; files of `cli/` are
    named after their commands."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        place = str(path.relative_to(ROOT))
        if path.stem not in ("__init__", "__main__") and not place.startswith("cli/"):
            found[path.stem].add(place)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            is_named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if is_named and not node.name.startswith("_"):
                found[node.name].add(place)
    return found


def test_no_name_means_two_things():
    twice = {name: sorted(places) for name, places in meanings().items() if len(places) > 1}
    assert set(twice) <= set(ALLOWED), {name: twice[name] for name in twice if name not in ALLOWED}


def test_what_is_allowed_is_needed():
    assert all(len(meanings()[name]) > 1 for name in ALLOWED)
