"""`vsr bench`: what each stage costs, how fast all are together, and what could be at best."""

import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter
from rich.table import Table

import vsr
from vsr.bench import BenchOptions, Cost, FilmOptions, Row, bench_rows, peer_tables
from vsr.cli.bench_film import film_as_json, show_film
from vsr.cli.bench_peers import peers_as_json, show_peers
from vsr.cli.bench_timeline import draw_timeline, json_of
from vsr.cli.console import check_writable, say, show, size_of, wide, write_result
from vsr.cli.eval_view import write_json
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import Flat
from vsr.engine import num_cores, pick_device, processor_name
from vsr.errors import ConfigError
from vsr.media import ffmpeg_version, find_ffmpeg
from vsr.options import EngineOptions
from vsr.quality import encode_png


@dataclass(frozen=True)
class ResultOptions:
    """Where the figures go."""

    json: Annotated[str, Parameter(allow_leading_hyphen=True)] = ""
    """Write everything to this file; - for standard output, instead of the tables."""
    trace: str = ""
    """Draw a second of the pipeline as a timeline (.png), or write all of it for Perfetto (.json)."""
    debug: bool = False
    """Show a traceback with an error."""

    def __post_init__(self) -> None:
        if self.trace and Path(self.trace).suffix.lower() not in (".png", ".json"):
            raise ConfigError(f"trace {self.trace}: .png and .json are written")
        check_writable("" if self.json == "-" else self.json, self.trace)


