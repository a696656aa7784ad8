"""Who may import whom, held against the table that `docs/architecture.md` shows."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "vsr"

ROWS = {
    10: "cli",
    9: "web",
    8: "archive",
    7: "evidence bench",
    6: "jobs",
    5: "live training evaluation support",
    4: "pipeline machine",
    3: "media engine quality",
    2: "models picture autocrop color_correct http_safety",
    1: "windows scenes color options toml_options durable limits",
    0: "lazy frames errors prefetch resample stand_in trace pulse offspring",
}
"""Imports point downward only; places of one row do not import each other."""

INSIDE = {
    "jobs": (
        "provenance estimate preview",
        "measured_support",
        "enhance_file",
        "long_job",
        "workers",
        "assemble",
        "segments",
    ),
    "live": (
        "service",
        "monitoring",
        "service_view",
        "scheduling",
        "cameras outputs viewing",
        "push serving",
    ),
    "media": ("reading writing", "images"),
    "models": ("chain", "catalogue", "files variants", "networks", "layers"),
    "training": ("loop", "calibration", "validation", "data"),
    "web": ("server", "app", "cameras"),
}
"""The same within packages that have subpackages, from the top; what is not named stands beneath these."""

ROW_OF = {place: row for row, places in ROWS.items() for place in places.split()}


def modules() -> dict[str, Path]:
    """Every module but `vsr/__init__.py`, which re-exports, and `vsr/__main__.py`, which starts the commands."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("", "__main__"):
            found[name] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("vsr.") in known else str(node.module) for name in whole]
        else:
            continue
        yield from (name.removeprefix("vsr.") for name in names if name.startswith("vsr."))


def test_every_place_has_a_row():
    assert {name.split(".")[0] for name in modules()} <= set(ROW_OF)


def test_imports_point_downward():
    known, wrong = modules(), []
    for name, path in known.items():
        place = name.split(".")[0]
        for other in imports(path, known):
            target = other.split(".")[0]
            if target != place and ROW_OF[target] >= ROW_OF[place]:
                wrong.append(f"{name} (row {ROW_OF[place]}) imports {other} (row {ROW_OF[target]})")
    assert not wrong


def test_imports_point_downward_within_a_package():
    known, wrong = modules(), []
    for package, rows in INSIDE.items():
        row_of = {part: -row for row, parts in enumerate(rows) for part in parts.split()}
        own = {name: path for name, path in known.items() if name.startswith(f"{package}.")}
        for name, path in own.items():
            part = name.split(".")[1]
            targets = {other.split(".")[1] for other in imports(path, known) if other in own} - {part}
            here = row_of.get(part, -len(rows))
            wrong += [f"{name} imports {package}.{at}" for at in targets if row_of.get(at, here - 1) >= here]
    assert not wrong


def test_nobody_reaches_past_a_face():
    known, wrong = modules(), []
    for name, path in known.items():
        for other in imports(path, known):
            place, *below = other.split(".")
            if below and place != name.split(".")[0]:
                wrong.append(f"{name} imports {other}; take it from {place}")
    assert not wrong


def test_modules_import_each_other_in_no_circle():
    known = modules()
    TopologicalSorter({name: set(imports(path, known)) - {name} for name, path in known.items()}).prepare()


def test_the_page_shows_these_rows():
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = {int(row): places for row, places in re.findall(r"^\| (\d+) \| (.*?) \|", page, re.MULTILINE)}
    shown = {row: set(re.findall(r"`(\w+)(?:\.py|/)`", places)) for row, places in table.items()}
    there = {name.split(".")[0] for name in modules()}
    assert shown == {
        row: set(places.split()) & there for row, places in ROWS.items() if set(places.split()) & there
    }
