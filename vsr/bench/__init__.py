"""What `vsr bench` does: how fast this machine is, stage by stage, and why not faster."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.bench.cost import Cost
    from vsr.bench.row import ON_COMPUTE_STREAM, Row
    from vsr.bench.run_bench import BenchOptions, bench_rows

__getattr__ = lazy_exports(__name__)
