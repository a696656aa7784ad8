"""The table of what a film costs, at the end of `vsr bench --film`."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from vsr.bench import FilmCost, FilmOptions, Row, film_cost
from vsr.cli.console import show, wide


def show_film(rows: list[Row], film: FilmOptions) -> None:
    """Print it, the rule above it."""
    row = rows[0]
    show(
        f"\na film of {film.film:g} minutes at {film.film_fps:g} fps ({film.num_frames} frames), end to end; "
        f"the machine draws {_watts(row, film):g} W, a kWh costs {film.price:.2f} €"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "size", "fps", "hours", "kWh", "€", "most goes into"):
        table.add_column(heading, justify="left" if heading.startswith("mo") else "right", no_wrap=True)
    for row in rows:
        cost, fps = _cost(row, film), row.end_to_end.fps
        size = f"{row.input_size[1]}x{row.input_size[0]}"
        figures = (f"{fps:.1f}", f"{cost.hours:.1f}", f"{cost.kwh:.2f}", f"{cost.euros:.2f}", row.limit)
        table.add_row(f"{row.model} in {row.precision}", size, *figures)
    wide().print(table)


def film_as_json(row: Row, film: FilmOptions) -> dict[str, Any]:
    """One row's, with the rule."""
    rule = {"num_frames": film.num_frames, "watts": _watts(row, film), "euros_a_kwh": film.price}
    return rule | asdict(_cost(row, film))


def _watts(row: Row, film: FilmOptions) -> float:
    return film.watts_of(row.device.type, row.cores)


def _cost(row: Row, film: FilmOptions) -> FilmCost:
    return film_cost(film, row.end_to_end.fps, _watts(row, film))
