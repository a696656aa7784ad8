"""How scores are shown: tables on the screen, JSON in a file."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from vsr.cli.console import cell, show, wide, write_result
from vsr.evaluation import Candidate, ClipResult, PicturesResult


class Scored(NamedTuple):
    """One row: what was given to whom, and what came of it."""

    source: str
    """How the reduced version was made."""
    candidate: Candidate
    result: PicturesResult | ClipResult


_COLUMNS = {
    "psnr": ("PSNR-Y (dB)", "{:.2f}"),
    "psnr_cb": ("Cb (dB)", "{:.2f}"),
    "psnr_cr": ("Cr (dB)", "{:.2f}"),
    "ssim": ("SSIM-Y", "{:.4f}"),
    "lpips": ("LPIPS", "{:.4f}"),
    "dists": ("DISTS", "{:.4f}"),
    "niqe": ("NIQE", "{:.2f}"),
    "noise_left": ("noise left", "{:.2f}"),
    "noise_over_time": ("noise over time", "{:.2f}"),
    "cvvdp": ("CVVDP (JOD)", "{:.2f}"),
    "vmaf": ("VMAF", "{:.1f}"),
    "vmaf_v1": ("VMAF v1", "{:.1f}"),
    "flicker_psnr": ("flicker (dB)", "{:.2f}"),
    "warping_error": ("warping error", "{:.2e}"),
    "latency_frames": ("latency (frames)", "{}"),
    "ms_per_frame": ("ms /frame", "{:.1f}"),
    "kflop_per_pixel": ("KFLOP /pixel", "{:.3g}"),
    "precision": ("precision", "{}"),
}
"""Heading and format of everything that can be shown; what nobody measured has no column."""


def print_scores(scored: Sequence[Scored]) -> None:
    """Print a table: a row for each candidate, and a line of facts below."""
    rows = flattened(scored)
    sources = list(dict.fromkeys(row["source"] for row in rows))
    shown = [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    if len(sources) > 1:
        table.add_column("source", no_wrap=True)
    for heading, _ in (_COLUMNS[name] for name in shown):
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    for row in rows:
        model = Path(row["model"]).name  # of a path, which would leave no room for figures
        names = [model, row["source"]] if len(sources) > 1 else [model]
        table.add_row(*map(cell, names), *(_COLUMNS[name][1].format(row[name]) for name in shown))
    wide().print(table)
    if "original_warping_error" in rows[0]:
        error = f"{rows[0]['original_warping_error']:.2e}"
        show(f"{rows[0]['num_frames']} frames; warping error of the original {error}")


def flattened(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Everything that is known of each row, by name."""
    return [_flat(row) for row in scored]


def _flat(row: Scored) -> dict[str, Any]:
    values, candidate = asdict(row.result), row.candidate
    facts = {"precision": candidate.precision, "kflop_per_pixel": candidate.kflop_per_pixel}
    return {"model": candidate.name, "source": row.source, **facts, **values.pop("score"), **values}


def write_json(path: str, report: dict[str, Any]) -> None:
    """Write everything that was measured; what is infinite or not a number is null.

    Raises:
        SinkError: the file cannot be written.
    """
    write_result(path, (json.dumps(_finite(report), indent=2) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