def bench_command(
    clip: Annotated[Path | None, Parameter(show_default=False)] = None,
    /,
    *,
    options: Annotated[BenchOptions, Flat] = BenchOptions(),
    film: Annotated[FilmOptions, Flat] = FilmOptions(),
    engine: Annotated[EngineOptions, Flat] = EngineOptions(),
    results: Annotated[ResultOptions, Flat] = ResultOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Measure the pipeline: each stage alone, all together, and the device's peak. Leave the machine to it.

    Parameters
    ----------
    clip
        Video to run on. Default: a clip that is made.
    """
    fetch_named(options.model, fetch)
    if options.peers:
        return _bench_peers(clip, options, engine, results)
    if film.film:
        film.watts_of(
            pick_device(engine.device).type, 1
        )  # what is missing is said before anything is measured
    rows = bench_rows(clip, options, engine, traced=bool(results.trace), say=say)
    report = {
        "machine": _machine(rows[0].device),
        "clip": str(clip or "made"),
        "rows": [_as_json(row) | ({"film": film_as_json(row, film)} if film.film else {}) for row in rows],
    }
    if results.json != "-":
        for row in rows:
            _print(row, options)
        if film.film:
            show_film(rows, film)
    _write_json(results.json, report)
    if results.trace:
        _write_trace(Path(results.trace), rows[0])
    return 0


def _bench_peers(
    clip: Path | None, options: BenchOptions, engine: EngineOptions, results: ResultOptions
) -> int:
    if engine.device not in ("auto", "cpu") or results.trace:
        raise ConfigError(
            "peers: networks alone are compared, on the CPU; --device cpu and no --trace are accepted"
        )
    tables = peer_tables(clip, options, say=say)
    if results.json != "-":
        for table in tables:
            show_peers(table)
    machine = _machine(torch.device("cpu"))
    _write_json(
        results.json,
        {
            "machine": machine,
            "clip": str(clip or "made"),
            "peers": [peers_as_json(table) for table in tables],
        },
    )
    return 0


def _write_json(where: str, report: dict[str, Any]) -> None:
    if where == "-":
        json.dump(report, sys.stdout, indent=2)
        show()
    elif where:
        write_json(where, report)


def _write_trace(path: Path, row: Row) -> None:
    assert row.trace is not None
    is_json = path.suffix.lower() == ".json"
    write_result(path, json_of(row.trace) if is_json else encode_png(draw_timeline(row.trace, _title(row))))


def _title(row: Row) -> str:
    before, after = (f"{width}x{height}" for height, width in (row.input_size, row.output_size))
    return f"{row.model} in {row.precision} on {row.device}, {before} → {after}, {row.encoder}"


def _print(row: Row, options: BenchOptions) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for heading in ("ms /frame", "core-ms /frame", "fps", "busy"):
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    for name, cost in row.stages.items():
        table.add_row(name, *_figures(cost), f"{row.share(name):.0%}")
    table.add_row("all cores" if row.device.type == "cpu" else "slowest", *_bound(row))
    table.add_row("end to end", *_figures(row.end_to_end))
    if row.against is not None:
        table.add_row("against", *_figures(row.against))
    show(f"\n{_title(row)}")
    wide().print(table)
    for line in _conclusion(row, options):
        show(line)


def _figures(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.wall_s * 1000:.2f}", f"{cost.core_s * 1000:.2f}", f"{cost.fps:.1f}"


def _bound(row: Row) -> tuple[str, str, str]:
    return f"{1000 / row.bound_fps:.2f}", f"{row.core_s * 1000:.2f}", f"{row.bound_fps:.1f}"


def _conclusion(row: Row, options: BenchOptions) -> list[str]:
    """What the figures say, in a few lines."""
    if row.device.type == "cpu":
        limit = "cores ÷ core-time of all stages"
        each = "1 thread" if row.threads_each == 1 else f"{row.threads_each} threads"
        threads = f"{row.cores} cores, {row.workers} network{'s' * (row.workers > 1)} at once on {each} each"
    else:
        limit = "the slowest stage alone"
        threads = f"{row.cores} cores beside the GPU"
    peak, speed = row.peak, row.model_gflop_per_s
    lines = [
        f"overlap: {row.overlap_efficiency:.0%} of {row.bound_fps:.1f} fps, {limit}; most goes into {row.limit}",
        f"model:   {row.gflop_per_frame:.3g} GFLOP a frame, {speed:.0f} GFLOP/s; "
        f"{speed / peak.matmul_gflop_per_s:.0%} of a matrix product's {peak.matmul_gflop_per_s:.0f}"
        + _beside_conv(row),
        f"memory:  {_bytes(row.peak_memory_bytes)} at most"
        + (f", {_bytes(row.peak_gpu_bytes)} on the GPU" if row.peak_gpu_bytes is not None else ""),
        f"         {threads}; {row.num_frames} frames, medians of {options.repeat}",
    ]
    if row.against is not None:
        lines.append(
            f"against: {row.end_to_end.fps / row.against.fps:.2f} times the fps of `{options.against}`"
        )
    return [*lines, *(f"note: {note}" for note in row.notes)]


def _beside_conv(row: Row) -> str:
    conv = row.peak.conv_gflop_per_s
    if conv is None:
        return ""
    share = f"{row.model_gflop_per_s / conv:.0%}"
    return f", {share} of a 3×3 convolution's {conv:.0f} at {row.peak.conv_channels} channels"


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else size_of(count)


def _machine(device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "processor": processor_name(),
        "cores": num_cores(),
        "gpu": gpu,
        "vsr": vsr.__version__,
        "torch": torch.__version__,
        "instructions_up_to": os.environ.get("ONEDNN_MAX_CPU_ISA"),
        "ffmpeg": ffmpeg_version(find_ffmpeg()),
        "python": platform.python_version(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _as_json(row: Row) -> dict[str, Any]:
    """Everything, with units in the names; what could not be measured is null."""
    peak, speed = row.peak, row.model_gflop_per_s
    report: dict[str, Any] = {
        "model": row.model,
        "device": str(row.device),
        "precision": row.precision,
        "encoder": row.encoder,
        "input_width": row.input_size[1],
        "input_height": row.input_size[0],
        "output_width": row.output_size[1],
        "output_height": row.output_size[0],
        "num_frames": row.num_frames,
        "workers": row.workers,
        "threads_each": row.threads_each,
        "cores": row.cores,
        "stages": {name: _cost(cost) | {"busy": row.share(name)} for name, cost in row.stages.items()},
        "core_ms_per_frame": row.core_s * 1000,
        "slowest_stage_ms": row.slowest_s * 1000,
        "bound_fps": row.bound_fps,
        "cores_bound_fps": row.cores_bound_fps,
        "end_to_end": _cost(row.end_to_end),
        "overlap_efficiency": row.overlap_efficiency,
        "gflop_per_frame": row.gflop_per_frame,
        "model_gflop_per_s": speed,
        "matmul_gflop_per_s": peak.matmul_gflop_per_s,
        "share_of_matmul": speed / peak.matmul_gflop_per_s,
        "conv_channels": peak.conv_channels,
        "conv_gflop_per_s": peak.conv_gflop_per_s,
        "share_of_conv": speed / peak.conv_gflop_per_s if peak.conv_gflop_per_s else None,
        "peak_memory_bytes": row.peak_memory_bytes,
        "peak_gpu_bytes": row.peak_gpu_bytes,
        "notes": row.notes,
    }
    if row.against is not None:
        report["against"] = _cost(row.against) | {"ratio": row.end_to_end.fps / row.against.fps}
    return report


def _cost(cost: Cost) -> dict[str, float]:
    return {"ms_per_frame": cost.wall_s * 1000, "core_ms_per_frame": cost.core_s * 1000, "fps": cost.fps}
