"""The tables of `vsr bench --peers`."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from vsr.bench import PeerRow, PeerTable
from vsr.cli.console import show, wide

_HEADINGS = ("one core: ms", "÷ ours", "all cores: fps", "ours ÷ it", "most codes")


def show_peers(found: PeerTable) -> None:
    """Print one network's, what was not run below it."""
    height, width = found.input_size
    show(
        f"\n{found.model}, the network alone, {width}x{height}; ms of processor time on one core, frames per second on"
    )
    show(
        f"{found.cores}, a frame on each; ours in the same precision; most codes from PyTorch in fp32, of 255"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.rows:
        times, rate = _ratios(found, row)
        one, all_cores = f"{row.one_core.core_s * 1000:.1f}", f"{row.all_cores.fps:.2f}"
        table.add_row(
            f"{row.name} {row.version} {row.precision}".replace("  ", " "),
            one,
            _ratio(times),
            all_cores,
            _ratio(rate),
            f"{row.most_codes:.2g}",
        )
    wide().print(table)
    for note in found.notes:
        show(f"note: {note}")


def peers_as_json(found: PeerTable) -> dict[str, Any]:
    """Everything, with units in the names."""
    return {
        "model": found.model,
        "input_width": found.input_size[1],
        "input_height": found.input_size[0],
        "cores": found.cores,
        "rows": [_row(found, row) for row in found.rows],
        "notes": found.notes,
    }


def _row(found: PeerTable, row: PeerRow) -> dict[str, Any]:
    times, rate = _ratios(found, row)
    costs = {"one_core": asdict(row.one_core), "all_cores": asdict(row.all_cores)}
    ratios = {"one_core_over_ours": times, "ours_over_all_cores_fps": rate}
    return {
        "name": row.name,
        "version": row.version,
        "precision": row.precision,
        "most_codes": row.most_codes,
    } | (costs | ratios)


def _ratios(found: PeerTable, row: PeerRow) -> tuple[float | None, float | None]:
    """How many times ours in the same precision is as fast: by processor time on one core, by the clock on all."""
    ours = found.ours(row.precision)
    if ours is None:
        return None, None
    return row.one_core.core_s / ours.one_core.core_s, ours.all_cores.fps / row.all_cores.fps


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
